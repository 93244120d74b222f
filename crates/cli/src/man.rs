// SPDX-License-Identifier: Apache-2.0
//! `outgate man [DIR]`.

use std::path::PathBuf;

use clap::CommandFactory as _;

/// Print the manual page, or write one for each command into a folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outgate man | man -l -
  outgate man /usr/local/share/man/man1")]
pub struct Args {
    /// Folder for one page per command; without it the main page goes to standard output
    dir: Option<PathBuf>,
}

/// Prints or writes the pages.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let command = crate::args::Cli::command();
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            clap_mangen::generate_to(command, dir)?;
        }
        None => clap_mangen::Man::new(command).render(&mut std::io::stdout())?,
    }
    Ok(())
}
