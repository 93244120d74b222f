// SPDX-License-Identifier: Apache-2.0
//! Secondary addresses of NICs: kept for a guest, which gives them to its interface itself, as in CloudStack. Static NAT,
//! port forwarding and load balancing may lead to them.

use outgate_model::id::SecondaryIpId;
use outgate_model::job::Goal;
use outgate_model::key::Object as _;
use outgate_model::object::{Guest, Network, PublicIp, SecondaryIp};

use super::request::{AddIpToNic, RemoveIpFromNic, Started};
use super::tx::{Owned, Tx};
use super::{conflicts, guest, guest_address, nic};
use crate::CommandError;
use crate::draft::Instance;

/// How many secondary addresses a NIC may have: CloudStack's `vm.network.nic.max.secondary.ipaddresses`.
pub const SECONDARY_IPS_PER_NIC: usize = 256;

/// `addIpToNic`.
pub(crate) fn add(tx: &mut Tx<'_>, request: AddIpToNic) -> Result<Started, CommandError> {
    let (guest, nic) = nic::by_nic(tx, request.nic)?;
    if nic.secondary.len() >= SECONDARY_IPS_PER_NIC {
        return Err(CommandError::Limit {
            what: format!("NIC {}", nic.id),
            limit: SECONDARY_IPS_PER_NIC,
            of: "secondary addresses",
        });
    }
    let network = tx.known::<Network>(nic.network)?;
    let ip = SecondaryIp {
        id: SecondaryIpId::new(),
        address: guest_address::choose(tx, &network, "ipaddress", request.address)?,
    };
    // Two that choose an address of a network at once must see each other.
    let generation = tx.touch(&network);
    let mut next = Guest::clone(&guest);
    for other in next.nics.iter_mut().filter(|other| other.id == nic.id) {
        other.secondary.push(ip);
    }
    tx.draft.update(&guest, next);
    let text = format!("secondary address {} for guest {}", ip.address, guest.name);
    tx.event::<Guest>("NIC.SECONDARY.IP.ASSIGN", guest.account, guest.id.0, text);
    // CloudStack's word for it.
    let instance = Instance {
        kind: PublicIp::NAME,
        id: ip.id.0,
    };
    let realm = network.realm();
    let job = tx.draft.job(
        "addIpToNic",
        tx.caller,
        instance,
        Goal::Applied { realm, generation },
    );
    Ok(Started { job, id: None }.made(ip.id.0))
}

/// `removeIpFromNic`: not while a rule leads to it.
pub(crate) fn remove(tx: &mut Tx<'_>, request: RemoveIpFromNic) -> Result<Started, CommandError> {
    let missing = || CommandError::not_found("id", request.id);
    let found = tx.view.guest_of_secondary_ip(request.id);
    let (guest, nic, ip) = found
        .filter(|(guest, ..)| !guest.leaving() && tx.caller.may(tx.view, guest.account))
        .map(|(guest, nic, ip)| (guest.id, nic.clone(), ip))
        .ok_or_else(missing)?;
    let guest = guest::kept(tx, "id", guest)?;
    if let Some(user) = conflicts::user_of_nic(tx.view, &guest, nic.id, Some(ip.address)) {
        let expected = format!(
            "a secondary address that no rule leads to; {user} leads to {}, delete it first",
            ip.address
        );
        return Err(CommandError::invalid("id", ip.id, expected));
    }
    let network = tx.known::<Network>(nic.network)?;
    let generation = tx.touch(&network);
    let mut next = Guest::clone(&guest);
    for other in next.nics.iter_mut().filter(|other| other.id == nic.id) {
        other.secondary.retain(|other| other.id != ip.id);
    }
    tx.draft.update(&guest, next);
    let text = format!("secondary address {} of guest {} is free", ip.address, guest.name);
    tx.event::<Guest>("NIC.SECONDARY.IP.UNASSIGN", guest.account, guest.id.0, text);
    Ok(tx.applied::<Guest>("removeIpFromNic", guest.id.0, network.realm(), generation))
}
