// SPDX-License-Identifier: Apache-2.0
//! What NAT logging costs a router: new UDP sessions offered at 20,000 a second and as fast as they go, by turns with and
//! without the log, in one run. One JSON line without it and one with it; each figure is the median of the rounds. Needs
//! root: it works in network namespaces of its own.
//!
//! `sessions`, `recorded` and `lost` are sums over the rounds: `recorded` + `lost` is never less than `sessions`. `cpu_us`
//! is processor time of all of this process's threads for one session at 20,000 a second, the sender's included, and
//! `log_percent` how much of one processor the log's thread took meanwhile. `max_per_s` is how many sessions a second
//! begin when nobody waits, and `max_ratio` that beside the same without the log.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::{Duration, Instant};

use outgate_model::router_spec::NatLog;
use outgate_router::cloud_log::CloudLog;
use outgate_router::nat_log::NatLogger;
use outgate_testkit::{RawSender, udp_packet, wait_until};
use support::{World, spec};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// New sessions a second.
const OFFERED: u32 = 20_000;
/// So many a round: five seconds of them.
const SESSIONS: u32 = 5 * OFFERED;
const ROUNDS: usize = 5;
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 11);
const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// How long records may take to be written.
const LIMIT: Duration = Duration::from_secs(30);
const FILES: NatLog = NatLog {
    records_per_second: 1_000_000,
    file_mib: 1_024,
    collector: None,
};

fn main() -> Result<()> {
    let world = World::new();
    world.apply(&spec());
    // Nobody answers, not even that nobody is there.
    let deaf =
        "add table ip deaf; add chain ip deaf input { type filter hook input priority 0; policy drop; }";
    world.topology.internet.check(&["nft", deaf])?;
    let (mut without, mut with) = (Figures::default(), Figures::default());
    for _ in 0..ROUNDS {
        for (figures, logged) in [(&mut without, false), (&mut with, true)] {
            round(&world, Some(OFFERED), logged, figures)?;
            round(&world, None, logged, figures)?;
        }
    }
    let plain = median(&without.max_per_s);
    for (name, figures) in [("off", &without), ("on", &with)] {
        writeln!(std::io::stdout(), "{}", figures.line(name, plain))?;
    }
    Ok(())
}

/// What the rounds showed.
#[derive(Default)]
struct Figures {
    reached_per_s: Vec<f64>,
    cpu_us: Vec<f64>,
    log_percent: Vec<f64>,
    max_per_s: Vec<f64>,
    sessions: u64,
    recorded: u64,
    lost: u64,
}

impl Figures {
    fn line(&self, natlog: &str, plain: f64) -> serde_json::Value {
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        serde_json::json!({
            "natlog": natlog,
            "reached_per_s": median(&self.reached_per_s).round(),
            "cpu_us": rounded(median(&self.cpu_us)),
            "log_percent": rounded(median(&self.log_percent)),
            "max_per_s": median(&self.max_per_s).round(),
            "max_ratio": rounded(median(&self.max_per_s) / plain),
            "sessions": self.sessions,
            "recorded": self.recorded,
            "lost": self.lost,
        })
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Begins sessions at this pace, or as fast as it goes, in an empty table.
fn round(world: &World, pace: Option<u32>, logged: bool, figures: &mut Figures) -> Result<()> {
    world.run("conntrack -F");
    let log = logged.then(|| Log::start(world));
    let (cpu, writer) = (cpu_time(|_| true)?, cpu_time(is_log)?);
    let took = open_sessions(world, pace)?;
    let held: u64 = world.run("conntrack -C").trim().parse()?;
    if held < u64::from(SESSIONS) {
        return Err(format!("only {held} of {SESSIONS} sessions are held").into());
    }
    if let Some(log) = log {
        let (recorded, lost) = log.all();
        let busy = cpu_time(is_log)?.saturating_sub(writer);
        if pace.is_some() {
            figures
                .log_percent
                .push(busy.as_secs_f64() * 100.0 / took.as_secs_f64());
        }
        figures.recorded += recorded;
        figures.lost += lost;
        log.stop(world);
    }
    figures.sessions += u64::from(SESSIONS);
    let per_second = f64::from(SESSIONS) / took.as_secs_f64();
    if pace.is_some() {
        let cpu = cpu_time(|_| true)?.saturating_sub(cpu);
        figures.cpu_us.push(cpu.as_secs_f64() * 1e6 / f64::from(SESSIONS));
        figures.reached_per_s.push(per_second);
    } else {
        figures.max_per_s.push(per_second);
    }
    Ok(())
}

/// One packet each, every one from another port or to another one. Returns how long it took.
fn open_sessions(world: &World, pace: Option<u32>) -> Result<Duration> {
    const PORTS: u32 = 50_000;
    let sender = RawSender::new(&world.topology.guests[0])?;
    let started = Instant::now();
    for n in 0..SESSIONS {
        let port = |n: u32| u16::try_from(n).unwrap();
        let from = SocketAddrV4::new(GUEST, port(2_000 + n % PORTS));
        let to = SocketAddrV4::new(FAR, port(9 + n / PORTS));
        sender.send(&udp_packet(from, to, b"x"), FAR)?;
        let due = pace.map(|pace| Duration::from_secs(1) * n / pace);
        if let Some(early) = due.and_then(|due| due.checked_sub(started.elapsed())) {
            std::thread::sleep(early);
        }
    }
    Ok(started.elapsed())
}

/// A log that records.
struct Log {
    logger: NatLogger,
    dir: tempfile::TempDir,
}

impl Log {
    fn start(world: &World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (path, id) = (dir.path().to_owned(), spec().id);
        let logger = world.router(move |_| {
            let mut logger = NatLogger::new(&path, id, CloudLog::new(path.join("cloud.log")));
            logger.follow(Some(FILES)).unwrap();
            logger
        });
        let log = dir.path().join("cloud.log");
        wait_until(LIMIT, "it records", || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.contains("NAT log: recording sessions").then_some(())
        })
        .unwrap();
        Self { logger, dir }
    }

    /// Recorded and lost sessions, once all are there.
    fn all(&self) -> (u64, u64) {
        wait_until(LIMIT, "every session is recorded or counted as lost", || {
            let (recorded, lost) = counts(self.dir.path());
            (recorded + lost >= u64::from(SESSIONS)).then_some((recorded, lost))
        })
        .unwrap()
    }

    fn stop(mut self, world: &World) {
        self.logger.follow(None).unwrap();
        wait_until(LIMIT, "it listens no more", || {
            let sockets = world.run("cat /proc/net/netlink");
            let listens = |line: &str| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words.get(1) == Some(&"12") && words.get(3).is_some_and(|groups| groups.ends_with('5'))
            };
            (!sockets.lines().any(listens)).then_some(())
        })
        .unwrap();
    }
}

fn counts(dir: &Path) -> (u64, u64) {
    let text = fs::read_to_string(dir.join("nat.log")).unwrap_or_default();
    let lost = text
        .lines()
        .filter_map(|line| line.split_once(" lost ")?.1.parse::<u64>().ok());
    let recorded = text.lines().filter(|line| line.contains(" create udp ")).count();
    (u64::try_from(recorded).unwrap(), lost.sum())
}

fn is_log(name: &str) -> bool {
    name == "nat-log"
}

/// Processor time of this process's threads with such names.
fn cpu_time(like: impl Fn(&str) -> bool) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        let name = fs::read_to_string(task.join("comm"))?;
        let spent = fs::read_to_string(task.join("schedstat"))?;
        let nanos = spent.split_whitespace().next().unwrap_or("0").parse()?;
        if like(name.trim()) {
            sum += Duration::from_nanos(nanos);
        }
    }
    Ok(sum)
}
