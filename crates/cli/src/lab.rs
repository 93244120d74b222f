// SPDX-License-Identifier: Apache-2.0
//! `outgate lab`: a whole cloud on this machine, in namespaces of its own.

mod down;
mod enter;
mod find;
mod init;
mod internet;
mod launch;
mod mounts;
mod network;
mod preflight;
mod process;
mod proof;
mod read_only;
mod record;
mod run;
mod service;
pub mod state;
mod status;
mod summary;
mod up;

use crate::output::Format;

/// What can be done with a lab.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  outgate lab up                              build it and prove that it works
  outgate lab status                          what runs
  outgate lab exec guest1 -- ping -c 4 8.8.8.8
  outgate lab shell r-2-VM                    a router's shell, by ssh on port 3922
  outgate lab down                            leave nothing behind
  outgate lab up --instance two               a second one beside it")]
pub enum Command {
    /// Build a lab and prove that a guest reaches the outside
    Up(up::Up),
    /// Show what runs in a lab
    Status(status::Status),
    /// Remove a lab; nothing of it is left
    Down(down::Down),
    /// Open a shell in the lab's host, a router, a guest or the internet
    Shell(enter::Shell),
    /// Run one command there
    Exec(enter::Exec),
    /// Enter the lab's namespaces (started by `lab up`)
    #[command(hide = true)]
    Run(run::Run),
    /// Be the lab's supervisor (started by `lab run`)
    #[command(hide = true)]
    Init(init::Init),
    /// Be the lab's internet (started by the supervisor)
    #[command(hide = true)]
    Internet,
}

/// Where a lab's routers and guests keep what they write, as this machine sees it.
///
/// # Errors
/// When the lab is not up.
pub fn run_dir(instance: &state::Instance) -> anyhow::Result<std::path::PathBuf> {
    let record = record::Record::running(&instance.paths()?)?.ok_or_else(|| {
        crate::exit::Unavailable(format!(
            "lab {instance} is not up; start it with: outgate lab up --instance {instance}"
        ))
    })?;
    Ok(format!("/proc/{}/root{}", record.supervisor.pid(), mounts::RUN).into())
}

/// Runs a lab subcommand.
pub fn run(command: Command, format: Format) -> anyhow::Result<()> {
    match command {
        Command::Up(args) => up::run(&args, format),
        Command::Status(args) => status::run(&args, format),
        Command::Down(args) => down::run(&args),
        Command::Shell(args) => enter::shell(&args),
        Command::Exec(args) => enter::exec(&args),
        Command::Run(args) => run::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Internet => internet::run(),
    }
}
