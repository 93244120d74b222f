// SPDX-License-Identifier: Apache-2.0
//! Following packets through a real router: model and kernel agree on every kind of way, say loudly when they do not,
//! and nothing of it reaches anybody or leaves a trace. Needs root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use outgate_model::id::FirewallRuleId;
use outgate_model::router_spec::{
    AclAction, AclDirection, EgressPolicy, EgressRule, FirewallRule, PublicAddress,
};
use outgate_model::trace::{RuleKind, TraceProtocol, TraceQuery, TraceVerdict, Traced};
use outgate_model::{Match, PortRange, Protocol, RouterSpec};
use outgate_router::fast_path::FastPathStatus;
use outgate_router::trace;
use outgate_testkit::{Sniffer, TcpEcho, TcpProbe, wait_until};
use support::vpc::{VpcWorld, acl, default_allow, item, tcp as tcp_port, tier, vpc};
use support::{EngineThread, World, add_forward, spec};

const LIMIT: Duration = Duration::from_secs(60);
const GUEST: [u8; 4] = [10, 1, 1, 11];
const OTHER: [u8; 4] = [10, 1, 1, 12];
const SERVER: [u8; 4] = [198, 51, 100, 1];
const SOURCE_NAT: [u8; 4] = [203, 0, 113, 10];
const STATIC_NAT: [u8; 4] = [203, 0, 113, 11];

fn tcp(source: [u8; 4], destination: [u8; 4], port: u16) -> TraceQuery {
    TraceQuery {
        protocol: TraceProtocol::Tcp,
        interface: None,
        source: source.into(),
        source_port: None,
        destination: destination.into(),
        destination_port: Some(port),
        wait_millis: None,
    }
}

fn ping(source: [u8; 4], destination: [u8; 4]) -> TraceQuery {
    TraceQuery {
        protocol: TraceProtocol::Icmp,
        destination_port: None,
        ..tcp(source, destination, 0)
    }
}

fn follow(engine: &EngineThread, query: &TraceQuery) -> Traced {
    let query = query.clone();
    engine
        .router(move |engine| trace::follow(engine.spec().unwrap(), &query, &FastPathStatus::default()))
        .unwrap()
}

/// Both must say this, in the words of a verdict.
fn agrees(engine: &EngineThread, query: &TraceQuery, verdict: &str) -> Traced {
    let traced = follow(engine, query);
    assert_eq!(traced.agree, Some(true), "{query:?}: {traced:#?}");
    let says = traced.model.verdict.to_string();
    assert!(says.contains(verdict), "{query:?}: {traced:#?}");
    traced
}

fn sessions(engine: &EngineThread) -> u32 {
    engine.run("conntrack -C").trim().parse().unwrap()
}

fn tcp_rule(port: u16) -> Match {
    Match::Ports {
        protocol: Protocol::Tcp,
        ports: PortRange::single(port).unwrap(),
    }
}

/// A forward of port 80 for the server's network and the guests, static NAT for the second guest, port 25 denied.
fn rich_spec() -> RouterSpec {
    let mut spec = spec();
    add_forward(&mut spec, 80, 8080);
    let sources = |nets: &[&str]| nets.iter().map(|n| n.parse().unwrap()).collect::<Vec<_>>();
    spec.public.addresses[0].firewall.push(FirewallRule {
        id: FirewallRuleId::new(),
        matches: tcp_rule(80),
        sources: sources(&["198.51.100.0/24", "10.1.1.0/24"]),
    });
    spec.public.addresses.push(PublicAddress {
        address: "203.0.113.11/24".parse().unwrap(),
        source_nat: false,
        source_nat_pool: false,
        static_nat: Some(OTHER.into()),
        firewall: vec![FirewallRule {
            id: FirewallRuleId::new(),
            matches: Match::All,
            sources: sources(&["0.0.0.0/0"]),
        }],
        port_forwarding: Vec::new(),
        load_balancers: Vec::new(),
    });
    spec.guest_networks[0].egress.rules.push(EgressRule {
        id: FirewallRuleId::new(),
        matches: tcp_rule(25),
        sources: sources(&["10.1.1.0/24"]),
        destinations: sources(&["0.0.0.0/0"]),
    });
    spec
}

/// One of each way, and what becomes of it by [`rich_spec`].
fn every_way() -> Vec<(TraceQuery, &'static str)> {
    let far = [192, 0, 2, 9];
    let udp = TraceQuery {
        protocol: TraceProtocol::Udp,
        ..tcp(GUEST, SERVER, 53)
    };
    let spoofed = TraceQuery {
        interface: Some("eth0".to_owned()),
        ..tcp([192, 168, 9, 9], SERVER, 443)
    };
    let inside_out = TraceQuery {
        interface: Some("eth2".to_owned()),
        ..tcp(GUEST, SOURCE_NAT, 80)
    };
    vec![
        (tcp(GUEST, SERVER, 443), "leaves by eth2 as 203.0.113.10:"),
        (udp, "leaves by eth2 as 203.0.113.10:"),
        (
            ping(GUEST, SERVER),
            "leaves by eth2 as 203.0.113.10 to 198.51.100.1",
        ),
        (tcp(GUEST, SERVER, 25), "egress policy does not let it out"),
        (tcp(OTHER, SERVER, 443), "leaves by eth2 as 203.0.113.11:"),
        (tcp(SERVER, SOURCE_NAT, 80), "leaves by eth0 as 198.51.100.1:"),
        (tcp(far, SOURCE_NAT, 80), "no firewall rule"),
        (tcp(SERVER, SOURCE_NAT, 81), "no firewall rule"),
        (tcp(SERVER, STATIC_NAT, 22), "to 10.1.1.12:22"),
        (ping(SERVER, STATIC_NAT), "to 10.1.1.12"),
        (tcp(SERVER, [10, 1, 1, 11], 22), "no firewall rule"),
        (tcp(OTHER, SOURCE_NAT, 80), "leaves by eth0 as 203.0.113.11:"),
        (tcp(GUEST, [10, 1, 1, 1], 53), "goes to the router itself"),
        (ping(GUEST, [10, 1, 1, 1]), "goes to the router itself"),
        (tcp(GUEST, [10, 1, 1, 1], 22), "nothing listens there"),
        (tcp(GUEST, [224, 1, 2, 3], 443), "does not forward"),
        (spoofed, "cannot come in on this interface"),
        (inside_out, "cannot come in on this interface"),
    ]
}

#[test]
fn model_and_kernel_agree_on_every_way_and_nothing_of_it_gets_anywhere() {
    let world = World::new();
    let spec = rich_spec();
    world.apply(&spec);
    let everybody = [
        &world.topology.guests[0],
        &world.topology.guests[1],
        &world.topology.internet,
    ];
    let sniffers = everybody.map(|side| Sniffer::start(side).unwrap());
    let before = sessions(&world);
    let mut sent = Vec::new();
    for (query, verdict) in every_way() {
        let traced = agrees(&world, &query, verdict);
        sent.push(traced.from);
        assert!(traced.session.is_none(), "{traced:#?}");
    }
    assert_eq!(sessions(&world), before, "no session stays");
    assert_eq!(world.differences(), Vec::<String>::new());
    let ruleset = world.ruleset();
    assert!(!ruleset.contains("outgate_trace"), "{ruleset}");
    assert!(!world.run("ip link").contains("outgate-trace"));

    // A real session is seen everywhere; what came before it would have been seen too.
    let echo = TcpEcho::start(&world.topology.internet, SocketAddrV4::new(SERVER.into(), 7)).unwrap();
    for guest in &world.topology.guests {
        let mut probe = TcpProbe::connect(guest, echo.address, LIMIT).unwrap();
        probe.echo(b"hello").unwrap();
    }
    for (sniffer, who) in sniffers.iter().zip(["guest", "other guest", "internet"]) {
        let real = || (sniffer.count(|p| p.ports().is_some_and(|(a, b)| a == 7 || b == 7)) > 0).then_some(());
        wait_until(LIMIT, "the real session is seen", real).unwrap();
        let ours = sniffer.packets().into_iter().filter(|packet| {
            let ports = packet.ports();
            packet.protocol == 1
                || sent
                    .iter()
                    .any(|end| ports.is_some_and(|(a, b)| a == end.port || b == end.port))
        });
        assert_eq!(
            ours.collect::<Vec<_>>(),
            Vec::new(),
            "{who} got a packet of a trace"
        );
    }
}

#[test]
fn a_foreign_drop_rule_makes_them_disagree_and_is_named() {
    let world = World::new();
    world.apply(&spec());
    world.run("nft add table inet bad");
    world.run("nft add chain inet bad evil { type filter hook forward priority 5 ; }");
    world.run("nft add rule inet bad evil ip daddr 198.51.100.1 reject with tcp reset");
    let guest = Sniffer::start(&world.topology.guests[0]).unwrap();
    let traced = follow(&world, &tcp(GUEST, SERVER, 443));
    assert_eq!(traced.agree, Some(false), "{traced:#?}");
    assert!(
        traced
            .comparison
            .starts_with("they disagree: by the model it leaves by eth2")
    );
    let named =
        "chain evil of table inet bad, rule: meta l4proto 6 ip daddr 198.51.100.1 reject with tcp reset";
    assert!(traced.comparison.contains(named), "{}", traced.comparison);
    let kernel = traced.kernel.unwrap();
    assert!(matches!(
        kernel.verdict,
        TraceVerdict::Dropped { foreign: true, .. }
    ));
    // Not even the answer of that rule got out; that of a ping does.
    world.topology.guests[0]
        .check(&["ping", "-c", "1", "-W", "5", "10.1.1.1"])
        .unwrap();
    wait_until(LIMIT, "the ping is seen", || {
        (guest.count(|p| p.protocol == 1) > 0).then_some(())
    })
    .unwrap();
    assert_eq!(guest.count(|p| p.protocol == 6), 0);
}

#[test]
fn a_rule_that_somebody_deleted_makes_them_disagree() {
    let world = World::new();
    world.apply(&spec());
    world.run("nft flush chain ip outgate nat_postrouting");
    world.run("iptables -t nat -F POSTROUTING");
    let traced = follow(&world, &tcp(GUEST, SERVER, 443));
    assert_eq!(traced.agree, Some(false), "{traced:#?}");
    assert!(
        traced
            .comparison
            .contains("in the kernel it leaves by eth2 as 10.1.1.11:"),
        "{}",
        traced.comparison
    );

    world.run("nft flush chain ip outgate forward");
    let traced = follow(&world, &tcp(GUEST, SERVER, 443));
    assert!(
        traced
            .comparison
            .contains("chain forward of table ip outgate, by its policy"),
        "{}",
        traced.comparison
    );
}

#[test]
fn a_route_that_is_gone_is_told_by_routing() {
    let world = World::new();
    world.apply(&spec());
    world.run("ip route del default");
    let traced = follow(&world, &tcp(GUEST, [8, 8, 8, 8], 443));
    assert_eq!(traced.agree, Some(false), "{traced:#?}");
    assert!(
        traced.comparison.contains("its routing says: "),
        "{}",
        traced.comparison
    );
    assert!(
        traced.comparison.contains("there is no route"),
        "{}",
        traced.comparison
    );
}

#[test]
fn a_session_that_exists_is_shown_and_left_alone_and_its_next_packet_can_be_waited_for() {
    let world = World::new();
    world.apply(&spec());
    let echo = TcpEcho::start(&world.topology.internet, SocketAddrV4::new(SERVER.into(), 7)).unwrap();
    let mut probe = TcpProbe::connect(&world.topology.guests[0], echo.address, LIMIT).unwrap();
    probe.echo(b"hello").unwrap();
    let port = probe.local().unwrap().port();
    let query = TraceQuery {
        source_port: Some(port),
        ..tcp(GUEST, SERVER, 7)
    };
    let before = sessions(&world);
    let traced = agrees(&world, &query, "leaves by eth2");
    let session = traced.session.unwrap();
    assert_eq!(session.public.unwrap().address, Ipv4Addr::from(SOURCE_NAT));
    assert_eq!(session.state.as_deref(), Some("ESTABLISHED"));
    assert_ne!(traced.from.port, port);
    assert!(
        traced.notes[0].contains("that session exists, and is left alone"),
        "{:?}",
        traced.notes
    );
    assert_eq!(sessions(&world), before);
    probe.echo(b"still alive").unwrap();

    let waiting = TraceQuery {
        wait_millis: Some(20_000),
        ..query.clone()
    };
    let talking = std::thread::spawn(move || {
        // Until the trace has ended: it may begin to listen whenever it gets its turn.
        while probe.echo(b"more").is_ok() && TALK.load(std::sync::atomic::Ordering::Relaxed) {
            std::thread::yield_now();
        }
    });
    let traced = follow(&world, &waiting);
    TALK.store(false, std::sync::atomic::Ordering::Relaxed);
    talking.join().unwrap();
    assert_eq!(traced.model.verdict, TraceVerdict::AsSession, "{traced:#?}");
    assert_eq!(
        (traced.agree, traced.from.port),
        (Some(true), port),
        "{traced:#?}"
    );
    let kernel = traced.kernel.unwrap();
    assert!(
        kernel
            .verdict
            .to_string()
            .starts_with("leaves by eth2 as 203.0.113.10:")
    );

    let silent = TraceQuery {
        wait_millis: Some(100),
        ..tcp(OTHER, SERVER, 7)
    };
    let traced = follow(&world, &silent);
    assert_eq!((traced.agree, traced.kernel), (None, None));
    assert!(
        traced.notes[0].starts_with("no packet of the flow came in"),
        "{:?}",
        traced.notes
    );
}

static TALK: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(true);

#[test]
fn what_a_crashed_trace_left_is_removed_and_in_nobodys_way() {
    let world = World::new();
    world.apply(&spec());
    world.run("nft add table ip outgate_trace");
    world.run("nft add chain ip outgate_trace leaves { type filter hook postrouting priority 2147483646 ; }");
    world.run("nft add rule ip outgate_trace leaves meta mark 0x80000001 drop");
    world.run("ip link add outgate-trace type veth peer name outgate-trace1");
    assert_eq!(
        outgate_plan::foreign_tables(&world.run("nft -n -s list ruleset")),
        Vec::<String>::new()
    );
    agrees(&world, &tcp(GUEST, SERVER, 443), "leaves by eth2");
    world.run("ip link add outgate-trace type veth peer name outgate-trace1");
    world.router(|_| trace::clear()).unwrap();
    assert!(!world.run("ip link").contains("outgate-trace"));
    assert!(!world.run("nft list tables").contains("outgate_trace"));
}

#[test]
fn an_egress_default_that_denies_is_the_same_for_model_and_kernel() {
    let world = World::new();
    let mut spec = spec();
    spec.guest_networks[0].egress.default = EgressPolicy::Deny;
    world.apply(&spec);
    let traced = agrees(
        &world,
        &tcp(GUEST, SERVER, 443),
        "egress policy does not let it out",
    );
    assert!(traced.model.remedy.unwrap().contains("createEgressFirewallRule"));
    let kernel = traced.kernel.unwrap().verdict.to_string();
    assert!(
        kernel.contains("chain egress_eth0 of table ip outgate, rule: ") && kernel.ends_with(" drop"),
        "{kernel}"
    );
}

#[test]
fn between_tiers_the_item_that_decides_is_named_and_the_kernel_agrees() {
    let mut world = VpcWorld::new();
    world.plug_tier(1);
    world.plug_tier(2);
    let list = acl([
        item(
            AclDirection::Ingress,
            AclAction::Deny,
            tcp_port(22),
            "10.0.1.0/24",
        ),
        item(
            AclDirection::Ingress,
            AclAction::Allow,
            tcp_port(80),
            "10.0.1.0/24",
        ),
    ]);
    world.apply(&vpc([tier(1, default_allow()), tier(2, list)]));
    let item_of = |traced: &Traced| {
        let steps = traced.model.steps.iter();
        let mut items = steps.filter(|s| s.rule.as_ref().is_some_and(|r| r.kind == RuleKind::AclItem));
        items.next_back().unwrap().says.clone()
    };
    let allowed = agrees(
        &world,
        &tcp([10, 0, 1, 5], [10, 0, 2, 5], 80),
        "leaves by eth3 as 10.0.1.5:",
    );
    assert!(item_of(&allowed).starts_with("item 2 of list"), "{allowed:#?}");
    let denied = agrees(&world, &tcp([10, 0, 1, 5], [10, 0, 2, 5], 22), "network ACL");
    assert!(item_of(&denied).starts_with("item 1 of list"), "{denied:#?}");
    let kernel = denied.kernel.unwrap().verdict.to_string();
    assert!(
        kernel.contains("chain acl_in_eth3") && kernel.contains("tcp dport 22 "),
        "{kernel}"
    );
    agrees(
        &world,
        &tcp([10, 0, 1, 5], [198, 51, 100, 1], 443),
        "leaves by eth1 as 203.0.113.10:",
    );
}
