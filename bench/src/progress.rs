// SPDX-License-Identifier: Apache-2.0
//! How long it will still take.

use std::fmt;
use std::time::{Duration, Instant};

use crate::contender::Contender;
use crate::workload::Workload;

/// What a measurement takes beside the time that is measured: a new world, its sessions, the seconds that make them
/// established. From a quiet machine; the first measurements correct it.
const PREPARATION: f64 = 2.1;

/// Measurements done and to be done.
#[derive(Debug)]
pub struct Progress {
    all: u32,
    done: u32,
    started: Instant,
    /// Seconds of one, before any was done.
    guess: f64,
}

impl Progress {
    /// Before the first.
    pub fn new(rounds: u32, workloads: &[Workload], contenders: &[Contender], seconds: f64) -> Self {
        let pairs = workloads
            .iter()
            .map(|workload| contenders.iter().filter(|c| workload.suits(c)).count());
        let in_round = u32::try_from(pairs.sum::<usize>()).unwrap_or(u32::MAX);
        Self {
            all: in_round.saturating_mul(rounds),
            done: 0,
            started: Instant::now(),
            guess: seconds + PREPARATION,
        }
    }

    /// One is done.
    pub fn one_more(&mut self) {
        self.done += 1;
    }

    /// Whether one more round after so many is done in time. The first always is.
    pub fn has_room(&self, rounds: u32, budget: Duration) -> bool {
        rounds == 0 || self.started.elapsed() / rounds * (rounds + 1) <= budget
    }

    /// What is left, if the rest takes as long as what was done.
    fn left(&self) -> Duration {
        let each = if self.done == 0 {
            self.guess
        } else {
            self.started.elapsed().as_secs_f64() / f64::from(self.done)
        };
        Duration::from_secs_f64(each * f64::from(self.all.saturating_sub(self.done)))
    }
}

/// `12 of 354 done, about 11 min 30 s left`.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.left().as_secs();
        let (done, all) = (self.done, self.all);
        write!(
            f,
            "{done} of {all} done, about {} min {:02} s left",
            left / 60,
            left % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_guessed_first_and_measured_then() {
        let contenders = [Contender::Forward, Contender::Redirect];
        let mut progress = Progress::new(3, &[Workload::NewUdp, Workload::Memory], &contenders, 0.2);
        // Both carry new sessions; neither translates, so that there is no memory of sessions to compare.
        assert_eq!(progress.to_string(), "0 of 6 done, about 0 min 13 s left");
        for _ in 0..6 {
            progress.one_more();
        }
        assert_eq!(progress.to_string(), "6 of 6 done, about 0 min 00 s left");
        assert!(progress.has_room(0, Duration::ZERO) && !progress.has_room(1, Duration::ZERO));
        assert!(progress.has_room(2, Duration::from_secs(60)));
    }
}
