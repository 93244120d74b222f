// SPDX-License-Identifier: Apache-2.0
//! Public addresses that an account keeps before it uses them, and what of an address may change.

use outgate_model::id::PublicIpId;
use outgate_model::job::Goal;
use outgate_model::key;
use outgate_model::object::{PublicIp, PublicIpRange, Zone};

use super::address::{self, SourceNat, Wanted};
use super::request::{ReleaseIp, ReserveIp, Started, UpdateIp};
use super::tx::Tx;
use crate::CommandError;
use crate::mirror::Stored;

const FIELD: &str = "id";

/// `reserveIpAddress`: a free address becomes the account's to associate, and nobody else's. It keeps the id by which free
/// ones are listed.
pub(crate) fn reserve(tx: &mut Tx<'_>, request: &ReserveIp) -> Result<PublicIpId, CommandError> {
    let account = tx.owner(request.owner)?;
    if tx.view.get::<PublicIp>(request.id).is_some() {
        tx.own::<PublicIp>(FIELD, request.id)?;
        let expected = "an address in state Free; listPublicIpAddresses state=Free lists them";
        return Err(CommandError::invalid(FIELD, request.id, expected));
    }
    let mut ranges = tx.view.all::<PublicIpRange>();
    let found = ranges.find_map(|range| Some((range.zone, range.address_of(request.id)?)));
    let (zone, free) = found.ok_or_else(|| CommandError::not_found(FIELD, request.id))?;
    let zone = tx.known::<Zone>(zone)?;
    let wanted = Wanted {
        account: account.id,
        realm: None,
        address: Some((FIELD, free)),
        source_nat: SourceNat::No,
    };
    let ip = address::acquire_as(tx, &zone, wanted, |ip| PublicIp {
        id: request.id,
        reserved: true,
        hidden: request.display == Some(false),
        ..ip
    })?;
    Ok(ip.id)
}

/// `releaseIpAddress`: a reserved address is free again.
pub(crate) fn release(tx: &mut Tx<'_>, request: ReleaseIp) -> Result<(), CommandError> {
    let ip = tx.own::<PublicIp>(FIELD, request.id)?;
    if !ip.reserved {
        let expected = "an address in state Reserved; acquired ones go with disassociateIpAddress";
        return Err(CommandError::invalid(FIELD, ip.id, expected));
    }
    tx.draft.delete(&ip);
    tx.draft.release(key::ip_claim(ip.zone, ip.address));
    let text = format!("released {}", ip.address);
    tx.event::<PublicIp>("NET.IPRELEASE", ip.account, ip.id.0, text);
    Ok(())
}

/// `updateIpAddress`.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateIp) -> Result<Started, CommandError> {
    let ip = tx.own::<PublicIp>(FIELD, request.id)?;
    let next = PublicIp {
        hidden: request.display.map_or(ip.hidden, |display| !display),
        ..PublicIp::clone(&ip)
    };
    if next != *ip.object {
        tx.draft.update(&ip, next);
    }
    let text = format!("updated {}", ip.address);
    tx.event::<PublicIp>("NET.IPUPDATE", ip.account, ip.id.0, text);
    Ok(Started {
        job: tx.job::<PublicIp>("updateIpAddress", ip.id.0, Goal::Stored),
        id: None,
    })
}

/// An address that the account has reserved, as what `wanted` makes of it; `None` when it has not.
pub(super) fn taken_up(tx: &mut Tx<'_>, zone: &Zone, wanted: &Wanted) -> Option<Stored<PublicIp>> {
    let (_, address) = wanted.address?;
    let kept = tx.view.public_ip_at(zone.id, address)?;
    (kept.reserved && kept.account == wanted.account).then(|| kept.clone())
}
