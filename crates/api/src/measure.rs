// SPDX-License-Identifier: Apache-2.0
//! How many calls were answered, with which code, and how long that took.

use std::time::Duration;

use outgate_metrics::catalog::{API_REQUESTS, API_SECONDS};
use outgate_metrics::{Bounds, Counts, Durations, Page};

use crate::Api;

/// A list takes a millisecond; a command that asks routers may take until the server gives it up, at 60 s.
const BOUNDS: Bounds = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 60.0,
];
/// Stands for whatever was asked for that is no command, or was turned away before anybody knew which one it is.
const UNKNOWN: &str = "unknown";

/// What was answered so far, by command: names of the table only, so that callers cannot make series.
#[derive(Debug)]
pub(crate) struct Answered {
    codes: Counts<(&'static str, u16)>,
    took: Durations<&'static str>,
}

impl Default for Answered {
    fn default() -> Self {
        Self {
            codes: Counts::default(),
            took: Durations::new(BOUNDS),
        }
    }
}

impl Answered {
    pub(crate) fn note(&self, command: Option<&'static str>, code: u16, took: Duration) {
        let command = command.unwrap_or(UNKNOWN);
        self.codes.add((command, code));
        self.took.observe(command, took);
    }
}

impl Api {
    /// Notes a request that no command answered: turned away, or given up.
    pub(crate) fn note_unanswered(&self, code: u16, took: Duration) {
        self.kept.answered.note(None, code, took);
    }

    /// Puts all that this server knows onto a page: of its own answers, and what the manager knows.
    pub fn metrics(&self) -> Page {
        let mut page = Page::default();
        for ((command, code), count) in self.kept.answered.codes.all() {
            page.put(&API_REQUESTS, [command, &code.to_string()], count);
        }
        for (command, took) in self.kept.answered.took.all() {
            page.histogram(&API_SECONDS, [command], &took);
        }
        self.manager.metrics(&mut page);
        page
    }
}
