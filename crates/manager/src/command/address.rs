// SPDX-License-Identifier: Apache-2.0
//! Public addresses: to acquire, to release, and which one is free.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use outgate_model::Realm;
use outgate_model::id::{AccountId, NetworkId, PublicIpId, VpcId};
use outgate_model::job::Goal;
use outgate_model::key;
use outgate_model::object::{Network, NetworkPhase, PublicIp, PublicIpRange, Zone};

use super::request::{AssociateIp, AssociateIpToVpc, DisassociateIp, Started};
use super::tx::Tx;
use super::vpc::tier;
use super::{implement, pick, reserve};
use crate::CommandError;
use crate::mirror::Stored;

/// An address to acquire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// For whom.
    pub account: AccountId,
    /// On which router.
    pub realm: Option<Realm>,
    /// This one and no other; `field` names the parameter.
    pub address: Option<(&'static str, Ipv4Addr)>,
    /// Whether the realm's guests will leave through it.
    pub source_nat: SourceNat,
}

/// Whether a realm's guests leave through an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceNat {
    /// They do not.
    No,
    /// They do unless its ports run short.
    Default,
    /// They do once the ports of those before it run short.
    Additional,
}

impl SourceNat {
    /// The default for a realm that has none yet.
    pub fn unless_there(tx: &Tx<'_>, realm: Realm) -> Self {
        match source_nat_of(tx, realm) {
            Some(_) => Self::No,
            None => Self::Default,
        }
    }

    /// An address as one of these.
    pub fn of(self, ip: PublicIp) -> PublicIp {
        PublicIp {
            source_nat: self == Self::Default,
            source_nat_pool: self == Self::Additional,
            ..ip
        }
    }
}

/// `associateIpAddress`.
pub(crate) fn associate(tx: &mut Tx<'_>, request: &AssociateIp) -> Result<Started, CommandError> {
    let address = request.address.map(|address| ("ipaddress", address));
    match (request.network, request.zone) {
        (Some(network), zone) => {
            let network = tx.own::<Network>("networkid", network)?;
            if let Some(zone) = zone.filter(|zone| *zone != network.zone) {
                return Err(CommandError::invalid(
                    "zoneid",
                    zone,
                    format!("the network's zone {}", network.zone),
                ));
            }
            if let Some(vpc) = tier::vpc_of(&network) {
                let request = AssociateIpToVpc {
                    vpc,
                    address: request.address,
                };
                return super::vpc::associate(tx, request);
            }
            associate_to_network(tx, &network, address)
        }
        (None, Some(zone)) => {
            let zone = tx.provided::<Zone>("zoneid", zone)?;
            super::infra::open(tx, &zone)?;
            let account = tx.owner(request.owner)?.id;
            let ip = acquire(
                tx,
                &zone,
                Wanted {
                    account,
                    realm: None,
                    address,
                    source_nat: SourceNat::No,
                },
            )?;
            let job = tx.job::<PublicIp>("associateIpAddress", ip.id.0, Goal::Stored);
            Ok(Started {
                job,
                id: Some(ip.id.0),
            })
        }
        (None, None) => Err(CommandError::missing("networkid")),
    }
}

/// A network's first address becomes its source NAT address, and the network is implemented with it.
fn associate_to_network(
    tx: &mut Tx<'_>,
    network: &Stored<Network>,
    address: Option<(&'static str, Ipv4Addr)>,
) -> Result<Started, CommandError> {
    let zone = tx.known::<Zone>(network.zone)?;
    let source_nat = SourceNat::unless_there(tx, network.realm());
    let wanted = Wanted {
        account: network.account,
        realm: Some(network.realm()),
        address,
        source_nat,
    };
    let ip = acquire(tx, &zone, wanted)?;
    let generation = if network.phase == NetworkPhase::Allocated {
        implement::with_source_nat(tx, network.realm(), None)?
    } else {
        tx.touch(network)
    };
    Ok(tx
        .applied::<PublicIp>("associateIpAddress", ip.id.0, network.realm(), generation)
        .made(ip.id.0))
}

/// `disassociateIpAddress`: its rules and its static NAT go with it.
pub(crate) fn disassociate(tx: &mut Tx<'_>, request: &DisassociateIp) -> Result<Started, CommandError> {
    let ip = tx.own::<PublicIp>("id", request.id)?;
    if ip.source_nat_pool {
        let expected = "an address that is not a network's source NAT address; removeSourceNatAddress first, and let its \
                        sessions end";
        return Err(CommandError::invalid("id", ip.id, expected));
    }
    if ip.source_nat {
        let expected = "an address that is not a network's source NAT address; name another one with updateNetwork or \
                        updateVPC sourcenatipaddress first";
        return Err(CommandError::invalid("id", ip.id, expected));
    }
    let rules: Vec<_> = tx.view.firewall_rules_of_ip(ip.id).cloned().collect();
    rules.iter().for_each(|rule| tx.draft.delete(rule));
    let forwards: Vec<_> = tx.view.forwards_of_ip(ip.id).cloned().collect();
    forwards.iter().for_each(|rule| tx.draft.delete(rule));
    let balancers: Vec<_> = tx.view.balancers_of_ip(ip.id).cloned().collect();
    balancers.iter().for_each(|rule| tx.draft.delete(rule));
    let ip_forwards: Vec<_> = tx.view.ip_forwards_of_ip(ip.id).cloned().collect();
    ip_forwards.iter().for_each(|rule| tx.draft.delete(rule));
    let realm = match (ip.vpc, ip.network) {
        (Some(vpc), _) => Some(Realm::Vpc(vpc)),
        (None, Some(network)) => Some(tx.known::<Network>(network)?.realm()),
        (None, None) => None,
    };
    let generation = realm.map(|realm| (realm, tx.draft.touch(tx.view, realm)));
    release(tx, &ip);
    let goal = match generation {
        Some((realm, generation)) => Goal::Applied { realm, generation },
        None => Goal::Stored,
    };
    Ok(Started {
        job: tx.job::<PublicIp>("disassociateIpAddress", ip.id.0, goal),
        id: None,
    })
}

/// Removes an address. Its rules must go in the same transaction. Its claim is given back when the job ends: until then
/// the network's router may still answer for it.
pub(crate) fn release(tx: &mut Tx<'_>, ip: &Stored<PublicIp>) {
    tx.draft.delete(ip);
    tx.draft.release_with_job(key::ip_claim(ip.zone, ip.address));
    tx.event::<PublicIp>(
        "NET.IPRELEASE",
        ip.account,
        ip.id.0,
        format!("released {}", ip.address),
    );
}

/// The address through which a realm's guests leave.
pub(crate) fn source_nat_of(tx: &Tx<'_>, realm: Realm) -> Option<Stored<PublicIp>> {
    tx.view.source_nat_of(realm).cloned()
}

/// Takes a free address of the zone with its claim, or one that the account has reserved.
pub(crate) fn acquire(tx: &mut Tx<'_>, zone: &Zone, wanted: Wanted) -> Result<PublicIp, CommandError> {
    let Some(kept) = reserve::taken_up(tx, zone, &wanted) else {
        return acquire_as(tx, zone, wanted, |ip| ip);
    };
    let (network, vpc) = place_of(wanted.realm);
    let next = wanted.source_nat.of(PublicIp {
        network,
        vpc,
        reserved: false,
        ..PublicIp::clone(&kept)
    });
    tx.draft.update(&kept, next.clone());
    let text = format!("acquired {}, which was reserved", kept.address);
    tx.event::<PublicIp>("NET.IPASSIGN", kept.account, kept.id.0, text);
    Ok(next)
}

/// Where an address is that belongs to a realm.
fn place_of(realm: Option<Realm>) -> (Option<NetworkId>, Option<VpcId>) {
    match realm {
        None => (None, None),
        Some(Realm::Network(id)) => (Some(id), None),
        Some(Realm::Vpc(id)) => (None, Some(id)),
    }
}

/// Takes a free address of the zone with its claim, as `adjust` makes it.
pub(crate) fn acquire_as(
    tx: &mut Tx<'_>,
    zone: &Zone,
    wanted: Wanted,
    adjust: impl FnOnce(PublicIp) -> PublicIp,
) -> Result<PublicIp, CommandError> {
    let (range, address) = pick::address(tx, zone, wanted)?;
    let (network, vpc) = place_of(wanted.realm);
    let ip = adjust(wanted.source_nat.of(PublicIp {
        id: PublicIpId::new(),
        address,
        range,
        zone: zone.id,
        account: wanted.account,
        network,
        vpc,
        source_nat: false,
        source_nat_pool: false,
        static_nat: None,
        reserved: false,
        hidden: false,
        created: Timestamp::now(),
    }));
    tx.draft.claim(key::ip_claim(zone.id, address));
    tx.draft.create(&ip);
    let (kind, done) = match ip.reserved {
        true => ("NET.IPRESERVE", "reserved"),
        false => ("NET.IPASSIGN", "acquired"),
    };
    tx.event::<PublicIp>(kind, ip.account, ip.id.0, format!("{done} {address}"));
    Ok(ip)
}

/// The zone's ranges, lowest first.
pub(crate) fn ranges_of(tx: &Tx<'_>, zone: &Zone) -> Vec<PublicIpRange> {
    let of_zone = tx
        .view
        .all::<PublicIpRange>()
        .filter(|range| range.zone == zone.id);
    let mut ranges: Vec<_> = of_zone.map(|range| PublicIpRange::clone(range)).collect();
    ranges.sort_by_key(|range| range.range.first());
    ranges
}
