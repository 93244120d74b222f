// SPDX-License-Identifier: Apache-2.0
//! NAT behaviour that RFC 4787 asks for and the kernel's connection tracking brings: docs/rfc-compliance.md names these
//! tests. Needs root: it makes a small world of namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use outgate_testkit::{Topology, UdpEcho, wait_until};
use support::spec;
use support::world::{apply, world};

const NEAR: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 7), 7_000);
const FAR: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 9), 7_000);

/// A guest's socket on port 40,000.
fn guest(world: &Topology, last: u8) -> UdpSocket {
    let address = SocketAddrV4::new(Ipv4Addr::new(10, 1, 1, last), 40_000);
    let socket = world.guests[0]
        .within(|| UdpSocket::bind(address))
        .unwrap()
        .unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket
}

/// Sends one datagram, waits for its answer, and says from which address the server saw it come, as its `nth` sender.
fn seen_from(guest: &UdpSocket, server: &UdpEcho, nth: usize) -> SocketAddr {
    guest.send_to(b"hello", server.address).unwrap();
    guest.recv_from(&mut [0; 16]).expect("an answer");
    wait_until(Duration::from_secs(60), "a new sender", || {
        server.seen().get(nth).copied()
    })
    .unwrap()
}

/// RFC 4787 section 4.2.1, REQ-3, REQ-4.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_port_is_kept_while_it_is_free_and_never_shared() {
    let world = world().await;
    apply(&world, &spec());
    let server = UdpEcho::start(&world.internet, NEAR).unwrap();
    let (first, second) = (guest(&world, 5), guest(&world, 6));
    assert_eq!(
        seen_from(&first, &server, 0),
        "203.0.113.10:40000".parse().unwrap()
    );
    let other = seen_from(&second, &server, 1);
    assert_eq!(other.ip(), Ipv4Addr::new(203, 0, 113, 10));
    assert!(other.port() != 40_000 && other.port() >= 1_024, "{other}");
}

/// RFC 4787 REQ-1, as far as Linux goes: a guest's port that could not be kept is the same towards everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_guests_port_looks_the_same_to_two_servers() {
    let world = world().await;
    apply(&world, &spec());
    let near = UdpEcho::start(&world.internet, NEAR).unwrap();
    let far = UdpEcho::start(&world.internet, FAR).unwrap();
    let (first, second) = (guest(&world, 5), guest(&world, 6));
    seen_from(&first, &near, 0);
    assert_eq!(seen_from(&second, &near, 1), seen_from(&second, &far, 0));
}
