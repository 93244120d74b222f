// SPDX-License-Identifier: Apache-2.0
//! Limits under attack, with real packets: a guest, or an address outside, that opens sessions as fast as it can starves
//! nobody else. Needs root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use outgate_model::id::{FirewallRuleId, PortForwardingRuleId};
use outgate_model::refusal::{Refusal, Refused};
use outgate_model::router_spec::{FirewallRule, Limits, PortForward};
use outgate_model::stats::SessionQuery;
use outgate_model::{IcmpMatch, Match, PortRange, Protocol, RouterSpec};
use outgate_router::insight;
use outgate_testkit::{Namespace, RawSender, UdpEcho, udp_packet, wait_until};
use support::vpc::{VpcWorld, default_allow, tier, vpc};
use support::{World, spec};

const LIMIT: Duration = Duration::from_secs(60);
const ATTACKER: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 11);
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 7);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// What the server answers.
const ASK: &[u8] = b"ask";
/// Ports that source NAT gives out.
const PORTS: std::ops::RangeInclusive<u16> = 1_024..=65_535;

fn limited(limits: Limits) -> RouterSpec {
    RouterSpec { limits, ..spec() }
}

/// Answers what is no attack at the server's address, until the test ends. It remembers nobody: there are too many.
fn serve(world: &World) {
    let socket = world
        .topology
        .internet
        .within(|| UdpSocket::bind(SERVER))
        .unwrap()
        .unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 8];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if buffer[..length] == *ASK {
                let _ = socket.send_to(ASK, from);
            }
        }
    });
}

/// A socket to the server from a port that the guest's system chooses.
fn socket(from: &Namespace) -> UdpSocket {
    let socket = from
        .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
        .unwrap()
        .unwrap();
    socket.connect(SERVER).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket
}

/// Whether the server answers, be it late: a machine that does much else carries an attack slowly.
fn is_answered(socket: &UdpSocket) -> bool {
    (0..100).any(|_| asks(socket))
}

/// Whether the server answers none of three datagrams.
fn is_shut_out(socket: &UdpSocket) -> bool {
    !(0..3).any(|_| asks(socket))
}

fn asks(socket: &UdpSocket) -> bool {
    socket.send(ASK).is_ok() && socket.recv(&mut [0; 8]).is_ok()
}

/// Opens a session from each of these ports of the first guest, as fast as it can.
fn attack(world: &World, ports: impl Iterator<Item = u16>) {
    let sender = RawSender::new(&world.topology.guests[0]).unwrap();
    for port in ports {
        let packet = udp_packet(SocketAddrV4::new(ATTACKER, port), SERVER, b"attack");
        sender.send(&packet, *SERVER.ip()).unwrap();
    }
}

fn sessions_of(world: &World, guest: Ipv4Addr) -> u32 {
    let query = SessionQuery {
        inside: Some(guest),
        ..SessionQuery::default()
    };
    let page = world.router(move |engine| insight::sessions(engine.spec().unwrap(), &query));
    page.unwrap().matching
}

fn refused(world: &World, reason: Refusal) -> Refused {
    let all = world.router(|engine| insight::refused(&engine.spec().unwrap().limits));
    let found = all.unwrap().into_iter().find(|refused| refused.reason == reason);
    found.expect("there is such a limit")
}

#[test]
fn a_guest_that_takes_every_port_shuts_its_neighbour_out_and_with_a_limit_it_does_not() {
    for limits in [
        Limits::default(),
        Limits {
            guest_sessions: Some(2_000),
            ..Limits::default()
        },
    ] {
        let world = World::new();
        world.apply(&limited(limits));
        serve(&world);
        let neighbour = &world.topology.guests[1];
        let old = socket(neighbour);
        assert!(is_answered(&old), "before the attack");
        attack(&world, PORTS);
        assert!(is_answered(&old), "an old session lives on");
        let new: Vec<_> = (0..5).map(|_| socket(neighbour)).collect();
        if limits.is_none() {
            let held = sessions_of(&world, ATTACKER);
            assert!(held > 60_000, "the attack works: {held}");
            assert!(new.iter().any(is_shut_out), "the neighbour is shut out");
            continue;
        }
        assert!(
            new.iter().all(is_answered),
            "the neighbour gets every new session"
        );
        let held = sessions_of(&world, ATTACKER);
        assert!((1_900..=2_000).contains(&held), "{held}");
        let refused = refused(&world, Refusal::GuestSessions);
        assert!(refused.packets > 60_000, "{refused:?}");
        assert_eq!(
            refused.addresses,
            [(ATTACKER, refused.packets)],
            "the guest is named, once"
        );
    }
}

#[test]
fn a_guest_that_opens_sessions_as_fast_as_it_can_is_slowed_and_its_old_session_and_its_neighbour_are_not() {
    let world = World::new();
    world.apply(&limited(Limits {
        guest_rate: Some(50),
        ..Limits::default()
    }));
    serve(&world);
    let own = socket(&world.topology.guests[0]);
    assert!(is_answered(&own));
    let start = Instant::now();
    let mut answered = 0;
    for round in 0..20_u16 {
        attack(&world, (0..1_000).map(|n| 2_000 + round * 1_000 + n));
        assert!(is_answered(&own), "a session that is known passes");
        answered += usize::from(is_answered(&socket(&world.topology.guests[1])));
    }
    let held = sessions_of(&world, ATTACKER);
    let allowed = 50 + 50 * (start.elapsed().as_secs() + 1);
    assert_eq!(answered, 20, "each new session of the neighbour");
    assert!(u64::from(held) <= allowed + 1, "{held} of {allowed}");
    let refused = refused(&world, Refusal::GuestRate);
    assert!(
        refused.packets + u64::from(held) >= 20_000,
        "{refused:?} and {held}"
    );
    assert_eq!(refused.addresses, [(ATTACKER, refused.packets)]);
}

#[test]
fn a_limit_that_changes_holds_at_once_and_a_guest_at_its_limit_goes_on_when_sessions_end() {
    let world = World::new();
    let mut spec = limited(Limits {
        guest_sessions: Some(100),
        ..Limits::default()
    });
    world.apply(&spec);
    attack(&world, 2_000..3_000);
    assert_eq!(sessions_of(&world, ATTACKER), 100);
    world.run("conntrack -F");
    // Counted anew at least once a second.
    wait_until(LIMIT, "a new session passes", || {
        attack(&world, 3_000..3_001);
        (sessions_of(&world, ATTACKER) > 0).then_some(())
    })
    .unwrap();
    world.run("conntrack -F");
    spec.generation += 1;
    spec.limits.guest_sessions = Some(300);
    let applied = world.apply(&spec);
    assert!(
        applied
            .changes
            .iter()
            .all(|change| !change.contains("missing in table")),
        "{applied:?}"
    );
    wait_until(LIMIT, "the guest gets as many as it may", || {
        attack(&world, 4_000..5_000);
        (sessions_of(&world, ATTACKER) >= 300).then_some(())
    })
    .unwrap();
    assert_eq!(sessions_of(&world, ATTACKER), 300);
    assert_eq!(world.differences(), Vec::<String>::new());

    spec.generation += 1;
    spec.limits = Limits::default();
    world.apply(&spec);
    attack(&world, 6_000..7_000);
    assert!(sessions_of(&world, ATTACKER) > 1_200, "without a limit");
    assert!(!world.ruleset().contains("guest_limits"), "nothing is left");
}

/// UDP port 9 of the public address leads to port 7 of the first guest, and pings are let in.
fn open_to_outside(spec: &mut RouterSpec) {
    let single = |port| PortRange::single(port).unwrap();
    let address = &mut spec.public.addresses[0];
    address.port_forwarding.push(PortForward {
        id: PortForwardingRuleId::new(),
        protocol: Protocol::Udp,
        public_ports: single(9),
        guest: ATTACKER,
        private_ports: single(7),
    });
    let icmp = IcmpMatch {
        kind: None,
        code: None,
    };
    let ports = Match::Ports {
        protocol: Protocol::Udp,
        ports: single(9),
    };
    for matches in [ports, Match::Icmp { icmp }] {
        address.firewall.push(FirewallRule {
            id: FirewallRuleId::new(),
            matches,
            sources: vec!["0.0.0.0/0".parse().unwrap()],
        });
    }
}

/// Whether the forwarded port answers one of three datagrams from this address outside.
fn answers(world: &World, from: Ipv4Addr) -> bool {
    let socket = world
        .topology
        .internet
        .within(|| UdpSocket::bind((from, 0)))
        .unwrap()
        .unwrap();
    socket.connect((PUBLIC, 9)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    is_answered(&socket)
}

#[test]
fn an_address_outside_that_attacks_a_forwarded_port_keeps_no_other_out() {
    let world = World::new();
    let mut spec = limited(Limits {
        source_rate: Some(20),
        ..Limits::default()
    });
    open_to_outside(&mut spec);
    world.apply(&spec);
    let guest = SocketAddrV4::new(ATTACKER, 7);
    let _echo = UdpEcho::start(&world.topology.guests[0], guest).unwrap();
    let sender = RawSender::new(&world.topology.internet).unwrap();
    let attacker = Ipv4Addr::new(198, 51, 100, 1);
    let start = Instant::now();
    for port in 2_000..12_000 {
        let packet = udp_packet(
            SocketAddrV4::new(attacker, port),
            SocketAddrV4::new(PUBLIC, 9),
            b"x",
        );
        sender.send(&packet, PUBLIC).unwrap();
    }
    assert!(answers(&world, Ipv4Addr::new(8, 8, 8, 8)), "another is served");
    let refused = refused(&world, Refusal::SourceRate);
    let allowed = 20 + 20 * (start.elapsed().as_secs() + 1);
    assert!(refused.packets >= 10_000 - allowed, "{refused:?}");
    assert_eq!(
        refused.addresses,
        [(PUBLIC, refused.packets)],
        "the address under attack"
    );
    let sources = world.router(|engine| insight::refused_sources(&engine.spec().unwrap().limits));
    assert_eq!(
        sources.unwrap(),
        [(attacker, refused.packets)],
        "and who attacks it"
    );
    assert_eq!(world.differences(), Vec::<String>::new());
}

#[test]
fn the_router_answers_no_more_pings_from_outside_than_it_may() {
    let world = World::new();
    let mut spec = limited(Limits {
        ping_rate: Some(5),
        ..Limits::default()
    });
    open_to_outside(&mut spec);
    world.apply(&spec);
    let ping = ["ping", "-n", "-q", "-f", "-c", "200", "-w", "10", "203.0.113.10"];
    let text = printed(&world.topology.internet, &ping);
    assert!(text.contains(" received"), "{text}");
    let refused = refused(&world, Refusal::PingRate);
    assert!(refused.packets > 50, "{refused:?}: {text}");
    let ping = ["ping", "-n", "-q", "-i", "0.01", "-c", "20", "10.1.1.1"];
    let text = printed(&world.topology.guests[1], &ping);
    assert!(
        text.contains("20 received"),
        "the guest side has no such limit: {text}"
    );
}

fn printed(namespace: &Namespace, argv: &[&str]) -> String {
    String::from_utf8_lossy(&namespace.run(argv).unwrap().stdout).into_owned()
}

#[test]
fn a_guest_of_a_tier_is_limited_and_its_neighbours_in_every_tier_are_not() {
    let mut world = VpcWorld::new();
    world.plug_tier(1);
    world.plug_tier(2);
    let mut spec = vpc([tier(1, default_allow()), tier(2, default_allow())]);
    spec.limits.guest_sessions = Some(200);
    world.apply(&spec);
    let _echo = UdpEcho::start(&world.internet, SERVER).unwrap();
    let attacker = Ipv4Addr::new(10, 0, 1, 5);
    let sender = RawSender::new(world.guests(1)).unwrap();
    for port in 2_000..4_000 {
        let packet = udp_packet(SocketAddrV4::new(attacker, port), SERVER, b"x");
        sender.send(&packet, *SERVER.ip()).unwrap();
    }
    for neighbour in [Ipv4Addr::new(10, 0, 1, 6), Ipv4Addr::new(10, 0, 2, 5)] {
        let tier = world.guests(neighbour.octets()[2]);
        let socket = tier.within(|| UdpSocket::bind((neighbour, 0))).unwrap().unwrap();
        socket.connect(SERVER).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        assert!(is_answered(&socket), "{neighbour}");
    }
    let all = world
        .router(|engine| insight::refused(&engine.spec().unwrap().limits))
        .unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].addresses, [(attacker, 1_800)]);
}
