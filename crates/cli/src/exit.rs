// SPDX-License-Identifier: Apache-2.0
//! Exit codes, in one place. They follow `sysexits.h` where it has one.

use std::io::Write as _;
use std::process::ExitCode;

/// It was tried and failed, or a check did not pass.
pub const FAILED: u8 = 1;
/// What should be and what is disagree.
pub const DISAGREE: u8 = 3;
/// The command line or the configuration is wrong; nothing was tried.
pub const USAGE: u8 = 64;
/// Something that is needed is not there: a server that does not answer, a program that is not installed.
pub const UNAVAILABLE: u8 = 69;

/// The command line or configuration is wrong. Ends the program with [`USAGE`].
#[derive(Debug)]
pub struct Usage(pub String);

/// Something needed is missing. Ends the program with [`UNAVAILABLE`].
#[derive(Debug)]
pub struct Unavailable(pub String);

/// A command that ran elsewhere ended with this code; so do we, without a word.
#[derive(Debug)]
pub struct Code(pub u8);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Usage {}
impl std::error::Error for Unavailable {}
impl std::error::Error for Code {}

/// Says on standard error what went wrong, with its causes, and chooses the exit code.
pub fn report(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if let Some(code) = error.downcast_ref::<Code>() {
        return ExitCode::from(code.0);
    }
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    // Nobody is left to tell when standard error itself is gone.
    let _ = writeln!(std::io::stderr(), "outgate: {error:#}");
    ExitCode::from(code_of(&error))
}

/// The reader of our output went away, as `head` does: no failure of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The exit code for an error, by the kind anywhere in its chain.
fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() || error.chain().any(<dyn std::error::Error>::is::<Usage>) {
        USAGE
    } else if error.is::<Unavailable>() || error.chain().any(<dyn std::error::Error>::is::<Unavailable>) {
        UNAVAILABLE
    } else {
        FAILED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn the_kind_of_an_error_chooses_the_exit_code_however_deep_it_lies() {
        let usage = Err::<(), _>(anyhow::Error::new(Usage("x".into())))
            .context("outer")
            .unwrap_err();
        let missing = anyhow::Error::new(Unavailable("y".into())).context("outer");
        assert_eq!(code_of(&usage), USAGE);
        assert_eq!(code_of(&missing), UNAVAILABLE);
        assert_eq!(code_of(&anyhow::anyhow!("z")), FAILED);
    }
}
