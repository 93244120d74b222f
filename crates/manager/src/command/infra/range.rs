// SPDX-License-Identifier: Apache-2.0
//! Public IP ranges (CloudStack: VLAN IP ranges), and whom they are kept for.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::Ipv4Range;
use outgate_model::id::{PhysicalNetworkId, PublicIpRangeId};
use outgate_model::object::{
    Account, Dedicated, Domain, Network, PhysicalNetwork, PublicIp, PublicIpRange, Traffic, TrafficType, Vpc,
    Zone,
};

use super::{alone, hosts_range, note, range_text, unused};
use crate::CommandError;
use crate::command::request::{CreateRange, DedicateRange, RangeId, UpdateRange};
use crate::command::tx::Tx;
use crate::command::{network, pick, subnet};
use crate::mirror::Stored;

/// How many addresses a range may hold.
const SIZE_MAX: u32 = 65_536;

/// `createVlanIpRange`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateRange) -> Result<PublicIpRangeId, CommandError> {
    alone(tx);
    // A guest network that is made meanwhile looks at the ranges anew.
    tx.draft.number(network::NUMBERS);
    let physical = physical_network(tx, request)?;
    let zone = tx.known::<Zone>(physical.zone)?;
    check_vlan(tx, &zone, &request.vlan)?;
    let gateway = gateway(request.gateway, request.netmask)?;
    let range = range(gateway, request.start, request.end)?;
    check_neighbours(tx, &zone, gateway, range, None)?;
    check_guests(tx, &zone, gateway)?;
    if let Some(dedicated) = request.dedicated {
        check_whose(tx, dedicated)?;
    }
    let made = PublicIpRange {
        id: PublicIpRangeId::new(),
        zone: zone.id,
        physical_network: physical.id,
        vlan: request.vlan.clone(),
        gateway,
        range,
        dedicated: request.dedicated,
    };
    tx.draft.create(&made);
    let text = format!(
        "added public addresses {} to zone {}",
        range_text(&made),
        zone.name
    );
    note::<PublicIpRange>(tx, "VLAN.IP.RANGE.CREATE", made.id.0, text);
    Ok(made.id)
}

/// `updateVlanIpRange`: no address that is in use may fall out, and the subnet changes only while none is.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateRange) -> Result<PublicIpRangeId, CommandError> {
    alone(tx);
    let old = tx.provided::<PublicIpRange>("id", request.id)?;
    let zone = tx.known::<Zone>(old.zone)?;
    tx.draft.number(&pick::turns(&zone));
    let net = gateway(
        request.gateway.unwrap_or(old.gateway.addr()),
        request.netmask.unwrap_or(old.gateway.netmask()),
    )?;
    let (start, end) = (
        request.start.unwrap_or(old.range.first()),
        request.end.unwrap_or(old.range.last()),
    );
    let new = range(net, start, end)?;
    check_neighbours(tx, &zone, net, new, Some(old.id))?;
    let what = format!("range {}", range_text(&old));
    if net == old.gateway {
        let out = addresses_of(tx, &old).filter(|ip| !new.contains(ip.address));
        let out: Vec<_> = out.map(|ip| ip.address.to_string()).collect();
        unused(
            &what,
            "addresses that would fall out",
            out.into_iter(),
            "release them first",
        )?;
    } else {
        tx.draft.number(network::NUMBERS);
        check_guests(tx, &zone, net)?;
        unclaimed(tx, &old)?;
    }
    let next = PublicIpRange {
        gateway: net,
        range: new,
        ..PublicIpRange::clone(&old)
    };
    let text = format!(
        "changed public addresses {} to {}",
        range_text(&old),
        range_text(&next)
    );
    tx.draft.update(&old, next);
    note::<PublicIpRange>(tx, "VLAN.IP.RANGE.UPDATE", old.id.0, text);
    Ok(old.id)
}

/// `deleteVlanIpRange`: refused while one of its addresses is in use.
pub(crate) fn delete(tx: &mut Tx<'_>, request: RangeId) -> Result<(), CommandError> {
    alone(tx);
    let range = tx.provided::<PublicIpRange>("id", request.id)?;
    let zone = tx.known::<Zone>(range.zone)?;
    tx.draft.counted(&pick::turns(&zone));
    unclaimed(tx, &range)?;
    tx.draft.delete(&range);
    let text = format!(
        "removed public addresses {} of zone {}",
        range_text(&range),
        zone.name
    );
    note::<PublicIpRange>(tx, "VLAN.IP.RANGE.DELETE", range.id.0, text);
    Ok(())
}

/// `dedicatePublicIpRange`: refused while others have addresses of it.
pub(crate) fn dedicate(tx: &mut Tx<'_>, request: DedicateRange) -> Result<PublicIpRangeId, CommandError> {
    alone(tx);
    let range = tx.provided::<PublicIpRange>("id", request.id)?;
    let zone = tx.known::<Zone>(range.zone)?;
    tx.draft.counted(&pick::turns(&zone));
    check_whose(tx, request.to)?;
    if let Some(other) = range
        .dedicated
        .filter(|other| *other != request.to && lives(tx, *other))
    {
        return Err(CommandError::InUse {
            what: format!("range {}", range_text(&range)),
            by: format!(
                "it is dedicated to {} already; releasePublicIpRange first",
                whose(tx, other)
            ),
        });
    }
    let next = PublicIpRange {
        dedicated: Some(request.to),
        ..PublicIpRange::clone(&range)
    };
    let foreign = |ip: &&Stored<PublicIp>| pick::nearness(tx.view, &next, ip.account).is_none();
    let held: Vec<_> = addresses_of(tx, &range)
        .filter(foreign)
        .map(|ip| ip.address.to_string())
        .collect();
    let what = format!("range {}", range_text(&range));
    unused(
        &what,
        "addresses that others hold",
        held.into_iter(),
        "release them first",
    )?;
    tx.draft.update(&range, next);
    let text = format!(
        "public addresses {} are kept for {}",
        range_text(&range),
        whose(tx, request.to)
    );
    note::<PublicIpRange>(tx, "VLAN.IP.RANGE.DEDICATE", range.id.0, text);
    Ok(range.id)
}

/// `releasePublicIpRange`: everybody may have its addresses again.
pub(crate) fn release(tx: &mut Tx<'_>, request: RangeId) -> Result<(), CommandError> {
    alone(tx);
    let range = tx.provided::<PublicIpRange>("id", request.id)?;
    if range.dedicated.is_none() {
        return Err(CommandError::invalid("id", range.id, "a range that is dedicated"));
    }
    let next = PublicIpRange {
        dedicated: None,
        ..PublicIpRange::clone(&range)
    };
    tx.draft.update(&range, next);
    let text = format!("public addresses {} are everybody's", range_text(&range));
    note::<PublicIpRange>(tx, "VLAN.IP.RANGE.RELEASE", range.id.0, text);
    Ok(())
}

/// The physical network that was named, or the zone's one that carries public traffic.
fn physical_network(tx: &mut Tx<'_>, request: &CreateRange) -> Result<Stored<PhysicalNetwork>, CommandError> {
    const FIELD: &str = "physicalnetworkid";
    let carries = |id: PhysicalNetworkId| {
        let mut types = tx.view.all::<TrafficType>();
        types.any(|t| t.physical_network == id && t.traffic == Traffic::Public)
    };
    let id = match (request.physical_network, request.zone) {
        (Some(id), _) => id,
        (None, Some(zone)) => {
            let mut of_zone = tx.view.all::<PhysicalNetwork>().filter(|p| p.zone == zone);
            let carrier = of_zone.find(|p| carries(p.id)).map(|p| p.id);
            carrier.ok_or_else(|| CommandError::Unavailable {
                what: format!(
                    "zone {zone} has no physical network that carries Public traffic: addTrafficType \
                     traffictype=Public"
                ),
            })?
        }
        (None, None) => return Err(CommandError::missing("zoneid")),
    };
    let fits = carries(id);
    let physical = tx.provided::<PhysicalNetwork>(FIELD, id)?;
    if !fits {
        let expected = "a physical network that carries Public traffic: addTrafficType traffictype=Public";
        return Err(CommandError::invalid(FIELD, id, expected));
    }
    match request.zone.filter(|zone| *zone != physical.zone) {
        Some(zone) => {
            let expected = format!("the physical network's zone {}", physical.zone);
            Err(CommandError::invalid("zoneid", zone, expected))
        }
        None => Ok(physical),
    }
}

/// Routers' public NICs are on the host's one public bridge, so all public ranges of a zone share one VLAN.
fn check_vlan(tx: &Tx<'_>, zone: &Zone, vlan: &str) -> Result<(), CommandError> {
    let mut others = tx.view.all::<PublicIpRange>().filter(|r| r.zone == zone.id);
    match others.find(|other| other.vlan != vlan) {
        None => Ok(()),
        Some(other) => {
            let expected = format!(
                "{}, the VLAN of range {}: routers' public sides are on one segment, the host's public bridge",
                other.vlan, other.id
            );
            Err(CommandError::invalid("vlan", vlan, expected))
        }
    }
}

fn gateway(gateway: Ipv4Addr, netmask: Ipv4Addr) -> Result<Ipv4Net, CommandError> {
    let net = Ipv4Net::with_netmask(gateway, netmask)
        .ok()
        .filter(|net| (8..=30).contains(&net.prefix_len()))
        .ok_or_else(|| {
            CommandError::invalid("netmask", netmask, "a netmask from 255.0.0.0 to 255.255.255.252")
        })?;
    let odd = gateway.is_loopback() || gateway.is_link_local() || gateway.octets()[0] == 0;
    if odd || gateway.octets()[0] >= 224 || gateway == net.network() || gateway == net.broadcast() {
        return Err(CommandError::invalid(
            "gateway",
            gateway,
            "a host's unicast address",
        ));
    }
    Ok(net)
}

fn range(gateway: Ipv4Net, start: Ipv4Addr, end: Ipv4Addr) -> Result<Ipv4Range, CommandError> {
    let range = hosts_range(gateway, start, end)?;
    if range.count() > SIZE_MAX {
        let expected = format!("a range of at most {SIZE_MAX} addresses");
        return Err(CommandError::invalid("endip", end, expected));
    }
    Ok(range)
}

/// Ranges of a zone never overlap, and where their subnets do, they are the same one.
fn check_neighbours(
    tx: &Tx<'_>,
    zone: &Zone,
    gateway: Ipv4Net,
    range: Ipv4Range,
    own: Option<PublicIpRangeId>,
) -> Result<(), CommandError> {
    let others = tx
        .view
        .all::<PublicIpRange>()
        .filter(|r| r.zone == zone.id && Some(r.id) != own);
    for other in others {
        if other.range.overlaps(range) {
            return Err(CommandError::Conflict {
                wanted: format!("range {}-{}", range.first(), range.last()),
                other: format!("range {}", other.id),
                holds: range_text(other),
            });
        }
        if other.gateway != gateway && subnet::overlap(other.gateway, gateway) {
            let expected = format!(
                "gateway {} and netmask {} of range {}, or a subnet apart from it",
                other.gateway.addr(),
                other.gateway.netmask(),
                other.id
            );
            return Err(CommandError::invalid("gateway", gateway, expected));
        }
    }
    Ok(())
}

/// No guest network or VPC lies in the subnet.
fn check_guests(tx: &Tx<'_>, zone: &Zone, gateway: Ipv4Net) -> Result<(), CommandError> {
    let networks = tx
        .view
        .networks_of_zone(zone.id)
        .map(|n: &Stored<Network>| (n.name.clone(), n.cidr()));
    let vpcs = tx
        .view
        .all::<Vpc>()
        .filter(|v| v.zone == zone.id)
        .map(|v| (v.name.clone(), v.cidr));
    let inside = networks
        .chain(vpcs)
        .filter(|(_, cidr)| subnet::overlap(*cidr, gateway));
    let inside: Vec<_> = inside.map(|(name, cidr)| format!("{name} ({cidr})")).collect();
    let what = format!("subnet {}", gateway.trunc());
    unused(&what, "guest networks", inside.into_iter(), "name another subnet")
}

/// The acquired addresses of a range.
fn addresses_of<'a>(tx: &Tx<'a>, range: &PublicIpRange) -> impl Iterator<Item = &'a Stored<PublicIp>> {
    let id = range.id;
    tx.view
        .public_ips_of_zone(range.zone)
        .filter(move |ip| ip.range == id)
}

/// Refuses while an address of the range is acquired, or still being released.
fn unclaimed(tx: &Tx<'_>, range: &PublicIpRange) -> Result<(), CommandError> {
    let what = format!("range {}", range_text(range));
    let held = addresses_of(tx, range).map(|ip| ip.address.to_string());
    unused(&what, "addresses in use", held, "release them first")?;
    match tx.view.claimed_in(range.zone, range.range) {
        0 => Ok(()),
        count => Err(CommandError::InUse {
            what,
            by: format!("{count} addresses are still being released; try again"),
        }),
    }
}

fn lives(tx: &Tx<'_>, dedicated: Dedicated) -> bool {
    match dedicated {
        Dedicated::Account(id) => tx.view.get::<Account>(id).is_some(),
        Dedicated::Domain(id) => tx.view.get::<Domain>(id).is_some(),
    }
}

/// Whoever a range is kept for is there, and the transaction depends on it.
fn check_whose(tx: &mut Tx<'_>, dedicated: Dedicated) -> Result<(), CommandError> {
    match dedicated {
        Dedicated::Account(id) => tx.owner(Some(id)).map(|_| ()),
        Dedicated::Domain(id) => tx.provided::<Domain>("domainid", id).map(|_| ()),
    }
}

fn whose(tx: &Tx<'_>, dedicated: Dedicated) -> String {
    match dedicated {
        Dedicated::Account(id) => {
            let account = tx.view.get::<Account>(id);
            account.map_or_else(|| id.to_string(), |account| format!("account {}", account.name))
        }
        Dedicated::Domain(id) => {
            let domain = tx.view.get::<Domain>(id);
            domain.map_or_else(|| id.to_string(), |domain| format!("domain {}", domain.path))
        }
    }
}
