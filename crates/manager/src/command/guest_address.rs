// SPDX-License-Identifier: Apache-2.0
//! Addresses of guests in their networks: IPv4 and Ethernet, each unique in its network.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use outgate_model::object::{Guest, Network};
use outgate_model::{MacAddr, key};

use super::implement;
use super::tx::Tx;
use crate::CommandError;

/// The address asked for by parameter `field`, or the lowest free one.
pub(crate) fn choose(
    tx: &Tx<'_>,
    network: &Network,
    field: &str,
    wanted: Option<Ipv4Addr>,
) -> Result<Ipv4Addr, CommandError> {
    let cidr = network.cidr();
    // Guests on their way out keep their addresses until they are gone.
    let nics = tx
        .view
        .guests_of_network(network.id)
        .flat_map(|guest| guest.nics.iter());
    let mut used: BTreeSet<_> = nics
        .filter(|nic| nic.network == network.id)
        .flat_map(|nic| nic.addresses())
        .collect();
    used.insert(network.gateway.addr());
    let (first, last) = network.guest_addresses();
    let is_free = |address: &Ipv4Addr| {
        // A NIC that was taken away keeps its address until it is unplugged.
        let leaving = tx.view.claimed(&key::guest_ip_claim(network.id, *address));
        !used.contains(address) && leaving.is_none()
    };
    match wanted {
        Some(address) if network.is_for_guests(address) && is_free(&address) => Ok(address),
        Some(address) => Err(CommandError::invalid(
            field,
            address,
            format!("a free guest address of {cidr}, which guests get from {first} to {last}"),
        )),
        None => (first.to_bits()..=last.to_bits())
            .map(Ipv4Addr::from_bits)
            .find(is_free)
            .ok_or_else(|| CommandError::Capacity {
                what: format!("no free guest address in {cidr}, which guests get from {first} to {last}"),
            }),
    }
}

/// The Ethernet address asked for, or one made of the guest's number and the NIC's device.
pub(crate) fn mac(
    tx: &Tx<'_>,
    network: &Network,
    wanted: Option<MacAddr>,
    (number, device): (u64, u8),
) -> Result<MacAddr, CommandError> {
    let Some(wanted) = wanted else {
        // Somebody may have given such a one by hand: then one that differs in the byte that says the device.
        for place in (device..=u8::MAX).chain(0..device) {
            let made = implement::mac(number, usize::from(place))?;
            if holder(tx, network, made).is_none() {
                return Ok(made);
            }
        }
        let what = format!(
            "no free Ethernet address for guest number {number} in network {}",
            network.id
        );
        return Err(CommandError::Capacity { what });
    };
    let [first, ..] = wanted.0;
    if first & 1 == 1 || wanted.0 == [0; 6] {
        let expected = "an address of one station: not all zero, and the first byte even";
        return Err(CommandError::invalid("macaddress", wanted, expected));
    }
    match holder(tx, network, wanted) {
        None => Ok(wanted),
        Some(holder) => {
            let expected = format!(
                "an address that nobody has on network {}; {holder} has it",
                network.id
            );
            Err(CommandError::invalid("macaddress", wanted, expected))
        }
    }
}

/// Who has this Ethernet address on a network.
fn holder(tx: &Tx<'_>, network: &Network, mac: MacAddr) -> Option<String> {
    let of_guest = |guest: &&crate::Stored<Guest>| {
        let mut nics = guest.nics.iter();
        nics.any(|nic| nic.network == network.id && nic.mac == mac)
    };
    let router = tx.view.router_of_network(network.id);
    let of_router = router.is_some_and(|router| router.macs.contains(&mac))
        || network.tier.as_ref().is_some_and(|tier| tier.mac == mac);
    if of_router {
        return Some("its router".to_owned());
    }
    let guest = tx.view.guests_of_network(network.id).find(of_guest)?;
    Some(format!("VirtualMachine {}", guest.id))
}
