// SPDX-License-Identifier: Apache-2.0
//! The eBPF programs that make, swallow and send back packets.
//!
//! Packets are made inside the kernel (`BPF_PROG_TEST_RUN` with live frames), so that the generator's cost is small and
//! the same for every contender.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use libbpf_rs::{Link, MapCore, MapFlags, Object, ObjectBuilder, ProgramInput, ProgramMut};
use nix::net::if_::if_nametoindex;
use outgate_testkit::Namespace;

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/traffic.bpf.o"));
/// linux/bpf.h: `BPF_F_TEST_XDP_LIVE_FRAMES`.
const LIVE_FRAMES: u32 = 1 << 1;
/// Frames of one system call.
const BURST: u32 = 1 << 16;
/// The loopback interface is the first of every namespace.
const LOOPBACK: i32 = 1;
const HEADERS: usize = 42;
const ETHERNET: usize = 14;
const IPV4: usize = 20;

/// The sessions of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sessions {
    /// So many hosts ...
    pub hosts: u32,
    /// ... with so many ports each towards one destination.
    pub ports: u32,
    /// In all; beyond hosts times ports they go to the next destination.
    pub count: u32,
}

impl Sessions {
    /// As FD.io CSIT names them: `h252-p256-s64512`.
    pub fn name(&self) -> String {
        format!("h{}-p{}-s{}", self.hosts, self.ports, self.count)
    }
}

/// What a sink does with UDP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Drop,
    /// Sends them back.
    Reflect,
}

/// Where packets come from and go to.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The first guest's address; the others follow it.
    pub first_host: Ipv4Addr,
    /// The first destination.
    pub first_destination: Ipv4Addr,
    /// The router's Ethernet address.
    pub router: [u8; 6],
    /// The guests' Ethernet address.
    pub guest: [u8; 6],
}

/// The value of map `config`; see bpf/traffic.bpf.c.
#[derive(Debug, Clone, Default)]
struct Config {
    out: u32,
    hosts: u32,
    ports: u32,
    sessions: u32,
    first_host: u32,
    first_destination: u32,
    first_port: u16,
    answer: u16,
    ip_sum: u32,
    udp_sum: u32,
    macs: [u8; 12],
    head: Vec<u8>,
    gap: u32,
}

impl Config {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        let words = [
            self.out,
            self.hosts,
            self.ports,
            self.sessions,
            self.first_host,
            self.first_destination,
        ];
        bytes.extend(words.into_iter().flat_map(u32::to_ne_bytes));
        bytes.extend(self.first_port.to_ne_bytes());
        bytes.extend(self.answer.to_ne_bytes());
        bytes.extend(self.ip_sum.to_ne_bytes());
        bytes.extend(self.udp_sum.to_ne_bytes());
        bytes.extend(self.macs);
        bytes.extend(&self.head);
        bytes.resize(92, 0);
        bytes.extend(self.gap.to_ne_bytes());
        bytes
    }
}

fn load(program: &str) -> anyhow::Result<Object> {
    let mut object = ObjectBuilder::default().open_memory(OBJECT)?;
    for mut other in object.progs_mut() {
        let is_wanted = other.name() == program;
        other.set_autoload(is_wanted);
    }
    object.load().context("loading the benchmark's programs")
}

fn program<'a>(object: &'a Object, name: &str) -> anyhow::Result<ProgramMut<'a>> {
    let found = object.progs_mut().find(|program| program.name() == name);
    found.with_context(|| format!("no program {name}"))
}

fn set(object: &Object, map: &str, value: &[u8]) -> anyhow::Result<()> {
    let found = object.maps().find(|candidate| candidate.name() == map);
    let found = found.with_context(|| format!("no map {map}"))?;
    Ok(found.update(&0_u32.to_ne_bytes(), value, MapFlags::ANY)?)
}

/// A program on an interface. It leaves with this value.
#[derive(Debug)]
pub struct Attached {
    object: Object,
    config: Config,
    _link: Link,
}

impl Attached {
    fn new(namespace: &Namespace, interface: &str, name: &str, config: Config) -> anyhow::Result<Self> {
        let object = load(name)?;
        set(&object, "config", &config.to_bytes())?;
        let attach = || -> anyhow::Result<Link> {
            let index = i32::try_from(if_nametoindex(interface)?)?;
            Ok(program(&object, name)?.attach_xdp(index)?)
        };
        let link = namespace
            .within(attach)?
            .with_context(|| format!("attaching {name} to {interface}"))?;
        Ok(Self {
            object,
            config,
            _link: link,
        })
    }

    /// A sink on an interface.
    pub fn sink(namespace: &Namespace, interface: &str, answer: Answer) -> anyhow::Result<Self> {
        let config = Config {
            answer: number(answer),
            ..Config::default()
        };
        Self::new(namespace, interface, "sink", config)
    }

    /// The bare redirect: from an interface to another of the same namespace, on to this Ethernet address.
    pub fn redirect(
        namespace: &Namespace,
        interface: &str,
        out: &str,
        macs: ([u8; 6], [u8; 6]),
    ) -> anyhow::Result<Self> {
        let mut both = [0; 12];
        both[..6].copy_from_slice(&macs.0);
        both[6..].copy_from_slice(&macs.1);
        let config = Config {
            out: namespace.within(|| if_nametoindex(out))??,
            macs: both,
            ..Config::default()
        };
        Self::new(namespace, interface, "redirect", config)
    }

    /// Changes what the sink does.
    pub fn answer(&mut self, answer: Answer) -> anyhow::Result<()> {
        self.config.answer = number(answer);
        set(&self.object, "config", &self.config.to_bytes())
    }

    /// Packets and bytes so far.
    pub fn counted(&self) -> anyhow::Result<(u64, u64)> {
        let map = self.object.maps().find(|map| map.name() == "counted");
        let values = map
            .context("no map counted")?
            .lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY)?;
        let number = |value: &[u8], at: usize| -> u64 {
            let bytes = value.get(at..at + 8).and_then(|b| b.try_into().ok());
            bytes.map_or(0, u64::from_ne_bytes)
        };
        let sum = |at| values.iter().flatten().map(|value| number(value, at)).sum();
        Ok((sum(0), sum(8)))
    }
}

fn number(answer: Answer) -> u16 {
    match answer {
        Answer::Drop => 0,
        Answer::Reflect => 1,
    }
}

/// A generator that sends into an interface. Frames are born on the interface of the namespace that a call is made in, so
/// every call enters the generator's own first: nothing can get onto another interface with the same number.
#[derive(Debug)]
pub struct Generator {
    object: Object,
    config: Config,
    frame: Vec<u8>,
    interface: u32,
    namespace: OwnedFd,
    /// Where its program is attached, too, for nothing but that: the kernel makes known how to call a program of XDP when
    /// its first user comes and when the last one goes, and waits for all CPUs then. Without this every call would end
    /// with such a wait, of some 25 ms.
    _idle: (Link, Namespace),
}

impl Generator {
    /// Sends frames of this length in bytes, without the checksum of Ethernet, from `interface`'s side of the cable. Keeps
    /// a namespace of its own, in which nothing is.
    pub fn new(
        namespace: &Namespace,
        interface: &str,
        ends: &Ends,
        sessions: Sessions,
        length: usize,
        idle: Namespace,
    ) -> anyhow::Result<Self> {
        let object = load("generate")?;
        let link = idle.within(|| {
            program(&object, "generate")?
                .attach_xdp(LOOPBACK)
                .map_err(Into::into)
        })?;
        let link = link.map_err(|e: anyhow::Error| e.context("attaching the generator to nothing"))?;
        let interface = namespace.within(|| if_nametoindex(interface))??;
        let frame = frame(ends, length);
        let config = Config {
            out: interface,
            hosts: sessions.hosts,
            ports: sessions.ports,
            sessions: sessions.count,
            first_host: ends.first_host.to_bits(),
            first_destination: ends.first_destination.to_bits(),
            first_port: 1_024,
            ip_sum: sum(&frame[ETHERNET..ETHERNET + IPV4]),
            udp_sum: sum(&frame[ETHERNET + IPV4..]) + pseudo(length),
            head: frame[..HEADERS].to_vec(),
            ..Config::default()
        };
        set(&object, "config", &config.to_bytes())?;
        Ok(Self {
            object,
            config,
            frame,
            interface,
            namespace: namespace.as_fd().try_clone_to_owned()?,
            _idle: (link, idle),
        })
    }

    /// Sends so many frames as fast as it goes. Returns how long it took.
    pub fn send(&self, frames: u32) -> anyhow::Result<Duration> {
        self.inside(|| {
            let started = Instant::now();
            let mut left = frames;
            while left > 0 {
                let burst = left.min(BURST);
                self.burst(burst)?;
                left -= burst;
            }
            Ok(started.elapsed())
        })
    }

    /// Sends as fast as it goes for so long. Returns how many frames, and how long it took.
    pub fn send_for(&self, time: Duration) -> anyhow::Result<(u64, Duration)> {
        self.inside(|| {
            let started = Instant::now();
            let mut sent = 0;
            while started.elapsed() < time {
                self.burst(BURST)?;
                sent += u64::from(BURST);
            }
            Ok((sent, started.elapsed()))
        })
    }

    /// Sends `rate` frames a second until it is told to stop, or fewer if the core has no time for more. Returns how many,
    /// and how long it took.
    pub fn send_paced(&mut self, rate: f64, stop: &AtomicBool) -> anyhow::Result<(u64, Duration)> {
        self.config.gap = gap(rate);
        set(&self.object, "config", &self.config.to_bytes())?;
        let before = self.made()?;
        let took = self.inside(|| {
            let started = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                // Most of these frames only look at the clock.
                self.burst(BURST)?;
            }
            Ok(started.elapsed())
        })?;
        Ok((self.made()? - before, took))
    }

    /// How many packets it has made.
    fn made(&self) -> anyhow::Result<u64> {
        let map = self.object.maps().find(|map| map.name() == "place");
        let value = map
            .context("no map place")?
            .lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)?;
        let next = value.as_deref().and_then(|bytes| bytes.first_chunk());
        Ok(u64::from_ne_bytes(*next.context("map place is empty")?))
    }

    fn inside<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        outgate_kernel::namespace::within(self.namespace.as_fd(), work)?
    }

    /// Must be called in the generator's namespace.
    fn burst(&self, frames: u32) -> anyhow::Result<()> {
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let length = u32::try_from(self.frame.len())?;
        let mut context: Vec<u8> = [0, length, 0, self.interface, 0, 0]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .collect();
        let input = ProgramInput {
            data_in: Some(&self.frame),
            context_in: Some(&mut context),
            flags: LIVE_FRAMES,
            repeat: frames,
            ..ProgramInput::default()
        };
        program(&self.object, "generate")?
            .test_run(input)
            .context("sending frames")?;
        Ok(())
    }
}

/// Ethernet, IPv4 and UDP headers without a session's fields and checksums, and a payload of one byte again and again.
fn frame(ends: &Ends, length: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(length);
    frame.extend(ends.router);
    frame.extend(ends.guest);
    frame.extend([0x08, 0x00]);
    frame.extend([0x45, 0]);
    frame.extend(short(length - ETHERNET).to_be_bytes());
    // Identification 0, may not be cut, time to live 64, UDP, no checksum yet, no addresses yet.
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    frame.extend([0; 8]);
    frame.extend([0, 0, 0, 9]);
    frame.extend(short(length - ETHERNET - IPV4).to_be_bytes());
    frame.extend([0, 0]);
    frame.resize(length, 0x5a);
    frame
}

/// Nanoseconds between the packets of so many a second.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates"
)]
fn gap(rate: f64) -> u32 {
    (1e9 / rate).round() as u32
}

fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// The parts of the pseudo header that are the same for every session: protocol and length (RFC 768).
fn pseudo(length: usize) -> u32 {
    u32::from(17_u16.to_be()) + u32::from(short(length - ETHERNET - IPV4).to_be())
}

/// The sum of 16-bit words as they lie in memory, folded once.
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| {
        let word = [pair[0], pair.get(1).copied().unwrap_or(0)];
        u32::from(u16::from_ne_bytes(word))
    });
    let sum: u32 = words.sum();
    (sum & 0xffff) + (sum >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_as_long_as_the_programs_read_it() {
        let config = Config {
            head: vec![1; HEADERS],
            ..Config::default()
        };
        assert_eq!(config.to_bytes().len(), 96);
    }

    #[test]
    fn sessions_are_named_as_csit_names_them() {
        let sessions = Sessions {
            hosts: 252,
            ports: 256,
            count: 64_512,
        };
        assert_eq!(sessions.name(), "h252-p256-s64512");
    }
}
