// SPDX-License-Identifier: Apache-2.0
//! `outgate completions SHELL`.

use clap::CommandFactory as _;

/// Print a shell's completion script.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outgate completions bash > /etc/bash_completion.d/outgate
  outgate completions zsh  > ~/.zfunc/_outgate")]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> anyhow::Result<()> {
    clap_complete::generate(
        args.shell,
        &mut crate::args::Cli::command(),
        "outgate",
        &mut std::io::stdout(),
    );
    Ok(())
}
