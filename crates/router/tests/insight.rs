// SPDX-License-Identifier: Apache-2.0
//! What a router knows of its traffic and sessions, against real packets: exact to the packet and the byte, whatever
//! happens to the rules meanwhile. Needs root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outgate_model::id::{FirewallRuleId, LoadBalancerRuleId};
use outgate_model::router_spec::load_balancer::{LbAlgorithm, LbProtocol};
use outgate_model::router_spec::{EgressRule, FirewallRule, LoadBalancer, PublicAddress};
use outgate_model::stats::{DropReason, Endpoint, RouterStats, SessionPage, SessionQuery, Traffic, Way};
use outgate_model::{Match, PortRange, Protocol, RouterSpec};
use outgate_router::insight::{self, Meter};
use outgate_testkit::{Namespace, RawSender, TcpEcho, TcpProbe, UdpEcho, udp_packet, wait_until};
use support::vpc::{VpcWorld, default_allow, tier, vpc};
use support::{World, add_forward, open, spec};

const LIMIT: Duration = Duration::from_secs(60);
const SOURCE_NAT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const STATIC_NAT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 11);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// IP and UDP headers.
const HEADERS: u64 = 28;

fn sessions(world: &World, query: SessionQuery) -> SessionPage {
    world
        .router(move |engine| insight::sessions(engine.spec().unwrap(), &query))
        .unwrap()
}

fn traffic(stats: &RouterStats, address: Ipv4Addr) -> Traffic {
    let found = stats.addresses.iter().find(|a| a.address == address);
    found.map(|a| a.traffic).unwrap_or_default()
}

/// What so many datagrams with so many bytes of payload make each way.
fn both_ways(count: u64, payload: u64) -> Traffic {
    let bytes = count * (payload + HEADERS);
    Traffic {
        packets_in: count,
        bytes_in: bytes,
        packets_out: count,
        bytes_out: bytes,
    }
}

/// Sends datagrams one after the other, each after the echo of the one before.
fn ping_pong(from: &Namespace, to: SocketAddrV4, count: u64, payload: usize) {
    let socket = from
        .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
        .unwrap()
        .unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut buffer = vec![0; payload + 1];
    for _ in 0..count {
        socket.send(&vec![7; payload]).unwrap();
        assert_eq!(socket.recv(&mut buffer).unwrap(), payload);
    }
}

/// Everything into an address from everywhere.
fn open_all(address: &mut PublicAddress) {
    address.firewall = vec![FirewallRule {
        id: FirewallRuleId::new(),
        matches: Match::All,
        sources: vec!["0.0.0.0/0".parse().unwrap()],
    }];
}

/// The second address is the first guest's.
fn with_static_nat() -> RouterSpec {
    let mut spec = spec();
    let mut address = PublicAddress {
        address: "203.0.113.11/24".parse().unwrap(),
        source_nat: false,
        static_nat: Some(GUEST),
        ..spec.public.addresses[0].clone()
    };
    open_all(&mut address);
    spec.public.addresses.push(address);
    spec
}

#[test]
fn bytes_through_source_nat_are_exact_while_rules_change_and_after_the_table_was_replaced() {
    let world = World::new();
    let mut spec = spec();
    world.apply(&spec);
    let echo = UdpEcho::start(&world.topology.internet, SocketAddrV4::new(SERVER, 7)).unwrap();
    let guest = &world.topology.guests[0];
    ping_pong(guest, echo.address, 100, 1_000);
    let first = world.stats();
    assert_eq!(traffic(&first, SOURCE_NAT), both_ways(100, 1_000));
    assert_eq!(first.networks.len(), 1);
    assert_eq!(
        (first.networks[0].network, first.networks[0].traffic),
        (spec.guest_networks[0].id, both_ways(100, 1_000))
    );

    // A change, a foreign hand that removes all our rules, and one that adds some.
    open(&mut spec);
    add_forward(&mut spec, 8_001, 80);
    spec.generation = 2;
    world.apply(&spec);
    ping_pong(guest, echo.address, 50, 1_000);
    world.run("nft delete table ip outgate");
    world.router(outgate_router::Engine::heal).unwrap().unwrap();
    ping_pong(guest, echo.address, 50, 1_000);
    let second = world.stats();
    assert_eq!(second.epoch, first.epoch);
    assert_eq!(traffic(&second, SOURCE_NAT), both_ways(200, 1_000));
    assert_eq!(world.differences(), Vec::<String>::new());
    assert_eq!(world.apply(&spec).changes, Vec::<String>::new());
}

#[test]
fn counters_that_somebody_removed_begin_again_in_another_epoch() {
    let world = World::new();
    world.apply(&spec());
    let echo = UdpEcho::start(&world.topology.internet, SocketAddrV4::new(SERVER, 7)).unwrap();
    ping_pong(&world.topology.guests[0], echo.address, 5, 10);
    let first = world.stats();
    let harms = [
        "nft delete table ip outgate_usage",
        "nft flush set ip outgate_usage epoch",
    ];
    for harm in harms {
        world.run(harm);
        world.router(outgate_router::Engine::heal).unwrap();
        let now = world.stats();
        assert!(now.epoch.is_some() && now.epoch != first.epoch, "{harm}");
        assert_eq!(traffic(&now, SOURCE_NAT), Traffic::default());
        ping_pong(&world.topology.guests[0], echo.address, 7, 10);
        assert_eq!(traffic(&world.stats(), SOURCE_NAT), both_ways(7, 10));
    }
}

#[test]
fn rules_that_somebody_removed_from_the_counting_come_back_and_what_was_counted_stays() {
    let world = World::new();
    world.apply(&spec());
    let echo = UdpEcho::start(&world.topology.internet, SocketAddrV4::new(SERVER, 7)).unwrap();
    ping_pong(&world.topology.guests[0], echo.address, 5, 10);
    let first = world.stats();
    world.run("nft flush chain ip outgate_usage passing");
    world.router(outgate_router::Engine::heal).unwrap();
    ping_pong(&world.topology.guests[0], echo.address, 7, 10);
    let now = world.stats();
    assert_eq!(now.epoch, first.epoch);
    assert_eq!(traffic(&now, SOURCE_NAT), both_ways(12, 10));
    assert_eq!(now.networks[0].traffic, both_ways(12, 10));
}

#[test]
fn each_public_address_has_its_own_count_and_keeps_it_when_it_is_given_back() {
    let world = World::new();
    let mut spec = with_static_nat();
    world.apply(&spec);
    let internet = &world.topology.internet;
    let outside = UdpEcho::start(internet, SocketAddrV4::new(SERVER, 7)).unwrap();
    let inside = UdpEcho::start(&world.topology.guests[0], SocketAddrV4::new(GUEST, 7)).unwrap();
    // Out through static NAT, in through static NAT, and out through source NAT.
    ping_pong(&world.topology.guests[0], outside.address, 10, 100);
    ping_pong(internet, SocketAddrV4::new(STATIC_NAT, 7), 20, 100);
    ping_pong(&world.topology.guests[1], outside.address, 30, 100);
    drop(inside);
    let seen = world.stats();
    assert_eq!(traffic(&seen, STATIC_NAT), both_ways(30, 100));
    assert_eq!(traffic(&seen, SOURCE_NAT), both_ways(30, 100));
    assert_eq!(seen.networks[0].traffic, both_ways(60, 100));

    spec.public.addresses.truncate(1);
    spec.generation = 2;
    world.apply(&spec);
    assert_eq!(traffic(&world.stats(), STATIC_NAT), both_ways(30, 100));
}

#[test]
fn what_is_not_let_in_is_not_counted() {
    let world = World::new();
    world.apply(&spec());
    let socket = world
        .topology
        .internet
        .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
        .unwrap()
        .unwrap();
    for _ in 0..50 {
        socket.send_to(b"unasked", (SOURCE_NAT, 9)).unwrap();
    }
    let echo = UdpEcho::start(&world.topology.internet, SocketAddrV4::new(SERVER, 7)).unwrap();
    ping_pong(&world.topology.guests[0], echo.address, 3, 10);
    assert_eq!(traffic(&world.stats(), SOURCE_NAT), both_ways(3, 10));
}

#[test]
fn forwarded_and_balanced_connections_are_counted_for_their_address_as_their_sessions_are() {
    let world = World::new();
    let mut spec = spec();
    open(&mut spec);
    add_forward(&mut spec, 8_001, 80);
    spec.public.addresses[0].load_balancers = vec![LoadBalancer {
        id: LoadBalancerRuleId::new(),
        public_port: 81,
        private_port: 80,
        algorithm: LbAlgorithm::RoundRobin,
        protocol: LbProtocol::Tcp,
        sources: vec!["0.0.0.0/0".parse().unwrap()],
        members: vec![GUEST],
        stickiness: None,
        health_check: None,
    }];
    // It serves before haproxy looks.
    let _echo = TcpEcho::start(&world.topology.guests[0], SocketAddrV4::new(GUEST, 80)).unwrap();
    world.apply(&spec);
    let connect = |port| {
        let to = SocketAddrV4::new(SOURCE_NAT, port);
        let mut probe = TcpProbe::connect(&world.topology.internet, to, LIMIT).unwrap();
        probe.echo(&[1; 5_000]).unwrap();
        probe
    };
    let open = [connect(8_001), connect(81)];
    let through = SessionQuery {
        public: Some(SOURCE_NAT),
        take: 500,
        ..SessionQuery::default()
    };
    // The last acknowledgement may still be on its way.
    let same = || {
        let page = sessions(&world, through.clone());
        let mut sum = Traffic::default();
        for carried in page.sessions.iter().map(|s| s.traffic.unwrap()) {
            sum.packets_in += carried.packets_in;
            sum.bytes_in += carried.bytes_in;
            sum.packets_out += carried.packets_out;
            sum.bytes_out += carried.bytes_out;
        }
        (page.matching == 2 && sum == traffic(&world.stats(), SOURCE_NAT)).then_some((page, sum))
    };
    let (page, sum) = wait_until(LIMIT, "the counters and the sessions agree", same).unwrap();
    assert!(sum.bytes_in > 10_000 && sum.bytes_out > 10_000, "{sum:?}");
    let ways: Vec<_> = page.sessions.iter().map(|s| s.way).collect();
    assert!(
        ways.contains(&Way::Inbound) && ways.contains(&Way::Local),
        "{ways:?}"
    );
    drop(open);
}

#[test]
fn a_session_is_listed_with_its_translation_its_state_and_what_it_has_carried() {
    let world = World::new();
    world.apply(&spec());
    let echo = TcpEcho::start(&world.topology.internet, SocketAddrV4::new(SERVER, 7)).unwrap();
    let mut probe = TcpProbe::connect(&world.topology.guests[0], echo.address, LIMIT).unwrap();
    probe.echo(b"hello").unwrap();
    let local = probe.local().unwrap().port();
    let page = sessions(
        &world,
        SessionQuery {
            protocol: Some(6),
            take: 10,
            ..SessionQuery::default()
        },
    );
    assert_eq!(page.matching, 1);
    let session = &page.sessions[0];
    let end = |address, port| Endpoint { address, port };
    assert_eq!(session.way, Way::Outbound);
    assert_eq!(session.inside, end(GUEST, local));
    assert_eq!(
        session.public,
        Some(end(SOURCE_NAT, local)),
        "ports stay where they are free"
    );
    assert_eq!(session.destination, end(SERVER, 7));
    assert_eq!(session.state.as_deref(), Some("ESTABLISHED"));
    assert!(session.answered && session.age_secs.is_some_and(|age| age < 60));
    assert!(
        session
            .timeout_secs
            .is_some_and(|left| (7_000..=7_440).contains(&left))
    );
    assert!(
        session
            .traffic
            .is_some_and(|t| t.packets_out >= 3 && t.bytes_in > 100)
    );
}

#[test]
fn ports_are_counted_by_protocol_and_destination_and_the_guests_that_use_them_are_named() {
    let world = World::new();
    world.apply(&spec());
    // They are kept: a port that is closed is given out again.
    let send = |guest: usize, count: u16, to: (Ipv4Addr, u16)| {
        let one = |_| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            socket.send_to(b"x", to).unwrap();
            socket
        };
        world.topology.guests[guest]
            .within(|| (0..count).map(one).collect::<Vec<_>>())
            .unwrap()
    };
    let _open = [
        send(0, 300, (SERVER, 53)),
        send(1, 200, (SERVER, 53)),
        send(1, 50, (Ipv4Addr::new(8, 8, 8, 8), 53)),
    ];
    // The last ones may still be on their way.
    let all_passed = || {
        let census = world.stats().census?;
        let used = census.addresses.first()?.sessions;
        (used == 550).then_some(census)
    };
    let census = wait_until(LIMIT, "550 sessions", all_passed).unwrap();
    assert_eq!((census.addresses.len(), census.uncertain), (1, 0));
    let used = &census.addresses[0];
    assert_eq!(used.address, SOURCE_NAT);
    let udp = used.protocols.iter().find(|p| p.protocol == 17).unwrap();
    assert_eq!(udp.sessions, 550);
    let busiest: Vec<_> = udp.busiest.iter().map(|d| (d.address, d.port, d.ports)).collect();
    assert_eq!(busiest, [(SERVER, 53, 500), (Ipv4Addr::new(8, 8, 8, 8), 53, 50)]);
    // Sockets of two guests may have had the same port, and so may those to two destinations.
    assert!((300..=550).contains(&udp.ports), "{}", udp.ports);
    let ports: u32 = used.guests.iter().map(|g| g.ports).sum();
    assert_eq!(ports, udp.ports, "each port is one guest's");
    let guests: Vec<_> = used.guests.iter().map(|g| (g.address, g.sessions)).collect();
    assert_eq!(guests, [(GUEST, 300), (Ipv4Addr::new(10, 1, 1, 12), 250)]);
    assert_eq!(
        census.networks.iter().map(|n| n.sessions).collect::<Vec<_>>(),
        [550]
    );
    let table = world.stats().table;
    assert!(table.sessions >= 550 && table.limit > 1_000, "{table:?}");
}

/// What the first guest's sessions carried, by a meter that remembers the looks before.
fn metered(world: &World, meter: &Arc<Mutex<Meter>>) -> Traffic {
    let meter = Arc::clone(meter);
    let stats = world.router(move |engine| {
        let carried = engine.carried();
        insight::stats_on(engine.spec().unwrap(), 0, &carried, &mut meter.lock().unwrap())
    });
    let census = stats.unwrap().census.unwrap();
    let guests = &census.addresses[0].guests;
    let guest = guests.iter().find(|g| g.address == GUEST).unwrap();
    guest.traffic.unwrap()
}

#[test]
fn what_a_guest_carries_adds_up_from_look_to_look_though_its_sessions_end() {
    let world = World::new();
    world.apply(&spec());
    let echo = UdpEcho::start(&world.topology.internet, SocketAddrV4::new(SERVER, 7)).unwrap();
    let guest = &world.topology.guests[0];
    let meter = Arc::default();
    ping_pong(guest, echo.address, 100, 1_000);
    assert_eq!(metered(&world, &meter), both_ways(100, 1_000));
    assert_eq!(metered(&world, &meter), both_ways(100, 1_000), "nothing new");
    // The session ends with its count, another begins.
    world.run("conntrack -D -p udp");
    ping_pong(guest, echo.address, 30, 1_000);
    assert_eq!(metered(&world, &meter), both_ways(130, 1_000));
    // Without sessions there is no sum to go on with.
    world.run("conntrack -D -p udp");
    let stats = {
        let meter = Arc::clone(&meter);
        world.router(move |engine| {
            let carried = engine.carried();
            insight::stats_on(engine.spec().unwrap(), 0, &carried, &mut meter.lock().unwrap())
        })
    };
    assert_eq!(stats.unwrap().census.unwrap().addresses[0].guests, []);
    ping_pong(guest, echo.address, 5, 1_000);
    assert_eq!(metered(&world, &meter), both_ways(5, 1_000));
}

#[test]
fn what_rules_drop_is_counted_by_reason_and_a_change_of_rules_keeps_the_counts() {
    let world = World::new();
    let mut spec = spec();
    spec.guest_networks[0].egress.rules = vec![EgressRule {
        id: FirewallRuleId::new(),
        matches: Match::Ports {
            protocol: Protocol::Udp,
            ports: PortRange::new(9, 9).unwrap(),
        },
        sources: vec!["0.0.0.0/0".parse().unwrap()],
        destinations: vec!["0.0.0.0/0".parse().unwrap()],
    }];
    world.apply(&spec);
    let send = |from: &Namespace, count: usize, to: (Ipv4Addr, u16)| {
        let sent = from.within(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            for _ in 0..count {
                socket.send_to(b"12345", to).unwrap();
            }
        });
        sent.unwrap();
    };
    let dropped = |reason| {
        let drops = world.stats().dropped;
        let of = drops.iter().find(|d| d.reason == reason).unwrap();
        (of.packets, of.bytes)
    };
    assert_eq!(world.stats().dropped.len(), DropReason::ALL.len());
    let guest = &world.topology.guests[0];
    send(guest, 7, (SERVER, 9));
    send(&world.topology.internet, 4, (SOURCE_NAT, 4_444));
    let bytes = |packets| packets * (5 + HEADERS);
    let counted = || (dropped(DropReason::Egress), dropped(DropReason::Unsolicited));
    wait_until(LIMIT, "both are counted", || {
        (counted() == ((7, bytes(7)), (4, bytes(4)))).then_some(())
    })
    .unwrap_or_else(|e| panic!("{e}: {:?}", world.stats().dropped));
    open(&mut spec);
    spec.generation += 1;
    world.apply(&spec);
    send(guest, 1, (SERVER, 9));
    wait_until(LIMIT, "one more", || {
        (dropped(DropReason::Egress) == (8, bytes(8))).then_some(())
    })
    .unwrap();
    assert_eq!(dropped(DropReason::Unsolicited), (4, bytes(4)));
}

#[test]
fn sessions_are_not_looked_at_one_by_one_when_there_are_few() {
    let world = World::new();
    world.apply(&spec());
    let few = world
        .router(|engine| insight::stats(engine.spec().unwrap(), 1_000, &std::collections::BTreeMap::new()));
    assert_eq!(few.unwrap().census, None);
}

/// From each of these ports of the first guest one datagram that nobody answers. Returns when all have passed.
fn flood(world: &World, ports: std::ops::Range<u16>, to: SocketAddrV4) {
    let sender = RawSender::new(&world.topology.guests[0]).unwrap();
    for port in ports.clone() {
        let packet = udp_packet(SocketAddrV4::new(GUEST, port), to, b"x");
        sender.send(&packet, *to.ip()).unwrap();
    }
    let passed = || {
        let entries = world.router(|_| outgate_kernel::conntrack::usage().unwrap().entries);
        (entries >= u32::from(ports.end - ports.start)).then_some(())
    };
    wait_until(LIMIT, "all have passed", passed).unwrap();
}

/// What this thread has had of a processor.
fn cpu_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
fn a_page_among_fifty_thousand_sessions_is_bounded_and_quick() {
    let world = World::new();
    world.apply(&spec());
    flood(&world, 10_000..60_000, SocketAddrV4::new(SERVER, 9));
    let all = SessionQuery {
        take: u32::MAX,
        ..SessionQuery::default()
    };
    let query = all.clone();
    let (page, cost) = world.router(move |engine| {
        let before = cpu_time();
        let page = insight::sessions(engine.spec().unwrap(), &query);
        (page.unwrap(), cpu_time() - before)
    });
    assert!(page.matching >= 50_000, "{}", page.matching);
    assert_eq!(page.sessions.len(), 500, "a page has its limit");
    // The processor's time, whatever else the machine does.
    assert!(cost < Duration::from_secs(5), "{cost:?}");
    let one = sessions(
        &world,
        SessionQuery {
            port: Some(33_333),
            ..all.clone()
        },
    );
    assert_eq!((one.matching, one.sessions.len()), (1, 1));
    assert_eq!(one.sessions[0].inside.port, 33_333);
    // Pages together hold each session once.
    let mut seen = std::collections::BTreeSet::new();
    for page in 0..4 {
        let query = SessionQuery {
            skip: page * 500,
            take: 500,
            ..all.clone()
        };
        seen.extend(sessions(&world, query).sessions.iter().map(|s| s.inside.port));
    }
    assert_eq!(seen.len(), 2_000);
    // The first look fills the meter, the second compares with it.
    let meter: Arc<Mutex<Meter>> = Arc::default();
    let [_, (census, cost)] = [(), ()].map(|()| {
        let meter = Arc::clone(&meter);
        world.router(move |engine| {
            let (before, carried) = (cpu_time(), engine.carried());
            let stats = insight::stats_on(engine.spec().unwrap(), 0, &carried, &mut meter.lock().unwrap());
            (stats.unwrap().census.unwrap(), cpu_time() - before)
        })
    });
    assert!(cost < Duration::from_secs(3), "{cost:?}");
    let udp = &census.addresses[0].protocols[0];
    assert_eq!(
        (udp.sessions, udp.ports, udp.busiest[0].ports),
        (50_000, 50_000, 50_000)
    );
}

#[test]
fn tiers_of_a_vpc_are_told_apart_and_what_passes_between_them_is_not_counted() {
    let mut world = VpcWorld::new();
    world.plug_tier(1);
    world.plug_tier(2);
    let spec = vpc([tier(1, default_allow()), tier(2, default_allow())]);
    world.apply(&spec);
    let outside = UdpEcho::start(&world.internet, SocketAddrV4::new(SERVER, 7)).unwrap();
    let inside = SocketAddrV4::new([10, 0, 2, 5].into(), 7);
    let inside = UdpEcho::start(world.guests(2), inside).unwrap();
    ping_pong(world.guests(1), outside.address, 10, 100);
    ping_pong(world.guests(2), outside.address, 20, 100);
    ping_pong(world.guests(1), inside.address, 40, 100);
    let seen = world
        .router(|engine| insight::stats(engine.spec().unwrap(), 0, &std::collections::BTreeMap::new()))
        .unwrap();
    let of = |tier: usize| {
        let id = spec.guest_networks[tier].id;
        seen.networks.iter().find(|n| n.network == id).unwrap().traffic
    };
    assert_eq!((of(0), of(1)), (both_ways(10, 100), both_ways(20, 100)));
    assert_eq!(traffic(&seen, SOURCE_NAT), both_ways(30, 100));
    let used = &seen.census.as_ref().unwrap().networks;
    let sessions: Vec<u32> = used.iter().map(|network| network.sessions).collect();
    assert_eq!(sessions, [2, 1], "one that passes between them is its sender's");
    let between = SessionQuery {
        inside_nets: vec!["10.0.1.0/24".parse().unwrap()],
        destination: Some([10, 0, 2, 5].into()),
        take: 10,
        ..SessionQuery::default()
    };
    let page = world
        .router(move |engine| insight::sessions(engine.spec().unwrap(), &between))
        .unwrap();
    assert_eq!((page.matching, page.sessions[0].way), (1, Way::Routed));
}
