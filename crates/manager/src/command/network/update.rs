// SPDX-License-Identifier: Apache-2.0
//! `updateNetwork`: what a network is, while it runs.

use outgate_model::object::{Network, Vpc, Zone};

use super::{migrate, settings};
use crate::CommandError;
use crate::command::request::{Started, UpdateNetwork};
use crate::command::tx::Tx;
use crate::command::vpc::tier;
use crate::command::{checks, implement, source_nat};

/// `updateNetwork`.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateNetwork) -> Result<Started, CommandError> {
    let network = tx.own::<Network>("id", request.id)?;
    let mut next = Network::clone(&network);
    names(&mut next, request)?;
    if let Some(vpc) = tier::vpc_of(&network) {
        checks::not_of_tiers(vpc, request.source_nat_address, &request.settings)?;
    }
    let most = outer_mtu(tx, &network)?;
    settings::change_mtus(&mut next, most, &request.settings)?;
    next.settings.dns = settings::dns(&network.settings.dns, &request.settings)?;
    next.settings.hidden = request
        .settings
        .display
        .map_or(network.settings.hidden, |display| !display);
    if let Some(cidr) = request.guest_cidr {
        if request.offering.is_some() {
            let expected = "nothing beside networkofferingid: one of both at a time";
            return Err(CommandError::invalid("guestvmcidr", cidr, expected));
        }
        next.settings.guests = settings::guest_part(tx, &network, cidr)?;
    }
    let mut implemented = None;
    if let Some(id) = request.offering.filter(|id| *id != network.offering) {
        let offering = migrate::to(tx, &network, id, request.forced)?;
        next.offering = offering.id;
        if offering.persistent {
            implemented = Some(implement::network(tx, &network)?);
        }
    }
    if let Some(address) = request.source_nat_address {
        source_nat::change(tx, network.realm(), address)?;
    }
    let generation = implemented.unwrap_or_else(|| tx.touch(&network));
    if let Some(staged) = tx.draft.staged::<Network>(network.id).flatten() {
        next.phase = staged.phase;
    }
    if next != *network.object {
        tx.draft.update(&network, next);
    }
    let text = format!("updated network {}", network.name);
    tx.event::<Network>("NETWORK.UPDATE", network.account, network.id.0, text);
    Ok(tx.applied::<Network>("updateNetwork", network.id.0, network.realm(), generation))
}

/// MTU of the public side of a network that names none: its VPC's, or its zone's.
fn outer_mtu(tx: &mut Tx<'_>, network: &Network) -> Result<u32, CommandError> {
    let of_vpc = match tier::vpc_of(network) {
        Some(vpc) => tx.known::<Vpc>(vpc)?.public_mtu,
        None => None,
    };
    let zone = tx.known::<Zone>(network.zone)?;
    Ok(of_vpc.unwrap_or(zone.public_mtu))
}

fn names(next: &mut Network, request: &UpdateNetwork) -> Result<(), CommandError> {
    if let Some(name) = &request.name {
        checks::name("name", name)?;
        next.name.clone_from(name);
    }
    if let Some(text) = &request.display_text {
        checks::name("displaytext", text)?;
        next.display_text.clone_from(text);
    }
    if let Some(domain) = &request.domain {
        checks::domain("networkdomain", domain)?;
        next.domain.clone_from(domain);
    }
    Ok(())
}
