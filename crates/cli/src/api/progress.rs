// SPDX-License-Identifier: Apache-2.0
//! What a waiting person sees: one line on the terminal, gone when the job is done.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long a job may take before anything is shown: shorter ones would only flicker.
const PATIENCE: Duration = Duration::from_millis(300);

/// The line. Nothing is drawn when standard error is no terminal.
#[derive(Debug)]
pub struct Line {
    bar: ProgressBar,
    text: String,
}

impl Line {
    /// A line for this job.
    pub fn start(command: &str, job: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            text: format!("{command}: job {job}"),
        }
    }

    /// Shows how long it has taken.
    pub fn tell(&self, elapsed: Duration) {
        if elapsed < PATIENCE {
            return;
        }
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar
            .set_message(format!("{}, {:.0} s", self.text, elapsed.as_secs_f64()));
        self.bar.tick();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Says something beside the result, to a person only.
pub fn note(text: &str) {
    if std::io::stderr().is_terminal() {
        // Nobody is left to tell when the terminal itself is gone.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}
