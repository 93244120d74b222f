// SPDX-License-Identifier: Apache-2.0
//! `outgate natlog`: what routers' records of sessions tell.

mod files;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use outgate_model::RouterSpec;
use outgate_router::nat_log::history::{self, Ended, Found, Holding, Question, Search};
use outgate_router::spec_file::SpecFile;
use serde_json::{Value, json};

use crate::doctor::End;
use crate::exit::Unavailable;
use crate::lab;
use crate::lab::state::Instance;
use crate::output::{self, Format};
use files::Log;

/// What can be asked.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  outgate natlog who 203.0.113.10:1024 --at 2026-11-25T15:45:37Z   who was it?
  outgate natlog who --help                                        says more")]
pub enum Command {
    /// Tell which guest had a public address and port, and when
    Who(Box<Who>),
}

/// Tell which guest had a public address and port, and when.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads the records that routers write when router.natlog.enabled is true (docs/nat-log.md): nat.log and what was set aside \
of it, of every router on this host, or what was collected from elsewhere. Sessions from outside lead to the guest that they \
reached. The names are those that the address has now, by the router's own directory; none with collected files.

Examples:
  outgate natlog who 203.0.113.10:1024 --at 2026-11-25T15:45:37Z   who was it?
  outgate natlog who 203.0.113.10:1024 --at 2026-11-25T16:45:37+01:00 --within 5s --proto tcp
  outgate natlog who 203.0.113.10 --to 198.51.100.1:443            all who went there with that address
  outgate natlog who 203.0.113.10:1024 --instance default          in a lab
  outgate natlog who 203.0.113.10:1024 --from /srv/collected       files that lie elsewhere
  zcat old/nat.log.*.gz | outgate natlog who 203.0.113.10:1024 --from -
  outgate natlog who 203.0.113.10:1024 --at 2026-11-25T15:45:37Z -o json | jq -r '.session[].guest'

Exit codes: 0 somebody had it, 1 nobody did by the records, 69 there are no records.")]
pub struct Who {
    /// The public address; with the port (of ICMP the query's identifier), or without it every port of it
    #[arg(value_name = "ADDRESS[:PORT]")]
    public: End,
    /// When: RFC 3339, such as 2026-11-25T15:45:37Z; without a fraction that whole second is meant; without it, ever
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Moment>,
    /// By how much either clock may be wrong, in seconds (0 to 86400)
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1", requires = "at")]
    within: i64,
    /// Only sessions of this protocol: tcp, udp, icmp ..., or a number
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    proto: Option<String>,
    /// Only sessions with this other end
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    to: Option<End>,
    /// A file or directory with records, the oldest first; - for standard input
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
    /// The lab whose routers' records are read
    #[arg(long, value_name = "NAME", env = "OUTGATE_INSTANCE")]
    instance: Option<Instance>,
    /// Where the server on this host keeps its routers (outgate server --run-dir)
    #[arg(
        long,
        value_name = "DIR",
        env = "OUTGATE_RUN_DIR",
        default_value = "/run/outgate"
    )]
    run_dir: PathBuf,
}

/// A moment, and whether it is a whole second.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Timestamp,
    whole: bool,
}

fn moment(text: &str) -> Result<Moment, String> {
    let at = text
        .parse()
        .map_err(|_| format!("{text:?} is no time with a zone in RFC 3339, such as 2026-11-25T15:45:37Z"))?;
    Ok(Moment {
        at,
        whole: !text.contains('.'),
    })
}

fn seconds(text: &str) -> Result<i64, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse();
    let fits = number.ok().filter(|seconds| (0..=86_400).contains(seconds));
    fits.ok_or_else(|| format!("{text:?} is no number of seconds from 0 to 86400, such as 5s"))
}

fn protocol(text: &str) -> Result<String, String> {
    history::protocol(text).ok_or_else(|| {
        format!("{text:?} is no protocol: tcp, udp, icmp, sctp, gre, esp or a number up to 255")
    })
}

/// Runs it.
pub fn run(command: &Command, format: Format) -> anyhow::Result<()> {
    let Command::Who(args) = command;
    who(args, format)
}

/// What one router's records say.
struct Answer {
    router: Option<RouterSpec>,
    found: Found,
}

fn who(args: &Who, format: Format) -> anyhow::Result<()> {
    let question = question(args);
    let mut answers = Vec::new();
    for log in logs(args)? {
        let mut search = Search::new(question.clone());
        log.lines(|line| search.line(line))?;
        // Names only make it easier to read; without them the answer is as good.
        let router = log
            .dir
            .and_then(|dir| SpecFile::in_dir(dir).load().ok().flatten());
        answers.push(Answer {
            router,
            found: search.finish(),
        });
    }
    match format {
        Format::Json => output::json(&document(&answers))?,
        Format::Table => print(args, &answers)?,
    }
    if answers.iter().all(|answer| answer.found.holdings.is_empty()) {
        return Err(anyhow::anyhow!(nobody(args, &answers)));
    }
    Ok(())
}

fn question(args: &Who) -> Question {
    let between = args.at.map(|Moment { at, whole }| {
        let within = SignedDuration::from_secs(args.within);
        let end = if whole {
            SignedDuration::from_millis(999)
        } else {
            SignedDuration::ZERO
        };
        // Beyond the end of time there is nothing to compare with.
        let from = at.checked_sub(within).unwrap_or(Timestamp::MIN);
        (from, at.checked_add(within + end).unwrap_or(Timestamp::MAX))
    });
    Question {
        address: args.public.address,
        port: args.public.port,
        protocol: args.proto.clone(),
        far: args.to.map(|end| (end.address, end.port)),
        between,
    }
}

/// The logs that are asked for, or those of this host, or those of the lab that is up.
fn logs(args: &Who) -> anyhow::Result<Vec<Log>> {
    if args.from.iter().any(|path| path.as_os_str() == "-") {
        return Ok(vec![Log::stdin()]);
    }
    let mut places = args.from.clone();
    if places.is_empty() {
        places.push(match &args.instance {
            Some(instance) => lab::run_dir(instance)?,
            None if args.run_dir.is_dir() => args.run_dir.clone(),
            None => "default"
                .parse()
                .ok()
                .and_then(|name| lab::run_dir(&name).ok())
                .unwrap_or(args.run_dir.clone()),
        });
    }
    let found = if args.from.is_empty() && !places.iter().all(|place| place.is_dir()) {
        Vec::new()
    } else {
        files::find(&places)?
    };
    if found.is_empty() {
        let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        let told = format!(
            "there are no records in {}: are sessions recorded (router.natlog.enabled), and on this host? --instance names a \
             lab, --from other places",
            places.join(", ")
        );
        return Err(Unavailable(told).into());
    }
    Ok(found)
}

/// What a guest's address is called now, and its network.
fn names(router: Option<&RouterSpec>) -> HashMap<Ipv4Addr, (String, String)> {
    let networks = router.into_iter().flat_map(|spec| &spec.guest_networks);
    let leases = networks.flat_map(|network| {
        let cidr = network.gateway.trunc().to_string();
        network
            .leases
            .values()
            .map(move |lease| (lease.address, (lease.hostname.clone(), cidr.clone())))
    });
    leases.collect()
}

fn network(router: Option<&RouterSpec>, guest: Ipv4Addr) -> Option<Value> {
    let mut networks = router?.guest_networks.iter();
    let network = networks.find(|network| network.gateway.contains(&guest))?;
    Some(json!({ "id": network.id, "cidr": network.gateway.trunc().to_string() }))
}

fn document(answers: &[Answer]) -> Value {
    let sessions = answers.iter().flat_map(|Answer { router, found }| {
        let names = names(router.as_ref());
        found.holdings.iter().map(move |holding| {
            let (ended, how) = match holding.ended {
                Ended::At(at) => (Some(at), "recorded"),
                Ended::By(at) => (Some(at), "atthelatest"),
                Ended::Open => (None, "open"),
            };
            json!({
                "guest": holding.guest.ip(),
                "guestport": holding.guest.port(),
                "guestname": names.get(holding.guest.ip()).map(|(name, _)| name),
                "network": network(router.as_ref(), *holding.guest.ip()),
                "router": router.as_ref().map(|spec| &spec.name),
                "protocol": holding.protocol,
                "public": holding.public.ip(),
                "publicport": holding.public.port(),
                "destination": holding.far.ip(),
                "destinationport": holding.far.port(),
                "direction": if holding.is_inbound { "in" } else { "out" },
                "began": holding.began,
                "ended": ended,
                "end": how,
            })
        })
    });
    let sum = |of: fn(&Found) -> u64| answers.iter().map(|answer| of(&answer.found)).sum::<u64>();
    json!({
        "session": sessions.collect::<Vec<_>>(),
        "unnamed": sum(|found| found.unnamed),
        "lost": sum(|found| found.lost),
        "unreadable": sum(|found| found.unreadable),
        "recordsfrom": span(answers).map(|(from, _)| from),
        "recordsuntil": span(answers).map(|(_, until)| until),
    })
}

/// From when to when there are records.
fn span(answers: &[Answer]) -> Option<(Timestamp, Timestamp)> {
    let spans = answers.iter().filter_map(|answer| answer.found.span);
    spans.reduce(|(from, until), (first, last)| (from.min(first), until.max(last)))
}

fn print(args: &Who, answers: &[Answer]) -> anyhow::Result<()> {
    let mut table = output::table(&[
        "GUEST",
        "NAME",
        "NETWORK",
        "PROTO",
        "PUBLIC",
        "OTHER END",
        "FROM",
        "UNTIL",
        "ROUTER",
    ]);
    for Answer { router, found } in answers {
        let names = names(router.as_ref());
        for holding in &found.holdings {
            table.add_row(row(router.as_ref(), &names, holding));
        }
    }
    if table.row_count() > 0 {
        output::show(table)?;
    }
    let unnamed: u64 = answers.iter().map(|answer| answer.found.unnamed).sum();
    if unnamed > 0 {
        output::line(format!(
            "and {unnamed} more sessions: ask for a port, a time or another end"
        ))?;
    }
    let lost: u64 = answers.iter().map(|answer| answer.found.lost).sum();
    if lost > 0 {
        let of = args.at.map_or("", |_| " until then");
        output::line(format!(
            "{lost} records were lost{of}: they may hide somebody else"
        ))?;
    }
    Ok(())
}

fn row(
    router: Option<&RouterSpec>,
    names: &HashMap<Ipv4Addr, (String, String)>,
    holding: &Holding,
) -> [String; 9] {
    let dash = || "-".to_owned();
    let name = names.get(holding.guest.ip());
    let cidr = network(router, *holding.guest.ip()).and_then(|n| n["cidr"].as_str().map(str::to_owned));
    [
        holding.guest.to_string(),
        name.map_or_else(dash, |(name, _)| name.clone()),
        cidr.unwrap_or_else(dash),
        holding.protocol.clone(),
        holding.public.to_string(),
        holding.far.to_string(),
        holding
            .began
            .map_or_else(|| "before the records".to_owned(), stamp),
        match holding.ended {
            Ended::At(at) => stamp(at),
            Ended::By(at) => format!("at the latest {}", stamp(at)),
            Ended::Open => "still open".to_owned(),
        },
        router.map_or_else(dash, |spec| spec.name.clone()),
    ]
}

/// `2026-11-25T15:45:37.123Z`, as in the records.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Why there is no answer.
fn nobody(args: &Who, answers: &[Answer]) -> String {
    let address = args.public.address;
    let whom = args
        .public
        .port
        .map_or(address.to_string(), |port| format!("{address}:{port}"));
    let when = args
        .at
        .map_or_else(|| "ever".to_owned(), |moment| format!("at {}", moment.at));
    let records = match span(answers) {
        Some((from, until)) => format!("they go from {} to {}", stamp(from), stamp(until)),
        None => "there is not one".to_owned(),
    };
    let lost: u64 = answers.iter().map(|answer| answer.found.lost).sum();
    let lost = if lost > 0 {
        format!(", and {lost} of them were lost")
    } else {
        String::new()
    };
    format!("nobody had {whom} {when} by the records that were read: {records}{lost}")
}
