// SPDX-License-Identifier: Apache-2.0
//! Static NAT: a public address belongs entirely to one guest.

use outgate_model::id::JobId;
use outgate_model::object::{Guest, Network, PublicIp, Service, StaticNat};

use super::request::{DisableStaticNat, EnableStaticNat, Started};
use super::tx::Tx;
use super::vpc::tier;
use super::{checks, conflicts, ip_forwarding};
use crate::CommandError;

/// `enableStaticNat`. `None` when it was so already, else the job that tells when the router has it.
pub(crate) fn enable(tx: &mut Tx<'_>, request: EnableStaticNat) -> Result<Option<JobId>, CommandError> {
    let ip = tx.own::<PublicIp>("ipaddressid", request.public_ip)?;
    let guest = tx.own::<Guest>("virtualmachineid", request.guest)?;
    if ip.is_source_nat() {
        let expected = "an address that is not a network's source NAT address";
        return Err(CommandError::invalid("ipaddressid", ip.id, expected));
    }
    let network = checks::network_for(tx, &ip, request.network, &guest)?;
    tx.offers(&network, Service::StaticNat)?;
    let target = checks::target(&guest, &network, request.guest_address)?;
    let wanted = StaticNat {
        guest: guest.id,
        nic: target.nic,
        address: target.address,
    };
    if ip.static_nat == Some(wanted) {
        return Ok(None);
    }
    conflicts::static_nat(tx.view, &ip, wanted)?;
    tx.draft.update(
        &ip,
        PublicIp {
            static_nat: Some(wanted),
            ..checks::attached(&ip, &network)
        },
    );
    let generation = tx.touch(&network);
    let text = format!(
        "{} belongs to guest {} ({})",
        ip.address, guest.name, target.address
    );
    tx.event::<PublicIp>("STATICNAT.ENABLE", ip.account, ip.id.0, text);
    Ok(Some(
        tx.applied::<PublicIp>("enableStaticNat", ip.id.0, network.realm(), generation)
            .job,
    ))
}

/// `disableStaticNat`. IP forwarding rules go; firewall rules of the address stay, and let nothing in any more.
pub(crate) fn disable(tx: &mut Tx<'_>, request: DisableStaticNat) -> Result<Started, CommandError> {
    let ip = tx.own::<PublicIp>("ipaddressid", request.public_ip)?;
    let (Some(_), Some(network)) = (ip.static_nat, ip.network) else {
        return Err(CommandError::invalid(
            "ipaddressid",
            ip.id,
            "an address with static NAT",
        ));
    };
    let network = tx.known::<Network>(network)?;
    let rules: Vec<_> = tx.view.ip_forwards_of_ip(ip.id).cloned().collect();
    for rule in &rules {
        ip_forwarding::remove(tx, rule);
    }
    tx.draft.update(
        &ip,
        PublicIp {
            static_nat: None,
            ..PublicIp::clone(&ip)
        },
    );
    tier::untie(tx, ip.id);
    let generation = tx.touch(&network);
    let text = format!("{} no longer belongs to a guest", ip.address);
    tx.event::<PublicIp>("STATICNAT.DISABLE", ip.account, ip.id.0, text);
    Ok(tx.applied::<PublicIp>("disableStaticNat", ip.id.0, network.realm(), generation))
}
