// SPDX-License-Identifier: Apache-2.0
//! New sessions per second.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use socket2::{Domain, Socket, Type};

use super::packets::{SMALL, per_second};
use super::{Better, Effort, Reading, Workload};
use crate::traffic::{Answer, Attached, Sessions};
use crate::world::{SERVER, World};

/// Below the 262,144 sessions that a router tracks.
const NEW: Sessions = Sessions {
    hosts: 252,
    ports: 256,
    count: 200_000,
};
const PATIENCE: Duration = Duration::from_secs(5);

/// Each packet is a session's first. The router must know its neighbours: one session is there before.
pub(super) fn udp(world: &World) -> anyhow::Result<Vec<Reading>> {
    let outside = Attached::sink(&world.outside, "e0", Answer::Drop)?;
    let one = Sessions { count: 1, ..NEW };
    let first = world.generator(one, SMALL)?;
    let started = Instant::now();
    while outside.counted()?.0 == 0 {
        ensure!(started.elapsed() < PATIENCE, "no packet arrives outside");
        first.send(1)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    let generator = world.generator(NEW, SMALL)?;
    let (before, _) = outside.counted()?;
    let took = generator.send(NEW.count)?;
    let arrived = outside.counted()?.0 - before;
    ensure!(
        arrived * 100 >= u64::from(NEW.count) * 99,
        "only {arrived} of {} new sessions arrived",
        NEW.count
    );
    let rate = per_second(arrived, took) / 1e3;
    Ok(vec![Reading::new(
        Workload::NewUdp.name(),
        "k/s",
        Better::Higher,
        rate,
    )])
}

/// Connect, accept, reset; one after the other, on one core.
pub(super) fn tcp(world: &World, effort: Effort) -> anyhow::Result<Vec<Reading>> {
    let dialer = Dialer::new(world)?;
    let started = Instant::now();
    let (count, took) = dialer.dial(world, |_| started.elapsed() < effort.time)?;
    Ok(vec![Reading::new(
        Workload::NewTcp.name(),
        "k/s",
        Better::Higher,
        per_second(count, took) / 1e3,
    )])
}

/// Opens and closes TCP sessions from a guest to the outside.
#[derive(Debug)]
pub struct Dialer {
    listener: TcpListener,
}

impl Dialer {
    /// Listens outside.
    ///
    /// # Errors
    /// When somebody listens there already.
    pub fn new(world: &World) -> anyhow::Result<Self> {
        let bind = || TcpListener::bind((SERVER, 80));
        let listener = world.outside.within(bind)?.context("a listener outside")?;
        Ok(Self { listener })
    }

    /// Connects, accepts, resets, as long as it may, asked with how many there were. Returns how many, and how long it took.
    ///
    /// # Errors
    /// When a connection is not made.
    pub fn dial(
        &self,
        world: &World,
        may_go_on: impl Fn(u64) -> bool + Sync,
    ) -> anyhow::Result<(u64, Duration)> {
        let to = SocketAddr::from((SERVER, 80)).into();
        let run = || -> anyhow::Result<(u64, Duration)> {
            let started = Instant::now();
            let mut count = 0;
            while may_go_on(count) {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                // Ends with a reset: no port of a guest waits for late segments.
                socket.set_linger(Some(Duration::ZERO))?;
                socket.connect_timeout(&to, PATIENCE)?;
                let (accepted, _) = self.listener.accept()?;
                drop(socket);
                drop(accepted);
                count += 1;
            }
            Ok((count, started.elapsed()))
        };
        world.guests.within(run)?
    }
}
