// SPDX-License-Identifier: Apache-2.0
//! Guests: what DHCP gave them is what they have, and they reach the router.

use ipnet::Ipv4Net;
use outgate_model::router_spec::GuestNetwork;

use super::{Case, guest_place};
use crate::evidence::GuestSeen;
use crate::finding::{Cause, Finding, Fix};
use crate::read::ip::LinkSeen;

pub(super) fn check(case: &Case<'_>) -> Vec<Finding> {
    case.evidence
        .guests
        .iter()
        .filter_map(|guest| one(case, guest))
        .collect()
}

fn one(case: &Case<'_>, guest: &GuestSeen) -> Option<Finding> {
    let network = case
        .spec
        .guest_networks
        .iter()
        .find(|n| n.interface == guest.interface)?;
    if !guest.running {
        let seen = vec!["listVirtualMachines: it does not run".to_owned()];
        // Somebody may have stopped it on purpose: only who asks for it hears of it.
        return guest.asked.then(|| {
            found(
                guest,
                Cause::GuestStopped,
                seen,
                Fix::StartGuest(guest.id.clone()),
            )
        });
    }
    settings(network, guest).or_else(|| wire(case, network, guest))
}

fn found(guest: &GuestSeen, cause: Cause, evidence: Vec<String>, fix: Fix) -> Finding {
    Finding {
        cause,
        place: guest_place(&guest.name),
        evidence,
        fix: Some(fix),
    }
}

fn settings(network: &GuestNetwork, guest: &GuestSeen) -> Option<Finding> {
    guest.links.as_ref()?;
    let renew = |cause, text| Some(found(guest, cause, vec![text], Fix::RenewLease(guest.id.clone())));
    let mac = guest.mac?;
    let lease = network.leases.get(&mac)?;
    let wanted = Ipv4Net::new(lease.address, network.gateway.prefix_len()).ok()?;
    let Some((name, nic)) = guest.nic() else {
        let seen = vec![format!(
            "ip addr show: no interface has the Ethernet address {mac}"
        )];
        return Some(found(
            guest,
            Cause::GuestNoNic,
            seen,
            Fix::RebootGuest(guest.id.clone()),
        ));
    };
    if !nic.up || !nic.carrier {
        return renew(Cause::GuestLinkDown, format!("ip addr show {name}: it is down"));
    }
    if nic.addresses.is_empty() {
        return renew(
            Cause::GuestNoLease,
            format!("ip addr show {name}: no address; its lease is {wanted}"),
        );
    }
    address(guest, network, wanted, (name, nic))
        .or_else(|| route(guest, network))
        .and_then(|(cause, text)| renew(cause, text))
}

fn address(
    _guest: &GuestSeen,
    network: &GuestNetwork,
    wanted: Ipv4Net,
    (name, nic): (&str, &LinkSeen),
) -> Option<(Cause, String)> {
    let has = nic
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let text = format!("ip addr show {name}: {has}; its lease is {wanted}");
    if !nic.addresses.iter().any(|a| a.addr() == wanted.addr()) {
        return Some((Cause::GuestAddress, text));
    }
    if !nic.addresses.contains(&wanted) {
        return Some((Cause::GuestNetmask, text));
    }
    (nic.mtu > network.mtu).then(|| {
        let text = format!(
            "ip addr show {name}: MTU {}; the network's is {}",
            nic.mtu, network.mtu
        );
        (Cause::GuestMtu, text)
    })
}

fn route(guest: &GuestSeen, network: &GuestNetwork) -> Option<(Cause, String)> {
    let routes = guest.routes.as_ref()?;
    let gateway = network.gateway.addr();
    let mut defaults = routes.iter().filter(|r| r.to.prefix_len() == 0);
    let seen = match defaults.next() {
        None => "there is no default route".to_owned(),
        // A guest with several networks has its default route on one of them.
        Some(route) if guest.nic().is_some_and(|(name, _)| name != route.interface) => return None,
        Some(route) if route.via == Some(gateway) => return None,
        Some(route) => route.to_string(),
    };
    Some((
        Cause::GuestGateway,
        format!("ip route: {seen}; its gateway is {gateway}"),
    ))
}

fn wire(case: &Case<'_>, network: &GuestNetwork, guest: &GuestSeen) -> Option<Finding> {
    let router = network.mac;
    if let Some(other) = guest.gateway_mac.filter(|mac| *mac != router) {
        let text = format!(
            "ip neigh: {} is at {other}; the router is {router}",
            network.gateway.addr()
        );
        return Some(Finding {
            fix: None,
            ..found(guest, Cause::GatewayStolen, vec![text], Fix::RestartNetwork)
        });
    }
    let pinged = guest.gateway.as_ref().filter(|pinged| pinged.received == 0)?;
    let mut seen = vec![format!("ping {}: {pinged}", network.gateway.addr())];
    let entered = case
        .evidence
        .flow
        .as_ref()
        .and_then(|flow| flow.inside.as_ref())
        .map(|c| c.packets.len());
    if entered == Some(0) {
        seen.push(format!(
            "tcpdump -i {}: nothing of the guest enters the router",
            network.interface
        ));
    }
    Some(Finding {
        fix: None,
        ..found(guest, Cause::GuestCutOff, seen, Fix::RestartNetwork)
    })
}
