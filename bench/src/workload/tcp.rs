// SPDX-License-Identifier: Apache-2.0
//! TCP as much as it goes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::packets::per_second;
use super::{Better, Effort, Reading, Workload};
use crate::world::{SERVER, World};

const CHUNK: usize = 128 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A guest.
    Up,
    /// The outside.
    Down,
}

/// Connections that a guest opens, each with a thread on both ends.
pub(super) fn bulk(world: &World, streams: usize, way: Way, effort: Effort) -> anyhow::Result<Vec<Reading>> {
    let bind = || TcpListener::bind((SERVER, 5_001));
    let listener = world.outside.within(bind)?.context("a listener outside")?;
    let (stop, received) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut threads = Vec::new();
    for _ in 0..streams {
        let connect = || TcpStream::connect_timeout(&(SERVER, 5_001).into(), PATIENCE);
        let near = world
            .guests
            .within(connect)?
            .context("connecting to the outside")?;
        let (far, _) = listener.accept()?;
        let (sender, receiver) = match way {
            Way::Up => (near, far),
            Way::Down => (far, near),
        };
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&received));
        threads.push(std::thread::spawn(move || send(sender, &stopped)));
        threads.push(std::thread::spawn(move || receive(receiver, &counted)));
    }
    std::thread::sleep(effort.time / 4);
    let (before, started) = (received.load(Ordering::Relaxed), Instant::now());
    std::thread::sleep(effort.time);
    let (after, took) = (received.load(Ordering::Relaxed), started.elapsed());
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        // Its connection has ended, with whatever error.
        let _ = thread.join();
    }
    let workload = match way {
        Way::Up => Workload::TcpUp(streams),
        Way::Down => Workload::TcpDown(streams),
    };
    let rate = per_second(after - before, took) * 8.0 / 1e9;
    Ok(vec![Reading::new(
        workload.name(),
        "Gbit/s",
        Better::Higher,
        rate,
    )])
}

fn send(mut stream: TcpStream, stop: &AtomicBool) {
    let chunk = vec![0x5a; CHUNK];
    while !stop.load(Ordering::Relaxed) && stream.write_all(&chunk).is_ok() {}
}

fn receive(mut stream: TcpStream, counted: &AtomicU64) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(size) = stream.read(&mut chunk)
        && size > 0
    {
        counted.fetch_add(u64::try_from(size).unwrap_or_default(), Ordering::Relaxed);
    }
}
