// SPDX-License-Identifier: Apache-2.0
//! Which public address an account or a router gets: from ranges that are kept for the account first, then from those
//! kept for its domain or one above it, the nearest first, then from those for everybody; never from another's. All
//! addresses of a router are of one subnet, because it has one upstream gateway.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::id::{AccountId, PublicIpRangeId};
use outgate_model::object::{Account, Dedicated, Domain, PublicIp, PublicIpRange, Zone};
use outgate_model::{Realm, key};

use super::address::{Wanted, ranges_of};
use super::tx::Tx;
use crate::CommandError;
use crate::mirror::View;

/// How often another address is looked for when the found one can't be used: a subnet's first and last address, its
/// gateway, and those that the same transaction takes already.
const TRIES: usize = 64;

/// The counter that whoever takes an address of a zone writes, so that a range's change and an acquisition never pass
/// each other unseen.
pub(crate) fn turns(zone: &Zone) -> String {
    format!("public-ip/{}", zone.id)
}

/// A free address for what is wanted, with its range, on which the transaction depends.
pub(crate) fn address(
    tx: &mut Tx<'_>,
    zone: &Zone,
    wanted: Wanted,
) -> Result<(PublicIpRangeId, Ipv4Addr), CommandError> {
    let turn = tx.draft.number(&turns(zone)) - 1;
    let subnet = wanted.realm.and_then(|realm| subnet_of(tx, realm));
    let found = match wanted.address {
        Some((field, address)) => this_one(tx, zone, wanted.account, subnet, field, address)?,
        None => free_one(tx, zone, wanted.account, subnet, turn)?,
    };
    let range = tx.known::<PublicIpRange>(found.0)?;
    tx.draft.read(&range);
    Ok(found)
}

/// How near a range is to an account: 0 when it is kept for the account, then its domain and those above; `None` when
/// it is kept for somebody else. A range that was kept for somebody who is gone is everybody's.
pub(crate) fn nearness(view: &View<'_>, range: &PublicIpRange, account: AccountId) -> Option<usize> {
    let everybody = usize::MAX;
    match range.dedicated {
        Some(Dedicated::Account(id)) if view.get::<Account>(id).is_some() => (id == account).then_some(0),
        Some(Dedicated::Domain(id)) if view.get::<Domain>(id).is_some() => {
            let domain = view.get::<Account>(account)?.domain;
            let mut up = view.domains_up(domain);
            up.position(|above| above.id == id).map(|steps| steps + 1)
        }
        _ => Some(everybody),
    }
}

/// The subnet of a router's addresses: gateway and prefix length. `None` while it has none.
fn subnet_of(tx: &Tx<'_>, realm: Realm) -> Option<Ipv4Net> {
    let of_realm = |ip: &PublicIp| match realm {
        Realm::Network(id) => ip.vpc.is_none() && ip.network == Some(id),
        Realm::Vpc(id) => ip.vpc == Some(id),
    };
    let mut staged = tx.draft.staged_all::<PublicIp>();
    let staged = staged.find_map(|(_, ip)| ip.filter(|ip| of_realm(ip)).map(|ip| ip.range));
    let mut stored = tx.view.public_ips_of_realm(realm);
    let range = staged.or_else(|| stored.next().map(|ip| ip.range))?;
    Some(tx.view.get::<PublicIpRange>(range)?.gateway)
}

/// Refuses to give a router an address of another subnet than those it has.
pub(crate) fn same_subnet(tx: &Tx<'_>, field: &str, ip: &PublicIp, realm: Realm) -> Result<(), CommandError> {
    let subnet = subnet_of(tx, realm);
    let own = tx.view.get::<PublicIpRange>(ip.range).map(|range| range.gateway);
    match subnet.filter(|subnet| own != Some(*subnet)) {
        None => Ok(()),
        Some(subnet) => Err(CommandError::invalid(
            field,
            ip.address,
            one_subnet(subnet, realm),
        )),
    }
}

fn one_subnet(subnet: Ipv4Net, realm: Realm) -> String {
    format!(
        "an address of {}, the subnet of the other public addresses of {realm}: a router has one upstream gateway",
        subnet.trunc()
    )
}

fn this_one(
    tx: &Tx<'_>,
    zone: &Zone,
    account: AccountId,
    subnet: Option<Ipv4Net>,
    field: &'static str,
    address: Ipv4Addr,
) -> Result<(PublicIpRangeId, Ipv4Addr), CommandError> {
    let mut ranges = ranges_of(tx, zone);
    ranges.retain(|range| nearness(tx.view, range, account).is_some());
    let held = ranges
        .iter()
        .find(|range| range.range.contains(address) && usable(range, address));
    let Some(range) = held else {
        let expected = format!("an address of zone {}: {}", zone.name, ranges_text(&ranges));
        return Err(CommandError::invalid(field, address, expected));
    };
    if let Some(subnet) = subnet.filter(|subnet| *subnet != range.gateway) {
        let expected = format!(
            "an address of {}, the subnet of the router's other public addresses: it has one upstream gateway",
            subnet.trunc()
        );
        return Err(CommandError::invalid(field, address, expected));
    }
    if !tx.view.is_free(zone.id, address) {
        return Err(CommandError::InUse {
            what: address.to_string(),
            by: "it is acquired already, or still being released".to_owned(),
        });
    }
    Ok((range.id, address))
}

/// A free address, found in time independent of how many are taken. The search goes on where the last one ended, so
/// that an address just released is handed out again as late as possible.
fn free_one(
    tx: &Tx<'_>,
    zone: &Zone,
    account: AccountId,
    subnet: Option<Ipv4Net>,
    turn: u64,
) -> Result<(PublicIpRangeId, Ipv4Addr), CommandError> {
    let all = ranges_of(tx, zone);
    let near = |range: &PublicIpRange| nearness(tx.view, range, account);
    let open: Vec<_> = all
        .into_iter()
        .filter(|range| subnet.is_none_or(|subnet| subnet == range.gateway))
        .filter_map(|range| Some((near(&range)?, range)))
        .collect();
    let mut ranks: Vec<usize> = open.iter().map(|(rank, _)| *rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    for rank in ranks {
        let of_rank = open.iter().filter(|(r, _)| *r == rank);
        let group: Vec<&PublicIpRange> = of_rank.map(|(_, range)| range).collect();
        if let Some(found) = free_of(tx, zone, &group, turn) {
            return Ok(found);
        }
    }
    let open: Vec<_> = open.into_iter().map(|(_, range)| range).collect();
    let in_subnet = subnet.map_or(String::new(), |subnet| {
        format!(
            " in {}, the one subnet of the router's public addresses",
            subnet.trunc()
        )
    });
    Err(CommandError::Capacity {
        what: format!(
            "no free address in zone {}{in_subnet}: {}",
            zone.name,
            ranges_text(&open)
        ),
    })
}

/// A free address of ranges that are equally near.
fn free_of(
    tx: &Tx<'_>,
    zone: &Zone,
    ranges: &[&PublicIpRange],
    turn: u64,
) -> Option<(PublicIpRangeId, Ipv4Addr)> {
    let (first, mut from) = nth_address(ranges, turn)?;
    for step in 0..ranges.len() {
        let range = ranges[(first + step) % ranges.len()];
        if step > 0 {
            from = range.range.first();
        }
        if let Some(address) = free_in(tx, zone, range, from) {
            return Some((range.id, address));
        }
    }
    None
}

fn free_in(tx: &Tx<'_>, zone: &Zone, range: &PublicIpRange, from: Ipv4Addr) -> Option<Ipv4Addr> {
    let mut from = from;
    for _ in 0..TRIES {
        let address = tx.view.free_address(zone.id, range.range, from)?;
        let staged = tx
            .draft
            .staged_all::<PublicIp>()
            .any(|(_, ip)| ip.is_some_and(|ip| ip.zone == zone.id && ip.address == address));
        let claimed = tx.view.claimed(&key::ip_claim(zone.id, address)).is_some();
        if !staged && !claimed && usable(range, address) {
            return Some(address);
        }
        from = Ipv4Addr::from_bits(address.to_bits().wrapping_add(1));
    }
    None
}

/// The address at place `turn` (counted around) of all ranges, with the place of its range.
fn nth_address(ranges: &[&PublicIpRange], turn: u64) -> Option<(usize, Ipv4Addr)> {
    let total: u64 = ranges.iter().map(|range| u64::from(range.range.count())).sum();
    let mut left = turn.checked_rem(total)?;
    for (place, range) in ranges.iter().enumerate() {
        let size = u64::from(range.range.count());
        if left < size {
            let bits = range
                .range
                .first()
                .to_bits()
                .checked_add(u32::try_from(left).ok()?)?;
            return Some((place, Ipv4Addr::from_bits(bits)));
        }
        left -= size;
    }
    None
}

/// Whether an address can be a host's in its range's subnet.
pub(crate) fn usable(range: &PublicIpRange, address: Ipv4Addr) -> bool {
    let net = range.gateway;
    net.contains(&address)
        && address != net.addr()
        && (net.prefix_len() > 30 || (address != net.network() && address != net.broadcast()))
}

fn ranges_text(ranges: &[PublicIpRange]) -> String {
    if ranges.is_empty() {
        return "it has no range for this account".to_owned();
    }
    let texts = ranges.iter().map(super::infra::range_text);
    texts.collect::<Vec<_>>().join(", ")
}
