// SPDX-License-Identifier: Apache-2.0
//! A program that the lab's supervisor keeps running.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::init::environment;

/// The first wait before a program that ended is started again; doubled with each quick end.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait; short enough that a server which was killed many times still heals its routers in time.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// A program that ran this long ended for a new reason.
const STEADY: Duration = Duration::from_secs(1);

/// One program, started again whenever it ends.
pub struct Service {
    name: &'static str,
    stdin: Option<OwnedFd>,
    command: Box<dyn Fn() -> Command>,
    state: State,
    wait: Duration,
}

enum State {
    Runs { pid: Pid, since: Instant },
    Waits { until: Instant },
}

impl Service {
    /// A service that starts at the first opportunity, with `stdin` as its standard input if given.
    pub fn new(name: &'static str, stdin: Option<OwnedFd>, command: Box<dyn Fn() -> Command>) -> Self {
        Self {
            name,
            stdin,
            command,
            state: State::Waits {
                until: Instant::now(),
            },
            wait: FIRST_WAIT,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        matches!(self.state, State::Runs { .. })
    }

    /// How long from `now` until it has to be started; `None` while it runs.
    pub fn due_in(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Runs { .. } => None,
            State::Waits { until } => Some(until.saturating_duration_since(now)),
        }
    }

    /// Starts it if it does not run and has waited long enough.
    pub fn start_if_due(&mut self, now: Instant) {
        if self.due_in(now) != Some(Duration::ZERO) {
            return;
        }
        match self.spawn() {
            Ok(pid) => {
                tracing::info!(service = self.name, pid = pid.as_raw(), "started");
                self.state = State::Runs { pid, since: now };
            }
            Err(error) => {
                tracing::error!(service = self.name, %error, "cannot be started");
                self.later(now);
            }
        }
    }

    fn spawn(&self) -> std::io::Result<Pid> {
        let mut command = (self.command)();
        let stdin = match &self.stdin {
            Some(fd) => Stdio::from(fd.try_clone()?),
            None => Stdio::null(),
        };
        let child = environment(&mut command).stdin(stdin).spawn()?;
        // The supervisor waits for every process at once, so the handle is not kept.
        i32::try_from(child.id())
            .map(Pid::from_raw)
            .map_err(std::io::Error::other)
    }

    /// Takes note of a process's end, if it was ours.
    pub fn note(&mut self, status: WaitStatus) {
        let State::Runs { pid, since } = self.state else {
            return;
        };
        if status.pid() != Some(pid) || !matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
            return;
        }
        tracing::warn!(service = self.name, ?status, "ended; it is started again");
        let now = Instant::now();
        if now.duration_since(since) >= STEADY {
            self.wait = FIRST_WAIT;
        }
        self.later(now);
    }

    fn later(&mut self, now: Instant) {
        self.state = State::Waits {
            until: now + self.wait,
        };
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        if let State::Runs { pid, .. } = self.state {
            // It is our child and not reaped yet, so the id is still its own; one that ended is no error.
            let _ = kill(pid, Signal::SIGTERM);
        }
    }
}
