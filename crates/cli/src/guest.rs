// SPDX-License-Identifier: Apache-2.0
//! `outgate guest serve`: pid 1 of a guest. The host driver starts it.

use std::path::PathBuf;

use outgate_model::id::GuestId;

use crate::logging::{self, LogFormat};

/// What a guest's process can be told.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Be a guest: ask for addresses by DHCP
    Serve(Serve),
}

/// Which guest to be.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Folder of this guest: its spec, its lease and its log
    #[arg(long)]
    dir: PathBuf,
    /// The guest's id
    #[arg(long)]
    id: GuestId,
    /// Its instance name, such as i-2-15-VM
    #[arg(long)]
    name: String,
}

/// Runs the guest until it is ended.
pub fn run(command: Command) -> anyhow::Result<()> {
    let Command::Serve(args) = command;
    logging::start(LogFormat::Text);
    Ok(outgate_host::guest::serve(&args.dir, args.id, &args.name)?)
}
