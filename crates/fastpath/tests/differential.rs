// SPDX-License-Identifier: Apache-2.0
//! The same random packets through the kernel alone and through the fast path: every byte that comes out, and every
//! conntrack entry, must be the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test"
)]

mod support;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use outgate_fastpath::{FastPath, Hook, Reason, Settings};
use support::frame::{Frame, sum, udp};
use support::traffic::{Side, Traffic};
use support::wire::Wire;
use support::{FAR, GUEST, GUEST_MAC, INSIDE_MAC, PUBLIC, STATIC, TIMEOUTS, World, on_one_cpu};

/// Packets for each hook. `./x soak fastpath` asks for more.
const PACKETS: u32 = 500_000;
const BATCH: u32 = 200;
/// Each so many batches somebody changes something.
const CHANGE_EVERY: u32 = 250;
const PATIENCE: Duration = Duration::from_secs(60);
/// How many echo requests and replies netfilter sees.
const SEEN: &str = "table ip seen {
    counter echo { }
    chain pre { type filter hook prerouting priority -300;
        icmp type { echo-request, echo-reply } counter name echo
    }
}";
/// The port of the packet that ends a batch.
const LAST: u16 = 9_999;

#[test]
fn through_tcx_every_byte_and_every_session_is_as_through_the_kernel() {
    compare(Hook::Tcx);
}

#[test]
fn through_xdp_every_byte_and_every_session_is_as_through_the_kernel() {
    compare(Hook::Xdp);
}

struct Path {
    world: World,
    guest: Wire,
    far: Wire,
    fast: Option<FastPath>,
    /// Numbers of the batches whose last packet has arrived.
    last: u32,
}

impl Path {
    fn new(hook: Option<Hook>) -> Self {
        let world = World::bare();
        // What is larger than the way out, the kernel refuses or fragments.
        world
            .router
            .check(&["ip", "link", "set", "eth2", "mtu", "1400"])
            .unwrap();
        // Nothing may end by its age during the test, and no error may be held back.
        for name in [
            "udp_timeout",
            "icmp_timeout",
            "generic_timeout",
            "tcp_timeout_close",
            "tcp_timeout_time_wait",
        ] {
            world.netfilter(name, 6_000);
        }
        for name in [
            "syn_sent",
            "syn_recv",
            "fin_wait",
            "close_wait",
            "last_ack",
            "unacknowledged",
            "max_retrans",
        ] {
            world.netfilter(&format!("tcp_timeout_{name}"), 6_000);
        }
        world.router.sysctl("net.ipv4.icmp_ratemask", "0").unwrap();
        world.router.sysctl("net.ipv4.ipfrag_time", "6000").unwrap();
        world.nft(SEEN);
        let fast = hook.map(|hook| {
            world.fast_with(Settings {
                hook,
                leases: 1 << 12,
                ..Settings::default()
            })
        });
        Self {
            guest: Wire::open(&world.guest, "g0"),
            far: Wire::open(&world.far, "e0"),
            world,
            fast,
            last: 0,
        }
    }

    fn send(&self, side: Side, frame: &[u8]) {
        match side {
            Side::Guest => self.guest.send(frame),
            Side::Far => self.far.send(frame),
        }
    }

    fn echo_seen(&self) -> u64 {
        let list = ["nft", "list", "counter", "ip", "seen", "echo"];
        let listing = self.world.router.check(&list).unwrap();
        let mut words = listing.split_whitespace().skip_while(|word| *word != "packets");
        words.nth(1).unwrap().parse().unwrap()
    }

    /// Takes what has come out, adding `by` for each frame to the sum of all.
    fn take(&mut self, by: i32, sum: &mut HashMap<(bool, Vec<u8>), i32>) {
        for is_far in [false, true] {
            let wire = if is_far { &mut self.far } else { &mut self.guest };
            while let Some(frame) = wire.receive() {
                let Some(frame) = comparable(frame) else { continue };
                if let Some(batch) = batch_of(&frame) {
                    self.last = batch;
                }
                let entry = sum.entry((is_far, frame));
                let entry = entry.and_modify(|n| *n += by);
                if let std::collections::hash_map::Entry::Occupied(entry) = entry {
                    if *entry.get() == 0 {
                        entry.remove();
                    }
                } else {
                    entry.or_insert(by);
                }
            }
        }
    }
}

/// Without padding; without what the kernel chooses by itself in its own messages. `None`: not IPv4.
fn comparable(frame: &[u8]) -> Option<Vec<u8>> {
    if frame.get(12..14)? != [8, 0] {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([*frame.get(16)?, *frame.get(17)?]));
    let mut frame = frame.get(..14 + total)?.to_vec();
    let is_own =
        frame[15] & 0xc0 == 0xc0 || frame[26..30] == PUBLIC.octets() || frame[26..30] == STATIC.octets();
    if frame[23] == 1 && is_own && (frame[14] != 0x45 || matches!(frame.get(34), Some(0 | 3 | 11 | 12))) {
        let header = usize::from(frame[14] & 15) * 4;
        assert_eq!(sum(0, &frame[14..14 + header]), 0xffff, "{frame:02x?}");
        frame[18..20].fill(0);
        frame[24..26].fill(0);
    }
    Some(frame)
}

/// The packet that ends a batch; it has the batch's number in it.
fn last_of(batch: u32) -> Vec<u8> {
    let body = udp((GUEST, LAST), (FAR, LAST), &batch.to_be_bytes());
    let frame = Frame {
        to: INSIDE_MAC,
        from: GUEST_MAC,
        source: GUEST,
        destination: FAR,
        protocol: 17,
        ttl: 64,
        tos: 0,
        id: 0,
        fragment: 0,
        options: Vec::new(),
        body,
    };
    frame.bytes()
}

fn batch_of(frame: &[u8]) -> Option<u32> {
    let is_last =
        frame.get(36..38)? == LAST.to_be_bytes() && frame[23] == 17 && frame[30..34] == FAR.octets();
    let number = frame.get(42..46)?.try_into().ok()?;
    is_last.then(|| u32::from_be_bytes(number))
}

fn compare(hook: Hook) {
    on_one_cpu(hook);
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("OUTGATE_SEED").unwrap_or_else(rand::random);
    let packets = number("OUTGATE_PACKETS").map_or(PACKETS, |n| u32::try_from(n).unwrap());
    let mut traffic = Traffic::new(seed, 400);
    let mut paths = [Path::new(None), Path::new(Some(hook))];
    let mut sum = HashMap::new();
    let started = Instant::now();
    for batch in 1..=packets / BATCH {
        if batch % CHANGE_EVERY == 0 {
            change(&paths, &mut traffic, batch / CHANGE_EVERY);
        }
        let side = if batch % 2 == 0 { Side::Far } else { Side::Guest };
        let frames: Vec<_> = (0..BATCH).map(|_| traffic.next(side)).collect();
        let last = last_of(batch);
        for path in &paths {
            for frame in &frames {
                path.send(side, frame);
            }
            path.guest.send(&last);
        }
        wait(&mut paths, batch, &mut sum, seed);
    }
    let counters = paths[1].fast.as_ref().unwrap().counters().unwrap();
    println!(
        "{hook}, seed {seed}, {packets} packets in {:?}: {counters}",
        started.elapsed()
    );
    let hits = counters.get(Reason::Hit);
    assert!(
        hits > u64::from(packets) / 4,
        "hardly any took the fast path: {counters}"
    );
    same_sessions(&paths, seed);
    let echo = paths.each_ref().map(Path::echo_seen);
    println!("{echo:?} echo requests and replies went through the kernels");
    assert!(
        echo[1] + u64::from(packets) / 500 < echo[0],
        "hardly any ping took the fast path: {echo:?}, {counters}"
    );
    let reasons = [
        Reason::Fragment,
        Reason::Options,
        Reason::TtlEnds,
        Reason::Malformed,
        Reason::OverMtu,
    ];
    for reason in reasons.into_iter().chain([
        Reason::TcpFlags,
        Reason::NotSettled,
        Reason::NeighbourUse,
        Reason::First,
    ]) {
        assert!(counters.get(reason) > 0, "no {}: {counters}", reason.name());
    }
}

/// Waits until the batch has come out of both, and until they came to the same.
fn wait(paths: &mut [Path; 2], batch: u32, sum: &mut HashMap<(bool, Vec<u8>), i32>, seed: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let [kernel, fast] = paths;
        kernel.take(1, sum);
        fast.take(-1, sum);
        if kernel.last == batch && fast.last == batch && sum.is_empty() {
            return;
        }
        if Instant::now() > deadline {
            let mut differences: Vec<_> = sum.iter().collect();
            differences.sort();
            differences.truncate(6);
            let counters = fast.fast.as_ref().unwrap().counters().unwrap();
            panic!(
                "seed {seed}, batch {batch}, arrived {} and {}; only in one (1 the kernel's, -1 the fast path's): {differences:02x?}\n{counters}",
                kernel.last, fast.last
            );
        }
        std::thread::yield_now();
    }
}

/// Somebody deletes sessions, or a rule comes and goes.
fn change(paths: &[Path; 2], traffic: &mut Traffic, number: u32) {
    let suspended = || paths.iter().filter_map(|path| path.fast.as_ref());
    for fast in suspended() {
        fast.control().suspend().unwrap();
    }
    match number % 3 {
        0 => {
            let drop = "insert rule ip outgate forward udp sport 20001-20101 drop
                insert rule ip outgate forward icmp type echo-request icmp id 25000-25020 drop";
            paths.iter().for_each(|path| path.world.nft(drop));
            let (ports, ids): (Vec<_>, Vec<_>) = ((20_001..=20_101).collect(), (25_000..=25_020).collect());
            delete(paths, "udp", &ports);
            delete(paths, "icmp", &ids);
            traffic.close(|port| ports.contains(&port) || ids.contains(&port), true);
        }
        1 => {
            let script = format!("flush table ip outgate\n{}", support::RULES);
            paths.iter().for_each(|path| path.world.nft(&script));
            let is_meant = |port| (20_001..=20_101).contains(&port) || (25_000..=25_020).contains(&port);
            traffic.close(is_meant, false);
        }
        _ => {
            let ports: Vec<_> = (0..20)
                .map(|n| u16::try_from(20_000 + (number + n * 2) % 400).unwrap())
                .collect();
            for protocol in ["tcp", "udp"] {
                delete(paths, protocol, &ports);
            }
            let ids: Vec<_> = (0..10)
                .map(|n| 25_000 + u16::try_from(number + n * 2).unwrap() % 100)
                .collect();
            delete(paths, "icmp", &ids);
            traffic.close(|port| ports.contains(&port) || ids.contains(&port), false);
        }
    }
    // As the engine does when a change takes a right away: first the sessions end, then the leases.
    for fast in suspended() {
        let control = fast.control();
        assert!(control.resume(control.suspensions(), TIMEOUTS).unwrap());
    }
}

fn delete(paths: &[Path; 2], protocol: &str, ports: &[u16]) {
    for path in paths {
        for port in ports {
            let port = port.to_string();
            let which = if protocol == "icmp" {
                "--icmp-id"
            } else {
                "--orig-port-src"
            };
            // There may be none.
            let delete = ["conntrack", "-D", "-p", protocol, which, &port];
            let _ = path.world.router.run(&delete).unwrap();
        }
    }
}

/// Tuples, states and flags; not the time that is left.
fn same_sessions(paths: &[Path; 2], seed: u64) {
    let [kernel, fast] = paths.each_ref().map(|path| {
        let listing = path.world.router.check(&["conntrack", "-L"]).unwrap();
        let sessions = listing.lines().map(|line| {
            let is_time = |(place, word): &(usize, &str)| *place == 2 && word.parse::<u64>().is_ok();
            let words = line.split_whitespace().enumerate();
            words
                .filter(|w| !is_time(w))
                .map(|(_, word)| word)
                .collect::<Vec<_>>()
                .join(" ")
        });
        sessions.collect::<BTreeSet<_>>()
    });
    let only: Vec<_> = kernel.symmetric_difference(&fast).take(10).collect();
    assert!(only.is_empty(), "seed {seed}: {only:#?}");
    assert!(kernel.len() > 200, "{}", kernel.len());
}
