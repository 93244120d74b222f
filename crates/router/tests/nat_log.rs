// SPDX-License-Identifier: Apache-2.0
//! NAT logging of a real router with real sessions: each is recorded, or counted as lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::net::{SocketAddrV4, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use outgate_model::router_spec::NatLog;
use outgate_router::cloud_log::CloudLog;
use outgate_router::nat_log::NatLogger;
use outgate_testkit::{RawSender, TcpEcho, TcpProbe, udp_packet, wait_until};
use support::{World, add_forward, open, spec};

const LIMIT: Duration = Duration::from_secs(60);
const FILE: NatLog = NatLog {
    records_per_second: 1_000_000,
    file_mib: 64,
    collector: None,
};

/// A router whose sessions are recorded in a directory.
struct Logged {
    world: World,
    logger: NatLogger,
    dir: tempfile::TempDir,
}

impl Logged {
    fn new(world: World, wanted: NatLog) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (path, id) = (dir.path().to_owned(), spec().id);
        let logger = world.router(move |_| {
            let log = CloudLog::new(path.join("cloud.log"));
            let mut logger = NatLogger::new(&path, id, log);
            logger.follow(Some(wanted)).unwrap();
            logger
        });
        let logged = Self { world, logger, dir };
        logged.records();
        logged
    }

    /// Waits until it has listed what there was: sessions from then on are recorded when they begin.
    fn records(&self) {
        let log = self.dir.path().join("cloud.log");
        wait_until(LIMIT, "the logger records", || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.contains("NAT log: recording sessions").then_some(())
        })
        .unwrap();
    }

    fn lines(&self) -> Vec<String> {
        lines(self.dir.path())
    }

    /// The lines that hold all these words, once there are so many.
    fn find(&self, count: usize, words: &[&str]) -> Vec<String> {
        wait_until(LIMIT, "the records are there", || {
            let lines = self.lines();
            let found: Vec<_> = lines
                .into_iter()
                .filter(|line| words.iter().all(|word| line.contains(word)))
                .collect();
            (found.len() == count).then_some(found)
        })
        .unwrap_or_else(|error| panic!("{error}: {count} of {words:?} in {:#?}", self.lines()))
    }
}

/// Whether somebody listens to sessions: groups 1 and 3 of NETLINK_NETFILTER (12).
fn listening(netlink: &str) -> bool {
    netlink.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1) == Some(&"12") && words.get(3).is_some_and(|groups| groups.ends_with('5'))
    })
}

fn lines(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("nat.log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Opens so many UDP sessions from a guest, one from each port, as fast as it goes. Returns when the router has them all.
fn open_sessions(world: &World, to: SocketAddrV4, count: u16) {
    let entries = || world.router(|_| outgate_kernel::conntrack::usage().unwrap().entries);
    let before = entries();
    let sender = RawSender::new(&world.topology.guests[0]).unwrap();
    for port in 0..count {
        let from = SocketAddrV4::new([10, 1, 1, 11].into(), 10_000 + port);
        sender.send(&udp_packet(from, to, b"one more"), *to.ip()).unwrap();
    }
    let entered = || (entries() >= before + u32::from(count)).then_some(());
    wait_until(LIMIT, "they are entered", entered).unwrap();
}

#[test]
fn each_translated_session_is_recorded_with_both_sides_when_it_begins_and_when_it_ends() {
    let world = World::new();
    let mut spec = spec();
    open(&mut spec);
    add_forward(&mut spec, 8_001, 80);
    world.apply(&spec);
    let logged = Logged::new(world, FILE);
    let topology = &logged.world.topology;
    let outside = TcpEcho::start(&topology.internet, "198.51.100.1:7".parse().unwrap()).unwrap();
    let inside = TcpEcho::start(&topology.guests[0], "10.1.1.11:80".parse().unwrap()).unwrap();

    let mut out = TcpProbe::connect(&topology.guests[0], outside.address, LIMIT).unwrap();
    out.echo(b"out").unwrap();
    let port = outside.seen()[0].port();
    let as_whom = format!("as 203.0.113.10:{port} > 198.51.100.1:7");
    logged.find(1, &["create tcp 10.1.1.11:", "> 198.51.100.1:7", &as_whom]);

    let public = SocketAddrV4::new([203, 0, 113, 10].into(), 8_001);
    let mut into = TcpProbe::connect(&topology.internet, public, LIMIT).unwrap();
    into.echo(b"in").unwrap();
    assert!(!inside.seen().is_empty());
    logged.find(1, &["create tcp", "> 203.0.113.10:8001 as", "> 10.1.1.11:80"]);

    logged.world.run("conntrack -F");
    logged.find(1, &["delete tcp 10.1.1.11:", &as_whom]);
    logged.find(1, &["delete tcp", "> 203.0.113.10:8001 as", "> 10.1.1.11:80"]);
    let lines = logged.lines();
    assert!(lines.iter().all(|line| !line.contains("169.254.")), "{lines:?}");
}

#[test]
fn a_session_that_was_there_before_is_active() {
    let world = World::new();
    world.apply(&spec());
    open_sessions(&world, "198.51.100.1:9".parse().unwrap(), 3);
    let logged = Logged::new(world, FILE);
    logged.find(3, &["active udp 10.1.1.11:", "> 198.51.100.1:9 as 203.0.113.10:"]);
    let first = logged.lines().swap_remove(0);
    assert!(
        first.ends_with("Z begin"),
        "who is not listed from here on has ended: {first}"
    );
}

#[test]
fn twenty_thousand_sessions_at_once_are_recorded_or_counted() {
    const SESSIONS: u16 = 20_000;
    let world = World::new();
    world.apply(&spec());
    let logged = Logged::new(world, FILE);
    let started = Instant::now();
    open_sessions(&logged.world, "198.51.100.1:9".parse().unwrap(), SESSIONS);
    let took = started.elapsed();
    let created = || {
        let lines = logged.lines();
        let created = lines
            .iter()
            .filter(|line| line.contains("create udp 10.1.1.11:"))
            .count();
        (created + lost(&lines), created)
    };
    let (_, created) = wait_until(LIMIT, "all are there", || {
        let (sum, created) = created();
        (sum >= usize::from(SESSIONS)).then_some((sum, created))
    })
    .unwrap();
    println!("{created} of {SESSIONS} recorded, which began within {took:?}");
    let tracked: usize = logged.world.run("conntrack -C").trim().parse().unwrap();
    assert!(tracked >= usize::from(SESSIONS), "{tracked}");
}

fn lost(lines: &[String]) -> usize {
    let numbers = lines
        .iter()
        .filter_map(|line| line.split_once(" lost ")?.1.parse::<usize>().ok());
    numbers.sum()
}

#[test]
fn what_is_beyond_the_limit_is_counted_and_told() {
    let world = World::new();
    world.apply(&spec());
    let wanted = NatLog {
        records_per_second: 10,
        ..FILE
    };
    let logged = Logged::new(world, wanted);
    open_sessions(&logged.world, "198.51.100.1:9".parse().unwrap(), 500);
    wait_until(LIMIT, "all are there", || {
        let lines = logged.lines();
        let created = lines.iter().filter(|line| line.contains(" create ")).count();
        (created + lost(&lines) >= 500 && created < 500).then_some(())
    })
    .unwrap();
    let log = std::fs::read_to_string(logged.dir.path().join("cloud.log")).unwrap();
    assert!(
        log.contains("WARN  NAT log: ") && log.contains(" records lost"),
        "{log}"
    );
}

#[test]
fn records_that_are_no_longer_wanted_are_not_written() {
    let world = World::new();
    world.apply(&spec());
    let mut logged = Logged::new(world, FILE);
    open_sessions(&logged.world, "198.51.100.1:9".parse().unwrap(), 1);
    logged.find(1, &["create udp"]);
    logged.logger.follow(None).unwrap();
    let world = &logged.world;
    wait_until(LIMIT, "it listens no more", || {
        (!listening(&world.run("cat /proc/net/netlink"))).then_some(())
    })
    .unwrap();
    open_sessions(world, "198.51.100.1:10".parse().unwrap(), 1);
    assert!(
        !logged
            .lines()
            .iter()
            .any(|line| line.contains("> 198.51.100.1:10"))
    );
    logged.logger.follow(Some(FILE)).unwrap();
    logged.find(1, &["active udp", "> 198.51.100.1:10"]);
}

/// What a collector understands of the messages it got: templates by id, and data records by their elements.
#[derive(Default)]
struct Collector {
    templates: std::collections::BTreeMap<u16, Vec<(u16, u16)>>,
    records: Vec<std::collections::BTreeMap<u16, u64>>,
}

impl Collector {
    fn take(&mut self, message: &[u8]) {
        let short = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        assert_eq!((short(0), usize::from(short(2))), (10, message.len()));
        let mut at = 16;
        while at < message.len() {
            let (id, end) = (short(at), at + usize::from(short(at + 2)));
            match id {
                2 => self.template(&message[at + 4..end], 4),
                3 => self.template(&message[at + 4..end], 6),
                _ => self.data(id, &message[at + 4..end]),
            }
            at = end;
        }
    }

    fn template(&mut self, set: &[u8], header: usize) {
        let short = |at: usize| u16::from_be_bytes([set[at], set[at + 1]]);
        let field = |n: usize| (short(header + 4 * n), short(header + 4 * n + 2));
        let fields = (0..usize::from(short(2))).map(field).collect();
        self.templates.insert(short(0), fields);
    }

    fn data(&mut self, id: u16, mut set: &[u8]) {
        let template = self
            .templates
            .get(&id)
            .expect("the template comes before its records");
        let length: usize = template.iter().map(|(_, length)| usize::from(*length)).sum();
        while set.len() >= length {
            let mut record = std::collections::BTreeMap::new();
            for (element, length) in template {
                let (value, rest) = set.split_at(usize::from(*length));
                record.insert(
                    *element,
                    value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
                );
                set = rest;
            }
            self.records.push(record);
        }
    }
}

#[test]
fn a_collector_on_the_control_network_gets_every_record_with_its_template() {
    let world = World::new();
    world.apply(&spec());
    let bind = || UdpSocket::bind("169.254.0.1:4739");
    let socket = world.topology.control.within(bind).unwrap().unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let wanted = NatLog {
        collector: Some("169.254.0.1:4739".parse().unwrap()),
        ..FILE
    };
    let logged = Logged::new(world, wanted);
    open_sessions(&logged.world, "198.51.100.1:9".parse().unwrap(), 100);
    let mut collector = Collector::default();
    let mut buffer = [0; 2_000];
    while collector.records.len() < 100 {
        let size = socket.recv(&mut buffer).unwrap();
        collector.take(&buffer[..size]);
    }
    let number = |address: [u8; 4]| u64::from(u32::from_be_bytes(address));
    for record in &collector.records {
        // natEvent, protocolIdentifier, source before and after, destination and its port.
        let seen = [230, 4, 8, 225, 12, 11].map(|element| record[&element]);
        let (inside, outside) = (number([10, 1, 1, 11]), number([203, 0, 113, 10]));
        assert_eq!(seen, [4, 17, inside, outside, number([198, 51, 100, 1]), 9]);
    }
    let ports: std::collections::BTreeSet<u64> = collector.records.iter().map(|r| r[&7]).collect();
    assert_eq!(ports, (10_000..10_100).collect());
}
