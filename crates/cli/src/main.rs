// SPDX-License-Identifier: Apache-2.0
//! The `outgate` program: one binary, one subcommand for each thing it can be or do.

mod args;
mod client;
mod completions;
mod exit;
mod guest;
mod lab;
mod logging;
mod man;
mod output;
mod router;
mod server;
mod verify;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::read() {
        Ok(args::Cli { command, output }) => exit::report(args::run(command, output)),
        Err(code) => code,
    }
}
