// SPDX-License-Identifier: Apache-2.0
//! What passes and what does not: out through the source NAT address, nothing unsolicited in, payloads untouched.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};

use outgate_testkit::{Namespace, TcpEcho, scan_tcp, scan_udp, send_packet, udp_packet};
use support::{INTERNET, Lab, PATIENCE, any, far, ip, is_closed, session, text};

fn within<T: Send>(place: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    place.within(work).expect("entering a namespace")
}

/// Bytes without a pattern that a rewrite could hide in.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn the_far_side_sees_the_source_nat_address_and_the_payload_unchanged() {
    let lab = Lab::up();
    let public = ip(&lab.source_nat());
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));

    // TCP: a mebibyte out and back, equal byte for byte on both sides.
    let payload = noise(1 << 20);
    let listener = within(&internet, || TcpListener::bind(far(7001)).expect("listening"));
    let expected = payload.clone();
    let server = std::thread::spawn(move || {
        let (mut stream, from) = listener.accept().expect("a client");
        let mut got = vec![0; expected.len()];
        stream.read_exact(&mut got).expect("the payload");
        stream.write_all(&got).expect("the echo");
        (from.ip(), got == expected)
    });
    let mut stream = within(&guest, || {
        TcpStream::connect(far(7001)).expect("a guest gets out")
    });
    stream.write_all(&payload).expect("sending");
    let mut back = vec![0; payload.len()];
    stream.read_exact(&mut back).expect("the echo");
    assert_eq!(server.join().expect("the far side"), (public.into(), true));
    assert!(back == payload, "the way back changed the payload");

    // UDP: datagrams of many sizes, with a checksum that the kernel of the far side has verified.
    let socket = within(&internet, || UdpSocket::bind(far(7002)).expect("listening"));
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let sender = within(&guest, || UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    let mut buffer = [0; 2048];
    for size in [0, 1, 2, 3, 64, 511, 512, 1023, 1400, 1472] {
        sender.send_to(&payload[..size], far(7002)).expect("sending");
        let (n, from) = socket
            .recv_from(&mut buffer)
            .unwrap_or_else(|e| panic!("{size} bytes: {e}"));
        assert_eq!(from.ip(), public);
        assert!(buffer[..n] == payload[..size], "{size} bytes arrived changed");
    }

    // ICMP, with a payload that ping itself compares.
    let ping = lab.exec(
        "guest1",
        &[
            "ping", "-c", "3", "-i", "0.2", "-s", "1000", "-p", "5aa5", INTERNET,
        ],
    );
    assert!(
        ping.contains("3 received, 0% packet loss") && !ping.contains("wrong data"),
        "{ping}"
    );
}

#[test]
fn every_tcp_and_udp_port_of_the_public_address_is_closed_until_one_is_opened() {
    let lab = Lab::up();
    let source_nat = lab.source_nat();
    let public = ip(&source_nat);
    let (internet, me) = (lab.namespace("internet"), INTERNET.parse().expect("an address"));

    let closed = scan_tcp(&internet, me, public).expect("a scan");
    assert!(
        closed.open.is_empty() && closed.refused.is_empty(),
        "silence: {closed:?}"
    );
    let closed = scan_udp(&internet, me, public).expect("a scan");
    assert!(
        closed.open.is_empty() && closed.refused.is_empty(),
        "silence: {closed:?}"
    );
    let ping = lab.try_exec("internet", &["ping", "-c", "1", "-W", "1", &public.to_string()]);
    assert!(
        !ping.status.success(),
        "nothing answers on the public side, not even a ping"
    );

    // The control: what is opened on purpose is found, and nothing beside it.
    let guest = lab.namespace("guest1");
    let _listener = within(&guest, || TcpListener::bind(any(80)).expect("listening"));
    let (ip, vm) = (text(&source_nat, "id").to_owned(), lab.guest("guest1"));
    let forward = [
        ("ipaddressid", ip.as_str()),
        ("protocol", "tcp"),
        ("publicport", "8080"),
        ("privateport", "80"),
        ("virtualmachineid", text(&vm, "id")),
    ];
    lab.job("createPortForwardingRule", &forward);
    assert_eq!(
        scan_tcp(&internet, me, public).expect("a scan").open,
        [8080].into()
    );
}

#[test]
fn a_packet_with_a_source_outside_the_guest_network_is_dropped() {
    let lab = Lab::up();
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let sink = within(&internet, || UdpSocket::bind(far(7003)).expect("listening"));
    sink.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let send = |from: Ipv4Addr, payload: &[u8]| {
        let packet = udp_packet(SocketAddrV4::new(from, 40_000), far(7003), payload);
        send_packet(&guest, &packet, *far(7003).ip()).expect("sending");
    };
    let vm = lab.guest("guest1");
    let own: Ipv4Addr = text(&vm["nic"][0], "ipaddress").parse().expect("an address");

    for liar in [
        "192.0.2.66",
        "10.1.2.66",
        "198.51.100.10",
        "127.0.0.1",
        "255.255.255.255",
        "203.0.113.1",
    ] {
        send(liar.parse().expect("an address"), liar.as_bytes());
    }
    send(own, b"honest");
    let mut buffer = [0; 64];
    let (n, from) = sink.recv_from(&mut buffer).expect("the honest packet arrives");
    assert_eq!(&buffer[..n], b"honest", "from {from}: a spoofed packet passed");
}

#[test]
fn a_guest_reaches_its_own_networks_public_address() {
    let lab = Lab::up();
    let source_nat = lab.source_nat();
    let (guest1, guest2) = (lab.namespace("guest1"), lab.namespace("guest2"));
    let listener = within(&guest2, || TcpListener::bind(any(80)).expect("listening"));
    let vm = lab.guest("guest2");
    let forward = [
        ("ipaddressid", text(&source_nat, "id")),
        ("protocol", "tcp"),
        ("publicport", "8081"),
        ("privateport", "80"),
        ("virtualmachineid", text(&vm, "id")),
    ];
    lab.job("createPortForwardingRule", &forward);
    let to = SocketAddrV4::new(ip(&source_nat), 8081);
    let (_stream, from) = std::thread::scope(|scope| {
        let accepted = scope.spawn(|| listener.accept().expect("hairpin"));
        let _open = within(&guest1, || TcpStream::connect(to)).expect("a guest reaches the public address");
        accepted.join().expect("the other guest")
    });
    assert_eq!(
        from.ip(),
        ip(&source_nat),
        "RFC 4787 REQ-9: the external source address is presented"
    );
}

#[test]
fn egress_rules_decide_what_leaves() {
    let lab = Lab::up();
    let network = lab.network();
    let id = text(&network, "id");
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let _echoes = [7004, 7005].map(|port| TcpEcho::start(&internet, far(port)).expect("an echo"));
    let out = |port| session(&guest, far(port)).expect("it leaves");
    drop((out(7004), out(7005)));

    // The lab's network allows by default: rules deny.
    let deny = [
        ("networkid", id),
        ("protocol", "tcp"),
        ("startport", "7004"),
        ("endport", "7004"),
    ];
    let rule = lab.job("createEgressFirewallRule", &deny)["firewallrule"].clone();
    assert!(is_closed(&guest, far(7004)), "denied");
    session(&guest, far(7005)).expect("others go on");
    lab.job("deleteEgressFirewallRule", &[("id", text(&rule, "id"))]);
    session(&guest, far(7004)).expect("the port is open again");
}
