// SPDX-License-Identifier: Apache-2.0
//! Counts what the mirror sees happen: events, and ends of jobs. What was written before the server started is not among
//! it, nor what a mirror that fell behind has missed.

use std::time::Duration;

use outgate_metrics::{Bounds, Counts, Durations};
use outgate_model::job::JobState;

use super::Happened;

/// Jobs take from a transaction to a router's start, or until they are given up.
const JOB_BOUNDS: Bounds = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// What happened since this server started.
#[derive(Debug)]
pub(crate) struct Tally {
    /// By type and level.
    pub(crate) events: Counts<(String, &'static str)>,
    /// By command.
    pub(crate) jobs: Durations<String>,
    /// By command.
    pub(crate) job_failures: Counts<String>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            events: Counts::default(),
            jobs: Durations::new(JOB_BOUNDS),
            job_failures: Counts::default(),
        }
    }
}

impl Tally {
    pub(super) fn add(&self, what: &Happened) {
        match what {
            Happened::Event(event) => self.events.add((event.kind.clone(), event.level.name())),
            Happened::JobEnded(job) => {
                let took = job.completed.unwrap_or(job.created).duration_since(job.created);
                // A clock that was set back makes it no time at all.
                let took = Duration::try_from(took).unwrap_or_default();
                let (id, command) = (job.id, &job.command);
                match &job.state {
                    JobState::Failed { text, .. } => {
                        tracing::warn!(job = %id, command, ?took, error = text, "a job failed");
                    }
                    _ => tracing::info!(job = %id, command, ?took, "a job is done"),
                }
                self.jobs.observe(job.command.clone(), took);
                if matches!(job.state, JobState::Failed { .. }) {
                    self.job_failures.add(job.command.clone());
                }
            }
        }
    }
}
