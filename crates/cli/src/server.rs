// SPDX-License-Identifier: Apache-2.0
//! `outgate server`: the management server.

/// Run the management server.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Serves until SIGTERM.
pub fn run(_args: Args) -> anyhow::Result<()> {
    anyhow::bail!("the server")
}
