// SPDX-License-Identifier: Apache-2.0
//! The `outgate` program: one binary, one subcommand for each thing it can be or do.

use std::process::ExitCode;

fn main() -> ExitCode {
    outgate_cli::main()
}
