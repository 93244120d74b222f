// SPDX-License-Identifier: Apache-2.0
//! `outgate completions SHELL`.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

/// Print a shell's completion script.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outgate completions bash > /etc/bash_completion.d/outgate
  outgate completions zsh  > ~/.zfunc/_outgate
  outgate completions fish > ~/.config/fish/completions/outgate.fish

In bash, zsh and fish, `outgate api` completes commands, parameters and names of things as the server knows them.")]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    clap_complete::generate(args.shell, &mut crate::args::Cli::command(), "outgate", &mut out);
    let more = match args.shell {
        Shell::Bash => include_str!("completions/api.bash"),
        Shell::Zsh => include_str!("completions/api.zsh"),
        Shell::Fish => include_str!("completions/api.fish"),
        _ => "",
    };
    Ok(out.write_all(more.as_bytes())?)
}
