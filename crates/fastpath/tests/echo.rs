// SPDX-License-Identifier: Apache-2.0
//! Pings take the fast path, translated as the kernel translates them, and only as long as it would let them pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use outgate_fastpath::{FastPath, Hook, Reason};
use outgate_model::MacAddr;
use outgate_testkit::{UdpEcho, UdpStream, wait_until};
use support::frame::{Frame, icmp, sum};
use support::wire::Wire;
use support::{
    FAR, FAR_MAC, GUEST, GUEST_MAC, INSIDE_MAC, OUTSIDE_MAC, PUBLIC, STATIC, TIMEOUTS, World, neighbour,
    with_both,
};

const LIMIT: Duration = Duration::from_secs(60);
/// How long a lease is good for, and a part of a second for the clocks' steps.
const A_SECOND: Duration = Duration::from_millis(1_010);
const REQUEST: u8 = 8;
const REPLY: u8 = 0;
const PAYLOAD: &[u8; 56] = &[0x5a; 56];
/// Of a ping, from the IPv4 header on.
const BYTES: u64 = 20 + 8 + 56;

/// Who pings whom, by hand. The other side's kernel answers.
struct Pings {
    wire: Wire,
    macs: (MacAddr, MacAddr),
    from: Ipv4Addr,
    to: Ipv4Addr,
    id: u16,
    sequence: u16,
}

impl Pings {
    fn of_guest(world: &World, from: Ipv4Addr, id: u16) -> Self {
        Self {
            wire: Wire::open(&world.guest, "g0"),
            macs: (INSIDE_MAC, GUEST_MAC),
            from,
            to: FAR,
            id,
            sequence: 0,
        }
    }

    fn from_outside(world: &World, to: Ipv4Addr) -> Self {
        Self {
            wire: Wire::open(&world.far, "e0"),
            macs: (OUTSIDE_MAC, FAR_MAC),
            from: FAR,
            to,
            id: 9,
            sequence: 0,
        }
    }

    fn request(&mut self) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let ([a, b], [c, d]) = (self.id.to_be_bytes(), self.sequence.to_be_bytes());
        let frame = Frame {
            to: self.macs.0,
            from: self.macs.1,
            source: self.from,
            destination: self.to,
            protocol: 1,
            ttl: 64,
            tos: 0,
            id: 0,
            fragment: 0x4000,
            options: Vec::new(),
            body: icmp(REQUEST, 0, [a, b, c, d], PAYLOAD),
        };
        frame.bytes()
    }

    /// Whether one ping is answered, with its own identifier and number, its bytes and a right checksum.
    fn ping(&mut self, patience: Duration) -> bool {
        let request = self.request();
        self.wire.send(&request);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            match self.wire.receive() {
                Some(frame) if is_answer(frame, &request) => return true,
                Some(_) => {}
                None => std::thread::yield_now(),
            }
        }
        false
    }

    /// Pings until so many more packets have taken the fast path. Each is answered.
    fn until_carried(&mut self, fast: &FastPath, packets: u64) {
        let hits = || fast.counters().unwrap().get(Reason::Hit);
        let before = hits();
        wait_until(LIMIT, "requests and answers take the fast path", || {
            assert!(self.ping(LIMIT), "lost: {}", fast.counters().unwrap());
            (hits() >= before + packets).then_some(())
        })
        .unwrap_or_else(|e| panic!("{e}: {}", fast.counters().unwrap()));
    }
}

fn is_answer(frame: &[u8], request: &[u8]) -> bool {
    let is_it = frame.len() == request.len()
        && frame[12..14] == [8, 0]
        && frame[23] == 1
        && frame[34] == REPLY
        && frame[30..34] == request[26..30]
        && frame[38..42] == request[38..42];
    is_it.then(|| {
        assert_eq!(frame[26..30], request[30..34], "from whom was asked");
        assert_eq!(&frame[42..], PAYLOAD);
        assert_eq!((sum(0, &frame[14..34]), sum(0, &frame[34..])), (0xffff, 0xffff));
    });
    is_it
}

#[test]
fn pings_of_a_guest_are_carried_both_ways_and_counted_for_the_public_address() {
    with_both(|world, fast| {
        assert_eq!(fast.without_echo(), None);
        Pings::of_guest(world, GUEST, 7).until_carried(fast, 1_000);
        let traffic = fast.traffic().unwrap()[&(PUBLIC, world.eth0)];
        let hits = fast.counters().unwrap().get(Reason::Hit);
        let (out, back) = (traffic.outward, traffic.inward);
        assert_eq!(out.packets + back.packets, hits);
        assert!(out.packets > 400 && back.packets > 400, "{traffic:?}");
        assert_eq!(
            (out.bytes, back.bytes),
            (out.packets * BYTES, back.packets * BYTES)
        );
    });
}

#[test]
fn pings_from_outside_to_a_static_nat_address_are_carried() {
    with_both(|world, fast| {
        Pings::from_outside(world, STATIC).until_carried(fast, 400);
        let traffic = fast.traffic().unwrap();
        let of_static = traffic[&(STATIC, world.eth0)];
        assert!(
            of_static.inward.packets > 150 && of_static.outward.packets > 150,
            "{of_static:?}"
        );
        assert_eq!(traffic[&(PUBLIC, world.eth0)].outward.packets, 0);
    });
}

#[test]
fn two_guests_that_chose_one_identifier_are_told_apart_by_another_one_outside() {
    with_both(|world, fast| {
        let other = Ipv4Addr::new(10, 1, 1, 11);
        neighbour(&world.router, "10.1.1.11", GUEST_MAC, "eth0");
        let mut outside = Wire::open(&world.far, "e0");
        let mut pings = [GUEST, other].map(|guest| Pings::of_guest(world, guest, 7));
        for of_guest in &mut pings {
            of_guest.until_carried(fast, 200);
        }
        // What each of them looks like outside, all of it on the fast path.
        let ids = pings.map(|mut of_guest| {
            of_guest.until_carried(fast, 2);
            let mut seen = None;
            while let Some(frame) = outside.receive() {
                if frame[23] == 1 && frame[34] == REQUEST {
                    assert_eq!(frame[26..30], PUBLIC.octets());
                    seen = Some([frame[38], frame[39]]);
                }
            }
            seen.unwrap()
        });
        assert!(ids[0] != ids[1] && ids.contains(&[0, 7]), "{ids:?}");
    });
}

#[test]
fn pings_of_the_routers_own_address_stay_the_kernels() {
    with_both(|world, fast| {
        let mut pings = Pings::from_outside(world, PUBLIC);
        for _ in 0..300 {
            assert!(pings.ping(LIMIT));
        }
        let counters = fast.counters().unwrap();
        assert_eq!(counters.get(Reason::Hit), 0, "{counters}");
        assert!(counters.get(Reason::NoSession) > 200, "{counters}");
    });
}

#[test]
fn a_ping_whose_session_is_deleted_from_conntrack_is_not_carried_for_longer_than_a_second() {
    with_both(|world, fast| {
        let mut pings = Pings::of_guest(world, GUEST, 7);
        pings.until_carried(fast, 200);
        world.nft("insert rule ip outgate forward ct state new drop");
        world.router.check(&["conntrack", "-D", "-p", "icmp"]).unwrap();
        // No ping is answered that is sent after a second, however often it was asked for until then.
        let done = Instant::now();
        while done.elapsed() < A_SECOND {
            pings.ping(Duration::from_millis(20));
        }
        for _ in 0..50 {
            assert!(!pings.ping(Duration::from_millis(20)), "it goes on");
        }
    });
}

#[test]
fn a_change_of_rules_voids_what_was_noted_before() {
    with_both(|world, fast| {
        let mut pings = Pings::of_guest(world, GUEST, 7);
        pings.until_carried(fast, 200);
        let control = fast.control();
        control.suspend().unwrap();
        world.nft("insert rule ip outgate forward ip protocol icmp drop");
        assert!(control.resume(control.suspensions(), TIMEOUTS).unwrap());
        let hits = || fast.counters().unwrap().get(Reason::Hit);
        let before = hits();
        for _ in 0..20 {
            assert!(!pings.ping(Duration::from_millis(10)));
        }
        assert_eq!(hits(), before, "{}", fast.counters().unwrap());
    });
}

#[test]
fn a_session_of_pings_does_not_age_while_the_fast_path_carries_it() {
    with_both(|world, fast| {
        world.netfilter("icmp_timeout", 3);
        let mut pings = Pings::of_guest(world, GUEST, 7);
        let id = || {
            let listing = world
                .router
                .check(&["conntrack", "-L", "-p", "icmp", "-o", "id"])
                .unwrap();
            let id = listing
                .split_whitespace()
                .filter_map(|word| word.strip_prefix("id="))
                .next_back();
            id.map(str::to_owned)
        };
        pings.until_carried(fast, 10);
        let (first, started) = (id().unwrap(), Instant::now());
        while started.elapsed() < Duration::from_secs(5) {
            pings.until_carried(fast, 100);
        }
        assert_eq!(id().unwrap(), first, "the same entry");
    });
}

#[test]
fn where_what_notes_pings_has_no_place_they_are_the_kernels_and_all_else_is_carried() {
    let world = World::new();
    // Where a chain stands, the kernel takes no program.
    world.nft(
        "table ip late {
            chain post { type filter hook postrouting priority 2147483646; }
        }",
    );
    let fast = world.fast(Hook::Tcx);
    let reason = fast.without_echo().unwrap();
    assert!(reason.contains("POSTROUTING"), "{reason}");
    let mut pings = Pings::of_guest(&world, GUEST, 7);
    for _ in 0..100 {
        assert!(pings.ping(LIMIT));
    }
    let hits = || fast.counters().unwrap().get(Reason::Hit);
    assert_eq!(hits(), 0);
    let server = UdpEcho::start(&world.far, SocketAddrV4::new(FAR, 7)).unwrap();
    let stream = UdpStream::start(&world.guest, server.address, 500).unwrap();
    wait_until(LIMIT, "datagrams take the fast path", || {
        (hits() > 200).then_some(())
    })
    .unwrap_or_else(|e| panic!("{e}: {}", fast.counters().unwrap()));
    assert_eq!(stream.stop().lost(), 0);
}
