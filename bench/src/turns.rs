// SPDX-License-Identifier: Apache-2.0
//! What a packet costs, on a machine that has other things to do as well: every contender stands at once, and each sends
//! a short burst in its turn. What disturbs one burst disturbs its neighbours too, so the ratio within a turn says more
//! than any rate; the median of many such ratios says it well.

use std::fmt::Write;
use std::time::Duration;

use anyhow::ensure;

use crate::contender::{Contender, Running};
use crate::stats::{median, percentile};
use crate::traffic::{Answer, Sessions};
use crate::workload::Bench;
use crate::world::World;

/// Packets of a burst: a quarter of a second or so.
const BURST: u32 = 1 << 17;

/// A contender at work, with all sessions established.
struct Lane {
    name: String,
    bench: Bench,
    /// Nanoseconds for a packet, turn by turn.
    costs: Vec<f64>,
    _running: Running,
    _world: World,
}

impl Lane {
    fn new(contender: &Contender, sessions: Sessions) -> anyhow::Result<Self> {
        let world = World::new()?;
        let running = contender.start(&world)?;
        let mut bench = Bench::new(&world, sessions)?;
        bench.outside.answer(Answer::Drop)?;
        Ok(Self {
            name: contender.to_string(),
            bench,
            costs: Vec::new(),
            _running: running,
            _world: world,
        })
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        let (before, _) = self.bench.outside.counted()?;
        let took = self.bench.generator.send(BURST)?;
        let (after, _) = self.bench.outside.counted()?;
        ensure!(
            after - before > u64::from(BURST) / 2,
            "{}: packets are lost",
            self.name
        );
        self.costs.push(per_packet(took, after - before));
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn per_packet(took: Duration, packets: u64) -> f64 {
    took.as_secs_f64() * 1e9 / packets as f64
}

/// So many turns; the table of what came out. Ratios are of speed, to the first contender.
///
/// # Errors
/// When a contender does not carry the traffic.
pub fn measure(contenders: &[Contender], sessions: Sessions, turns: u32) -> anyhow::Result<String> {
    let lanes: anyhow::Result<Vec<Lane>> = contenders.iter().map(|c| Lane::new(c, sessions)).collect();
    let mut lanes = lanes?;
    for turn in 0..turns {
        let from = usize::try_from(turn)? % lanes.len();
        for at in 0..lanes.len() {
            let lane = (from + at) % lanes.len();
            lanes[lane].turn()?;
        }
    }
    Ok(table(&lanes, sessions))
}

fn table(lanes: &[Lane], sessions: Sessions) -> String {
    let mut text = format!(
        "{}: nanoseconds for a packet, and speed beside the first\n",
        sessions.name()
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
