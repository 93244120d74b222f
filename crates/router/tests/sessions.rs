// SPDX-License-Identifier: Apache-2.0
//! What changes of the rules do to sessions: nothing, unless they take a session's right.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use outgate_model::Match;
use outgate_model::router_spec::PublicAddress;
use outgate_testkit::{TcpEcho, TcpProbe, UdpEcho, UdpStream};
use support::{World, add_forward, open, spec, with_forwards};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_revoked_forward_cuts_its_sessions_and_no_others() {
    let world = World::new();
    let mut spec = spec();
    open(&mut spec);
    add_forward(&mut spec, 8_001, 80);
    add_forward(&mut spec, 8_002, 80);
    world.apply(&spec);
    let _echo = TcpEcho::start(&world.topology.guests[0], "10.1.1.11:80".parse().unwrap()).unwrap();
    let public = |port| SocketAddrV4::new([203, 0, 113, 10].into(), port);
    let connect = |port| TcpProbe::connect(&world.topology.internet, public(port), LIMIT);
    let (mut revoked, mut kept) = (connect(8_001).unwrap(), connect(8_002).unwrap());
    revoked.echo(b"while it may").unwrap();
    kept.echo(b"while it may").unwrap();

    spec.generation = 2;
    spec.public.addresses[0].port_forwarding.remove(0);
    let applied = world.apply(&spec);
    assert_eq!(
        (applied.sessions_cut, applied.changes.len()),
        (1, 1),
        "{:?}",
        applied.changes
    );
    kept.echo(b"it has its right still").unwrap();
    let entries = world.run("conntrack -L -p tcp");
    assert!(
        !entries.contains("dport=8001") && entries.contains("dport=8002"),
        "{entries}"
    );
    let short = Duration::from_millis(300);
    assert!(
        TcpProbe::connect(&world.topology.internet, public(8_001), short).is_err(),
        "nothing new either"
    );
    // Its next packet does not bring it back.
    let sent = std::thread::spawn(move || revoked.echo(b"still there?"));
    assert!(!world.run("conntrack -L -p tcp").contains("dport=8001"));
    drop(kept);
    drop(world);
    assert!(sent.join().unwrap().is_err());
}

/// The gate sees a session's first packet only, so the session itself has to go.
#[test]
fn a_stream_that_nobody_answered_ends_with_the_firewall_rule_that_let_it_in() {
    let world = World::new();
    let mut spec = spec();
    open(&mut spec);
    let inside = SocketAddrV4::new([10, 1, 1, 11].into(), 80);
    let bind = |address: SocketAddrV4| move || UdpSocket::bind(address).unwrap();
    spec.public.addresses[0].static_nat = Some(*inside.ip());
    spec.public.addresses[0].source_nat = false;
    spec.public.addresses.push(PublicAddress {
        address: "203.0.113.11/24".parse().unwrap(),
        source_nat: true,
        static_nat: None,
        firewall: Vec::new(),
        ..spec.public.addresses[0].clone()
    });
    spec.public.addresses[0].firewall[0].matches = Match::All;
    world.apply(&spec);
    let guest = world.topology.guests[0].within(bind(inside)).unwrap();
    let outside = world
        .topology
        .internet
        .within(bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)))
        .unwrap();
    outside.connect((Ipv4Addr::new(203, 0, 113, 10), 80)).unwrap();
    guest.set_read_timeout(Some(LIMIT)).unwrap();
    let mut buffer = [0; 16];
    for _ in 0..2 {
        outside.send(b"let in").unwrap();
        assert_eq!(guest.recv(&mut buffer).unwrap(), 6);
    }
    assert!(world.run("conntrack -L -p udp").contains("UNREPLIED"));

    spec.generation = 2;
    spec.public.addresses[0].firewall.clear();
    assert_eq!(world.apply(&spec).sessions_cut, 1);
    guest.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    for _ in 0..3 {
        outside.send(b"no more").unwrap();
        assert!(guest.recv(&mut buffer).is_err(), "it got through");
    }
    assert!(!world.run("conntrack -L -p udp").contains("dport=80 "));
}

#[test]
fn streams_lose_nothing_while_the_same_is_applied_and_forwards_come_and_go() {
    let world = World::new();
    let mut spec = with_forwards(1_000);
    world.apply(&spec);
    let internet = &world.topology.internet;
    let udp = UdpEcho::start(internet, "198.51.100.1:7".parse().unwrap()).unwrap();
    let tcp = TcpEcho::start(internet, "198.51.100.1:7".parse().unwrap()).unwrap();
    let guest = &world.topology.guests[0];
    let mut probe = TcpProbe::connect(guest, tcp.address, LIMIT).unwrap();
    probe.echo(b"before").unwrap();
    let stream = UdpStream::start(guest, udp.address, 1_000).unwrap();
    for _ in 0..100 {
        assert_eq!(world.apply(&spec).changes, Vec::<String>::new());
        probe.echo(&[7; 1_000]).unwrap();
    }
    let alone = spec.clone();
    for round in 0..5 {
        add_forward(&mut spec, 80, 80);
        spec.generation += 1;
        assert_eq!(world.apply(&spec).changes.len(), 1);
        probe.echo(b"while rules change").unwrap();
        spec = alone.clone();
        spec.generation = 2 * round + 3;
        assert_eq!(world.apply(&spec).changes.len(), 1);
    }
    probe.echo(&vec![7; 100_000]).unwrap();
    let loss = stream.stop();
    assert!(loss.sent > 100, "{loss:?}");
    assert_eq!(loss.lost(), 0, "{loss:?}");
}

#[test]
fn with_a_new_source_nat_address_old_sessions_go_on_and_new_ones_leave_through_it() {
    let world = World::new();
    let mut spec = spec();
    spec.public.addresses.push(PublicAddress {
        address: "203.0.113.11/24".parse().unwrap(),
        source_nat: false,
        ..spec.public.addresses[0].clone()
    });
    world.apply(&spec);
    let echo = TcpEcho::start(&world.topology.internet, "198.51.100.1:7".parse().unwrap()).unwrap();
    let guest = &world.topology.guests[0];
    let mut old = TcpProbe::connect(guest, echo.address, LIMIT).unwrap();
    old.echo(b"through .10").unwrap();

    spec.generation = 2;
    spec.public.addresses[0].source_nat = false;
    spec.public.addresses[1].source_nat = true;
    world.apply(&spec);
    old.echo(b"still through .10").unwrap();
    let mut new = TcpProbe::connect(guest, echo.address, LIMIT).unwrap();
    new.echo(b"through .11").unwrap();
    let seen: Vec<String> = echo.seen().iter().map(|a| a.ip().to_string()).collect();
    assert_eq!(seen, ["203.0.113.10", "203.0.113.11"]);
    assert!(
        world
            .run("iptables -t nat -S POSTROUTING")
            .contains("203.0.113.11")
    );

    spec.generation = 3;
    spec.public.addresses.remove(0);
    assert_eq!(world.apply(&spec).sessions_cut, 1, "the old address is released");
    new.echo(b"still through .11").unwrap();
    assert!(!world.ruleset().contains("203.0.113.10 ") && !world.run("ip address").contains("203.0.113.10/"));
}
