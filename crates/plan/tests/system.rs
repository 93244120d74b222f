// SPDX-License-Identifier: Apache-2.0
//! Files and kernel parameters against the programs and the kernel that read them. Needs root or user namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use outgate_plan::{RouterPlan, iptables_restore, plan};
use support::{WITH_LINKS, in_namespaces, links, spec};

/// Puts a plan's files where they belong, in a mount namespace, then goes on with `rest`.
fn with_files(plan: &RouterPlan, rest: &str) -> Result<String, String> {
    let program = format!(
        "set -e; mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /etc/ssh; mkdir -p /run/sshd /run/outgate-vr
         while IFS= read -r -d '' path && IFS= read -r -d '' content; do
             printf %s \"$content\" > \"$path\"; chmod 600 \"$path\"
         done
         exec 2>&1; {rest}"
    );
    let files = plan.services.values().flat_map(|s| &s.files);
    let input: Vec<String> = files
        .flat_map(|(path, file)| [path.clone(), file.content.clone()])
        .collect();
    in_namespaces(&program, &input)
}

#[test]
fn dnsmasq_accepts_its_configuration() {
    let seen = with_files(
        &plan(&spec()),
        "dnsmasq --test --conf-file=/run/outgate-vr/dnsmasq.conf",
    )
    .unwrap();
    assert!(seen.contains("syntax check OK"), "{seen}");
}

/// Its own user namespace has one user and may not change groups, as a lab's without root.
#[test]
fn dnsmasq_serves_dhcp_and_dns_on_the_guest_side_only_without_real_root() {
    let program = "unshare -rn bash -c '
        ip link add eth0 type veth peer name eth2; ip addr add 10.1.1.1/24 dev eth0; ip addr add 203.0.113.10/24 dev eth2
        ip link set lo up; ip link set eth0 up; ip link set eth2 up
        dnsmasq --keep-in-foreground --conf-file=/run/outgate-vr/dnsmasq.conf & trap \"kill $!\" EXIT
        for i in {1..200}; do
            seen=$(ss -Hlun | grep -c \":67 \"); [ \"$seen\" = 1 ] && break; sleep 0.02
        done
        ss -Hlntu'";
    let seen = with_files(&plan(&spec()), program).unwrap();
    let sockets: Vec<&str> = seen
        .lines()
        .filter(|l| l.starts_with("udp") || l.starts_with("tcp"))
        .collect();
    let at = |end: &str| sockets.iter().filter(|l| l.contains(end)).count();
    assert_eq!(
        (at("%eth0:67 "), at("10.1.1.1:53 "), sockets.len()),
        (1, 2, 3),
        "{seen}"
    );
}

#[test]
fn sshd_accepts_its_configuration() {
    let test = "ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
        /usr/sbin/sshd -T -f /run/outgate-vr/sshd_config";
    let seen = with_files(&plan(&spec()), test).unwrap();
    for line in [
        "listenaddress 169.254.1.2:3922",
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "usepam no",
        "permitrootlogin without-password",
        "authorizedkeysfile /run/outgate-vr/authorized_keys",
        "disableforwarding yes",
    ] {
        assert!(seen.lines().any(|l| l == line), "{line} in\n{seen}");
    }
    assert_eq!(seen.matches("listenaddress").count(), 1, "{seen}");
}

/// A router is a namespace: it must be able to set everything that it requires.
#[test]
fn a_namespace_may_set_every_required_sysctl() {
    let plan = plan(&spec());
    let required = plan.sysctls.iter().filter(|(_, s)| s.required);
    let input: Vec<String> = required
        .flat_map(|(name, s)| [format!("/proc/sys/{}", name.replace('.', "/")), s.value.clone()])
        .collect();
    let program = "ip link add eth0 type veth peer name eth1 && ip link add eth2 type veth peer name other || exit 1
        while IFS= read -r -d '' path && IFS= read -r -d '' value; do
            echo \"$value\" > \"$path\" && [ \"$(cat \"$path\")\" = \"$value\" ] || { echo \"$path\"; exit 1; }
        done";
    assert_eq!(in_namespaces(program, &input), Ok(String::new()));
}

/// The reference text's fourth step.
#[test]
fn iptables_shows_the_source_nat_rule_as_planned_while_the_native_table_stands() {
    let plan = plan(&spec());
    let native = plan.ruleset.to_script();
    let program = format!(
        "{WITH_LINKS}; IFS= read -r -d '' native; IFS= read -r -d '' compatible
        nft -f - <<<\"$native\" && iptables-restore <<<\"$compatible\" && iptables -t nat -S POSTROUTING"
    );
    let links = links(std::slice::from_ref(&native));
    let input = [links, native, iptables_restore(&plan.iptables_postrouting)];
    let seen = in_namespaces(&program, &input).unwrap();
    assert_eq!(
        seen,
        "-P POSTROUTING ACCEPT\n-A POSTROUTING -o eth2 -j SNAT --to-source 203.0.113.10\n"
    );
}
