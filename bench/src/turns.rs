// SPDX-License-Identifier: Apache-2.0
//! What a packet or a session costs, on a machine that has other things to do as well: every contender stands at once,
//! and each sends a short burst in its turn. What counts is the processor time. What disturbs one burst disturbs its
//! neighbours too, so the ratio within a turn says more than any rate; the median of many such ratios says it well.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::clock;
use crate::contender::{Contender, Running};
use crate::stats::{median, percentile};
use crate::traffic::{Answer, Sessions};
use crate::workload::{Bench, Dialer, Workload};
use crate::world::World;

/// Packets of a burst: a quarter of a second or so.
const PACKETS: u32 = 1 << 17;
/// TCP sessions of a burst: a tenth of a second or so.
const CONNECTIONS: u64 = 2_000;

/// What makes the bursts of a lane.
enum Source {
    /// Packets, with all sessions established.
    Packets(Box<Bench>, Sessions),
    /// New TCP sessions.
    Connections(Dialer),
}

impl Source {
    fn new(workload: Workload, world: &World) -> anyhow::Result<Self> {
        Ok(match workload {
            Workload::Udp64(sessions) => {
                let mut bench = Bench::new(world, sessions)?;
                bench.outside.answer(Answer::Drop)?;
                Self::Packets(Box::new(bench), sessions)
            }
            Workload::NewTcp => Self::Connections(Dialer::new(world)?),
            _ => bail!(
                "--turns: {} is none of udp64 and new-tcp, name them with --only",
                workload.name()
            ),
        })
    }

    /// How many there were, for how much work.
    fn burst(&self, world: &World) -> anyhow::Result<(u64, Duration)> {
        match self {
            Self::Packets(bench, sessions) => {
                // Beside several others a lane waits for longer than a lease lasts: without this pass it would be
                // measured how leases are renewed.
                bench.generator.send(sessions.count)?;
                let (before, _) = bench.outside.counted()?;
                let idle = clock::worked()?;
                bench.generator.send(PACKETS)?;
                let work = clock::worked()?.saturating_sub(idle);
                let (after, _) = bench.outside.counted()?;
                ensure!(after - before > u64::from(PACKETS) / 2, "packets are lost");
                Ok((after - before, work))
            }
            Self::Connections(dialer) => {
                let idle = clock::worked()?;
                let (count, _) = dialer.dial(world, |count| count < CONNECTIONS)?;
                let work = clock::worked()?.saturating_sub(idle);
                // As in a fresh world, no session meets an old one with the same ports.
                world.router.check(&["conntrack", "-F"])?;
                Ok((count, work))
            }
        }
    }
}

/// A contender at work.
struct Lane {
    name: String,
    source: Source,
    /// Nanoseconds for a packet or a session, turn by turn.
    costs: Vec<f64>,
    _running: Running,
    world: World,
}

impl Lane {
    fn new(contender: &Contender, workload: Workload) -> anyhow::Result<Self> {
        let world = World::new()?;
        let running = contender.start(&world)?;
        let source = Source::new(workload, &world)?;
        Ok(Self {
            name: contender.to_string(),
            source,
            costs: Vec::new(),
            _running: running,
            world,
        })
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        let (count, work) = self
            .source
            .burst(&self.world)
            .with_context(|| self.name.clone())?;
        self.costs.push(each(work, count));
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn each(work: Duration, count: u64) -> f64 {
    work.as_secs_f64() * 1e9 / count as f64
}

/// So many turns; the table of what came out. Ratios are of speed, to the first contender.
///
/// # Errors
/// When a contender does not carry the traffic, or the workload has no turns.
pub fn measure(contenders: &[Contender], workload: Workload, turns: u32) -> anyhow::Result<String> {
    let suited = contenders.iter().filter(|c| workload.suits(c));
    let lanes: anyhow::Result<Vec<Lane>> = suited.map(|c| Lane::new(c, workload)).collect();
    let mut lanes = lanes?;
    for turn in 0..turns {
        let from = usize::try_from(turn)? % lanes.len();
        for at in 0..lanes.len() {
            let lane = (from + at) % lanes.len();
            lanes[lane].turn()?;
        }
    }
    Ok(table(&lanes, workload))
}

fn table(lanes: &[Lane], workload: Workload) -> String {
    let what = match workload {
        Workload::NewTcp => "session",
        _ => "packet",
    };
    let mut text = format!(
        "{}: nanoseconds of the core for a {what}, and speed beside the first\n",
        workload.name()
    );
    for lane in lanes {
        let mut sorted = lane.costs.clone();
        sorted.sort_by(f64::total_cmp);
        let ratios: Vec<f64> = lanes[0]
            .costs
            .iter()
            .zip(&lane.costs)
            .map(|(a, b)| a / b)
            .collect();
        let _ = writeln!(
            text,
            "{:24} least {:6.0}  tenth {:6.0}  median {:6.0}  ratio {:.3}",
            lane.name,
            percentile(&sorted, 0.0),
            percentile(&sorted, 0.1),
            median(&sorted),
            median(&ratios),
        );
    }
    text
}
