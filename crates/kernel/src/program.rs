// SPDX-License-Identifier: Apache-2.0
//! Runs a program with arguments and standard input, in the caller's namespaces.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::KernelError;

/// At most this much of standard error goes into an error.
const REASON_MAX: usize = 2_048;

/// Runs `argv` with `input` on its standard input and returns its standard output.
///
/// # Errors
/// When it cannot be started or ends with another status than 0; then its standard error is the reason.
pub(crate) fn run(argv: &[&str], input: &str) -> Result<String, KernelError> {
    let program = argv.first().copied().unwrap_or_default();
    let not_started = |e: std::io::Error| KernelError::NotStarted {
        program: program.to_owned(),
        reason: e.to_string(),
    };
    let mut child = Command::new(program)
        .args(argv.get(1..).unwrap_or_default())
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_started)?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // Written beside the reading, so that a program that writes before it has read everything cannot block both.
        // A program that ends without reading has its reason in its status.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        child.wait_with_output()
    });
    let output = output.map_err(not_started)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut reason: String = stderr.trim().chars().take(REASON_MAX).collect();
    if reason.is_empty() {
        reason = output.status.to_string();
    }
    Err(KernelError::Refused {
        program: program.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_input_than_a_pipe_holds_goes_through() {
        let input = "x".repeat(1 << 20);
        assert_eq!(run(&["cat"], &input).unwrap().len(), input.len());
    }

    #[test]
    fn a_program_that_fails_gives_its_reason() {
        let error = run(&["ls", "/nonexistent"], "").unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
        assert!(matches!(
            run(&["/nonexistent"], ""),
            Err(KernelError::NotStarted { .. })
        ));
    }
}
