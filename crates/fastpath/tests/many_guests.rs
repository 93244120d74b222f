// SPDX-License-Identifier: Apache-2.0
//! What comes back goes to many guests, each of whom has a path of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use outgate_fastpath::{Counters, FastPath, Hook, Reason};
use outgate_model::MacAddr;
use outgate_testkit::wait_until;
use support::frame::{Frame, udp};
use support::wire::Wire;
use support::{FAR, FAR_MAC, GUEST_MAC, INSIDE_MAC, OUTSIDE_MAC, PUBLIC, World, neighbour, on_one_cpu};

const LIMIT: Duration = Duration::from_secs(60);

/// Guests with a session each, that are all answered in rounds.
struct Guests {
    inside: Wire,
    outside: Wire,
    addresses: Vec<Ipv4Addr>,
}

impl Guests {
    /// Neighbours of the router.
    fn neighbours(world: &World, count: u8) -> Self {
        let addresses: Vec<_> = (100..100 + count)
            .map(|n| Ipv4Addr::from([10, 1, 1, n]))
            .collect();
        for address in &addresses {
            neighbour(&world.router, &address.to_string(), GUEST_MAC, "eth0");
        }
        Self::new(world, addresses)
    }

    /// Behind a guest that is a router.
    fn behind_one(world: &World, count: u16) -> Self {
        let route = ["ip", "route", "add", "10.2.0.0/16", "via", "10.1.1.10"];
        world.router.check(&route).unwrap();
        world.nft("add rule ip outgate post oifname \"eth2\" ip saddr 10.2.0.0/16 snat to 203.0.113.2");
        let first = u32::from(Ipv4Addr::new(10, 2, 0, 0));
        let addresses = (0..u32::from(count)).map(|n| Ipv4Addr::from(first + n));
        Self::new(world, addresses.collect())
    }

    fn new(world: &World, addresses: Vec<Ipv4Addr>) -> Self {
        Self {
            inside: Wire::open(&world.guest, "g0"),
            outside: Wire::open(&world.far, "e0"),
            addresses,
        }
    }

    /// Each guest with a port of its own, which translation keeps.
    fn all(&self) -> impl Iterator<Item = (Ipv4Addr, u16)> {
        self.addresses.iter().copied().zip(1_024..)
    }

    /// Each asks once.
    fn ask(&self) {
        for guest in self.all() {
            self.inside.send(&frame((GUEST_MAC, INSIDE_MAC), guest, (FAR, 9)));
        }
    }

    /// Each is answered once. How many of the answers arrive.
    fn answer(&mut self) -> u64 {
        while self.inside.receive().is_some() {}
        for (_, port) in self.all() {
            let macs = (FAR_MAC, OUTSIDE_MAC);
            self.outside.send(&frame(macs, (FAR, 9), (PUBLIC, port)));
        }
        let mut arrived = 0;
        let _ = wait_until(Duration::from_secs(20), "all answers", || {
            while self.inside.receive().is_some() {
                arrived += 1;
            }
            (arrived == self.addresses.len() as u64).then_some(())
        });
        arrived
    }

    /// Answers until in one round at least so many are carried by the fast path. What that round was.
    fn answer_until(&mut self, fast: &FastPath, carried: u64) -> Round {
        let read = || fast.counters().unwrap();
        wait_until(LIMIT, "a round of answers takes the fast path", || {
            self.ask();
            self.answer();
            let before = read();
            let arrived = self.answer();
            let round = Round::between(&before, &read(), arrived);
            (round.carried >= carried).then_some(round)
        })
        .unwrap_or_else(|e| panic!("{e}: {}", read()))
    }
}

#[derive(Debug)]
struct Round {
    arrived: u64,
    carried: u64,
    without_room: u64,
}

impl Round {
    fn between(before: &Counters, after: &Counters, arrived: u64) -> Self {
        let count = |reason| after.get(reason) - before.get(reason);
        Self {
            arrived,
            carried: count(Reason::Hit),
            without_room: count(Reason::KernelLease),
        }
    }
}

fn frame(macs: (MacAddr, MacAddr), from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)) -> Vec<u8> {
    let frame = Frame {
        to: macs.1,
        from: macs.0,
        source: from.0,
        destination: to.0,
        protocol: 17,
        ttl: 64,
        tos: 0,
        id: 0,
        fragment: 0x4000,
        options: Vec::new(),
        body: udp(from, to, b"answer"),
    };
    frame.bytes()
}

#[test]
fn answers_to_forty_guests_all_take_the_fast_path() {
    for hook in [Hook::Tcx, Hook::Xdp] {
        on_one_cpu(hook);
        let world = World::bare();
        let fast = world.fast(hook);
        let round = Guests::neighbours(&world, 40).answer_until(&fast, 40);
        assert_eq!((round.arrived, round.carried), (40, 40), "{hook}: {round:?}");
    }
}

#[test]
fn more_guests_than_there_are_paths_are_served_some_by_the_fast_path_and_some_by_the_kernel() {
    on_one_cpu(Hook::Tcx);
    let world = World::bare();
    let fast = world.fast(Hook::Tcx);
    // 4,096 paths in sets of eight.
    let round = Guests::behind_one(&world, 6_000).answer_until(&fast, 3_000);
    assert_eq!(round.arrived, 6_000, "{round:?}");
    // The others' paths may have run out meanwhile, on a machine that is busy.
    assert!(round.without_room > 300, "{round:?}");
}
