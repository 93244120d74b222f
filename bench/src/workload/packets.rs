// SPDX-License-Identifier: Apache-2.0
//! Packets per second.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, ensure};
use ipnet::Ipv4Net;

use super::{Better, Effort, Reading, SESSIONS, Workload};
use crate::contender::Contender;
use crate::traffic::{Answer, Attached, Generator, Sessions};
use crate::world::{PUBLIC, SERVER, World};

/// 64 bytes on the wire, of which the last four are Ethernet's checksum.
pub(super) const SMALL: usize = 60;
/// Of 594 and 1,518 bytes.
const MIDDLE: usize = 590;
const LARGE: usize = 1_514;
/// How often each session sends before anything is measured, so that it is established and its neighbours are known.
const PASSES: u32 = 3;

/// How long a UDP session is none of the streams.
const STREAM: Duration = Duration::from_millis(2_200);

/// A generator on the guests' side, a sink outside, and one for what comes back.
#[derive(Debug)]
pub struct Bench {
    /// Of the guests' packets.
    pub generator: Generator,
    /// Counts what arrives outside.
    pub outside: Attached,
    /// Counts what comes back.
    pub inside: Attached,
}

impl Bench {
    /// With every session established.
    ///
    /// # Errors
    /// When packets do not arrive.
    pub fn new(world: &World, sessions: Sessions) -> anyhow::Result<Self> {
        let bench = Self {
            generator: world.generator(sessions, SMALL)?,
            outside: Attached::sink(&world.outside, "e0", Answer::Reflect)?,
            inside: Attached::sink(&world.guests, "g0", Answer::Drop)?,
        };
        for _ in 0..PASSES {
            bench.generator.send(sessions.count)?;
        }
        // Conntrack takes a UDP session for a stream, which fast paths carry, from its second second on.
        std::thread::sleep(STREAM);
        bench.generator.send(sessions.count)?;
        let (arrived, _) = bench.outside.counted()?;
        ensure!(
            arrived >= u64::from(sessions.count),
            "only {arrived} packets of {} sessions arrived outside",
            sessions.count
        );
        Ok(bench)
    }
}

/// From the guests to the outside. Generator, router and sink share one core, which does nothing else: what a packet takes
/// of it is the time by the packets that arrived.
pub(super) fn one_way(world: &World, sessions: Sessions, effort: Effort) -> anyhow::Result<Vec<Reading>> {
    let mut bench = Bench::new(world, sessions)?;
    bench.outside.answer(Answer::Drop)?;
    // What the reflected packets of the passes leave behind.
    bench.generator.send_for(effort.time / 10)?;
    let (before, _) = bench.outside.counted()?;
    let (sent, took) = bench.generator.send_for(effort.time)?;
    let (after, _) = bench.outside.counted()?;
    let arrived = after - before;
    let rate = per_second(arrived, took) / 1e6;
    let name = Workload::Udp64(sessions).name();
    Ok(vec![
        Reading::new(&name, "Mpps", Better::Higher, rate),
        Reading::new(format!("{name}: CPU"), "ns/packet", Better::Lower, 1e3 / rate),
        Reading::new(format!("{name}: lost"), "%", Better::Lower, lost(sent, arrived)),
    ])
}

/// Every packet comes back: packets of both directions.
pub(super) fn both_ways(world: &World, sessions: Sessions, effort: Effort) -> anyhow::Result<Vec<Reading>> {
    let bench = Bench::new(world, sessions)?;
    let (before, _) = bench.inside.counted()?;
    let (sent, took) = bench.generator.send_for(effort.time)?;
    let (after, _) = bench.inside.counted()?;
    let back = after - before;
    let name = Workload::Udp64Both(sessions).name();
    Ok(vec![
        Reading::new(&name, "Mpps", Better::Higher, 2.0 * per_second(back, took) / 1e6),
        Reading::new(format!("{name}: lost"), "%", Better::Lower, lost(sent, back)),
    ])
}

/// 7 small ones, 4 middle ones, 1 large one, again and again.
pub(super) fn imix(world: &World, sessions: Sessions, effort: Effort) -> anyhow::Result<Vec<Reading>> {
    // Few calls of many frames: to prepare a call takes as long as a hundred packets.
    const ROUND: u32 = 1 << 14;
    let mut bench = Bench::new(world, sessions)?;
    bench.outside.answer(Answer::Drop)?;
    let generators = [(SMALL, 7), (MIDDLE, 4), (LARGE, 1)]
        .map(|(length, share)| world.generator(sessions, length).map(|g| (g, share * ROUND)));
    let (before, bytes_before) = bench.outside.counted()?;
    let mut took = Duration::ZERO;
    while took < effort.time {
        for generator in &generators {
            let (generator, frames) = generator.as_ref().map_err(|e| anyhow::anyhow!("{e:#}"))?;
            took += generator.send(*frames)?;
        }
    }
    let (after, bytes_after) = bench.outside.counted()?;
    let name = Workload::Imix(sessions).name();
    let gigabits = per_second(bytes_after - bytes_before, took) * 8.0 / 1e9;
    Ok(vec![
        Reading::new(
            &name,
            "Mpps",
            Better::Higher,
            per_second(after - before, took) / 1e6,
        ),
        Reading::new(format!("{name}: bits"), "Gbit/s", Better::Higher, gigabits),
    ])
}

/// That each packet arrives outside with the public address and a payload and checksums that are right: the kernel's own
/// UDP takes no other. A wrong one cannot win.
pub fn check_content(contender: &Contender) -> anyhow::Result<()> {
    let sessions = SESSIONS[0];
    let world = World::new()?;
    let _running = contender.start(&world)?;
    // Establishes the sessions; the last pass goes to a socket.
    drop(Bench::new(&world, sessions)?);
    let bind = || UdpSocket::bind((SERVER, 9));
    let socket = world.outside.within(bind)?.context("a socket outside")?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let generator = world.generator(sessions, SMALL)?;
    let public: Ipv4Net = PUBLIC.parse()?;
    let mut buffer = [0; 2_048];
    for n in 0..sessions.count {
        generator.send(1)?;
        let (size, from) = socket
            .recv_from(&mut buffer)
            .with_context(|| format!("{contender}: packet {n} did not arrive whole"))?;
        ensure!(
            buffer[..size].iter().all(|byte| *byte == 0x5a) && size == SMALL - 42,
            "{contender}: another payload"
        );
        let SocketAddr::V4(from) = from else {
            continue;
        };
        ensure!(
            !contender.translates() || *from.ip() == public.addr(),
            "{contender}: seen as {from}"
        );
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn lost(sent: u64, arrived: u64) -> f64 {
    (1.0 - arrived as f64 / sent as f64).max(0.0) * 100.0
}
