// SPDX-License-Identifier: Apache-2.0
//! What becomes of a packet, by the spec's own words.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use outgate_model::router_spec::{EgressPolicy, EgressRule, FirewallRule, PortForward};
use outgate_model::{IcmpMatch, Match, Protocol, RouterSpec};
use outgate_plan::packet::{Header, Packet, Reason, State, Verdict, verdict};
use proptest::prelude::*;
use support::random::{packets, specs};
use support::{ports, public, spec};

fn id<T: serde::de::DeserializeOwned>() -> T {
    serde_json::from_value("00000000-0000-4000-8000-0000000000aa".into()).unwrap()
}

fn tcp(port: u16) -> Header {
    Header::Tcp {
        source: 40_000,
        destination: port,
    }
}

const PING: Header = Header::Icmp { kind: 8, code: 0 };

fn packet(interface: &str, source: [u8; 4], destination: [u8; 4], header: Header) -> Packet {
    Packet {
        interface: interface.to_owned(),
        source: source.into(),
        destination: destination.into(),
        header,
        state: State::New,
    }
}

fn from_outside(destination: [u8; 4], header: Header) -> Packet {
    packet("eth2", [198, 51, 100, 7], destination, header)
}

fn forward(out: &str, source: [u8; 4], destination: [u8; 4], port: Option<u16>) -> Verdict {
    Verdict::Forward {
        out: out.to_owned(),
        source: source.into(),
        destination: destination.into(),
        destination_port: port,
    }
}

fn drop(why: Reason) -> Verdict {
    Verdict::Drop { why }
}

fn open(matches: Match) -> FirewallRule {
    FirewallRule {
        id: id(),
        matches,
        sources: vec!["0.0.0.0/0".parse().unwrap()],
    }
}

fn open_tcp(port: u16) -> FirewallRule {
    open(Match::Ports {
        protocol: Protocol::Tcp,
        ports: ports(port, port),
    })
}

/// 203.0.113.10:80 leads to 10.1.1.5:8080, behind no firewall rule yet.
fn with_forward() -> RouterSpec {
    let mut spec = spec();
    spec.public.addresses[0].port_forwarding.push(PortForward {
        id: id(),
        protocol: Protocol::Tcp,
        public_ports: ports(80, 80),
        guest: [10, 1, 1, 5].into(),
        private_ports: ports(8080, 8080),
    });
    spec
}

/// 203.0.113.11 belongs to 10.1.1.6.
fn with_static_nat() -> RouterSpec {
    let mut spec = spec();
    spec.public
        .addresses
        .push(outgate_model::router_spec::PublicAddress {
            static_nat: Some([10, 1, 1, 6].into()),
            ..public(11)
        });
    spec
}

#[test]
fn a_guest_leaves_with_the_source_nat_address() {
    let packet = packet("eth0", [10, 1, 1, 5], [198, 51, 100, 7], tcp(443));
    assert_eq!(
        verdict(&spec(), &packet),
        forward("eth2", [203, 0, 113, 10], [198, 51, 100, 7], Some(443))
    );
}

#[test]
fn a_guest_leaves_with_the_default_address_of_a_pool_whatever_else_is_in_it() {
    let mut spec = spec();
    spec.public.addresses.insert(
        0,
        outgate_model::router_spec::PublicAddress {
            source_nat_pool: true,
            ..public(11)
        },
    );
    let packet = packet("eth0", [10, 1, 1, 5], [198, 51, 100, 7], tcp(443));
    let leaves = forward("eth2", [203, 0, 113, 10], [198, 51, 100, 7], Some(443));
    assert_eq!(verdict(&spec, &packet), leaves);
}

#[test]
fn nothing_unsolicited_comes_in() {
    for header in [
        tcp(22),
        tcp(80),
        Header::Udp {
            source: 1,
            destination: 53,
        },
        PING,
        Header::Other(47),
    ] {
        assert_eq!(
            verdict(&with_forward(), &from_outside([203, 0, 113, 10], header)),
            drop(Reason::NoFirewallRule)
        );
        assert_eq!(
            verdict(&spec(), &from_outside([10, 1, 1, 5], header)),
            drop(Reason::NoFirewallRule)
        );
    }
}

#[test]
fn a_forward_works_once_a_firewall_rule_opens_its_public_port() {
    let mut spec = with_forward();
    spec.public.addresses[0].firewall.push(open_tcp(80));
    let expected = forward("eth0", [198, 51, 100, 7], [10, 1, 1, 5], Some(8080));
    assert_eq!(
        verdict(&spec, &from_outside([203, 0, 113, 10], tcp(80))),
        expected
    );
    assert_eq!(
        verdict(&spec, &from_outside([203, 0, 113, 10], tcp(8080))),
        drop(Reason::NoFirewallRule)
    );
}

#[test]
fn an_open_port_without_a_forward_stays_closed() {
    let mut spec = spec();
    spec.public.addresses[0].firewall.push(open_tcp(22));
    assert_eq!(
        verdict(&spec, &from_outside([203, 0, 113, 10], tcp(22))),
        drop(Reason::NothingListens)
    );
}

#[test]
fn a_firewall_rule_holds_for_its_sources_only() {
    let mut spec = with_forward();
    spec.public.addresses[0].firewall.push(FirewallRule {
        sources: vec!["192.0.2.0/24".parse().unwrap()],
        ..open_tcp(80)
    });
    assert_eq!(
        verdict(&spec, &from_outside([203, 0, 113, 10], tcp(80))),
        drop(Reason::NoFirewallRule)
    );
    let from_there = packet("eth2", [192, 0, 2, 9], [203, 0, 113, 10], tcp(80));
    assert_eq!(
        verdict(&spec, &from_there),
        forward("eth0", [192, 0, 2, 9], [10, 1, 1, 5], Some(8080))
    );
}

#[test]
fn a_public_address_answers_ping_only_when_a_rule_lets_it() {
    let mut spec = spec();
    let ping = from_outside([203, 0, 113, 10], PING);
    assert_eq!(verdict(&spec, &ping), drop(Reason::NoFirewallRule));
    spec.public.addresses[0].firewall.push(open(Match::Icmp {
        icmp: IcmpMatch {
            kind: Some(8),
            code: None,
        },
    }));
    assert_eq!(verdict(&spec, &ping), Verdict::Deliver);
}

#[test]
fn static_nat_gives_the_guest_all_that_the_firewall_opens_and_its_own_address() {
    let mut spec = with_static_nat();
    assert_eq!(
        verdict(&spec, &from_outside([203, 0, 113, 11], tcp(22))),
        drop(Reason::NoFirewallRule)
    );
    spec.public.addresses[1].firewall.push(open(Match::All));
    let expected = forward("eth0", [198, 51, 100, 7], [10, 1, 1, 6], None);
    assert_eq!(
        verdict(&spec, &from_outside([203, 0, 113, 11], Header::Other(47))),
        expected
    );
    let out = packet("eth0", [10, 1, 1, 6], [198, 51, 100, 7], PING);
    assert_eq!(
        verdict(&spec, &out),
        forward("eth2", [203, 0, 113, 11], [198, 51, 100, 7], None)
    );
}

/// RFC 4787 REQ-9: the other guest sees the external address.
#[test]
fn hairpinning_shows_the_senders_external_address() {
    let mut spec = with_static_nat();
    spec.public.addresses[1].firewall.push(open_tcp(22));
    let from_neighbour = packet("eth0", [10, 1, 1, 5], [203, 0, 113, 11], tcp(22));
    assert_eq!(
        verdict(&spec, &from_neighbour),
        forward("eth0", [203, 0, 113, 10], [10, 1, 1, 6], Some(22))
    );
    let mut spec = with_forward();
    spec.public
        .addresses
        .extend(with_static_nat().public.addresses.pop());
    spec.public.addresses[0].firewall.push(open_tcp(80));
    let from_owner = packet("eth0", [10, 1, 1, 6], [203, 0, 113, 10], tcp(80));
    assert_eq!(
        verdict(&spec, &from_owner),
        forward("eth0", [203, 0, 113, 11], [10, 1, 1, 5], Some(8080))
    );
}

#[test]
fn egress_rules_are_exceptions_from_the_default() {
    let rule = EgressRule {
        id: id(),
        matches: Match::Ports {
            protocol: Protocol::Tcp,
            ports: ports(80, 90),
        },
        sources: vec!["10.1.1.5/32".parse().unwrap()],
        destinations: vec!["198.51.100.0/24".parse().unwrap()],
    };
    for (default, exception, other) in [
        (EgressPolicy::Allow, false, true),
        (EgressPolicy::Deny, true, false),
    ] {
        let mut spec = spec();
        spec.guest_networks[0].egress.default = default;
        spec.guest_networks[0].egress.rules = vec![rule.clone()];
        let passes = |source, destination, header| {
            verdict(&spec, &packet("eth0", source, destination, header)) != drop(Reason::Egress)
        };
        assert_eq!(passes([10, 1, 1, 5], [198, 51, 100, 7], tcp(85)), exception);
        assert_eq!(passes([10, 1, 1, 6], [198, 51, 100, 7], tcp(85)), other);
        assert_eq!(passes([10, 1, 1, 5], [192, 0, 2, 7], tcp(85)), other);
        assert_eq!(passes([10, 1, 1, 5], [198, 51, 100, 7], tcp(91)), other);
        assert_eq!(passes([10, 1, 1, 5], [198, 51, 100, 7], PING), other);
    }
}

#[test]
fn spoofed_packets_are_dropped_on_every_side() {
    for (interface, source) in [
        ("eth0", [198, 51, 100, 7]),
        ("eth0", [10, 1, 2, 5]),
        ("eth0", [10, 1, 1, 1]),
        ("eth1", [198, 51, 100, 7]),
        ("eth2", [10, 1, 1, 5]),
        ("eth2", [203, 0, 113, 10]),
        ("eth2", [127, 0, 0, 1]),
        ("eth2", [224, 0, 0, 1]),
    ] {
        let packet = packet(interface, source, [203, 0, 113, 10], tcp(80));
        assert_eq!(
            verdict(&spec(), &packet),
            drop(Reason::Spoofed),
            "{source:?} on {interface}"
        );
    }
}

#[test]
fn ssh_is_reached_from_the_control_side_only() {
    let control = [169, 254, 1, 2];
    assert_eq!(
        verdict(&spec(), &packet("eth1", [169, 254, 0, 1], control, tcp(3922))),
        Verdict::Deliver
    );
    assert_eq!(
        verdict(&spec(), &packet("eth0", [10, 1, 1, 5], control, tcp(3922))),
        drop(Reason::NothingListens)
    );
    assert_eq!(
        verdict(&spec(), &from_outside(control, tcp(3922))),
        drop(Reason::NoFirewallRule)
    );
    let through = packet("eth1", [169, 254, 0, 1], [203, 0, 113, 10], tcp(80));
    assert_eq!(verdict(&with_forward(), &through), drop(Reason::NotForwarded));
}

#[test]
fn a_guest_gets_dhcp_dns_and_ping_from_its_gateway_and_nothing_else() {
    let ask = |header| verdict(&spec(), &packet("eth0", [10, 1, 1, 5], [10, 1, 1, 1], header));
    assert_eq!(ask(PING), Verdict::Deliver);
    assert_eq!(ask(tcp(53)), Verdict::Deliver);
    assert_eq!(ask(tcp(3922)), drop(Reason::NothingListens));
    let first = packet(
        "eth0",
        [0, 0, 0, 0],
        [255, 255, 255, 255],
        Header::Udp {
            source: 68,
            destination: 67,
        },
    );
    assert_eq!(verdict(&spec(), &first), Verdict::Deliver);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every forward is gated: without firewall rules nothing from outside reaches a guest or the router.
    #[test]
    fn without_firewall_rules_nothing_comes_in(mut spec in specs(), mut packet in packets()) {
        for address in &mut spec.public.addresses {
            address.firewall.clear();
        }
        packet.interface = "eth2".to_owned();
        let dropped = matches!(verdict(&spec, &packet), Verdict::Drop { .. });
        prop_assert!(dropped);
    }

    /// Whoever leaves, leaves with an address of the router; whoever comes in reaches a guest.
    #[test]
    fn no_private_address_leaves_and_no_public_one_stays_untranslated(spec in specs(), packet in packets()) {
        if let Verdict::Forward { out, source, destination, .. } = verdict(&spec, &packet) {
            let own = |a| spec.public.addresses.iter().any(|p| p.address.addr() == a);
            let guest = |a: std::net::Ipv4Addr| spec.guest_networks[0].gateway.contains(&a);
            let out = out == "eth2";
            prop_assert!(!out || (own(source) && !guest(destination)));
            prop_assert!(out || (guest(destination) && !guest(source)));
        }
    }
}
