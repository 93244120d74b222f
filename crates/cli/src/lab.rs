// SPDX-License-Identifier: Apache-2.0
//! `outgate lab`: a whole cloud on this machine, in namespaces of its own.

pub mod state;

use crate::output::Format;

/// What can be done with a lab.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Build a lab and prove that a guest reaches the outside
    Up(Up),
}

/// Build a lab.
#[derive(Debug, clap::Args)]
pub struct Up {
    /// Name of the lab; labs with different names live side by side
    #[arg(long, default_value = "default", env = "OUTGATE_INSTANCE")]
    instance: state::Instance,
}

/// Runs a lab subcommand.
pub fn run(command: Command, _format: Format) -> anyhow::Result<()> {
    let Command::Up(args) = command;
    anyhow::bail!(
        "lab {} in {}",
        args.instance,
        args.instance.paths()?.dir().display()
    )
}
