// SPDX-License-Identifier: Apache-2.0
//! Single frames through the programs: arbitrary bytes change nothing; what is translated has right checksums, for any
//! addresses and ports.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use std::net::Ipv4Addr;

use outgate_fastpath::{FastPath, Hook};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::frame::{ACK, Frame, sum, tcp, transport_is_right, udp};
use support::traffic::{Side, Traffic};
use support::{GUEST, GUEST_MAC, INSIDE_MAC, World};

const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;
const TCX_NEXT: u32 = u32::MAX;
const TC_REDIRECT: u32 = 7;
const FRAMES: u32 = 100_000;

fn answers(hook: Hook) -> (u32, u32) {
    match hook {
        Hook::Xdp => (XDP_PASS, XDP_REDIRECT),
        Hook::Tcx => (TCX_NEXT, TC_REDIRECT),
    }
}

#[test]
fn arbitrary_bytes_go_to_the_kernel_as_they_came() {
    let world = World::bare();
    for hook in [Hook::Xdp, Hook::Tcx] {
        let fast = world.fast(hook);
        let seed = rand::random();
        let mut random = StdRng::seed_from_u64(seed);
        let mut traffic = Traffic::new(seed, 50);
        let (pass, _) = answers(hook);
        world
            .router
            .within(|| {
                for number in 0..FRAMES {
                    let mut frame = match number % 3 {
                        0 => vec![0; random.random_range(14..200)],
                        _ => traffic.next(if number % 2 == 0 { Side::Guest } else { Side::Far }),
                    };
                    if number % 3 == 0 {
                        random.fill(frame.as_mut_slice());
                    } else if number % 3 == 1 {
                        for _ in 0..random.random_range(1..6) {
                            let at = random.random_range(0..frame.len());
                            frame[at] = random.random();
                        }
                    }
                    if frame.len() > 1_500 || (hook == Hook::Tcx && is_cut_short(&frame)) {
                        continue;
                    }
                    let interface = if random.random() { world.eth0 } else { world.eth2 };
                    let (answer, after) = fast.try_frame(interface, &frame).unwrap();
                    assert_eq!(answer, pass, "{hook}, seed {seed}: {frame:02x?}");
                    assert!(
                        after == frame,
                        "{hook}, seed {seed}: {frame:02x?} became {after:02x?}"
                    );
                }
            })
            .unwrap();
    }
}

/// Whether it says that it is IP and has no room for IP's header: the kernel makes no packet buffer of that for a test run.
fn is_cut_short(frame: &[u8]) -> bool {
    let header = match frame[12..14] {
        [0x08, 0x00] => 20,
        [0x86, 0xdd] => 40,
        _ => 0,
    };
    frame.len() < 14 + header
}

/// A session that a guest opened, with any addresses and ports outside.
struct Mapping {
    protocol: u8,
    guest: u16,
    far: (Ipv4Addr, u16),
    public: (Ipv4Addr, u16),
}

/// Puts it into conntrack, established.
fn insert(world: &World, m: &Mapping) -> bool {
    let nat = format!("{}:{}", m.public.0, m.public.1);
    let (sport, dport) = (m.guest.to_string(), m.far.1.to_string());
    let (guest, far) = (GUEST.to_string(), m.far.0.to_string());
    let mut insert = vec![
        "conntrack",
        "-I",
        "-p",
        if m.protocol == 6 { "tcp" } else { "udp" },
    ];
    insert.extend(["-s", &guest, "-d", &far, "--sport", &sport, "--dport", &dport]);
    insert.extend(["--src-nat", &nat, "-t", "600", "-u", "ASSURED,SEEN_REPLY"]);
    if m.protocol == 6 {
        insert.extend(["--state", "ESTABLISHED"]);
    }
    world.router.run(&insert).unwrap().status.success()
}

#[test]
fn incremental_checksums_are_those_of_the_whole_packet_for_any_address_and_port() {
    let world = World::bare();
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let address = |random: &mut StdRng| {
        // 100.64.0.0 to 223.255.255.255 without the loopback and the documentation's own 203.0.113.0/24.
        loop {
            let address = Ipv4Addr::from(random.random_range(0x6440_0000..0xdfff_ffff_u32));
            if !address.is_loopback() && !address.is_documentation() && !address.is_link_local() {
                return address;
            }
        }
    };
    let edges = [1, 0xff, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff];
    let mut mappings = Vec::new();
    for number in 0..60 {
        let mut port = || match random.random_range(0..3) {
            0 => edges[random.random_range(0..edges.len())],
            _ => random.random_range(1..=0xffff),
        };
        let (guest, far, public) = (port(), port(), port());
        let mapping = Mapping {
            protocol: if number % 2 == 0 { 6 } else { 17 },
            guest,
            far: (address(&mut random), far),
            public: (address(&mut random), public),
        };
        if insert(&world, &mapping) {
            mappings.push(mapping);
        }
    }
    assert!(mappings.len() > 30, "{}", mappings.len());
    for hook in [Hook::Xdp, Hook::Tcx] {
        let mut fast = world.fast(hook);
        let accounts = mappings.iter().map(|m| (m.public.0, world.eth0));
        fast.count(&accounts.collect()).unwrap();
        let check = || {
            let mut translated = 0;
            for number in 0..20_000 {
                let mapping = &mappings[number % mappings.len()];
                translated += u32::from(is_translated_rightly(&fast, hook, &world, mapping, &mut random));
            }
            translated
        };
        let translated = world.router.within(check).unwrap();
        assert!(
            translated > 15_000,
            "{hook}, seed {seed}: {}",
            fast.counters().unwrap()
        );
    }
}

fn is_translated_rightly(
    fast: &FastPath,
    hook: Hook,
    world: &World,
    m: &Mapping,
    random: &mut StdRng,
) -> bool {
    let mut payload = vec![0; random.random_range(0..64)];
    random.fill(payload.as_mut_slice());
    let (from, to) = ((GUEST, m.guest), m.far);
    let mut body = match m.protocol {
        6 => tcp(from, to, (random.random(), random.random(), ACK), &[], &payload),
        _ => udp(from, to, &payload),
    };
    let has_no_checksum = m.protocol == 17 && random.random_range(0..10) == 0;
    let is_wrong = !has_no_checksum && random.random_range(0..10) == 0;
    if has_no_checksum {
        body[6..8].fill(0);
    }
    if is_wrong {
        let at = if m.protocol == 6 { 4 } else { 6 };
        body[at] ^= random.random_range(1..=0xff_u8);
    }
    let frame = Frame {
        to: INSIDE_MAC,
        from: GUEST_MAC,
        source: GUEST,
        destination: m.far.0,
        protocol: m.protocol,
        ttl: random.random_range(2..=255),
        tos: random.random(),
        id: random.random(),
        fragment: 0x4000,
        options: Vec::new(),
        body,
    };
    let bytes = frame.bytes();
    let (answer, after) = fast.try_frame(world.eth0, &bytes).unwrap();
    if answer != answers(hook).1 {
        assert!(after == bytes, "left to the kernel, and changed");
        return false;
    }
    let what = format!("{hook}: {bytes:02x?} became {after:02x?}");
    assert_eq!(sum(0, &after[14..34]), 0xffff, "{what}");
    assert_eq!(after[26..30], m.public.0.octets(), "{what}");
    assert_eq!(after[34..36], m.public.1.to_be_bytes(), "{what}");
    assert_eq!(after[30..34], m.far.0.octets(), "{what}");
    assert_eq!(after[22], bytes[22] - 1, "{what}");
    // A wrong checksum stays wrong: the receiver shall see it. One that is not there does not appear.
    let was_right = transport_is_right(&bytes);
    assert_eq!(transport_is_right(&after), was_right, "{what}");
    assert_eq!(
        m.protocol == 17 && after[40..42] == [0, 0],
        has_no_checksum,
        "{what}"
    );
    true
}
