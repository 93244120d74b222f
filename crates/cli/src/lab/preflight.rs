// SPDX-License-Identifier: Apache-2.0
//! What a lab needs of this machine, asked before anything is made.

use std::path::Path;

use crate::exit::Unavailable;

/// Where programs are looked for, inside labs and before: an ordinary user's PATH often lacks the `sbin` folders.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Programs with the Debian package that has them.
const PROGRAMS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("dnsmasq", "dnsmasq-base"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("busybox", "busybox"),
    ("ping", "iputils-ping"),
    ("arping", "iputils-arping"),
    ("tcpdump", "tcpdump"),
    ("haproxy", "haproxy"),
    ("sysctl", "procps"),
    ("nsenter", "util-linux"),
];

/// Ids that a user-namespaced lab needs besides its own: as many as Debian hands out.
const SUBORDINATE_IDS: u32 = 65_536;

/// A range of subordinate ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubIds {
    /// The first id.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// The id ranges of a lab without root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMap {
    /// User ids.
    pub users: SubIds,
    /// Group ids.
    pub groups: SubIds,
}

/// Checks everything; all that is missing is named at once, with what to do. Returns the id ranges to map when we are
/// not root.
pub fn check() -> anyhow::Result<Option<IdMap>> {
    let root = nix::unistd::geteuid().is_root();
    let mut wanted: Vec<(&str, &str)> = PROGRAMS.to_vec();
    if !root {
        wanted.extend([("newuidmap", "uidmap"), ("newgidmap", "uidmap")]);
    }
    wanted.retain(|(program, _)| !installed(program));
    let mut problems = Vec::new();
    if !wanted.is_empty() {
        let programs: Vec<&str> = wanted.iter().map(|(program, _)| *program).collect();
        let mut packages: Vec<&str> = wanted.iter().map(|(_, package)| *package).collect();
        packages.dedup();
        problems.push(format!(
            "missing programs: {}; install them with: sudo apt-get install --no-install-recommends {}",
            programs.join(" "),
            packages.join(" ")
        ));
    }
    let map = if root { None } else { id_map(&mut problems) };
    if problems.is_empty() {
        Ok(map)
    } else {
        Err(Unavailable(problems.join("\n         ")).into())
    }
}

fn installed(program: &str) -> bool {
    PATH.split(':').any(|dir| Path::new(dir).join(program).is_file())
}

/// Our subordinate ids. Routers run sshd, which changes to a user of its own; with one mapped id it could not.
fn id_map(problems: &mut Vec<String>) -> Option<IdMap> {
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid)
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name);
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let users = sub_ids(&read("/etc/subuid"), &name, uid.as_raw());
    let groups = sub_ids(&read("/etc/subgid"), &name, uid.as_raw());
    if users.is_none() || groups.is_none() {
        problems.push(format!(
            "user {name} has no {SUBORDINATE_IDS} subordinate ids, which the routers' sshd needs; give some with: \
             sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"
        ));
    }
    Some(IdMap {
        users: users?,
        groups: groups?,
    })
}

/// The first large enough range of `name` (or the number `id`) in the text of /etc/subuid or /etc/subgid.
fn sub_ids(text: &str, name: &str, id: u32) -> Option<SubIds> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let range = SubIds {
            first: fields.next()?.parse().ok()?,
            count: fields.next()?.trim().parse().ok()?,
        };
        let ours = owner == name || owner == id.to_string();
        (ours && range.count >= SUBORDINATE_IDS).then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_ids_are_found_by_name_and_by_number() {
        let text = "a:1:10\nbob:100000:65536\n1002:200000:65536\n";
        assert_eq!(
            sub_ids(text, "bob", 1),
            Some(SubIds {
                first: 100_000,
                count: 65_536
            })
        );
        assert_eq!(
            sub_ids(text, "eve", 1002),
            Some(SubIds {
                first: 200_000,
                count: 65_536
            })
        );
        assert_eq!(sub_ids(text, "a", 1), None, "ten are not enough");
    }
}
