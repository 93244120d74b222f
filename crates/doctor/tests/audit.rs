// SPDX-License-Identifier: Apache-2.0
//! The audit from what was seen alone: what no lab can be made to show, and that a hardened router has no deviation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use outgate_doctor::audit::{Audited, Risk, ServerSeen, audit};
use outgate_model::RouterSpec;
use outgate_model::router_spec::{EgressPolicy, Limits, NatLog};
use serde_json::json;

/// A port forward of 8080 and 22, each open to everybody, and a guest with static NAT.
fn spec() -> RouterSpec {
    let firewall = |id: u8, ports: [u16; 2], source: &str| {
        json!({"id": format!("00000000-0000-4000-8000-0000000001{id:02x}"),
            "match": {"kind": "ports", "protocol": "tcp", "ports": ports}, "sources": [source]})
    };
    let forward = |id: u8, port: u16, inner: u16| {
        json!({"id": format!("00000000-0000-4000-8000-0000000002{id:02x}"), "protocol": "tcp",
            "public_ports": [port, port], "guest": "10.1.1.5", "private_ports": [inner, inner]})
    };
    let spec = json!({"version":1,"id":"00000000-0000-4000-8000-000000000001","name":"r-1-VM","generation":1,
        "control":{"interface":"eth1","mac":"02:00:00:00:00:c1","address":"169.254.1.2/16"},
        "public":{"interface":"eth2","mac":"02:00:00:00:00:c2","mtu":1500,"gateway":"203.0.113.1","addresses":[
            {"address":"203.0.113.10/24","source_nat":true,"static_nat":null,
                "firewall":[firewall(1, [8080, 8080], "0.0.0.0/0"), firewall(2, [2222, 2222], "0.0.0.0/0"),
                    firewall(3, [9000, 9000], "192.0.2.0/24")],
                "port_forwarding":[forward(1, 8080, 80), forward(2, 2222, 22), forward(3, 9000, 3306)]},
            {"address":"203.0.113.11/24","source_nat":false,"static_nat":"10.1.1.6",
                "firewall":[firewall(4, [1, 65535], "0.0.0.0/0")],"port_forwarding":[]}]},
        "guest_networks":[{"id":"00000000-0000-4000-8000-000000000002","interface":"eth0","mac":"02:00:00:00:00:c0",
            "mtu":1500,"gateway":"10.1.1.1/24","domain":"cs1cloud.internal","upstream_dns":["198.51.100.53"],
            "egress":{"default":"allow","rules":[]},
            "leases":{"02:00:00:00:00:05":{"address":"10.1.1.5","hostname":"vm-5"}}}],
        "conntrack":{"max":262144,"tcp_established_secs":7440,"udp_secs":120,"udp_stream_secs":300,"icmp_secs":60},
        "ssh":{"port":3922,"authorized_keys":[]}});
    let spec: RouterSpec = serde_json::from_value(spec).unwrap();
    assert_eq!(spec.validate(), Ok(()));
    spec
}

/// The same as the hardened profile wants it, with nothing open.
fn hardened() -> RouterSpec {
    let mut spec = spec();
    spec.guest_networks[0].egress.default = EgressPolicy::Deny;
    spec.public.addresses.truncate(1);
    spec.public.addresses[0].firewall.clear();
    spec.public.addresses[0].port_forwarding.clear();
    spec.limits = Limits {
        guest_sessions: Some(5_000),
        guest_rate: Some(200),
        source_rate: Some(100),
        ping_rate: Some(50),
    };
    spec.nat_log = Some(NatLog {
        records_per_second: 1,
        file_mib: 8,
        collector: None,
    });
    spec
}

/// What a sound router shows.
fn sound(spec: RouterSpec) -> Audited {
    let parameters = ["eth0", "eth1", "eth2", "all"].map(|name| {
        (
            format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"),
            "1".to_owned(),
        )
    });
    Audited {
        spec: Some(spec),
        parameters: Some(BTreeMap::from(parameters)),
        listing: Some("table ip outgate {\n}\n".to_owned()),
        sockets: Some(
            "udp UNCONN 0 0 0.0.0.0%eth0:67 0.0.0.0:* users:((\"dnsmasq\",pid=9,fd=4))\n\
             udp UNCONN 0 0 0.0.0.0:40123 0.0.0.0:* users:((\"dnsmasq\",pid=9,fd=7))\n\
             tcp LISTEN 0 128 169.254.1.2:3922 0.0.0.0:* users:((\"sshd\",pid=8,fd=3))\n"
                .to_owned(),
        ),
        login: Some("root@169.254.1.2: Permission denied (publickey).".to_owned()),
        server: Some(ServerSeen {
            listens: Some("127.0.0.1:8080".parse().unwrap()),
            ..ServerSeen::default()
        }),
        ..Audited::default()
    }
}

fn found(seen: &Audited) -> Vec<(&'static str, Risk)> {
    audit(seen).deviations.iter().map(|d| (d.id, d.risk)).collect()
}

#[test]
fn a_hardened_router_has_no_deviation() {
    let audit = audit(&sound(hardened()));
    assert_eq!(audit.deviations, Vec::new());
    assert_eq!(audit.not_available, Vec::<&str>::new());
}

#[test]
fn what_is_open_to_everybody_is_listed_by_risk_and_what_is_open_to_few_is_not() {
    let audit = audit(&sound(spec()));
    let ids: Vec<_> = audit.deviations.iter().map(|d| (d.id, d.risk)).collect();
    assert_eq!(
        ids,
        [
            ("egress-default-allow", Risk::High),
            ("attacked-port-open", Risk::High),
            ("static-nat-all-ports", Risk::High),
            ("no-guest-session-limit", Risk::Medium),
            ("no-guest-rate-limit", Risk::Medium),
            ("no-source-rate-limit", Risk::Medium),
            ("nat-log-off", Risk::Medium),
            ("port-open", Risk::Low),
        ]
    );
    let ssh = &audit.deviations[1];
    assert!(ssh.title.contains("SSH"), "{ssh:?}");
    assert_eq!(
        ssh.evidence,
        ["203.0.113.10:2222 leads to 10.1.1.5:22, from 0.0.0.0/0"]
    );
    assert!(
        ssh.command
            .contains("updateFirewallRule id=00000000-0000-4000-8000-000000000102"),
        "{ssh:?}"
    );
}

#[test]
fn what_the_routers_kernel_and_programs_show_is_listed() {
    let mut seen = sound(hardened());
    let rp_filter = "/proc/sys/net/ipv4/conf/eth2/rp_filter".to_owned();
    let helper = "/proc/sys/net/netfilter/nf_conntrack_helper".to_owned();
    let parameters = seen.parameters.as_mut().unwrap();
    parameters.extend([(rp_filter, "2".to_owned()), (helper, "1".to_owned())]);
    seen.listing = Some("table inet mine {\n\tchain c {\n\t\tdrop\n\t}\n}\n".to_owned());
    seen.sockets = Some("tcp LISTEN 0 5 0.0.0.0:9999 0.0.0.0:* users:((\"nc\",pid=4,fd=3))".to_owned());
    seen.login = Some("Permission denied (publickey,password).".to_owned());
    assert_eq!(
        found(&seen),
        [
            ("rp-filter-not-strict", Risk::High),
            ("foreign-rules", Risk::High),
            ("public-listener", Risk::High),
            ("sshd-password", Risk::High),
            ("conntrack-helpers", Risk::Medium),
        ]
    );
}

#[test]
fn a_server_that_is_open_is_listed_for_those_who_may_know() {
    let mut seen = sound(hardened());
    seen.server = Some(ServerSeen {
        listens: Some("0.0.0.0:8080".parse().unwrap()),
        integration: Some("127.0.0.1:8096".parse().unwrap()),
        guessed_password: Some("password".to_owned()),
        old_keys: vec!["alice".to_owned()],
    });
    assert_eq!(
        found(&seen),
        [
            ("api-without-tls", Risk::High),
            ("integration-port", Risk::High),
            ("admin-default-password", Risk::High),
            ("old-keys", Risk::Low),
        ]
    );
    seen.server = None;
    assert_eq!(found(&seen), []);
}

#[test]
fn what_could_not_be_looked_at_is_named_and_never_fine() {
    let seen = Audited {
        spec: Some(hardened()),
        ..Audited::default()
    };
    assert_eq!(audit(&seen).not_available.len(), 4);
    assert_eq!(audit(&Audited::default()).not_available.len(), 1);
}
