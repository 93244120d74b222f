// SPDX-License-Identifier: Apache-2.0
//! How long a byte takes to the outside and back, while the router is half busy.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::unistd::gettid;

use super::packets::{Bench, SMALL, per_second};
use super::{Better, Effort, Reading, SESSIONS, Workload};
use crate::stats::percentile;
use crate::traffic::Answer;
use crate::world::{SERVER, World};

const PATIENCE: Duration = Duration::from_secs(5);
/// Between two requests: who asks must leave half of the core to the load, and be idle for the rest.
const PAUSE: Duration = Duration::from_micros(100);

/// Request and response over one connection, beside `effort.load` UDP packets a second of 1,008 sessions.
pub(super) fn measure(world: &World, effort: Effort) -> anyhow::Result<Vec<Reading>> {
    let mut bench = Bench::new(world, SESSIONS[0])?;
    bench.outside.answer(Answer::Drop)?;
    let bind = || TcpListener::bind((SERVER, 7));
    let listener = world.outside.within(bind)?.context("a listener outside")?;
    let connect = || TcpStream::connect_timeout(&(SERVER, 7).into(), PATIENCE);
    let near = world
        .guests
        .within(connect)?
        .context("connecting to the outside")?;
    let (far, _) = listener.accept()?;
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
    }
    let mut load = world.generator(SESSIONS[0], SMALL)?;
    let stop = AtomicBool::new(false);
    let (mut times, rate) = std::thread::scope(|scope| -> anyhow::Result<(Vec<f64>, f64)> {
        scope.spawn(|| echo(far));
        let loader = scope.spawn(|| {
            give_way()?;
            load.send_paced(effort.load, &stop)
        });
        let times = ask(&near, effort.time * 3);
        stop.store(true, Ordering::Relaxed);
        drop(near);
        let sent = loader.join();
        let (sent, took) = sent.unwrap_or_else(|_| anyhow::bail!("the load's thread failed"))?;
        Ok((times?, per_second(sent, took)))
    })?;
    times.sort_by(f64::total_cmp);
    let name = Workload::Latency.name();
    let reading = |share: f64, which: &str| {
        Reading::new(
            format!("{name}: {which}"),
            "µs",
            Better::Lower,
            percentile(&times, share),
        )
    };
    Ok(vec![
        reading(0.5, "p50"),
        reading(0.99, "p99"),
        reading(0.999, "p99.9"),
        Reading::new(format!("{name}: load"), "Mpps", Better::Higher, rate / 1e6),
    ])
}

/// This thread runs when no other wants to. The generator waits by looking at the clock, and would else have the asker wait
/// until its slice of the core is over.
fn give_way() -> anyhow::Result<()> {
    let thread = gettid().to_string();
    let status = Command::new("chrt")
        .args(["--idle", "--pid", "0", &thread])
        .status()
        .context("running chrt")?;
    ensure!(status.success(), "chrt: {status}");
    Ok(())
}

fn ask(mut stream: &TcpStream, time: Duration) -> anyhow::Result<Vec<f64>> {
    let started = Instant::now();
    let mut times = Vec::new();
    let mut byte = [0];
    while started.elapsed() < time {
        let asked = Instant::now();
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        times.push(asked.elapsed().as_secs_f64() * 1e6);
        std::thread::sleep(PAUSE);
    }
    Ok(times)
}

fn echo(mut stream: TcpStream) {
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
}
