// SPDX-License-Identifier: Apache-2.0
//! The programs' life: how fast they load, what happens when they come and go under traffic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use outgate_fastpath::{Hook, Reason};
use outgate_testkit::{UdpEcho, UdpStream, wait_until};
use support::{FAR, World};

#[test]
fn it_loads_and_attaches_in_less_than_200_milliseconds() {
    let world = World::new();
    for hook in [Hook::Tcx, Hook::Xdp] {
        let fastest = (0..5)
            .map(|_| {
                let started = Instant::now();
                let fast = world.fast(hook);
                let took = started.elapsed();
                drop(fast);
                took
            })
            .min()
            .unwrap();
        assert!(fastest < Duration::from_millis(200), "{hook}: {fastest:?}");
    }
}

#[test]
fn it_comes_and_goes_without_losing_a_packet() {
    let world = World::new();
    let echo = UdpEcho::start(&world.far, SocketAddrV4::new(FAR, 7)).unwrap();
    let stream = UdpStream::start(&world.guest, echo.address, 1_000).unwrap();
    let mut hits = 0;
    for _ in 0..3 {
        let fast = world.fast(Hook::Tcx);
        wait_until(Duration::from_secs(20), "packets take the fast path", || {
            (fast.counters().unwrap().get(Reason::Hit) > 500).then_some(())
        })
        .unwrap_or_else(|e| panic!("{e}: {}", fast.counters().unwrap()));
        hits += fast.counters().unwrap().get(Reason::Hit);
        drop(fast);
    }
    let loss = stream.stop();
    assert_eq!(loss.lost(), 0, "{loss:?}");
    assert!(hits >= 1_500);
}
