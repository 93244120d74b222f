// SPDX-License-Identifier: Apache-2.0
//! Nothing that the kernel is told stays without effect on a running flow for longer than a second, even if nobody tells
//! the fast path.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use std::net::SocketAddrV4;
use std::time::Duration;

use outgate_fastpath::{FastPath, Hook, Reason};
use outgate_testkit::{UdpEcho, UdpStream, wait_until};
use support::{FAR, World, neighbour, with_both};

/// How long what will come is waited for, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a lease is good for, and a part of a second for the clocks' steps.
const A_SECOND: Duration = Duration::from_millis(1_010);

/// A flow of datagrams that the fast path carries, both ways.
struct Flow {
    stream: UdpStream,
    _echo: UdpEcho,
}

fn flow(world: &World, fast: &FastPath) -> Flow {
    let echo = UdpEcho::start(&world.far, SocketAddrV4::new(FAR, 7)).unwrap();
    let stream = UdpStream::start(&world.guest, echo.address, 500).unwrap();
    wait_until(LIMIT, "the flow takes the fast path", || {
        (fast.counters().unwrap().get(Reason::Hit) > 200).then_some(())
    })
    .unwrap_or_else(|e| panic!("{e}: {}", fast.counters().unwrap()));
    let before = stream.received();
    wait_until(LIMIT, "it comes back", || {
        (stream.received() > before + 100).then_some(())
    })
    .unwrap();
    Flow { stream, _echo: echo }
}

/// Does something that must stop the flow: no datagram comes back that was sent more than a second later, however late it
/// is seen that others do.
fn stops(world: &World, fast: &FastPath, what: &str, work: impl FnOnce(&World)) {
    let flow = flow(world, fast);
    work(world);
    std::thread::sleep(A_SECOND);
    let sent = flow.stream.sent();
    let more = || (flow.stream.sent() > sent + 500).then_some(());
    wait_until(LIMIT, "500 more are sent", more).unwrap();
    let latest = flow.stream.latest();
    assert!(
        latest <= sent,
        "{what}: {latest} came back, {sent} were sent by then"
    );
}

#[test]
fn a_session_that_is_deleted_from_conntrack_stops_within_a_second() {
    with_both(|world, fast| {
        stops(world, fast, "conntrack -D", |world| {
            world.nft("insert rule ip outgate forward ct state new drop");
            world.router.check(&["conntrack", "-D", "-p", "udp"]).unwrap();
        });
    });
}

#[test]
fn a_route_that_changes_redirects_a_running_flow_within_a_second() {
    with_both(|world, fast| {
        stops(world, fast, "a route to nowhere", |world| {
            world
                .router
                .check(&["ip", "route", "add", "blackhole", "203.0.113.1/32"])
                .unwrap();
        });
    });
}

#[test]
fn a_neighbour_that_changes_redirects_a_running_flow_within_a_second() {
    with_both(|world, fast| {
        stops(world, fast, "another Ethernet address", |world| {
            let elsewhere = outgate_model::MacAddr([2, 0, 0, 0, 9, 9]);
            neighbour(&world.router, "203.0.113.1", elsewhere, "eth2");
        });
    });
}

#[test]
fn suspending_takes_effect_on_the_next_packet() {
    with_both(|world, fast| {
        let flow = flow(world, fast);
        fast.control().suspend().unwrap();
        let hits = || fast.counters().unwrap().get(Reason::Hit);
        let before = hits();
        std::thread::sleep(Duration::from_millis(300));
        assert!(hits() <= before + 1, "one may have been under way");
        assert_eq!(flow.stream.stop().lost(), 0, "the kernel carries on");
    });
}

#[test]
fn a_session_that_only_the_fast_path_sees_does_not_age() {
    let world = World::new();
    let fast = world.fast(Hook::Tcx);
    world.netfilter("udp_timeout_stream", 4);
    let flow = flow(&world, &fast);
    // No packet but one a second for each neighbour reaches the kernel; the entry gets 300 s from each lease.
    let left = wait_until(LIMIT, "the entry's time is the lease's", || {
        let listing = world.router.check(&["conntrack", "-L", "-p", "udp"]).unwrap();
        let seconds = listing.split_whitespace().nth(2)?.parse::<u64>().ok()?;
        (seconds > 290).then_some(seconds)
    });
    assert!(left.unwrap() <= 300);
    assert_eq!(flow.stream.stop().lost(), 0);
}

#[test]
fn the_kernel_goes_on_checking_a_neighbour_that_the_fast_path_uses() {
    let world = World::new();
    world
        .router
        .check(&["ip", "neigh", "del", "203.0.113.1", "dev", "eth2"])
        .unwrap();
    world
        .router
        .sysctl("net.ipv4.neigh.eth2.base_reachable_time_ms", "1000")
        .unwrap();
    world
        .router
        .sysctl("net.ipv4.neigh.eth2.delay_first_probe_time", "1")
        .unwrap();
    let fast = world.fast(Hook::Tcx);
    let flow = flow(&world, &fast);
    let state = || {
        world
            .router
            .check(&["ip", "neigh", "show", "203.0.113.1"])
            .unwrap()
    };
    for wanted in ["STALE", "REACHABLE", "STALE", "REACHABLE"] {
        // STALE may be shown as the states behind it: the kernel asks.
        let is_so = || {
            let now = state();
            let asks = ["STALE", "DELAY", "PROBE"].iter().any(|s| now.contains(s));
            (if wanted == "STALE" {
                asks
            } else {
                now.contains(wanted)
            })
            .then_some(())
        };
        wait_until(LIMIT, wanted, is_so).unwrap_or_else(|e| panic!("{e}: {}", state()));
    }
    assert_eq!(flow.stream.stop().lost(), 0);
}

#[test]
fn bytes_are_counted_for_the_public_address_and_both_directions() {
    with_both(|world, fast| {
        let flow = flow(world, fast);
        let loss = flow.stream.stop();
        assert_eq!(loss.lost(), 0);
        let traffic = fast.traffic().unwrap()[&(support::PUBLIC, world.eth0)];
        let hits = fast.counters().unwrap().get(Reason::Hit);
        assert_eq!(traffic.outward.packets + traffic.inward.packets, hits);
        assert_eq!(
            traffic.outward.bytes,
            traffic.outward.packets * 36,
            "20 + 8 + 8 bytes each"
        );
        assert_eq!(traffic.inward.bytes, traffic.inward.packets * 36);
        assert!(
            traffic.outward.packets > 50 && traffic.inward.packets > 50,
            "{traffic:?}"
        );
    });
}

#[test]
fn a_lease_goes_on_as_long_as_conntrack_says_the_same_and_a_route_ends_it_at_once() {
    with_both(|world, fast| {
        let flow = flow(world, fast);
        let count = |reason| fast.counters().unwrap().get(reason);
        wait_until(LIMIT, "conntrack alone is asked again", || {
            (count(Reason::Renewed) > 3).then_some(())
        })
        .unwrap();
        let before = count(Reason::Leased);
        // A route that is none of the flow's: the kernel's count of changes rises.
        let add = ["ip", "route", "add", "192.0.2.0/24", "via", "203.0.113.1"];
        world.router.check(&add).unwrap();
        wait_until(LIMIT, "both directions ask for a route again", || {
            (count(Reason::Leased) >= before + 2).then_some(())
        })
        .unwrap();
        assert_eq!(flow.stream.stop().lost(), 0);
    });
}
