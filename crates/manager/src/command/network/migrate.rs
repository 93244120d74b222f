// SPDX-License-Identifier: Apache-2.0
//! A network changes to another offering while it runs.

use std::fmt::Display;

use outgate_model::id::NetworkOfferingId;
use outgate_model::object::{
    Account, LoadBalancerRule, Network, NetworkAclList, NetworkOffering, PhysicalNetwork, PortForwardingRule,
    PublicIp, Service, Vpc,
};

use super::{not_for_tiers, placing};
use crate::CommandError;
use crate::command::tx::Tx;
use crate::command::vpc::tier;
use crate::command::{balancing, forwarding, ip_forwarding};
use crate::mirror::Stored;

const FIELD: &str = "networkofferingid";
/// How many rules a refusal names.
const NAMED: usize = 5;

/// The offering that a network can change to. What the network uses of services that the new offering lacks is refused,
/// or removed when that is `forced`.
pub(super) fn to(
    tx: &mut Tx<'_>,
    network: &Network,
    id: NetworkOfferingId,
    forced: bool,
) -> Result<Stored<NetworkOffering>, CommandError> {
    let offering = fitting(tx, network, id)?;
    let used = Service::ALL.into_iter().filter(|service| !offering.has(*service));
    let used: Vec<_> = used
        .map(|service| (service, users(tx, network, service)))
        .filter(|(_, users)| !users.is_empty())
        .collect();
    if forced {
        for (service, _) in used {
            remove(tx, network, service);
        }
    } else if !used.is_empty() {
        let each = used
            .iter()
            .map(|(service, users)| format!("service {} by {}", service.name(), some(users)));
        let by = format!(
            "it uses what network offering {} lacks: {}; delete them first, or use forced=true",
            offering.name,
            each.collect::<Vec<_>>().join("; ")
        );
        return Err(CommandError::InUse {
            what: format!("network {}", network.id),
            by,
        });
    }
    if !offering.conserve_mode {
        one_purpose_each(tx, network, &offering)?;
    }
    Ok(offering)
}

/// The offering, if it is for networks of this kind at this place.
fn fitting(
    tx: &mut Tx<'_>,
    network: &Network,
    id: NetworkOfferingId,
) -> Result<Stored<NetworkOffering>, CommandError> {
    let offering = match tier::vpc_of(network) {
        Some(vpc) => {
            let vpc = tx.known::<Vpc>(vpc)?;
            tier::offering(tx, id, &vpc)?
        }
        None => {
            let account = tx.known::<Account>(network.account)?;
            let offering = tx.offering_for(id, network.zone, account.domain)?;
            not_for_tiers(&offering)?;
            offering
        }
    };
    if offering.specify_vlan != network.settings.vlan.is_some() {
        let expected = format!(
            "an offering whose networks have a VLAN that an admin names exactly when this one has; {} differs \
             (specifyvlan)",
            offering.name
        );
        return Err(CommandError::invalid(FIELD, id, expected));
    }
    if let Some(physical) = network.settings.physical_network {
        let physical = tx.known::<PhysicalNetwork>(physical)?;
        if !placing::has_tag(&physical, &offering) {
            let expected = format!(
                "an offering for the network's physical network {}, which has none of the tags {} of {}",
                physical.name, offering.tags, offering.name
            );
            return Err(CommandError::invalid(FIELD, id, expected));
        }
    }
    Ok(offering)
}

fn some(users: &[String]) -> String {
    let named = users.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match users.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn each(kind: &str, ids: impl Iterator<Item = impl Display>) -> Vec<String> {
    ids.map(|id| format!("{kind} {id}")).collect()
}

/// What of a network uses a service.
fn users(tx: &Tx<'_>, network: &Network, service: Service) -> Vec<String> {
    let (view, id) = (tx.view, network.id);
    match service {
        Service::Firewall => each("firewall rule", view.firewall_rules_of_network(id).map(|r| r.id)),
        Service::PortForwarding => each("port forwarding rule", view.forwards_of_network(id).map(|r| r.id)),
        Service::Lb => each("load balancer rule", view.balancers_of_network(id).map(|r| r.id)),
        Service::StaticNat => {
            let of_network = view.public_ips_of_network(id);
            let given = of_network.filter(|ip| ip.static_nat.is_some());
            each("static NAT of", given.map(|ip| ip.address))
        }
        Service::NetworkAcl => {
            let acl = network.tier.as_ref().map(|tier| tier.acl);
            let own = acl.filter(|acl| *acl != NetworkAclList::DEFAULT_DENY);
            each("network ACL list", own.into_iter())
        }
        Service::Dhcp | Service::Dns | Service::SourceNat | Service::UserData | Service::Vpn => Vec::new(),
    }
}

/// Removes what of a network uses a service.
fn remove(tx: &mut Tx<'_>, network: &Network, service: Service) {
    let (view, id) = (tx.view, network.id);
    match service {
        Service::Firewall => view
            .firewall_rules_of_network(id)
            .for_each(|rule| tx.draft.delete(rule)),
        Service::PortForwarding => {
            for rule in view.forwards_of_network(id) {
                forwarding::remove(tx, rule);
            }
        }
        Service::Lb => {
            for rule in view.balancers_of_network(id) {
                balancing::remove_rule(tx, rule);
            }
        }
        Service::StaticNat => {
            for rule in view.ip_forwards_of_network(id) {
                ip_forwarding::remove(tx, rule);
            }
            for ip in view
                .public_ips_of_network(id)
                .filter(|ip| ip.static_nat.is_some())
            {
                let next = PublicIp {
                    static_nat: None,
                    ..PublicIp::clone(ip)
                };
                tx.draft.update(ip, next);
                tier::untie(tx, ip.id);
            }
        }
        // A tier's ACL list stays: without one everything would be refused or let in.
        Service::NetworkAcl
        | Service::Dhcp
        | Service::Dns
        | Service::SourceNat
        | Service::UserData
        | Service::Vpn => {}
    }
}

/// Refuses an offering without conserve mode while an address of the network serves several purposes.
fn one_purpose_each(tx: &Tx<'_>, network: &Network, offering: &NetworkOffering) -> Result<(), CommandError> {
    for ip in tx.view.public_ips_of_network(network.id) {
        // What goes with the change counts no more.
        let mut forwards = tx.view.forwards_of_ip(ip.id);
        let forward = forwards.find(|rule| tx.draft.staged::<PortForwardingRule>(rule.id).is_none());
        let mut balancers = tx.view.balancers_of_ip(ip.id);
        let balancer = balancers.find(|rule| tx.draft.staged::<LoadBalancerRule>(rule.id).is_none());
        let purposes: Vec<String> = [
            ip.is_source_nat().then(|| "source NAT".to_owned()),
            forward.map(|rule| format!("port forwarding rule {}", rule.id)),
            balancer.map(|rule| format!("load balancer rule {}", rule.id)),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let [_, _, ..] = purposes.as_slice() {
            let by = format!(
                "it serves {}; network offering {} has no conserve mode, one address serves one purpose",
                purposes.join(" and "),
                offering.name
            );
            let what = ip.address.to_string();
            return Err(CommandError::InUse { what, by });
        }
    }
    Ok(())
}
