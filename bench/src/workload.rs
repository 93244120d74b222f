// SPDX-License-Identifier: Apache-2.0
//! What is measured of each contender.

mod connections;
mod latency;
mod memory;
mod packets;
mod tcp;

use std::time::Duration;

use crate::contender::Contender;
use crate::traffic::Sessions;
use crate::world::World;

pub use connections::Dialer;
pub use packets::{Bench, check_content};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More of it.
    Higher,
    /// Less of it.
    Lower,
}

/// One number that a workload gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What it says: `udp64 h16-p63-s1008`.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// The number.
    pub value: f64,
}

impl Reading {
    fn new(name: impl Into<String>, unit: &'static str, better: Better, value: f64) -> Self {
        Self {
            name: name.into(),
            unit,
            better,
            value,
        }
    }
}

/// How much traffic.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// How long each measurement takes.
    pub time: Duration,
    /// UDP packets a second beside which latency is measured.
    pub load: f64,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// UDP of 64 bytes on the wire from guests to the outside, as fast as it goes.
    Udp64(Sessions),
    /// The same, and every packet comes back.
    Udp64Both(Sessions),
    /// UDP of 64, 594 and 1,518 bytes, 7 to 4 to 1.
    Imix(Sessions),
    /// New UDP sessions.
    NewUdp,
    /// New TCP sessions, opened and closed one after the other.
    NewTcp,
    /// TCP from a guest to the outside over so many connections.
    TcpUp(usize),
    /// TCP from the outside to a guest over so many connections.
    TcpDown(usize),
    /// A byte to the outside and one back, beside a load of UDP.
    Latency,
    /// The memory of 100,000 sessions.
    Memory,
}

/// The row of sessions after FD.io CSIT's NAT44: 1,008, 16,128, 64,512 and 258,048. CSIT has more hosts with 63 ports
/// each; the neighbour table of this kernel holds 1,024 entries for all namespaces together, hence fewer with more.
pub const SESSIONS: [Sessions; 4] = [
    sessions(16, 63, 1_008),
    sessions(64, 252, 16_128),
    sessions(252, 256, 64_512),
    sessions(252, 256, 258_048),
];

const fn sessions(hosts: u32, ports: u32, count: u32) -> Sessions {
    Sessions { hosts, ports, count }
}

impl Workload {
    /// Each of them.
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = SESSIONS.into_iter().map(Self::Udp64).collect();
        all.extend([
            Self::Udp64Both(SESSIONS[0]),
            Self::Udp64Both(SESSIONS[2]),
            Self::Imix(SESSIONS[0]),
            Self::Imix(SESSIONS[2]),
            Self::NewUdp,
            Self::NewTcp,
        ]);
        all.extend([1, 4, 16].map(Self::TcpUp));
        all.extend([1, 4, 16].map(Self::TcpDown));
        all.extend([Self::Latency, Self::Memory]);
        all
    }

    /// Its name.
    pub fn name(self) -> String {
        match self {
            Self::Udp64(sessions) => format!("udp64 {}", sessions.name()),
            Self::Udp64Both(sessions) => format!("udp64-both {}", sessions.name()),
            Self::Imix(sessions) => format!("imix {}", sessions.name()),
            Self::NewUdp => "new-udp".to_owned(),
            Self::NewTcp => "new-tcp".to_owned(),
            Self::TcpUp(streams) => format!("tcp-up-{streams}"),
            Self::TcpDown(streams) => format!("tcp-down-{streams}"),
            Self::Latency => "latency".to_owned(),
            Self::Memory => "memory".to_owned(),
        }
    }

    /// Whether a contender can do it.
    pub fn suits(self, contender: &Contender) -> bool {
        match self {
            Self::Udp64(_) | Self::Imix(_) | Self::NewUdp => true,
            Self::Memory => contender.translates(),
            _ => contender.is_whole(),
        }
    }

    /// Does it in a fresh world.
    ///
    /// # Errors
    /// When the contender does not carry the traffic.
    pub fn measure(self, contender: &Contender, effort: Effort) -> anyhow::Result<Vec<Reading>> {
        let world = World::new()?;
        let running = contender.start(&world)?;
        let readings = match self {
            Self::Udp64(sessions) => packets::one_way(&world, sessions, effort),
            Self::Udp64Both(sessions) => packets::both_ways(&world, sessions, effort),
            Self::Imix(sessions) => packets::imix(&world, sessions, effort),
            Self::NewUdp => connections::udp(&world),
            Self::NewTcp => connections::tcp(&world, effort),
            Self::TcpUp(streams) => tcp::bulk(&world, streams, tcp::Way::Up, effort),
            Self::TcpDown(streams) => tcp::bulk(&world, streams, tcp::Way::Down, effort),
            Self::Latency => latency::measure(&world, effort),
            Self::Memory => memory::measure(&world),
        };
        drop(running);
        readings
    }
}
