// SPDX-License-Identifier: Apache-2.0
//! Process 1 of a router: starts the engine's process, starts it again when it ends, and reaps orphans. When it ends
//! itself, the kernel ends everything else in the router.

use std::ffi::OsString;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

use crate::RouterError;
use crate::cloud_log::CloudLog;

/// Tells the engine's process that it is contained.
pub const CONTAINED: &str = "OUTGATE_ROUTER_CONTAINED";
/// An engine that ran this long did not crash at its start.
const HEALTHY: Duration = Duration::from_secs(10);
/// The longest wait before it is started again.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Runs this program with these arguments again as the engine's process, for ever.
///
/// # Errors
/// When it cannot be started. It returns `Ok` when the engine's process ended by itself without an error.
pub fn supervise(arguments: &[OsString], log: &CloudLog) -> Result<(), RouterError> {
    let mut pause = Duration::ZERO;
    loop {
        let started = Instant::now();
        // Never waited for through this value: process 1 reaps all alike.
        let engine = Command::new("/proc/self/exe")
            .args(arguments)
            .env(CONTAINED, "1")
            .spawn()
            .map_err(|e| RouterError::failed("starting the engine", e))?;
        let status = reap_until(engine.id());
        end_the_others();
        if matches!(status, Some(WaitStatus::Exited(_, 0))) {
            return Ok(());
        }
        log.error(&format!("the engine ended and is started again: {status:?}"));
        pause = if started.elapsed() >= HEALTHY {
            Duration::ZERO
        } else {
            next_pause(pause)
        };
        std::thread::sleep(pause);
    }
}

fn next_pause(pause: Duration) -> Duration {
    (pause * 2).clamp(Duration::from_millis(50), PAUSE_MAX)
}

/// Reaps whatever ends until it is `engine`. `None` when there is nothing left to wait for.
fn reap_until(engine: u32) -> Option<WaitStatus> {
    loop {
        match wait() {
            Ok(status) if status.pid().map(Pid::as_raw) == i32::try_from(engine).ok() => return Some(status),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// What the engine left behind would stand in its successor's way.
fn end_the_others() {
    // As process 1 this reaches everything in the PID namespace and nothing outside; as anything else it would reach
    // far too much.
    if std::process::id() == 1 {
        // An error means that there is nobody.
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        while !matches!(wait(), Err(Errno::ECHILD)) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_starts_grows_and_stays_bounded() {
        let pauses: Vec<Duration> =
            std::iter::successors(Some(next_pause(Duration::ZERO)), |p| Some(next_pause(*p)))
                .take(10)
                .collect();
        assert_eq!(pauses[0], Duration::from_millis(50));
        assert!(pauses.windows(2).all(|p| p[0] <= p[1]));
        assert_eq!(pauses[9], PAUSE_MAX);
    }
}
