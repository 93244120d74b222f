// SPDX-License-Identifier: Apache-2.0
//! `outgate router serve`: pid 1 of a virtual router. The host driver starts it.

use std::path::PathBuf;

use outgate_model::id::RouterId;

/// What a router's process can be told.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Be a virtual router: make the kernel match the spec that arrives on the control socket, and keep it so
    Serve(Serve),
}

/// Which router to be.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Folder of this router: its control socket, spec and logs
    #[arg(long)]
    dir: PathBuf,
    /// The router's id
    #[arg(long)]
    id: RouterId,
    /// Its name, such as r-12-VM
    #[arg(long)]
    name: String,
    /// Which start of this router this is
    #[arg(long)]
    boot: u64,
}

/// Runs the router until it is ended.
pub fn run(command: Command) -> anyhow::Result<()> {
    let Command::Serve(args) = command;
    anyhow::bail!(
        "router {} {} in {} boot {}",
        args.name,
        args.id,
        args.dir.display(),
        args.boot
    )
}
