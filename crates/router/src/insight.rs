// SPDX-License-Identifier: Apache-2.0
//! What the router knows: traffic, sessions, health. Reads only; what it answers is bounded in size.

mod census;
mod flow;
pub mod health;
mod interfaces;
mod listing;
mod meter;
mod ranking;
mod refusals;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use outgate_kernel::{conntrack, nft};
use outgate_model::RouterSpec;
use outgate_model::refusal::{Refusal, Refused};
use outgate_model::router_spec::Limits;
use outgate_model::stats::{
    AddressTraffic, Dropped, NetworkTraffic, RouterStats, RouterWork, TableUse, Traffic,
};
use outgate_plan::drops;
use outgate_plan::usage::{self, Count, Counted};
use outgate_plan::{refused, ruleset};

pub use listing::{session, sessions};
pub use meter::Meter;
pub use refusals::Refusals;

use crate::RouterError;
use crate::fast_path::Carried;

/// Traffic and sessions at a single look, see [`stats_on`].
///
/// # Errors
/// When the kernel cannot be read.
pub fn stats(spec: &RouterSpec, census_from: u32, carried: &Carried) -> Result<RouterStats, RouterError> {
    stats_on(spec, census_from, carried, &mut Meter::default())
}

/// Traffic and sessions. The sessions are looked at one by one only when there are at least `census_from`: a look costs
/// time by their number. The meter remembers them for the next look.
///
/// # Errors
/// When the kernel cannot be read.
pub fn stats_on(
    spec: &RouterSpec,
    census_from: u32,
    carried: &Carried,
    meter: &mut Meter,
) -> Result<RouterStats, RouterError> {
    meter.rest();
    let counted = counted()?.map(|counted| with_carried(counted, carried));
    let table = table()?;
    let census = (table.sessions >= census_from)
        .then(|| census::take(spec, meter))
        .transpose()?;
    Ok(RouterStats {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: counted.as_ref().map(|counted| u64::from(counted.epoch)),
        addresses: counted.as_ref().map(addresses).unwrap_or_default(),
        networks: counted
            .map(|counted| networks(spec, &counted))
            .unwrap_or_default(),
        table,
        census,
        drops: interfaces::drops()?,
        work: RouterWork::default(),
        read_millis: now_millis(),
        dropped: dropped()?,
        refused: refused(&spec.limits)?,
        refused_sources: refused_sources(&spec.limits)?,
    })
}

/// What each limit has refused. A set that is not there yet has counted nothing.
///
/// # Errors
/// When the kernel cannot be read.
pub fn refused(limits: &Limits) -> Result<Vec<Refused>, RouterError> {
    let limited = Refusal::ALL.into_iter().filter(|r| r.limit(limits).is_some());
    let counted = limited.map(|reason| {
        let listing = nft::list_set("ip", ruleset::TABLE, &refused::name(reason));
        let listing = listing.map_err(|e| RouterError::failed("reading what the limits refuse", e))?;
        Ok(listing.and_then(|listing| refused::counted(reason, &listing)))
    });
    counted.filter_map(Result::transpose).collect()
}

/// The addresses outside that are refused most.
///
/// # Errors
/// When the kernel cannot be read.
pub fn refused_sources(limits: &Limits) -> Result<Vec<(Ipv4Addr, u64)>, RouterError> {
    if limits.source_rate.is_none() {
        return Ok(Vec::new());
    }
    let listing = nft::list_set("ip", ruleset::TABLE, refused::SOURCES);
    let listing = listing.map_err(|e| RouterError::failed("reading whom the limits refuse", e))?;
    Ok(listing
        .and_then(|listing| refused::sources(&listing))
        .unwrap_or_default())
}

/// What the table of counters holds; `None` while there is none.
fn counted() -> Result<Option<Counted>, RouterError> {
    let listing = nft::list_counters("ip", usage::TABLE);
    let listing = listing.map_err(|e| RouterError::failed("reading the traffic counters", e))?;
    Ok(listing.as_deref().and_then(usage::counted))
}

/// What rules have dropped; nothing while there is no table of rules.
fn dropped() -> Result<Vec<Dropped>, RouterError> {
    let listing = nft::list_named_counters("ip", outgate_plan::ruleset::TABLE);
    let listing = listing.map_err(|e| RouterError::failed("reading what was dropped", e))?;
    Ok(listing.as_deref().map(drops::counted).unwrap_or_default())
}

fn now_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// What the fast path carried never met the table of counters.
fn with_carried(mut counted: Counted, carried: &Carried) -> Counted {
    for ((address, interface), traffic) in carried {
        let each = [traffic.inward, traffic.outward].map(|more| Count {
            packets: more.packets,
            bytes: more.bytes,
        });
        let of_address = counted.addresses.entry(*address).or_default();
        let of_network = counted.networks.entry(interface.clone()).or_default();
        for counts in [of_address, of_network] {
            for (count, more) in counts.iter_mut().zip(each) {
                count.add(more);
            }
        }
    }
    counted
}

fn traffic([came, went]: [Count; 2]) -> Traffic {
    Traffic {
        packets_in: came.packets,
        bytes_in: came.bytes,
        packets_out: went.packets,
        bytes_out: went.bytes,
    }
}

fn addresses(counted: &Counted) -> Vec<AddressTraffic> {
    let each = counted.addresses.iter();
    each.map(|(address, counts)| AddressTraffic {
        address: *address,
        traffic: traffic(*counts),
    })
    .collect()
}

/// An interface that is no guest network's any more has no name for its traffic: the addresses' counters hold it.
fn networks(spec: &RouterSpec, counted: &Counted) -> Vec<NetworkTraffic> {
    let names: BTreeMap<_, _> = spec
        .guest_networks
        .iter()
        .map(|network| (network.interface.as_str(), network.id))
        .collect();
    let each = counted.networks.iter();
    each.filter_map(|(interface, counts)| {
        Some(NetworkTraffic {
            network: *names.get(interface.as_str())?,
            traffic: traffic(*counts),
        })
    })
    .collect()
}

fn table() -> Result<TableUse, RouterError> {
    let failed = |e| RouterError::failed("counting sessions", e);
    let usage = conntrack::usage().map_err(failed)?;
    let troubles = conntrack::troubles().map_err(failed)?;
    Ok(TableUse {
        sessions: usage.entries,
        limit: usage.max,
        invalid: troubles.invalid,
        insert_failed: troubles.insert_failed,
        dropped: troubles.dropped,
        early_dropped: troubles.early_dropped,
    })
}
