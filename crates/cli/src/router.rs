// SPDX-License-Identifier: Apache-2.0
//! `outgate router serve`: pid 1 of a virtual router. The host driver starts it.

use std::path::PathBuf;

use outgate_model::id::RouterId;
use outgate_router::ServeOptions;

use crate::logging;

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
    logging::start(logging::format_of_environment());
    let options = ServeOptions {
        dir: args.dir,
        id: args.id,
        name: args.name,
        boot: args.boot,
    };
    Ok(outgate_router::serve(&options)?)
}
