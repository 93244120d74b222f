// SPDX-License-Identifier: Apache-2.0
//! What rules know of interfaces, their numbers and their MTUs: what comes in where, what an interface that came back under
//! its name may do, and what size of segments both ends of a connection learn.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use outgate_model::stats::{DropReason, RouterStats, Traffic};
use outgate_router::Engine;
use outgate_testkit::{
    Namespace, Packet, Sniffer, TcpEcho, TcpProbe, UdpEcho, send_packet, udp_packet, wait_until,
};
use support::{World, spec};

const LIMIT: Duration = Duration::from_secs(60);
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 11);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 1);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const INTERNET: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// What a shell in the router's network prints.
fn shell(world: &World, script: &str) -> String {
    world.topology.router.check(&["bash", "-c", script]).unwrap()
}

fn forged(stats: &RouterStats) -> u64 {
    let mut dropped = stats.dropped.iter();
    dropped.find(|d| d.reason == DropReason::Spoofed).unwrap().packets
}

/// One datagram there and back.
fn talks(guest: &Namespace, to: SocketAddrV4, patience: Duration) -> bool {
    let socket = guest.within(|| UdpSocket::bind((GUEST, 0)).unwrap()).unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.send_to(b"anybody?", to).unwrap();
    socket.recv(&mut [0; 16]).is_ok()
}

#[test]
fn a_forged_packet_makes_no_entry_in_conntrack_whatever_side_it_comes_in_on() {
    let world = World::new();
    world.apply(&spec());
    // The chain alone.
    for interface in ["all", "eth0", "eth1", "eth2"] {
        shell(
            &world,
            &format!("sysctl -qw net.ipv4.conf.{interface}.rp_filter=0"),
        );
    }
    let echo = TcpEcho::start(&world.topology.internet, SocketAddrV4::new(INTERNET, 7)).unwrap();
    let guest = &world.topology.guests[0];
    let sides: [(&Namespace, Ipv4Addr, Ipv4Addr, &[&str]); 2] = [
        (
            guest,
            GATEWAY,
            INTERNET,
            &[
                "192.0.2.66",
                "203.0.113.10",
                "169.254.0.1",
                "10.1.2.5",
                "198.51.100.1",
            ],
        ),
        (
            &world.topology.internet,
            PUBLIC,
            PUBLIC,
            &[
                "10.1.1.11",
                "203.0.113.10",
                "169.254.7.7",
                "240.0.0.1",
                "10.1.1.1",
            ],
        ),
    ];
    let mut sent = 0;
    for (from, through, to, sources) in sides {
        for source in sources {
            let source = SocketAddrV4::new(source.parse().unwrap(), 4_000);
            let packet = udp_packet(source, SocketAddrV4::new(to, 4_001), b"forged");
            send_packet(from, &packet, through).unwrap();
            sent += 1;
        }
        // One that is allowed, behind them, goes there and back.
        let mut probe = TcpProbe::connect(guest, echo.address, LIMIT).unwrap();
        probe.echo(b"allowed").unwrap();
        assert_eq!(forged(&world.stats()), sent);
    }
    let entries = shell(&world, "conntrack -L 2>/dev/null");
    assert!(!entries.contains("port=4001"), "{entries}");
    assert!(entries.contains("dport=7"), "{entries}");
}

#[test]
fn an_interface_that_came_back_under_its_name_may_say_nothing_until_the_next_repair_and_counts_go_on() {
    let world = World::new();
    world.apply(&spec());
    let echo = UdpEcho::start(&world.topology.internet, SocketAddrV4::new(INTERNET, 7)).unwrap();
    let guest = &world.topology.guests[0];
    assert!(talks(guest, echo.address, LIMIT));
    let before = world.stats();
    assert_eq!(before.networks[0].traffic.packets_out, 1);

    // It goes to another namespace and comes back while its number is taken.
    shell(
        &world,
        "number=$(ip -o link show eth0 | cut -d: -f1)
        unshare -n sleep 60 >/dev/null 2>&1 & away=$!
        until [ \"$(readlink /proc/$away/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ]; do :; done
        ip link set eth0 netns $away && ip link add taken index $number type veth peer name other &&
        nsenter -t $away -n ip link set eth0 netns $$ && ip link del taken; kill $away
        ip addr add 10.1.1.1/24 dev eth0; ip link set eth0 up; conntrack -F 2>/dev/null; true",
    );
    // The cable takes a moment to carry again.
    let is_dropped = || {
        assert!(!talks(guest, echo.address, Duration::from_millis(100)));
        (forged(&world.stats()) > 0).then_some(())
    };
    wait_until(LIMIT, "what the guest says is dropped", is_dropped).unwrap();
    assert_eq!(
        shell(&world, "conntrack -L 2>/dev/null | grep -c dport=7 || true").trim(),
        "0"
    );

    let repair = world.router(Engine::heal).unwrap().unwrap();
    assert_eq!(repair.error, None);
    assert!(talks(guest, echo.address, LIMIT));
    assert_eq!(world.differences(), Vec::<String>::new());
    let after = world.stats();
    assert_eq!(after.epoch, before.epoch);
    let once = before.networks[0].traffic;
    let twice = Traffic {
        packets_in: 2 * once.packets_in,
        bytes_in: 2 * once.bytes_in,
        packets_out: 2 * once.packets_out,
        bytes_out: 2 * once.bytes_out,
    };
    assert_eq!(after.networks[0].traffic, twice);
}

#[test]
fn while_an_interface_is_missing_the_rules_for_all_others_are_kept_up() {
    let world = World::new();
    world.apply(&spec());
    shell(
        &world,
        "ip link set eth2 down; ip link set eth2 name wan; nft flush ruleset",
    );
    let repair = world.router(Engine::heal).unwrap().unwrap();
    assert_eq!(repair.error.unwrap().to_string(), "Interface eth2 not found");
    let rules = shell(&world, "nft list table ip outgate");
    assert!(
        rules.contains("iif \"eth0\"") && rules.contains("policy drop"),
        "{rules}"
    );
    assert!(!rules.contains("wan") && !rules.contains("eth2\""), "{rules}");

    shell(&world, "ip link set wan name eth2");
    world.router(Engine::heal).unwrap();
    assert_eq!(world.differences(), Vec::<String>::new());
    let echo = UdpEcho::start(&world.topology.internet, SocketAddrV4::new(INTERNET, 7)).unwrap();
    assert!(talks(&world.topology.guests[0], echo.address, LIMIT));
    assert_eq!(world.stats().networks[0].traffic.packets_in, 1);
}

/// The maximum segment size that a SYN or SYN-ACK tells.
fn segment_size(packet: &Packet) -> Option<u16> {
    let header = usize::from(packet.payload.get(12)? >> 4) * 4;
    let mut options = packet.payload.get(20..header)?;
    while let [kind, rest @ ..] = options {
        match (kind, rest) {
            (0, _) => return None,
            (1, _) => options = rest,
            (2, [4, high, low, ..]) => return Some(u16::from_be_bytes([*high, *low])),
            (_, [length, ..]) => options = options.get(usize::from(*length)..)?,
            _ => return None,
        }
    }
    None
}

#[test]
fn both_ends_of_a_connection_learn_the_smaller_mtu_of_the_two_sides() {
    for (guests, public) in [(1_500, 1_500), (1_400, 1_500), (1_400, 1_400), (1_300, 1_400)] {
        let world = World::new();
        let mut spec = spec();
        spec.guest_networks[0].mtu = guests;
        spec.public.mtu = public;
        world.apply(&spec);
        let [inside, outside] =
            [&world.topology.guests[0], &world.topology.internet].map(|side| Sniffer::start(side).unwrap());
        let echo = TcpEcho::start(&world.topology.internet, SocketAddrV4::new(INTERNET, 7)).unwrap();
        let mut probe = TcpProbe::connect(&world.topology.guests[0], echo.address, LIMIT).unwrap();
        probe.echo(b"hello").unwrap();
        // Guest and server have cables of 1,500.
        let told = |sniffer: &Sniffer, from_server: bool| {
            let packets = sniffer.packets();
            let opening = packets
                .iter()
                .filter(|p| p.protocol == 6 && p.payload[13] & 2 != 0);
            let mut of = opening.filter(|p| (p.source == INTERNET) == from_server);
            of.find_map(segment_size)
        };
        let seen =
            |sniffer, from_server| wait_until(LIMIT, "it is seen", || told(sniffer, from_server)).unwrap();
        let least = u16::try_from(guests.min(public) - 40).unwrap();
        assert_eq!(seen(&outside, false), least, "SYN, {guests} and {public}");
        assert_eq!(seen(&inside, true), least, "SYN-ACK, {guests} and {public}");
    }
}
