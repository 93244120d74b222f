// SPDX-License-Identifier: Apache-2.0
//! The way of a packet by the model, step by step: the rule that decides is named, and where it is dropped, what to do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use outgate_model::router_spec::{
    AclAction, AclDirection, AclItem, EgressPolicy, EgressRule, FirewallRule, PortForward, PublicAddress,
};
use outgate_model::stats::Endpoint;
use outgate_model::trace::{ModelPath, RuleKind, TraceVerdict};
use outgate_model::{Match, Protocol, RouterSpec};
use outgate_plan::packet::{Header, Packet, State, Verdict, comes_in_on, explain, verdict};
use proptest::prelude::*;
use support::random::{packets, specs};
use support::vpc::{acl, vpc_packets, vpc_spec, vpc_specs};
use support::{ports, public, spec};

fn id<T: serde::de::DeserializeOwned>(n: u8) -> T {
    serde_json::from_value(format!("00000000-0000-4000-8000-0000000000{n:02x}").into()).unwrap()
}

fn tcp(port: u16) -> Header {
    Header::Tcp {
        source: 40_000,
        destination: port,
    }
}

fn way(
    spec: &RouterSpec,
    interface: &str,
    source: [u8; 4],
    destination: [u8; 4],
    header: Header,
) -> ModelPath {
    let packet = Packet {
        interface: interface.to_owned(),
        source: source.into(),
        destination: destination.into(),
        header,
        state: State::New,
    };
    explain(spec, &packet)
}

fn leaves(interface: &str, from: ([u8; 4], u16), to: ([u8; 4], u16)) -> TraceVerdict {
    let end = |(address, port): ([u8; 4], u16)| Endpoint {
        address: address.into(),
        port,
    };
    TraceVerdict::Leaves {
        interface: interface.to_owned(),
        from: end(from),
        to: end(to),
    }
}

/// Where each step is.
fn places(path: &ModelPath) -> Vec<&str> {
    path.steps.iter().map(|step| step.at.as_str()).collect()
}

/// The rule that decides, by kind and the last byte of its id.
fn rules(path: &ModelPath) -> Vec<(RuleKind, u8)> {
    let rules = path.steps.iter().filter_map(|step| step.rule.as_ref());
    rules.map(|rule| (rule.kind, rule.id.as_bytes()[15])).collect()
}

fn stops_with(path: &ModelPath, at: &str, says: &str, remedy: &str) {
    let last = path.steps.last().unwrap();
    assert!(
        !last.pass && last.at == at && last.says.contains(says),
        "{path:#?}"
    );
    assert!(path.remedy.as_ref().unwrap().contains(remedy), "{path:#?}");
    assert!(matches!(path.verdict, TraceVerdict::Dropped { .. }));
}

fn egress(n: u8, port: u16) -> EgressRule {
    EgressRule {
        id: id(n),
        matches: Match::Ports {
            protocol: Protocol::Tcp,
            ports: ports(port, port),
        },
        sources: vec!["10.1.1.0/24".parse().unwrap()],
        destinations: vec!["0.0.0.0/0".parse().unwrap()],
    }
}

/// 203.0.113.10:80 leads to 10.1.1.5:8080 for 198.51.100.0/24 only.
fn with_forward() -> RouterSpec {
    let mut spec = spec();
    let address = &mut spec.public.addresses[0];
    address.port_forwarding.push(PortForward {
        id: id(0xf0),
        protocol: Protocol::Tcp,
        public_ports: ports(80, 80),
        guest: [10, 1, 1, 5].into(),
        private_ports: ports(8080, 8080),
    });
    address.firewall.push(FirewallRule {
        id: id(0xf1),
        matches: Match::Ports {
            protocol: Protocol::Tcp,
            ports: ports(80, 80),
        },
        sources: vec!["198.51.100.0/24".parse().unwrap()],
    });
    spec
}

#[test]
fn a_session_that_may_leave_is_explained_from_eth0_to_the_source_nat_address() {
    let path = way(&spec(), "eth0", [10, 1, 1, 5], [198, 51, 100, 7], tcp(443));
    let expected = [
        "enters",
        "anti-spoofing",
        "session",
        "route",
        "egress",
        "source NAT",
        "leaves",
    ];
    assert_eq!(places(&path), expected);
    assert!(path.steps[3].says.contains("via 203.0.113.1 by eth2"));
    assert_eq!(
        path.verdict,
        leaves("eth2", ([203, 0, 113, 10], 40_000), ([198, 51, 100, 7], 443))
    );
    assert_eq!(path.remedy, None);
    assert_eq!(path.steps[5].says, "source NAT: 10.1.1.5 to 203.0.113.10");
}

#[test]
fn of_a_source_nat_pool_the_default_is_told_and_that_it_may_be_another() {
    let mut spec = spec();
    for last in [11, 12] {
        let default = spec.public.addresses[0].clone();
        spec.public
            .addresses
            .push(outgate_model::router_spec::PublicAddress {
                address: format!("203.0.113.{last}/24").parse().unwrap(),
                source_nat: false,
                source_nat_pool: true,
                ..default
            });
    }
    let path = way(&spec, "eth0", [10, 1, 1, 5], [198, 51, 100, 7], tcp(443));
    let says = &path.steps[5].says;
    for words in [
        "10.1.1.5 to 203.0.113.10;",
        "with 203.0.113.11, 203.0.113.12 where that has no port left",
    ] {
        assert!(says.contains(words), "{says}");
    }
}

#[test]
fn an_egress_rule_that_denies_is_named_with_the_command_that_removes_it() {
    let mut spec = spec();
    spec.guest_networks[0].egress.rules = vec![egress(0xe1, 25), egress(0xe2, 443)];
    let path = way(&spec, "eth0", [10, 1, 1, 5], [198, 51, 100, 7], tcp(443));
    assert_eq!(rules(&path), [(RuleKind::Egress, 0xe2)]);
    stops_with(
        &path,
        "egress",
        "tcp 443 from 10.1.1.0/24 to 0.0.0.0/0 may not leave",
        "deleteEgressFirewallRule id=00000000-0000-4000-8000-0000000000e2",
    );
}

#[test]
fn an_egress_default_that_denies_is_named_with_the_command_that_opens_it() {
    let mut spec = spec();
    spec.guest_networks[0].egress.default = EgressPolicy::Deny;
    spec.guest_networks[0].egress.rules = vec![egress(0xe1, 80)];
    let path = way(&spec, "eth0", [10, 1, 1, 5], [198, 51, 100, 7], tcp(443));
    let remedy = "protocol=tcp startport=443 endport=443 destcidrlist=198.51.100.7/32";
    stops_with(&path, "egress", "the default is deny", remedy);
    let path = way(&spec, "eth0", [10, 1, 1, 5], [198, 51, 100, 7], tcp(80));
    assert_eq!(rules(&path), [(RuleKind::Egress, 0xe1)]);
    assert!(matches!(path.verdict, TraceVerdict::Leaves { .. }));
}

#[test]
fn a_port_forward_names_its_firewall_rule_and_itself_and_without_one_the_command_that_opens_it() {
    let spec = with_forward();
    let path = way(&spec, "eth2", [198, 51, 100, 7], [203, 0, 113, 10], tcp(80));
    assert_eq!(
        rules(&path),
        [(RuleKind::Firewall, 0xf1), (RuleKind::PortForwarding, 0xf0)]
    );
    assert_eq!(
        path.verdict,
        leaves("eth0", ([198, 51, 100, 7], 40_000), ([10, 1, 1, 5], 8080))
    );
    let denied = way(&spec, "eth2", [192, 0, 2, 9], [203, 0, 113, 10], tcp(80));
    let remedy =
        "createFirewallRule for 203.0.113.10 with protocol=tcp startport=80 endport=80 cidrlist=192.0.2.9/32";
    stops_with(
        &denied,
        "firewall",
        "no firewall rule of 203.0.113.10 lets tcp 80 from 192.0.2.9",
        remedy,
    );
}

#[test]
fn the_closed_public_side_says_so() {
    let path = way(&spec(), "eth2", [198, 51, 100, 7], [203, 0, 113, 77], tcp(80));
    stops_with(
        &path,
        "public side",
        "203.0.113.77 is no public address",
        "the public side is closed",
    );
}

#[test]
fn static_nat_and_hairpins_name_both_translations() {
    let mut spec = with_forward();
    spec.public.addresses.push(PublicAddress {
        static_nat: Some([10, 1, 1, 6].into()),
        ..public(11)
    });
    let out = way(&spec, "eth0", [10, 1, 1, 6], [198, 51, 100, 7], tcp(443));
    assert_eq!(
        out.verdict,
        leaves("eth2", ([203, 0, 113, 11], 40_000), ([198, 51, 100, 7], 443))
    );
    assert!(
        out.steps
            .iter()
            .any(|s| s.at == "source NAT" && s.says.starts_with("static NAT:"))
    );

    spec.public.addresses[0].firewall[0].sources = vec!["10.1.1.0/24".parse().unwrap()];
    let hairpin = way(&spec, "eth0", [10, 1, 1, 6], [203, 0, 113, 10], tcp(80));
    assert_eq!(
        hairpin.verdict,
        leaves("eth0", ([203, 0, 113, 11], 40_000), ([10, 1, 1, 5], 8080))
    );
    assert!(
        hairpin
            .steps
            .iter()
            .any(|s| s.says.contains("static NAT, hairpin"))
    );
    assert!(places(&hairpin).contains(&"destination NAT"));
}

#[test]
fn a_spoofed_source_stops_at_the_door() {
    let path = way(&spec(), "eth0", [192, 168, 9, 9], [198, 51, 100, 7], tcp(443));
    stops_with(
        &path,
        "anti-spoofing",
        "192.168.9.9 cannot come in on eth0",
        "of its own side",
    );
    assert_eq!(comes_in_on(&spec(), [10, 1, 1, 5].into()), "eth0");
    assert_eq!(comes_in_on(&spec(), [192, 168, 9, 9].into()), "eth2");
}

#[test]
fn between_tiers_the_acl_item_that_decides_is_named_by_its_number() {
    let mut spec = vpc_spec();
    let item = |n: u8, number, action, port| AclItem {
        id: id(n),
        number,
        direction: AclDirection::Ingress,
        action,
        matches: Match::Ports {
            protocol: Protocol::Tcp,
            ports: ports(port, port),
        },
        cidrs: vec!["10.0.1.0/24".parse().unwrap()],
    };
    spec.guest_networks[1].acl = Some(acl(vec![
        item(0xa1, 7, AclAction::Deny, 22),
        item(0xa2, 30, AclAction::Allow, 80),
    ]));
    let path = way(&spec, "eth2", [10, 0, 1, 5], [10, 0, 2, 5], tcp(80));
    assert!(rules(&path).contains(&(RuleKind::AclItem, 0xa2)), "{path:#?}");
    assert_eq!(
        path.verdict,
        leaves("eth3", ([10, 0, 1, 5], 40_000), ([10, 0, 2, 5], 80))
    );
    let path = way(&spec, "eth2", [10, 0, 1, 5], [10, 0, 2, 5], tcp(22));
    stops_with(
        &path,
        "network ACL",
        "item 7 of list",
        "traffictype=ingress action=allow",
    );
    assert!(path.remedy.unwrap().ends_with("and a number below 7"));
    let path = way(&spec, "eth2", [10, 0, 1, 5], [10, 0, 2, 5], tcp(23));
    stops_with(
        &path,
        "network ACL",
        "no item of list",
        "protocol=tcp startport=23 endport=23",
    );
}

/// The steps end where the verdict says: dropped packets stop at exactly one step, the last, and others at none.
fn is_consistent(spec: &RouterSpec, packet: &Packet) -> Result<(), TestCaseError> {
    let path = explain(spec, packet);
    let stops = path.steps.iter().filter(|step| !step.pass).count();
    let last = path.steps.last().unwrap();
    match verdict(spec, packet) {
        Verdict::Drop { .. } => {
            prop_assert!(
                stops == 1 && !last.pass && path.remedy.is_some(),
                "{:?} {:#?}",
                packet,
                path
            );
        }
        Verdict::Forward { out, .. } => {
            prop_assert!(
                stops == 0 && last.at == "leaves" && last.says.starts_with(&out),
                "{:#?}",
                path
            );
        }
        Verdict::Deliver => prop_assert!(stops == 0 && last.at == "arrives", "{:?} {:#?}", packet, path),
        Verdict::AsSession => prop_assert!(stops == 0 && last.at == "session", "{:#?}", path),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_steps_end_as_the_verdict_does(spec in specs(), packet in packets()) {
        is_consistent(&spec, &packet)?;
    }

    #[test]
    fn the_steps_in_a_vpc_end_as_the_verdict_does(spec in vpc_specs(), packet in vpc_packets()) {
        is_consistent(&spec, &packet)?;
    }
}
