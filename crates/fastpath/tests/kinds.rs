// SPDX-License-Identifier: Apache-2.0
//! Which kinds of sessions the fast path carries, and which it leaves to the kernel.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use outgate_fastpath::{FastPath, Reason};
use outgate_testkit::{Namespace, TcpEcho, TcpProbe, UdpEcho, UdpStream, wait_until};
use support::{FAR, GUEST, PUBLIC, STATIC, with_both};

const LIMIT: Duration = Duration::from_secs(60);

/// Datagrams to `to`, which arrive at `server`, take the fast path and all come back.
fn is_carried(fast: &FastPath, client: &Namespace, to: SocketAddrV4, server: (&Namespace, SocketAddrV4)) {
    let _echo = UdpEcho::start(server.0, server.1).unwrap();
    let hits = || fast.counters().unwrap().get(Reason::Hit);
    let before = hits();
    let stream = UdpStream::start(client, to, 500).unwrap();
    wait_until(LIMIT, "both directions take the fast path", || {
        (hits() > before + 400).then_some(())
    })
    .unwrap_or_else(|e| panic!("to {to}: {e}: {}", fast.counters().unwrap()));
    let loss = stream.stop();
    assert_eq!(loss.lost(), 0, "to {to}: {loss:?}");
}

#[test]
fn a_forwarded_port_is_carried() {
    with_both(|world, fast| {
        let server = SocketAddrV4::new(GUEST, 80);
        let to = SocketAddrV4::new(PUBLIC, 8080);
        is_carried(fast, &world.far, to, (&world.guest, server));
        let traffic = fast.traffic().unwrap()[&(PUBLIC, world.eth0)];
        assert!(
            traffic.inward.packets > 0 && traffic.outward.packets > 0,
            "{traffic:?}"
        );
    });
}

#[test]
fn static_nat_is_carried_and_counted_as_its_own_address() {
    with_both(|world, fast| {
        let server = SocketAddrV4::new(Ipv4Addr::new(10, 1, 1, 20), 9);
        let to = SocketAddrV4::new(STATIC, 9);
        is_carried(fast, &world.far, to, (&world.guest, server));
        let traffic = fast.traffic().unwrap();
        assert!(traffic[&(STATIC, world.eth0)].inward.packets > 0, "{traffic:?}");
        assert_eq!(traffic[&(PUBLIC, world.eth0)].inward.packets, 0, "{traffic:?}");
    });
}

#[test]
fn a_guest_reaches_its_own_public_address_through_the_fast_path() {
    with_both(|world, fast| {
        let server = SocketAddrV4::new(GUEST, 80);
        let to = SocketAddrV4::new(PUBLIC, 8080);
        is_carried(fast, &world.guest, to, (&world.guest, server));
        let traffic = fast.traffic().unwrap()[&(PUBLIC, world.eth0)];
        assert_eq!(
            traffic.inward.packets + traffic.outward.packets,
            0,
            "it does not cross the public side: {traffic:?}"
        );
    });
}

#[test]
fn a_session_with_a_helper_stays_the_kernels() {
    with_both(|world, fast| {
        world.nft(
            "table ip helped {
                ct helper ftp { type \"ftp\" protocol tcp; }
                chain pre { type filter hook prerouting priority -150; tcp dport 21 ct helper set \"ftp\"; }
            }",
        );
        let server = TcpEcho::start(&world.far, SocketAddrV4::new(FAR, 21)).unwrap();
        let mut probe = TcpProbe::connect(&world.guest, server.address, LIMIT).unwrap();
        let count = |reason| fast.counters().unwrap().get(reason);
        wait_until(LIMIT, "the helper is the reason", || {
            probe.echo(b"NOOP\r\n").unwrap();
            (count(Reason::KernelLease) > 10).then_some(())
        })
        .unwrap_or_else(|e| panic!("{e}: {}", fast.counters().unwrap()));
        assert_eq!(
            (count(Reason::Hit), count(Reason::Helped) > 0),
            (0, true),
            "{}",
            fast.counters().unwrap()
        );
    });
}
