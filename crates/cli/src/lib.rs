// SPDX-License-Identifier: Apache-2.0
//! What the `outgate` program is made of. A library only so that tests drive a server with the same client.

mod api;
mod args;
mod audit;
pub mod client;
mod completions;
mod doctor;
pub mod exit;
mod guest;
pub mod lab;
mod logging;
mod man;
mod natlog;
mod near;
mod openapi;
mod output;
mod router;
mod server;
mod top;
mod trace;
mod verify;

use std::process::ExitCode;

/// Reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    match args::read() {
        Ok(args::Cli { command, output }) => exit::report(args::run(command, output)),
        Err(code) => code,
    }
}
