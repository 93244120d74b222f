// SPDX-License-Identifier: Apache-2.0
//! Measures routers side by side on this machine, in one run, round by round: Outgate, nftables' masquerade, the rules of
//! CloudStack's virtual router, plain forwarding, and any other program. Everything happens in network namespaces of its
//! own. Needs root.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

mod clock;
mod contender;
mod plot;
mod progress;
mod report;
mod results;
mod stats;
mod traffic;
mod turns;
mod workload;
mod world;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use contender::{Contender, Peer};
use progress::Progress;
use results::Results;
use workload::{Effort, SESSIONS, Workload};

/// Measure routers side by side: packets, TCP, latency, new sessions, memory
#[derive(Debug, Parser)]
#[command(after_help = "\
Contenders take turns in every round; what is printed are medians with their spread, and ratios of medians.
Compare figures of one run only.

Examples:
  nat-bench                                       everything, in a quarter of an hour
  nat-bench --rounds 3 --only udp64 --contender nftables --contender outgate-kernel
  nat-bench --peer 'einat=einat -i eth2'          beside another program, in the router's namespace")]
struct Args {
    /// How many rounds at most
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// No round begins that would end later than so many minutes after the first
    #[arg(long, default_value_t = 15.0)]
    minutes: f64,
    /// Seconds of each measurement; preparing one takes some three more
    #[arg(long, default_value_t = 0.6)]
    seconds: f64,
    /// Only workloads whose name begins so; may be given again
    #[arg(long)]
    only: Vec<String>,
    /// Only these contenders; may be given again
    #[arg(long)]
    contender: Vec<String>,
    /// Another NAT program: name=command, with GUEST_INTERFACE, PUBLIC_INTERFACE, GATEWAY and PUBLIC in its environment
    #[arg(long)]
    peer: Vec<Peer>,
    /// Instead of rounds: so many turns, in each of which every contender sends one burst of the workload (udp64, new-tcp).
    /// Ratios hold on a busy machine too
    #[arg(long)]
    turns: Option<u32>,
    /// Where the results go
    #[arg(long, default_value = "bench/results")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let contenders = contenders(&args)?;
    let workloads = workloads(&args)?;
    on_one_core()?;
    if let Some(turns) = args.turns {
        return by_turns(&contenders, &workloads, turns);
    }
    for contender in &contenders {
        workload::check_content(contender)?;
    }
    eprintln!("every contender carries every packet as it must");
    let mut progress = Progress::new(args.rounds, &workloads, &contenders, args.seconds);
    eprintln!("{progress}");
    let mut effort = Effort {
        time: Duration::try_from_secs_f64(args.seconds)?,
        load: 0.0,
    };
    if workloads.contains(&Workload::Latency) {
        effort.load = half_load(effort)?;
        eprintln!("latency is measured beside {:.0} packets a second", effort.load);
    }
    let mut results = Results::default();
    let budget = Duration::try_from_secs_f64(args.minutes * 60.0)?;
    let mut rounds = 0;
    for round in 0..args.rounds {
        if !progress.has_room(round, budget) {
            eprintln!("no time for round {} within {} minutes", round + 1, args.minutes);
            break;
        }
        for workload in &workloads {
            eprintln!(
                "round {} of {}: {}; {progress}",
                round + 1,
                args.rounds,
                workload.name()
            );
            // Nobody is always the first.
            let from = usize::try_from(round)? % contenders.len();
            for contender in contenders[from..].iter().chain(&contenders[..from]) {
                if workload.suits(contender) {
                    measure(*workload, contender, effort, &mut results)?;
                    progress.one_more();
                }
            }
        }
        rounds += 1;
    }
    let names: Vec<String> = contenders.iter().map(Contender::to_string).collect();
    println!("{}\n", report::table(&results, &names));
    println!("{}\n", report::outcome_table(&report::outcomes(&results)));
    for path in report::write(&results, rounds, effort.load, &args.out)? {
        eprintln!("written: {}", path.display());
    }
    Ok(())
}

fn by_turns(contenders: &[Contender], workloads: &[Workload], turns: u32) -> anyhow::Result<()> {
    for workload in workloads {
        println!("{}", turns::measure(contenders, *workload, turns)?);
    }
    Ok(())
}

fn measure(
    workload: Workload,
    contender: &Contender,
    effort: Effort,
    results: &mut Results,
) -> anyhow::Result<()> {
    let readings = workload
        .measure(contender, effort)
        .with_context(|| format!("{} of {contender}", workload.name()))?;
    for reading in readings {
        results.add(&contender.to_string(), reading);
    }
    Ok(())
}

/// Half of what nftables' masquerade can do: the same load for everybody.
fn half_load(effort: Effort) -> anyhow::Result<f64> {
    let readings = Workload::Udp64(SESSIONS[0]).measure(&Contender::Nftables, effort)?;
    Ok(readings.first().map_or(0.0, |reading| reading.value * 1e6 / 2.0))
}

fn contenders(args: &Args) -> anyhow::Result<Vec<Contender>> {
    let mut all = Contender::all();
    all.extend(args.peer.iter().cloned().map(Contender::Peer));
    let names: Vec<String> = all.iter().map(Contender::to_string).collect();
    for wanted in &args.contender {
        if !names.contains(wanted) {
            bail!(
                "--contender {wanted}: there is none; there are {}",
                names.join(", ")
            );
        }
    }
    if !args.contender.is_empty() {
        all.retain(|contender| args.contender.contains(&contender.to_string()));
    }
    Ok(all)
}

fn workloads(args: &Args) -> anyhow::Result<Vec<Workload>> {
    let mut all = Workload::all();
    if !args.only.is_empty() {
        all.retain(|workload| args.only.iter().any(|begin| workload.name().starts_with(begin)));
    }
    if all.is_empty() {
        let names: Vec<String> = Workload::all().into_iter().map(Workload::name).collect();
        bail!(
            "--only {}: there are {}",
            args.only.join(" --only "),
            names.join(", ")
        );
    }
    Ok(all)
}

/// Generator, router and sink share a core, so that what the router costs is what is missing at the sink.
fn on_one_core() -> anyhow::Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &cpus).context("staying on one core")
}
