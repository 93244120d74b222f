// SPDX-License-Identifier: Apache-2.0
//! A lab of an ordinary user.
//!
//! As root, the test becomes a user that exists only in a mount namespace of its own, where copies of /etc/passwd and of
//! the files with subordinate ids lie over the machine's. As anybody else it is that user.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use common::{Lab, OUTGATE, page};

/// An id that no machine hands out.
const ID: u32 = 54_321;

#[test]
fn an_ordinary_user_builds_a_lab_and_nothing_of_it_is_left() {
    let mut lab = Lab::new("rootless");
    if nix::unistd::geteuid().is_root() {
        become_a_user(&mut lab);
    }
    let up = lab.json(&["lab", "up", "-o", "json"]);
    let public = up["built"]["public"].as_str().unwrap();
    assert_eq!(page(&lab), Some(format!("you came from {public}")));
    let router = up["built"]["router"].as_str().unwrap();
    assert_eq!(
        lab.ok(&["lab", "exec", router, "--", "hostname"]).trim(),
        router,
        "SSH works without root too"
    );
    balances(&lab);
    let processes = lab.processes();
    lab.leaves_nothing(&processes);
}

/// haproxy becomes a user of its own without root too: the job ends well once its worker serves.
fn balances(lab: &Lab) {
    let api = |args: &[&str]| lab.json(&[&["api"], args, &["-o", "json"]].concat());
    let id = |reply: &serde_json::Value| reply["id"].as_str().unwrap().to_owned();
    let network = id(&api(&["listNetworks", "listall=true"])["network"][0]);
    let guest = id(&api(&["listVirtualMachines", "listall=true"])["virtualmachine"][0]);
    let network = format!("networkid={network}");
    let rule = api(&[
        "createLoadBalancerRule",
        "name=web",
        &network,
        "publicport=80",
        "privateport=80",
        "algorithm=source",
    ]);
    let rule = format!("id={}", id(&rule["loadbalancer"]));
    let members = format!("virtualmachineids={guest}");
    api(&["assignToLoadBalancerRule", &rule, &members]);
    let counted = api(&["getLoadBalancerStatistics", &rule]);
    assert!(counted.to_string().contains("\"running\":true"), "{counted}");
}

#[test]
fn a_user_without_subordinate_ids_is_told_how_to_get_some() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can become a user that has none.
        return;
    }
    let mut lab = Lab::new("poor");
    become_a_user(&mut lab);
    fs::write(lab.folder().join("subuid"), "").unwrap();
    let done = lab.run(&["lab", "up"]);
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(69), "{text}");
    assert!(text.contains("usermod --add-subuids"), "{text}");
    assert!(!lab.dir().exists(), "nothing was made");
}

/// Lets every command of the lab run as a user with subordinate ids.
fn become_a_user(lab: &mut Lab) {
    let folder = lab.folder().to_owned();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.join("outgate");
    fs::copy(OUTGATE, &program).unwrap();
    fs::create_dir(&lab.labs).unwrap();
    std::os::unix::fs::chown(&lab.labs, Some(ID), Some(ID)).unwrap();
    let with = |file: &str, line: String| {
        let text = fs::read_to_string(format!("/etc/{file}")).unwrap_or_default();
        fs::write(folder.join(file), format!("{text}{line}\n")).unwrap();
    };
    with("passwd", format!("oglab:x:{ID}:{ID}::/:/bin/sh"));
    with("group", format!("oglab:x:{ID}:"));
    with("subuid", "oglab:1000000000:65536".to_owned());
    with("subgid", "oglab:1000000000:65536".to_owned());
    let binds: Vec<String> = ["passwd", "group", "subuid", "subgid"]
        .iter()
        .map(|file| {
            format!(
                "touch /etc/{file} && mount --bind {}/{file} /etc/{file}",
                folder.display()
            )
        })
        .collect();
    let script = format!(
        "{} && exec setpriv --reuid {ID} --regid {ID} --clear-groups \"$@\"",
        binds.join(" && ")
    );
    lab.prefix = ["unshare", "--mount", "sh", "-ec", &script, "sh"]
        .map(str::to_owned)
        .to_vec();
    lab.program = program;
}
