// SPDX-License-Identifier: Apache-2.0
//! More source NAT addresses for a network or a VPC, live: its pool. What one address has no port for uses the next.

use outgate_model::Realm;
use outgate_model::object::{Network, PublicIp, Vpc};
use outgate_model::router_spec::POOL_MAX;

use super::address::SourceNat;
use super::request::{AddSourceNat, RemoveSourceNat, Started, WantedAddress};
use super::source_nat;
use super::tx::Tx;
use super::vpc::tier;
use crate::CommandError;
use crate::realm::Standing;

const FIELD: &str = "ipaddressid";

/// `addSourceNatAddress`.
pub(crate) fn add(tx: &mut Tx<'_>, request: AddSourceNat) -> Result<Started, CommandError> {
    let standing = standing(tx, request)?;
    let realm = standing.realm;
    let pool = tx.view.source_nat_pool_of(realm);
    if pool.is_empty() {
        let (field, value) = match realm {
            Realm::Network(id) => ("networkid", id.to_string()),
            Realm::Vpc(id) => ("vpcid", id.to_string()),
        };
        let expected = "one with a source NAT address; associateIpAddress gives it the first";
        return Err(CommandError::invalid(field, value, expected));
    }
    if pool.len() >= POOL_MAX {
        return Err(CommandError::Limit {
            what: format!("the source NAT pool of {realm}"),
            limit: POOL_MAX,
            of: "addresses",
        });
    }
    let address = match request.address {
        None => None,
        Some(WantedAddress::Address(address)) => Some(("ipaddress", address)),
        Some(WantedAddress::Id(id)) => Some((FIELD, tx.own::<PublicIp>(FIELD, id)?.address)),
    };
    if let Some((field, address)) = address
        && pool.iter().any(|ip| ip.address == address)
    {
        let expected = format!("an address that is not yet a source NAT address of {realm}");
        return Err(CommandError::invalid(field, address, expected));
    }
    let ip = source_nat::take(tx, &standing, address, SourceNat::Additional)?;
    let text = format!("guests of {} leave through {} too", standing.name, ip.address);
    event(
        tx,
        &standing,
        ["NETWORK.SOURCENAT.ADD", "VPC.SOURCENAT.ADD"],
        text,
    );
    let generation = tx.draft.touch(tx.view, realm);
    Ok(tx
        .applied::<PublicIp>("addSourceNatAddress", ip.id.0, realm, generation)
        .made(ip.id.0))
}

/// `removeSourceNatAddress`. The address stays the realm's, as an ordinary one: its sessions go on until they end, or it is
/// released.
pub(crate) fn remove(tx: &mut Tx<'_>, request: RemoveSourceNat) -> Result<Started, CommandError> {
    let ip = tx.own::<PublicIp>(FIELD, request.id)?;
    let realm = match (ip.vpc, ip.network) {
        (Some(vpc), _) => Some(Realm::Vpc(vpc)),
        (None, network) => network.map(Realm::Network),
    };
    let standing = realm.and_then(|realm| tx.view.standing(realm));
    let Some(standing) = standing.filter(|_| ip.source_nat_pool) else {
        let expected = if ip.source_nat {
            "an additional source NAT address; updateNetwork or updateVPC sourcenatipaddress names another default"
        } else {
            "an additional source NAT address, as addSourceNatAddress adds it"
        };
        return Err(CommandError::invalid(FIELD, ip.id, expected));
    };
    tx.draft.update(&ip, SourceNat::No.of(PublicIp::clone(&ip)));
    let text = format!(
        "guests of {} no longer leave through {}",
        standing.name, ip.address
    );
    event(
        tx,
        &standing,
        ["NETWORK.SOURCENAT.REMOVE", "VPC.SOURCENAT.REMOVE"],
        text,
    );
    let generation = tx.draft.touch(tx.view, standing.realm);
    Ok(tx.applied::<PublicIp>("removeSourceNatAddress", ip.id.0, standing.realm, generation))
}

/// The network or the VPC that is named.
fn standing(tx: &mut Tx<'_>, request: AddSourceNat) -> Result<Standing, CommandError> {
    let realm = match (request.network, request.vpc) {
        (None, None) => return Err(CommandError::missing("networkid or vpcid")),
        (Some(_), Some(vpc)) => {
            let expected = "nothing beside networkid: one of both";
            return Err(CommandError::invalid("vpcid", vpc, expected));
        }
        (Some(id), None) => {
            let network = tx.own::<Network>("networkid", id)?;
            if let Some(vpc) = tier::vpc_of(&network) {
                let expected = format!(
                    "an isolated network; all tiers leave through their VPC's addresses (vpcid={vpc})"
                );
                return Err(CommandError::invalid("networkid", id, expected));
            }
            network.realm()
        }
        (None, Some(id)) => Realm::Vpc(tx.own::<Vpc>("vpcid", id)?.id),
    };
    let missing = || CommandError::Internal(format!("{realm} is missing"));
    tx.view.standing(realm).ok_or_else(missing)
}

fn event(tx: &mut Tx<'_>, standing: &Standing, [network, vpc]: [&str; 2], text: String) {
    match standing.realm {
        Realm::Network(id) => tx.event::<Network>(network, standing.account, id.0, text),
        Realm::Vpc(id) => tx.event::<Vpc>(vpc, standing.account, id.0, text),
    }
}
