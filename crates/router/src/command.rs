// SPDX-License-Identifier: Apache-2.0
//! Runs a diagnostic command in the router: bounded in time and output.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use outgate_model::host::{Run, RunOutput};

use crate::RouterError;

/// At most this much of standard output is kept.
const STDOUT_MAX: u64 = 1024 * 1024;
/// At most this much of standard error is kept.
const STDERR_MAX: u64 = 64 * 1024;
/// No command runs longer.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);
const ARGUMENTS_MAX: usize = 256;

/// Runs the command and returns what it printed; a command that ran too long was ended, its `code` is `None`.
///
/// # Errors
/// When it cannot be started.
pub fn run(run: &Run) -> Result<RunOutput, RouterError> {
    let Some((program, arguments)) = run.argv.split_first().filter(|_| run.argv.len() <= ARGUMENTS_MAX)
    else {
        return Err(RouterError::failed(
            "running a command",
            "give a program and at most 255 arguments",
        ));
    };
    let failed = |e: std::io::Error| RouterError::failed(format!("running {program}"), e);
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let stdout = child.stdout.take().map(|out| reader(out, STDOUT_MAX));
    let stderr = child.stderr.take().map(|err| reader(err, STDERR_MAX));
    let deadline = Instant::now() + Duration::from_millis(run.timeout_millis).min(TIMEOUT_MAX);
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                end_group(&child);
                break child.wait().map_err(failed)?;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    Ok(RunOutput {
        code: status.code(),
        stdout: text(stdout, deadline),
        stderr: text(stderr, deadline),
    })
}

/// Ends the command and whatever it started. It is our child and not reaped, so the group is its own.
fn end_group(leader: &Child) {
    if let Ok(pid) = i32::try_from(leader.id()) {
        // An error means that it has ended in this moment.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

type Output = std::sync::mpsc::Receiver<Vec<u8>>;

/// Reads in a thread of its own, and goes on reading past the limit so that the command never blocks on a full pipe.
fn reader(mut source: impl Read + Send + 'static, limit: u64) -> Output {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        // An error ends the reading like the end of the output does.
        let _ = source.by_ref().take(limit).read_to_end(&mut kept);
        let _ = std::io::copy(&mut source, &mut std::io::sink());
        let _ = sender.send(kept);
    });
    receiver
}

/// A grandchild that keeps the pipe open beyond the command's end gets no more than the command's own time.
fn text(output: Option<Output>, deadline: Instant) -> String {
    let patience = deadline
        .saturating_duration_since(Instant::now())
        .min(Duration::from_millis(500));
    let bytes = output.and_then(|o| o.recv_timeout(patience.max(Duration::from_millis(50))).ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(argv: &[&str], timeout_millis: u64) -> Result<RunOutput, RouterError> {
        run(&Run {
            argv: argv.iter().map(ToString::to_string).collect(),
            timeout_millis,
        })
    }

    #[test]
    fn a_command_gives_its_code_and_both_outputs() {
        let output = of(&["ls", "/", "/nonexistent"], 5_000).unwrap();
        assert_eq!(output.code, Some(2));
        assert!(output.stdout.contains("etc") && output.stderr.contains("nonexistent"));
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let started = Instant::now();
        assert_eq!(of(&["sleep", "30"], 100).unwrap().code, None);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn what_a_hanging_command_started_is_ended_with_it() {
        assert_eq!(of(&["sh", "-c", "sleep 78 & wait"], 100).unwrap().code, None);
        let gone = || {
            let left = of(&["pgrep", "-fx", "sleep 78"], 5_000).unwrap();
            left.stdout.is_empty().then_some(())
        };
        outgate_testkit::wait_until(Duration::from_secs(5), "nothing is left", gone).unwrap();
    }

    #[test]
    fn output_is_bounded_and_the_command_still_ends() {
        let output = of(&["head", "-c", "5000000", "/dev/zero"], 5_000).unwrap();
        assert_eq!((output.code, output.stdout.len()), (Some(0), 1024 * 1024));
    }

    #[test]
    fn what_cannot_be_started_is_an_error() {
        assert!(of(&[], 100).is_err());
        assert!(of(&["/nonexistent"], 100).is_err());
    }
}
