// SPDX-License-Identifier: Apache-2.0
//! NICs of guests: they come, go, and change, while the guest runs where CloudStack's do.

use std::net::Ipv4Addr;

use outgate_model::id::NicId;
use outgate_model::key;
use outgate_model::object::{Guest, LoadBalancerRule, Network, Nic, PortForwardingRule, Power, PublicIp};
use outgate_model::object::{IpForwardingRule, StaticNat};

use super::request::{AddNic, RemoveNic, Started, UpdateDefaultNic, UpdateNicIp, WantedNic};
use super::tx::{Owned, Tx};
use super::{conflicts, guest, guest_address, implement};
use crate::CommandError;
use crate::mirror::Stored;

/// How many NICs a guest may have.
pub const NICS_PER_GUEST: usize = 10;

/// `addNicToVirtualMachine`. A running guest gets it at once, and its network a router if it had none.
pub(crate) fn add(tx: &mut Tx<'_>, request: AddNic) -> Result<Started, CommandError> {
    let guest = guest::kept(tx, "virtualmachineid", request.guest)?;
    let network = tx.own::<Network>("networkid", request.nic.network)?;
    guest::fits(&network, guest.account, guest.zone, "networkid")?;
    if guest.nics.iter().any(|nic| nic.network == network.id) {
        let expected = format!("a network on which guest {} has no NIC yet", guest.name);
        return Err(CommandError::invalid("networkid", network.id, expected));
    }
    room(&guest.nics, 1)?;
    guest::unused_name(tx, &network, &guest.name, Some(guest.id))?;
    let nic = new(
        tx,
        &network,
        &request.nic,
        (guest.number, free_device(&guest.nics)?),
    )?;
    if guest.power == Power::On {
        implement::network_on(tx, &network, Some(guest.host))?;
    } else {
        on_its_host(tx, &network, &guest)?;
        tx.touch(&network);
    }
    let text = format!(
        "added a NIC on network {} with {} to guest {}",
        network.name, nic.address, guest.name
    );
    tx.event::<Guest>("NIC.CREATE", guest.account, guest.id.0, text);
    let mut next = Guest::clone(&guest);
    next.nics.push(nic);
    Ok(save(tx, &guest, next, "addNicToVirtualMachine"))
}

/// A new NIC, as it was asked for, of the guest with this number, as this device.
pub(crate) fn new(
    tx: &Tx<'_>,
    network: &Network,
    wanted: &WantedNic,
    (number, device): (u64, u8),
) -> Result<Nic, CommandError> {
    Ok(Nic {
        id: NicId::new(),
        network: network.id,
        address: guest_address::choose(tx, network, "ipaddress", wanted.address)?,
        mac: guest_address::mac(tx, network, wanted.mac, (number, device))?,
        device,
        secondary: Vec::new(),
    })
}

/// Refuses more NICs than a guest may have.
pub(crate) fn room(nics: &[Nic], more: usize) -> Result<(), CommandError> {
    if nics.len() + more <= NICS_PER_GUEST {
        return Ok(());
    }
    Err(CommandError::Limit {
        what: "the guest".to_owned(),
        limit: NICS_PER_GUEST,
        of: "NICs",
    })
}

fn free_device(nics: &[Nic]) -> Result<u8, CommandError> {
    let free = (0..u8::MAX).find(|device| nics.iter().all(|nic| nic.device != *device));
    free.ok_or_else(|| CommandError::Internal("no device is free for another NIC".to_owned()))
}

/// A network's bridge is on one host: refuses what could never be started.
fn on_its_host(tx: &Tx<'_>, network: &Network, guest: &Guest) -> Result<(), CommandError> {
    match tx.view.router_of_network(network.id) {
        Some(router) if router.host != guest.host => Err(CommandError::Unavailable {
            what: format!(
                "network {} is on host {}, the guest on host {}",
                network.id, router.host, guest.host
            ),
        }),
        _ => Ok(()),
    }
}

/// `removeNicFromVirtualMachine`: neither the default one, nor one that rules lead to.
pub(crate) fn remove(tx: &mut Tx<'_>, request: RemoveNic) -> Result<Started, CommandError> {
    let guest = guest::kept(tx, "virtualmachineid", request.guest)?;
    let nic = of_guest(&guest, request.nic)?;
    if is_default(&guest, nic.id) {
        let expected = "a NIC other than the default one: updateDefaultNicForVirtualMachine first";
        return Err(CommandError::invalid("nicid", nic.id, expected));
    }
    if let Some(user) = conflicts::user_of_nic(tx.view, &guest, nic.id, None) {
        let expected = format!("a NIC that no rule leads to; {user} leads to this one, delete it first");
        return Err(CommandError::invalid("nicid", nic.id, expected));
    }
    let network = tx.known::<Network>(nic.network)?;
    tx.touch(&network);
    if guest.power == Power::On {
        for address in nic.addresses() {
            let claim = key::guest_ip_claim(network.id, address);
            tx.draft.claim(claim.clone());
            tx.draft.release_with_job(claim);
        }
    }
    let text = format!(
        "removed the NIC on network {} from guest {}",
        network.name, guest.name
    );
    tx.event::<Guest>("NIC.DELETE", guest.account, guest.id.0, text);
    let mut next = Guest::clone(&guest);
    next.nics.retain(|other| other.id != nic.id);
    Ok(save(tx, &guest, next, "removeNicFromVirtualMachine"))
}

/// `updateDefaultNicForVirtualMachine`: a running guest's default route moves, its NICs stay as they are.
pub(crate) fn set_default(tx: &mut Tx<'_>, request: UpdateDefaultNic) -> Result<Started, CommandError> {
    let guest = guest::kept(tx, "virtualmachineid", request.guest)?;
    let nic = of_guest(&guest, request.nic)?;
    if is_default(&guest, nic.id) {
        let expected = "a NIC other than the default one: it is so already";
        return Err(CommandError::invalid("nicid", nic.id, expected));
    }
    let mut next = Guest::clone(&guest);
    // The default one is the first, and only it is told of a router by DHCP.
    next.nics.sort_by_key(|other| (other.id != nic.id, other.device));
    for other in &next.nics {
        let network = tx.known::<Network>(other.network)?;
        tx.touch(&network);
    }
    let text = format!("eth{} is the default NIC of guest {}", nic.device, guest.name);
    tx.event::<Guest>("NIC.UPDATE", guest.account, guest.id.0, text);
    Ok(save(tx, &guest, next, "updateDefaultNicForVirtualMachine"))
}

/// `updateVmNicIp` of a stopped guest. Static NAT and rules that lead to the address follow it, as CloudStack's.
pub(crate) fn update_ip(tx: &mut Tx<'_>, request: UpdateNicIp) -> Result<Started, CommandError> {
    let (guest, nic) = by_nic(tx, request.nic)?;
    if guest.power != Power::On && tx.view.guest_observed(guest.id).is_none_or(|seen| !seen.running) {
        let network = tx.known::<Network>(nic.network)?;
        let same = request.address == Some(nic.address);
        let address = if same {
            nic.address
        } else {
            guest_address::choose(tx, &network, "ipaddress", request.address)?
        };
        let generation = tx.touch(&network);
        follow(tx, &guest, &nic, address, generation);
        let mut next = Guest::clone(&guest);
        for other in next.nics.iter_mut().filter(|other| other.id == nic.id) {
            other.address = address;
        }
        let text = format!("guest {} has {address} on network {}", guest.name, network.name);
        tx.event::<Guest>("NIC.UPDATE", guest.account, guest.id.0, text);
        next.generation += 1;
        tx.draft.update(&guest, next);
        return Ok(tx.applied::<Guest>("updateVmNicIp", guest.id.0, network.realm(), generation));
    }
    let expected = format!(
        "a NIC of a stopped guest; {} ({}) is not Stopped",
        guest.name, guest.id
    );
    Err(CommandError::invalid("nicid", nic.id, expected))
}

/// Leads everything that led to a NIC's own address to its new one.
fn follow(tx: &mut Tx<'_>, guest: &Guest, nic: &Nic, now: Ipv4Addr, since: u64) {
    let was = nic.address;
    let owned: Vec<_> = tx.view.static_nat_of_guest(guest.id).cloned().collect();
    for ip in owned {
        let moved = |nat: &StaticNat| nat.nic == nic.id && nat.address == was;
        if let Some(nat) = ip.static_nat.filter(moved) {
            let mut next = PublicIp::clone(&ip);
            next.static_nat = Some(StaticNat { address: now, ..nat });
            tx.draft.update(&ip, next);
        }
    }
    let forwards: Vec<_> = tx.view.forwards_of_guest(guest.id).cloned().collect();
    for rule in forwards
        .iter()
        .filter(|r| r.nic == nic.id && r.guest_address == was)
    {
        let next = PortForwardingRule {
            guest_address: now,
            since,
            ..PortForwardingRule::clone(rule)
        };
        tx.draft.update(rule, next);
    }
    let of_static_nat: Vec<_> = tx.view.ip_forwards_of_guest(guest.id).cloned().collect();
    for rule in of_static_nat
        .iter()
        .filter(|r| r.network == nic.network && r.guest_address == was)
    {
        let next = IpForwardingRule {
            guest_address: now,
            since,
            ..IpForwardingRule::clone(rule)
        };
        tx.draft.update(rule, next);
    }
    let balancers: Vec<_> = tx.view.balancers_of_guest(guest.id).cloned().collect();
    for rule in &balancers {
        let mut next = LoadBalancerRule::clone(rule);
        for member in next
            .members
            .iter_mut()
            .filter(|m| m.nic == nic.id && m.address == was)
        {
            member.address = now;
        }
        if next.members != rule.members {
            tx.draft.update(rule, LoadBalancerRule { since, ..next });
        }
    }
}

/// The caller's guest that has this NIC, and the NIC.
pub(crate) fn by_nic(tx: &mut Tx<'_>, id: NicId) -> Result<(Stored<Guest>, Nic), CommandError> {
    let found = tx
        .view
        .guest_of_nic(id)
        .map(|(guest, nic)| (guest.id, nic.clone()));
    let (guest, nic) = found.ok_or_else(|| CommandError::not_found("nicid", id))?;
    // Whose it is must not leak: another's NIC is answered as none.
    let visible = tx
        .view
        .get::<Guest>(guest)
        .is_some_and(|guest| !guest.leaving() && tx.caller.may(tx.view, guest.account));
    if !visible {
        return Err(CommandError::not_found("nicid", id));
    }
    Ok((guest::kept(tx, "nicid", guest)?, nic))
}

fn of_guest(guest: &Guest, id: NicId) -> Result<Nic, CommandError> {
    let nic = guest.nics.iter().find(|nic| nic.id == id).cloned();
    nic.ok_or_else(|| CommandError::invalid("nicid", id, format!("a NIC of guest {}", guest.id)))
}

fn is_default(guest: &Guest, id: NicId) -> bool {
    guest.nics.first().is_some_and(|first| first.id == id)
}

/// Stores what became of a guest's NICs. The job is done when a running guest has them.
fn save(tx: &mut Tx<'_>, guest: &Stored<Guest>, mut next: Guest, command: &str) -> Started {
    next.generation += 1;
    let generation = next.generation;
    tx.draft.update(guest, next);
    guest::settled(tx, command, guest.id, generation)
}
