// SPDX-License-Identifier: Apache-2.0
//! What the rules of a source NAT pool remember, and how it follows from the sessions there are: a table that was made
//! anew knows again where each guest is and which destinations an address is short of ports for.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::net::Ipv4Addr;

use outgate_model::RouterSpec;
use outgate_model::stats::PORTS;

use crate::rights;
use crate::ruleset::{Memory, TABLE};
use crate::sessions::Session;

/// From so many sessions through one address to one destination on, new ones use the next address: 95 % of its ports. The
/// kernel looks for a free port at random and gives up after some 240 attempts; here it still finds one.
pub const SHORT_FROM: u32 = PORTS / 100 * 95;

/// A destination that an address is short of ports for is tried again after a minute.
pub(crate) const SHORT: Memory = Memory {
    size: 65_535,
    secs: Some(60),
};
/// Long enough for a second SYN (after 1 s) and a resolver's second question (after 5 s).
pub(crate) const TRIED: Memory = Memory {
    size: 131_072,
    secs: Some(8),
};
/// How long a guest stays at an address without a new session. The engine renews it while a session lives.
pub(crate) const MOVED: Memory = Memory {
    size: 65_535,
    secs: Some(3_600),
};

/// The set of destinations that an address is short of ports for.
pub(crate) fn short(address: Ipv4Addr) -> String {
    format!("pool_short_{address}")
}

/// The set of guests that were moved to an additional address.
pub(crate) fn moved(address: Ipv4Addr) -> String {
    format!("pool_moved_{address}")
}

type Destination = (Ipv4Addr, u8, u16);

/// What there is to remember of the sessions through a pool.
#[derive(Debug)]
pub struct Tally<'a> {
    spec: &'a RouterSpec,
    pool: Vec<Ipv4Addr>,
    moved: BTreeSet<(Ipv4Addr, Ipv4Addr)>,
    sessions: HashMap<(Ipv4Addr, Destination), u32>,
}

impl<'a> Tally<'a> {
    /// `None` for a pool of one address, which has nothing to remember.
    pub fn new(spec: &'a RouterSpec) -> Option<Self> {
        let pool: Vec<_> = spec.source_nat_pool().collect();
        (pool.len() > 1).then(|| Self {
            spec,
            pool,
            moved: BTreeSet::new(),
            sessions: HashMap::new(),
        })
    }

    /// Takes one session into account.
    pub fn add(&mut self, session: &Session) {
        let (guest, external) = (session.original.source, session.reply.destination);
        if !self.pool.contains(&external) || rights::network_of(self.spec, guest).is_none() {
            return;
        }
        if self.pool.first() != Some(&external) {
            self.moved.insert((external, guest));
        }
        if let Some(port) = session.reply_port {
            let destination = (session.reply.source, session.header.number(), port);
            *self.sessions.entry((external, destination)).or_default() += 1;
        }
    }

    /// The destinations that an address of the pool is short of ports for.
    fn short(&self) -> impl Iterator<Item = (Ipv4Addr, Destination)> + '_ {
        let short = self.sessions.iter().filter(|(_, count)| **count >= SHORT_FROM);
        short.map(|(key, _)| *key)
    }

    /// A script for nft that notes it all down; `None` when there is nothing to note.
    pub fn script(&self) -> Option<String> {
        let mut script = String::new();
        let mut note = |set: String, element: std::fmt::Arguments<'_>, Memory { secs, .. }: Memory| {
            // Told the time, the kernel renews an element that is there.
            let timeout = secs.map_or_else(String::new, |secs| format!(" timeout {secs}s"));
            let _ = writeln!(script, "add element ip {TABLE} {set} {{ {element}{timeout} }}");
        };
        for (address, guest) in &self.moved {
            note(moved(*address), format_args!("{guest}"), MOVED);
        }
        for (address, (to, protocol, port)) in self.short() {
            note(short(address), format_args!("{to} . {protocol} . {port}"), SHORT);
        }
        (!script.is_empty()).then_some(script)
    }
}
