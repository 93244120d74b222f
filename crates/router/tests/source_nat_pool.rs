// SPDX-License-Identifier: Apache-2.0
//! A source NAT pool of several addresses with real packets: a guest keeps one address, and what one address has no port for
//! uses the next.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use outgate_model::RouterSpec;
use outgate_model::router_spec::PublicAddress;
use outgate_testkit::{Namespace, RawSender, Sniffer, TcpEcho, TcpProbe, udp_packet, wait_until};
use support::vpc::{VpcWorld, default_allow, tier, vpc};
use support::{EngineThread, World, spec};

const LIMIT: Duration = Duration::from_secs(60);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// Nobody answers there: a session is one packet.
const SILENT: u16 = 9;
const FIRST: u8 = 11;
const SECOND: u8 = 12;

/// The router's spec with an additional source NAT address.
fn with_pool(last: u8) -> RouterSpec {
    let mut spec = spec();
    add(&mut spec, last);
    spec
}

fn add(spec: &mut RouterSpec, last: u8) {
    spec.generation += 1;
    let default = spec.public.addresses[0].clone();
    spec.public.addresses.push(PublicAddress {
        address: format!("203.0.113.{last}/24").parse().unwrap(),
        source_nat: false,
        source_nat_pool: true,
        ..default
    });
}

/// Two guests' UDP packets, and what comes out of them on the other side.
struct Sessions<'a> {
    world: &'a EngineThread,
    guests: [(Ipv4Addr, &'a Namespace); 2],
    sniffer: Sniffer,
}

impl<'a> Sessions<'a> {
    /// Of guests 10.1.1.11 and .12.
    fn of(world: &'a World) -> Self {
        let guest = |place: u8| {
            (
                Ipv4Addr::new(10, 1, 1, FIRST + place),
                &world.topology.guests[usize::from(place)],
            )
        };
        Self {
            guests: [guest(0), guest(1)],
            sniffer: Sniffer::start(&world.topology.internet).unwrap(),
            world,
        }
    }

    /// Of a guest of tier 1 and one of tier 2.
    fn of_tiers(world: &'a VpcWorld) -> Self {
        let guest = |tier| (Ipv4Addr::new(10, 0, tier, 5), world.guests(tier));
        Self {
            guests: [guest(1), guest(2)],
            sniffer: Sniffer::start(&world.internet).unwrap(),
            world,
        }
    }

    fn guest(&self, guest: u8) -> (Ipv4Addr, &'a Namespace) {
        self.guests[usize::from(guest - FIRST)]
    }

    fn sender(&self, guest: u8) -> RawSender {
        RawSender::new(self.guest(guest).1).unwrap()
    }

    fn send(&self, guest: u8, from: u16, to: u16, payload: &[u8]) {
        let (from, to) = (
            SocketAddrV4::new(self.guest(guest).0, from),
            SocketAddrV4::new(SERVER, to),
        );
        self.sender(guest)
            .send(&udp_packet(from, to, payload), SERVER)
            .unwrap();
    }

    /// The last byte of the public address that a guest's new session gets, by its first packet. `None`: it is lost.
    fn address(&self, guest: u8, from: u16, to: u16) -> Option<u8> {
        let lost_after = self.failed_inserts();
        let tag = [guest, from.to_be_bytes()[0], from.to_be_bytes()[1], 77];
        self.sniffer.take();
        self.send(guest, from, to, &tag);
        wait_until(LIMIT, "the packet arrives or is lost", || {
            let packets = self.sniffer.packets();
            let arrived = packets.iter().find(|p| p.payload.ends_with(&tag));
            match arrived {
                Some(packet) => Some(Some(packet.source.octets()[3])),
                None => (self.failed_inserts() > lost_after).then_some(None),
            }
        })
        .unwrap()
    }

    /// How many sessions could not be entered, because no port was left.
    fn failed_inserts(&self) -> u64 {
        self.world
            .router(|_| outgate_kernel::conntrack::troubles().unwrap().insert_failed)
    }

    /// A session from every port that source NAT has to the silent server: none is left.
    fn use_all_ports(&self, guest: u8) {
        let sender = self.sender(guest);
        let to = SocketAddrV4::new(SERVER, SILENT);
        for port in 1_024..=u16::MAX {
            let from = SocketAddrV4::new(self.guest(guest).0, port);
            sender.send(&udp_packet(from, to, b"x"), SERVER).unwrap();
        }
        let held = || {
            self.world
                .router(|_| outgate_kernel::conntrack::usage().unwrap().entries)
        };
        wait_until(LIMIT, "all ports are used", || (held() >= 64_512).then_some(())).unwrap();
    }
}

/// Enough sessions that one address has no port left towards one destination.
fn exhausted(world: &World) -> Sessions<'_> {
    let sessions = Sessions::of(world);
    sessions.use_all_ports(FIRST);
    sessions
}

#[test]
fn when_a_pool_of_one_is_used_up_towards_a_destination_an_added_address_serves_new_sessions_at_once() {
    let world = World::new();
    let mut spec = spec();
    world.apply(&spec);
    let sessions = exhausted(&world);
    assert_eq!(sessions.address(SECOND, 5_000, SILENT), None, "no port is left");
    assert_eq!(
        sessions.address(SECOND, 5_000, SILENT + 1),
        Some(10),
        "towards another there are"
    );

    add(&mut spec, 11);
    let applied = world.apply(&spec);
    assert_eq!(applied.sessions_cut, 0);
    for port in 5_001..5_021 {
        assert_eq!(
            sessions.address(SECOND, port, SILENT),
            Some(11),
            "its first packet"
        );
    }
    assert_eq!(world.differences(), Vec::<String>::new());
}

#[test]
fn a_session_that_found_no_port_gets_the_next_address_when_it_asks_again_and_others_at_once() {
    let world = World::new();
    world.apply(&with_pool(11));
    // Nobody tells the rules what the sessions say: they find out by themselves.
    let sessions = exhausted(&world);
    assert_eq!(sessions.address(SECOND, 5_000, SILENT), None, "lost");
    assert_eq!(
        sessions.address(SECOND, 5_000, SILENT),
        Some(11),
        "sent a second time"
    );
    assert_eq!(
        sessions.address(SECOND, 5_001, SILENT),
        Some(11),
        "the next at once"
    );
    assert_eq!(
        sessions.address(FIRST, 900, SILENT + 1),
        Some(10),
        "whom nothing moved stays with the default"
    );
    assert_eq!(world.differences(), Vec::<String>::new());
}

#[test]
fn all_tiers_of_a_vpc_share_its_pool_and_a_guest_that_finds_no_port_in_it_uses_the_next_address() {
    let mut world = VpcWorld::new();
    world.plug_tier(1);
    world.plug_tier(2);
    let mut spec = vpc([tier(1, default_allow()), tier(2, default_allow())]);
    spec.public.addresses[1].source_nat_pool = true;
    world.apply(&spec);
    let sessions = Sessions::of_tiers(&world);
    assert_eq!(
        sessions.address(FIRST, 900, SILENT + 1),
        Some(10),
        "the default first"
    );
    sessions.use_all_ports(FIRST);
    assert_eq!(
        sessions.address(SECOND, 5_000, SILENT),
        None,
        "of another tier: lost"
    );
    assert_eq!(
        sessions.address(SECOND, 5_000, SILENT),
        Some(11),
        "sent a second time"
    );
    for port in 5_001..5_011 {
        assert_eq!(
            sessions.address(SECOND, port, SILENT),
            Some(11),
            "the next at once"
        );
    }
    assert_eq!(
        sessions.address(SECOND, 6_000, 1_000),
        Some(11),
        "it keeps its address"
    );
    assert_eq!(
        sessions.address(FIRST, 901, 1_000),
        Some(10),
        "whom nothing moved stays"
    );
    assert_eq!(world.differences(), Vec::<String>::new());

    spec.generation += 1;
    spec.public.addresses[1].source_nat_pool = false;
    assert_eq!(world.apply(&spec).sessions_cut, 0, "removed from the pool");
    assert_eq!(sessions.address(SECOND, 6_001, 1_000), Some(10));
}

#[test]
fn the_engine_moves_sessions_on_before_the_first_is_lost() {
    let world = World::new();
    let spec = with_pool(11);
    world.apply(&spec);
    let sessions = Sessions::of(&world);
    let sender = sessions.sender(FIRST);
    // 96 of 100: a search at random still finds a port.
    for port in (1_024..=u16::MAX).filter(|port| port % 25 != 0) {
        let from = SocketAddrV4::new(Ipv4Addr::new(10, 1, 1, FIRST), port);
        let to = SocketAddrV4::new(SERVER, SILENT);
        sender.send(&udp_packet(from, to, b"x"), SERVER).unwrap();
    }
    let held = || world.router(|_| outgate_kernel::conntrack::usage().unwrap().entries);
    wait_until(LIMIT, "they are entered", || (held() >= 61_900).then_some(())).unwrap();
    let mut port = 5_000;
    wait_until(LIMIT, "new sessions use the next address", || {
        world.router(|engine| engine.heal()).unwrap();
        port += 1;
        (sessions.address(SECOND, port, SILENT).expect("none is lost") == 11).then_some(())
    })
    .unwrap();
}

#[test]
fn a_guest_that_was_moved_keeps_its_address_for_every_destination_also_when_the_rules_are_made_anew() {
    let world = World::new();
    let mut spec = with_pool(11);
    world.apply(&spec);
    let sessions = exhausted(&world);
    sessions.address(SECOND, 5_000, SILENT);
    assert_eq!(sessions.address(SECOND, 5_000, SILENT), Some(11));
    let keeps = |port, why: &str| {
        assert_eq!(sessions.address(SECOND, port, 1_000), Some(11), "{why}");
        assert_eq!(sessions.address(FIRST, 900, 1_000 + port), Some(10), "{why}");
    };
    keeps(5_001, "another destination");

    world.run("nft flush ruleset");
    world.router(|engine| engine.heal()).unwrap().expect("a repair");
    keeps(5_002, "after a flush");
    add(&mut spec, 12);
    assert_eq!(world.apply(&spec).sessions_cut, 0);
    keeps(5_003, "in a greater pool");
    let listing = world.run("iptables -t nat -S POSTROUTING");
    for address in ["203.0.113.10", "203.0.113.11", "203.0.113.12"] {
        let rule = format!("-A POSTROUTING -o eth2 -j SNAT --to-source {address}");
        assert!(listing.contains(&rule), "{listing}");
    }
    assert_eq!(world.differences(), Vec::<String>::new());
}

#[test]
fn live_sessions_survive_adding_and_removing_an_address_and_are_cut_only_when_it_is_released() {
    let world = World::new();
    let mut spec = spec();
    world.apply(&spec);
    let echo = TcpEcho::start(&world.topology.internet, SocketAddrV4::new(SERVER, 7)).unwrap();
    let connect = || TcpProbe::connect(&world.topology.guests[1], echo.address, LIMIT).unwrap();
    let mut first = connect();
    first.echo(b"through .10").unwrap();
    add(&mut spec, 11);
    world.apply(&spec);
    first.echo(b"still through .10").unwrap();
    // The guest is moved by a shortage towards somebody else.
    let sessions = exhausted(&world);
    sessions.address(SECOND, 5_000, SILENT);
    sessions.address(SECOND, 5_000, SILENT);
    let mut second = connect();
    second.echo(b"through .11").unwrap();

    spec.generation += 1;
    spec.public.addresses[1].source_nat_pool = false;
    assert_eq!(world.apply(&spec).sessions_cut, 0, "removed from the pool");
    let mut third = connect();
    for probe in [&mut first, &mut second, &mut third] {
        probe.echo(b"alive").unwrap();
    }
    let seen: Vec<String> = echo.seen().iter().map(|a| a.ip().to_string()).collect();
    assert_eq!(seen, ["203.0.113.10", "203.0.113.11", "203.0.113.10"]);
    let rules = world.ruleset();
    assert!(!rules.contains("pool"), "nothing of the pool is left: {rules}");

    spec.generation += 1;
    spec.public.addresses.remove(1);
    // The TCP session and the UDP session that moved the guest.
    assert_eq!(world.apply(&spec).sessions_cut, 2, "released");
    first.echo(b"alive").unwrap();
    third.echo(b"alive").unwrap();
}
