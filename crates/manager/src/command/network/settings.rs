// SPDX-License-Identifier: Apache-2.0
//! MTUs, resolvers and the part of a network that is for guests.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::object::{GuestPart, Network, Power, Zone};

use crate::CommandError;
use crate::command::checks;
use crate::command::request::ChosenSettings;
use crate::command::tx::Tx;

/// The longest prefix of the part that is for guests: smaller ones have no hosts.
const PREFIX_MAX: u8 = 30;
/// How many guests a refusal names.
const NAMED: usize = 5;

/// A new network's guest MTU, after a look at both: never above the public side's, which is never above the zone's.
pub(super) fn guest_mtu(zone: &Zone, chosen: &ChosenSettings) -> Result<u32, CommandError> {
    let public = public_mtu(zone.public_mtu, chosen)?.unwrap_or(zone.public_mtu);
    private_mtu(chosen, public).map(|private| private.unwrap_or(public))
}

/// `publicmtu`, checked.
fn public_mtu(most: u32, chosen: &ChosenSettings) -> Result<Option<u32>, CommandError> {
    if let Some(mtu) = chosen.public_mtu {
        checks::mtu("publicmtu", mtu, most, "the zone's public MTU")?;
    }
    Ok(chosen.public_mtu)
}

/// `privatemtu`, checked.
fn private_mtu(chosen: &ChosenSettings, public: u32) -> Result<Option<u32>, CommandError> {
    if let Some(mtu) = chosen.private_mtu {
        checks::mtu("privatemtu", mtu, public, "the network's public MTU")?;
    }
    Ok(chosen.private_mtu)
}

/// Brings other MTUs into a network whose public side has `most` unless it names another. A guest MTU that nobody names
/// goes down with the public one.
pub(super) fn change_mtus(
    network: &mut Network,
    most: u32,
    chosen: &ChosenSettings,
) -> Result<(), CommandError> {
    network.settings.public_mtu = public_mtu(most, chosen)?.or(network.settings.public_mtu);
    let public = network.settings.public_mtu.unwrap_or(most);
    network.mtu = private_mtu(chosen, public)?.unwrap_or(network.mtu.min(public));
    Ok(())
}

/// A network's resolvers: `before` with those that are named in their place.
pub(super) fn dns(before: &[Ipv4Addr], chosen: &ChosenSettings) -> Result<Vec<Ipv4Addr>, CommandError> {
    for (field, address) in [("dns1", chosen.dns1), ("dns2", chosen.dns2)] {
        let wrong =
            address.filter(|a| a.is_unspecified() || a.is_multicast() || a.is_broadcast() || a.is_loopback());
        if let Some(address) = wrong {
            return Err(CommandError::invalid(field, address, "the address of a resolver"));
        }
    }
    let first = chosen.dns1.or(before.first().copied());
    let second = chosen.dns2.or(before.get(1).copied());
    match (first, second) {
        (None, Some(second)) => {
            let expected = "nothing without dns1: the network has the zone's resolvers otherwise";
            Err(CommandError::invalid("dns2", second, expected))
        }
        _ => Ok(first.into_iter().chain(second).collect()),
    }
}

/// `guestvmcidr`: the part of the network that is for guests; `None` for all of it. Every guest's address must lie in it.
pub(super) fn guest_part(
    tx: &Tx<'_>,
    network: &Network,
    cidr: Ipv4Net,
) -> Result<Option<GuestPart>, CommandError> {
    let refused = |expected: String| Err(CommandError::invalid("guestvmcidr", cidr, expected));
    let whole = network.cidr();
    if cidr.trunc() != cidr || !whole.contains(&cidr) || cidr.prefix_len() > PREFIX_MAX {
        return refused(format!(
            "a part of the network's CIDR {whole} without host bits, at most a /{PREFIX_MAX}"
        ));
    }
    if cidr == whole {
        return Ok(None);
    }
    let part = GuestPart::Cidr(cidr);
    let mut then = Network::clone(network);
    then.settings.guests = Some(part);
    let guests = tx.view.guests_of_network(network.id);
    let outside: Vec<String> = guests
        .filter(|guest| guest.power != Power::Gone)
        .flat_map(|guest| guest.nics.iter().map(move |nic| (guest, nic)))
        .filter(|(_, nic)| nic.network == network.id)
        .flat_map(|(guest, nic)| nic.addresses().map(move |address| (guest, address)))
        .filter(|(_, address)| !then.is_for_guests(*address))
        .map(|(guest, address)| format!("{address} of {} ({})", guest.name, guest.id))
        .collect();
    if outside.is_empty() {
        return Ok(Some(part));
    }
    let named = outside.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    refused(format!(
        "a part that holds every guest's address; {} exist outside of it, such as {named}",
        outside.len()
    ))
}
