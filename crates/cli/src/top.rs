// SPDX-License-Identifier: Apache-2.0
//! `outgate top [NETWORK|VPC|ROUTER]`: what routers carry, live.

mod feed;
mod frame;
mod grid;
mod print;
mod rates;
mod reading;
mod screen;
mod state;
#[cfg(test)]
mod tests;

use std::io::IsTerminal as _;
use std::time::Duration;

use crate::client::{Client, Options, Target};
use crate::exit::Unavailable;
use crate::output::{self, Format};

use feed::Feed;
use state::State;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Watch sessions, ports, rates, drops and the fast path of networks, live.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads the routers once a second through the API and shows what they carry: sessions and ports in use against what there \
is, with a forecast; the busiest guests, public addresses and destinations; packets and bytes a second; what is dropped \
and why; the fast path's share; alerts of the last 15 minutes. Keys: ? tells them.

Without a terminal, with --once, --count or -o json it prints snapshots instead. A rate takes two readings, so a snapshot \
takes one interval.

Examples:
  outgate top                       every network and VPC
  outgate top lab-net               one network, VPC or router, by its name or id
  outgate top --once                one snapshot as tables
  outgate top -o json --count 60    a line of JSON a second, for a minute
  outgate top --once -o json | jq '.network[].virtualmachine[] | {name, receivedbytespersecond}'

Exit codes: 0 done, 64 there is no such network, 69 the server does not answer.")]
pub struct Args {
    /// The name or id of a network, VPC or router; without it, all networks and VPCs
    what: Option<String>,
    /// Seconds between two readings, 0.2 to 60
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    interval: Seconds,
    /// Print one snapshot and end
    #[arg(long)]
    once: bool,
    /// Print so many snapshots and end
    #[arg(long, value_name = "N", conflicts_with = "once", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Whom to ask
    #[command(flatten)]
    target: Target,
}

/// A bounded interval.
#[derive(Debug, Clone, Copy)]
struct Seconds(f64);

impl std::str::FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.parse::<f64>().ok().filter(|s| (0.2..=60.0).contains(s));
        seconds
            .map(Self)
            .ok_or_else(|| "give seconds between 0.2 and 60, such as 1 or 2.5".to_owned())
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s", self.0)
    }
}

/// Shows the screen, or prints snapshots.
pub fn run(args: &Args, format: Format) -> anyhow::Result<()> {
    let client = Client::connect_with(&args.target, Options::patient_for(PATIENCE))?;
    let interval = Duration::from_secs_f64(args.interval.0);
    let state = State::new(args.interval.to_string(), output::colour_wanted());
    let is_screen = format == Format::Table
        && !args.once
        && args.count.is_none()
        && std::io::stdout().is_terminal()
        && std::io::stdin().is_terminal();
    if is_screen {
        let feed = Feed::new(client, args.what.clone(), feed::ROUND_MAX)?;
        return screen::run(feed, interval, state);
    }
    let feed = Feed::new(client, args.what.clone(), usize::MAX)?;
    snapshots(feed, interval, state, args.count.unwrap_or(1), format)
}

/// The first reading is only there to compare with.
fn snapshots(
    mut feed: Feed,
    interval: Duration,
    mut state: State,
    count: u32,
    format: Format,
) -> anyhow::Result<()> {
    for round in 0..=count {
        for event in feed.round() {
            state = state.after(event);
        }
        if let Some((_, reason)) = &state.lost {
            return Err(Unavailable(reason.clone()).into());
        }
        if round > 0 {
            match format {
                Format::Table => print::tables(&state)?,
                Format::Json => output::line(print::json(&state))?,
            }
        }
        if round < count {
            std::thread::sleep(interval);
        }
    }
    Ok(())
}
