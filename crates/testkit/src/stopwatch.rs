// SPDX-License-Identifier: Apache-2.0
//! Promises of time, judged fairly on a machine that does much else or is slow.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What it takes at most to run a program that does nothing on a machine that promises are made for.
const USUAL: Duration = Duration::from_millis(3);
/// The pause between two such programs: the measurement itself must not load the machine.
const REST: Duration = Duration::from_millis(50);

/// Measures how long something takes, and beside it how slow the machine is meanwhile, by running a program that does
/// nothing, again and again.
#[derive(Debug)]
pub struct Stopwatch {
    started: Instant,
    stop: Arc<AtomicBool>,
    samples: JoinHandle<(Duration, u32)>,
}

impl Stopwatch {
    /// Starts to measure.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        Self {
            started: Instant::now(),
            stop,
            samples: std::thread::spawn(move || sample(&stopping)),
        }
    }

    /// The time since the start, as a clock says.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The time since the start as it would have been on a machine that promises are made for: a tenth of it where
    /// programs took ten times as long as there. Never more than the clock says.
    pub fn fair(self) -> Duration {
        let elapsed = self.elapsed();
        self.stop.store(true, Ordering::Relaxed);
        let (spent, count) = self.samples.join().unwrap_or_default();
        let slower = spent.as_secs_f64() / (USUAL.as_secs_f64() * f64::from(count.max(1)));
        elapsed.div_f64(slower.max(1.0))
    }
}

fn sample(stop: &AtomicBool) -> (Duration, u32) {
    let (mut spent, mut count) = (Duration::ZERO, 0);
    loop {
        let started = Instant::now();
        // Where there is no such program it is not there as quickly.
        let _ = Command::new("true").status();
        spent += started.elapsed();
        count += 1;
        if stop.load(Ordering::Relaxed) {
            return (spent, count);
        }
        std::thread::sleep(REST);
    }
}
