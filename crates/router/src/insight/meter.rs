// SPDX-License-Identifier: Apache-2.0
//! What guests carry, from look to look. The kernel counts by session, and a session takes its count along when it
//! ends: so what each has carried at the last look is remembered, and what is new is added to its guest's sum.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use outgate_kernel::conntrack::{Flow, Transport};
use outgate_model::stats::{RANKED, Traffic};

use super::census::Pair;
use super::flow::Ends;

/// So many sessions are told apart; what others carry is not metered. About 60 bytes each, only while somebody looks.
const FLOWS_MAX: usize = 262_144;
/// After so long without a look everything is forgotten.
const REST: Duration = Duration::from_secs(150);

/// What a session had carried at a look.
#[derive(Debug, Clone, Copy)]
struct Seen {
    look: u32,
    traffic: Traffic,
}

/// What the sessions of a guest through one public address have carried.
#[derive(Debug, Clone, Copy, Default)]
struct Metered {
    look: u32,
    sum: Traffic,
    /// Bytes since the last look, both ways.
    lately: u64,
}

/// Sums by public address and guest.
#[derive(Debug, Default)]
pub struct Meter {
    look: u32,
    last: Option<Instant>,
    flows: HashMap<u64, Seen>,
    guests: BTreeMap<Pair, Metered>,
}

impl Meter {
    /// Forgets everything when nobody has looked for long.
    pub(super) fn rest(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() >= REST) {
            *self = Self::default();
        }
    }

    /// A look at every session begins.
    pub(super) fn begin(&mut self) {
        self.look = self.look.wrapping_add(1);
        self.last = Some(Instant::now());
        for metered in self.guests.values_mut() {
            metered.lately = 0;
        }
    }

    /// A session that is there.
    pub(super) fn add(&mut self, pair: Pair, flow: &Flow, ends: &Ends) {
        let Some((key, now)) = key(flow).zip(ends.traffic(flow)) else {
            return;
        };
        let before = self.flows.get(&key).map(|seen| seen.traffic);
        if before.is_none() && self.flows.len() >= FLOWS_MAX {
            return;
        }
        let look = self.look;
        self.flows.insert(key, Seen { look, traffic: now });
        let new = beyond(before.unwrap_or_default(), now);
        let metered = self.guests.entry(pair).or_default();
        metered.look = look;
        metered.sum = sum(metered.sum, new);
        metered.lately = metered
            .lately
            .saturating_add(new.bytes_in)
            .saturating_add(new.bytes_out);
    }

    /// All sessions were added: what was not among them has ended.
    pub(super) fn end(&mut self) {
        let look = self.look;
        self.flows.retain(|_, seen| seen.look == look);
        self.guests.retain(|_, metered| metered.look == look);
    }

    /// What the guest's sessions have carried.
    pub(super) fn carried(&self, pair: Pair) -> Option<Traffic> {
        self.guests.get(&pair).map(|metered| metered.sum)
    }

    /// Of each public address the guests that have carried the most since the last look.
    pub(super) fn busiest(&self) -> BTreeSet<Pair> {
        let mut order: Vec<_> = self.guests.iter().filter(|(_, m)| m.lately > 0).collect();
        order.sort_unstable_by(|a, b| b.1.lately.cmp(&a.1.lately).then(a.0.cmp(b.0)));
        let mut places: HashMap<_, usize> = HashMap::new();
        let first = |pair: &Pair| {
            let place = places.entry(pair.0).or_default();
            *place += 1;
            *place <= RANKED
        };
        order.into_iter().map(|(pair, _)| *pair).filter(first).collect()
    }
}

/// Tells a session from all others, and from a later one with the same ports. The kernel's number alone is a hash of 32
/// bits.
fn key(flow: &Flow) -> Option<u64> {
    let ports = match flow.original.transport {
        Transport::Ports { source, destination } => (u32::from(source) << 16) | u32::from(destination),
        Transport::Icmp { id, .. } => u32::from(id),
        Transport::None => 0,
    };
    Some((u64::from(flow.id?) << 32) | u64::from(ports))
}

/// What is new. A count that fell was set to zero by somebody and began anew.
fn beyond(before: Traffic, now: Traffic) -> Traffic {
    let of = |before: u64, now: u64| now.checked_sub(before).unwrap_or(now);
    Traffic {
        packets_in: of(before.packets_in, now.packets_in),
        bytes_in: of(before.bytes_in, now.bytes_in),
        packets_out: of(before.packets_out, now.packets_out),
        bytes_out: of(before.bytes_out, now.bytes_out),
    }
}

fn sum(a: Traffic, b: Traffic) -> Traffic {
    Traffic {
        packets_in: a.packets_in.saturating_add(b.packets_in),
        bytes_in: a.bytes_in.saturating_add(b.bytes_in),
        packets_out: a.packets_out.saturating_add(b.packets_out),
        bytes_out: a.bytes_out.saturating_add(b.bytes_out),
    }
}
