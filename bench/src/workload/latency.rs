// SPDX-License-Identifier: Apache-2.0
//! How long a byte takes to the outside and back, while the router is half busy.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::packets::{Bench, SMALL};
use super::{Better, Effort, Reading, SESSIONS, Workload};
use crate::stats::percentile;
use crate::traffic::{Answer, Generator};
use crate::world::{SERVER, World};

const PATIENCE: Duration = Duration::from_secs(5);

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
    let load = Generator::new(&world.guests, "g0", &world.ends(), SESSIONS[0], SMALL)?;
    let stop = AtomicBool::new(false);
    let mut times = std::thread::scope(|scope| -> anyhow::Result<Vec<f64>> {
        scope.spawn(|| echo(far));
        let loader = scope.spawn(|| -> anyhow::Result<()> {
            while !stop.load(Ordering::Relaxed) {
                load.send_paced(effort.load, Duration::from_millis(100))?;
            }
            Ok(())
        });
        let times = ask(&near, effort.time);
        stop.store(true, Ordering::Relaxed);
        drop(near);
        loader
            .join()
            .unwrap_or_else(|_| anyhow::bail!("the load's thread failed"))?;
        times
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
    ])
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
    }
    Ok(times)
}

fn echo(mut stream: TcpStream) {
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
}
