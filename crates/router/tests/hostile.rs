// SPDX-License-Identifier: Apache-2.0
//! Guests and strangers that mean harm, against a router's real kernel and services.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use outgate_plan::plan::DNSMASQ_LEASES;
use outgate_testkit::{
    Namespace, Packet, Sniffer, TcpEcho, TcpProbe, ipv4_packet, scan_tcp, scan_udp, send_packet, udp_packet,
    wait_until,
};
use support::{World, open, spec};

const LIMIT: Duration = Duration::from_secs(60);
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 11);
const OTHER_GUEST: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 12);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 1);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const INTERNET: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const CONTROL: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 2);
const CONTROL_HOST: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
const EVIL: &[u8] = b"evil, whatever its header says";

fn datagram(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    udp_packet(SocketAddrV4::new(from, 68), SocketAddrV4::new(to, 67), EVIL)
}

fn is_evil(packet: &Packet) -> bool {
    packet.payload.windows(EVIL.len()).any(|bytes| bytes == EVIL)
}

/// Sends packets to the router that is the next hop towards `through`, and waits until one that is allowed, sent
/// behind them, has gone there and back.
fn attack(world: &World, from: &Namespace, through: Ipv4Addr, packets: &[Vec<u8>]) {
    let echo = TcpEcho::start(&world.topology.internet, SocketAddrV4::new(INTERNET, 7)).unwrap();
    for packet in packets {
        send_packet(from, packet, through).unwrap();
    }
    let guest = &world.topology.guests[0];
    let mut probe = TcpProbe::connect(guest, echo.address, LIMIT).unwrap();
    probe.echo(b"allowed").unwrap();
}

/// A datagram with the option "loose source route": its sender chooses where it goes next.
fn source_routed(from: Ipv4Addr, first: Ipv4Addr, then: Ipv4Addr) -> Vec<u8> {
    let mut option = vec![131, 7, 4];
    option.extend(then.octets());
    option.push(0);
    let mut packet = datagram(from, first);
    packet.splice(20..20, option);
    packet[0] = 0x47;
    let total = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet
}

/// A fragment whose first one never comes.
fn lone_fragment(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut packet = ipv4_packet(from, to, 17, EVIL);
    packet[4..8].copy_from_slice(&[0x12, 0x34, 0, 185]);
    packet
}

#[test]
fn nothing_that_a_hostile_guest_makes_up_gets_past_the_router() {
    let world = World::new();
    let mut spec = spec();
    open(&mut spec);
    world.apply(&spec);
    let watched = [
        &world.topology.control,
        &world.topology.internet,
        &world.topology.guests[1],
    ];
    let sniffers = watched.map(|namespace| Sniffer::start(namespace).unwrap());
    let guest = &world.topology.guests[0];
    let packets = [
        datagram(GUEST, CONTROL_HOST),
        datagram(CONTROL_HOST, CONTROL),
        datagram(Ipv4Addr::new(169, 254, 0, 7), CONTROL_HOST),
        datagram(GUEST, Ipv4Addr::new(169, 254, 169, 254)),
        // Sources that are the router's own, another network's or nobody's.
        datagram(GATEWAY, INTERNET),
        datagram(PUBLIC, INTERNET),
        datagram(Ipv4Addr::new(10, 1, 2, 11), INTERNET),
        datagram(Ipv4Addr::LOCALHOST, INTERNET),
        datagram(Ipv4Addr::new(10, 1, 1, 255), INTERNET),
        datagram(Ipv4Addr::new(224, 0, 0, 1), INTERNET),
        // Destinations that are nobody's to reach.
        datagram(GUEST, OTHER_GUEST),
        datagram(GUEST, Ipv4Addr::LOCALHOST),
        datagram(GUEST, Ipv4Addr::new(224, 0, 0, 9)),
        datagram(GUEST, Ipv4Addr::new(239, 1, 2, 3)),
        datagram(GUEST, Ipv4Addr::new(203, 0, 113, 255)),
        source_routed(GUEST, GATEWAY, INTERNET),
        source_routed(GUEST, INTERNET, CONTROL_HOST),
        lone_fragment(GUEST, INTERNET),
    ];
    attack(&world, guest, INTERNET, &packets);
    for (sniffer, name) in sniffers.iter().zip(["control", "internet", "the other guest"]) {
        let seen: Vec<Packet> = sniffer.packets().into_iter().filter(is_evil).collect();
        assert_eq!(seen, [], "{name}; {}", world.run("conntrack -L"));
    }
    assert!(world.differences().is_empty());
}

#[test]
fn a_guest_finds_dns_on_its_gateway_and_no_other_door() {
    let world = World::new();
    world.apply(&spec());
    let guest = &world.topology.guests[0];
    let tcp = scan_tcp(guest, GUEST, GATEWAY).unwrap();
    assert_eq!((Vec::from_iter(tcp.open), tcp.refused.len()), (vec![53], 0));
    assert!(scan_udp(guest, GUEST, GATEWAY).unwrap().refused.is_empty());
    let short = Duration::from_millis(300);
    for address in [GATEWAY, CONTROL, PUBLIC] {
        for port in [22, 3922] {
            let door = SocketAddrV4::new(address, port);
            assert!(TcpProbe::connect(guest, door, short).is_err(), "{door}");
        }
    }
}

#[test]
fn a_stranger_that_knows_the_guests_addresses_reaches_none_of_them() {
    let world = World::new();
    let mut spec = spec();
    open(&mut spec);
    world.apply(&spec);
    let internet = &world.topology.internet;
    internet
        .check(&["ip", "route", "add", "10.1.1.0/24", "via", "203.0.113.10"])
        .unwrap();
    let watched = [&world.topology.control, &world.topology.guests[0]];
    let sniffers = watched.map(|namespace| Sniffer::start(namespace).unwrap());
    let packets = [
        datagram(INTERNET, GUEST),
        datagram(OTHER_GUEST, GUEST),
        datagram(GATEWAY, GUEST),
        datagram(PUBLIC, GUEST),
        datagram(INTERNET, CONTROL),
        datagram(CONTROL_HOST, CONTROL),
        datagram(INTERNET, Ipv4Addr::new(10, 1, 1, 255)),
        source_routed(INTERNET, PUBLIC, GUEST),
        lone_fragment(INTERNET, GUEST),
        // Nothing is forwarded there, though the firewall is open.
        datagram(INTERNET, PUBLIC),
    ];
    attack(&world, internet, GUEST, &packets);
    for (sniffer, name) in sniffers.iter().zip(["control", "guest"]) {
        let seen: Vec<Packet> = sniffer.packets().into_iter().filter(is_evil).collect();
        assert_eq!(seen, [], "{name}");
    }
}

/// DHCPDISCOVER (1) or DHCPREQUEST (3) for 10.1.1.50, answers wanted by broadcast.
fn dhcp(kind: u8, mac: [u8; 6]) -> Vec<u8> {
    let mut packet = vec![1, 1, 6, 0, 7, 7, 7, mac[5], 0, 0, 0x80, 0];
    packet.resize(28, 0);
    packet.extend(mac);
    packet.resize(236, 0);
    packet.extend([99, 130, 83, 99, 53, 1, kind, 50, 4, 10, 1, 1, 50, 54, 4]);
    packet.extend(GATEWAY.octets());
    packet.push(255);
    packet.resize(300, 0);
    packet
}

#[test]
fn a_guest_that_asks_for_leases_without_end_gets_none_and_takes_none_from_others() {
    let world = World::new();
    world.apply(&spec());
    let guest = &world.topology.guests[0];
    let socket = guest.within(|| UdpSocket::bind("0.0.0.0:68")).unwrap().unwrap();
    socket.set_broadcast(true).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let ask = |kind, mac| drop(socket.send_to(&dhcp(kind, mac), "255.255.255.255:67"));
    let (mut offers, mut answers) = (Vec::new(), vec![0; 1_500]);
    for round in 0..=255 {
        ask(1, [0x06, 6, 6, 6, 6, round]);
        ask(3, [0x06, 6, 6, 6, 7, round]);
    }
    let offered = || {
        ask(1, [2, 0, 0, 0, 0, 12]);
        while let Ok(length) = socket.recv(&mut answers) {
            offers.push((answers[28..34].to_vec(), answers[16..20].to_vec(), length));
        }
        offers.last().is_some().then_some(())
    };
    wait_until(LIMIT, "the guest that is known is offered its address", offered).unwrap();
    for (mac, address, _) in offers {
        assert_eq!((mac, address), (vec![2, 0, 0, 0, 0, 12], vec![10, 1, 1, 12]));
    }
    let leases = world.router(|_| std::fs::read_to_string(DNSMASQ_LEASES).unwrap_or_default());
    assert_eq!(leases, "");
}
