// SPDX-License-Identifier: Apache-2.0
//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::Style;
use crate::{
    api, audit, completions, doctor, exit, guest, lab, man, natlog, openapi, router, server, top, trace,
    verify,
};

/// Source NAT for clouds: many private networks reach the outside through few public addresses.
///
/// Outgate speaks the Apache CloudStack API, so `cs`, CloudMonkey, Ansible, Terraform and libcloud drive it unchanged.
#[derive(Debug, Parser)]
#[command(name = "outgate", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// How results are printed
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Common options"
    )]
    pub output: Style,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  outgate lab up                  build a whole cloud on this machine and prove that it works
  outgate lab status              what runs in it
  outgate lab shell guest1        a shell in a guest
  outgate api listNetworks        any command of the CloudStack API, here or elsewhere
  outgate doctor                  what is wrong, where, and what to do about it
  outgate trace --src 10.1.1.2 --dst 198.51.100.10:80   what becomes of a packet, and why
  outgate top                     what the routers carry, live
  outgate natlog who 203.0.113.10:1024 --at 2026-11-25T15:45:37Z   which guest was that?
  outgate audit                   how networks deviate from the hardened profile
  outgate verify r-2-VM           the seven steps that show whether source NAT works
  outgate lab down                leave nothing behind
  outgate server --help           run the management server itself

Exit codes: 0 done, 1 failed, 64 wrong usage or configuration, 69 something needed is not there.";

/// The subcommands, one file each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the management server: API, store, reconciliation and one namespace host
    Server(Box<server::Args>),
    /// A whole cloud on this machine, in namespaces of its own, to try and to test
    #[command(subcommand)]
    Lab(lab::Command),
    /// Call any command of the CloudStack API, of this cloud or another
    Api(Box<api::Args>),
    /// Name what is wrong with a network's source NAT, the first broken link first, and mend it
    Doctor(doctor::Args),
    /// Explain what a router does with one packet, by its rules and by its kernel
    Trace(Box<trace::Args>),
    /// List how a network deviates from the hardened profile, with risk, evidence and the command that closes it
    Audit(audit::Args),
    /// Show step by step whether a router's source NAT works
    Verify(verify::Args),
    /// Watch sessions, ports, rates, drops and the fast path of networks, live
    Top(top::Args),
    /// Tell from the NAT log which guest had a public address and port, and when
    #[command(subcommand)]
    Natlog(natlog::Command),
    /// A virtual router's own process (started by the host driver)
    #[command(subcommand, hide = true)]
    Router(router::Command),
    /// A guest's own process (started by the host driver)
    #[command(subcommand, hide = true)]
    Guest(guest::Command),
    /// Print what could come next on an `outgate api` command line (called by the completion scripts)
    #[command(hide = true)]
    CompleteApi(api::CompleteArgs),
    /// Print the OpenAPI document of the API, or its reference
    Openapi(openapi::Args),
    /// Print a shell's completion script
    Completions(completions::Args),
    /// Print the manual pages, or write one for each command into a folder
    Man(man::Args),
}

/// Reads the command line. `Err` when there is nothing to run: help was asked for (0) or the usage is wrong (64).
pub fn read() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        // Nobody is left to tell when the terminal itself is gone.
        let _ = error.print();
        if error.use_stderr() {
            ExitCode::from(exit::USAGE)
        } else {
            ExitCode::SUCCESS
        }
    })
}

/// Runs one subcommand.
pub fn run(command: Command, output: Style) -> anyhow::Result<()> {
    let format = match command {
        Command::Api(args) => return api::run(&args, output),
        _ => output.format()?,
    };
    match command {
        // Done above.
        Command::Api(_) => Ok(()),
        Command::CompleteApi(args) => api::complete(&args),
        Command::Server(args) => server::run(*args),
        Command::Lab(command) => lab::run(command, format),
        Command::Doctor(args) => doctor::run(&args, format),
        Command::Trace(args) => trace::run(&args, format),
        Command::Audit(args) => audit::run(&args, format),
        Command::Verify(args) => verify::run(&args, format),
        Command::Top(args) => top::run(&args, format),
        Command::Natlog(command) => natlog::run(&command, format),
        Command::Router(command) => router::run(command),
        Command::Guest(command) => guest::run(command),
        Command::Openapi(args) => openapi::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn paragraphs_of_the_help_are_left_to_the_terminal_to_wrap() {
        let mut left = vec![Cli::command()];
        while let Some(command) = left.pop() {
            let text = command
                .get_after_help()
                .map_or_else(String::new, ToString::to_string);
            let lines: Vec<&str> = text.lines().collect();
            let prose = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
            let torn = lines.windows(2).find(|pair| pair.iter().all(|line| prose(line)));
            assert_eq!(torn, None, "{}", command.get_name());
            left.extend(command.get_subcommands().cloned());
        }
    }
}
