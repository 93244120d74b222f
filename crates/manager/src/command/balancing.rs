// SPDX-License-Identifier: Apache-2.0
//! Load balancing: connections to a port of a public address are spread over guests.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use outgate_model::id::{GuestId, LoadBalancerRuleId, NicId};
use outgate_model::object::{FirewallRule, Guest, LbMember, LoadBalancerRule, Network, PublicIp, Service};
use outgate_model::{PortRange, Protocol, Realm};

use super::conflicts::{self, WantedPorts};
use super::request::{ChangeMembers, CreateLoadBalancer, DeleteLoadBalancer, Started, UpdateLoadBalancer};
use super::tx::Tx;
use super::vpc::tier;
use super::{address, checks, firewall};
use crate::CommandError;
use crate::mirror::Stored;

/// How many load balancer rules a network may have.
pub const BALANCERS_PER_NETWORK: usize = 256;
/// How many members a load balancer rule may have.
pub const MEMBERS_PER_BALANCER: usize = 256;

/// How many members the load balancer rules of a network may have together: haproxy asks each for its health, and reads
/// them all at each change.
pub const MEMBERS_PER_NETWORK: usize = 2_048;

/// `createLoadBalancerRule`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateLoadBalancer) -> Result<Started, CommandError> {
    checks::name("name", &request.name)?;
    let (ip, network) = place(tx, request)?;
    tx.offers(&network, Service::Lb)?;
    tx.one_purpose(&network, &ip, Service::Lb)?;
    let sources = checks::cidrs("cidrlist", &request.sources, firewall::everywhere())?;
    room(tx, &network, sources.len())?;
    let wanted = WantedPorts {
        protocol: Protocol::Tcp,
        ports: PortRange::single(request.public_port)?,
    };
    conflicts::ports(tx.view, &ip, wanted, "load balancing")?;
    if ip.network.is_none() {
        tx.draft.update(&ip, checks::attached(&ip, &network));
    }
    let everywhere = vec![firewall::everywhere()];
    let opened = firewall::opened(tx, &network, &ip, (wanted, request.open_firewall), everywhere)?;
    let rule = LoadBalancerRule {
        id: LoadBalancerRuleId::new(),
        name: request.name.clone(),
        description: request.description.clone(),
        network: network.id,
        account: network.account,
        public_ip: ip.id,
        public_port: request.public_port,
        private_port: request.private_port,
        algorithm: request.algorithm,
        protocol: request.protocol,
        sources,
        members: Vec::new(),
        stickiness: None,
        health_check: None,
        opened,
        since: tx.touch(&network),
        created: Timestamp::now(),
    };
    tx.draft.create(&rule);
    let text = format!("balancing tcp {} of {}", rule.public_port, ip.address);
    tx.event::<LoadBalancerRule>("LB.CREATE", rule.account, rule.id.0, text);
    Ok(tx
        .applied::<LoadBalancerRule>("createLoadBalancerRule", rule.id.0, network.realm(), rule.since)
        .made(rule.id.0))
}

/// The rule's address and network.
fn place(
    tx: &mut Tx<'_>,
    request: &CreateLoadBalancer,
) -> Result<(Stored<PublicIp>, Stored<Network>), CommandError> {
    let wanted = match request.network {
        Some(id) => Some(tx.own::<Network>("networkid", id)?),
        None => None,
    };
    let ip = match (request.public_ip, &wanted) {
        (Some(id), _) => tx.own::<PublicIp>("publicipid", id)?,
        (None, Some(network)) if network.tier.is_none() => {
            address::source_nat_of(tx, network.realm()).ok_or_else(|| CommandError::missing("publicipid"))?
        }
        (None, _) => return Err(CommandError::missing("publicipid")),
    };
    let network = match (wanted, ip.network) {
        (Some(wanted), Some(has)) if wanted.id != has => {
            let expected = format!("the address's network {has}");
            return Err(CommandError::invalid("networkid", wanted.id, expected));
        }
        (Some(wanted), _) => wanted,
        (None, Some(has)) => tx.own::<Network>("networkid", has)?,
        (None, None) => return Err(CommandError::missing("networkid")),
    };
    let fits = match network.realm() {
        Realm::Vpc(vpc) => ip.vpc == Some(vpc),
        Realm::Network(_) => ip.vpc.is_none() && network.zone == ip.zone,
    };
    if !fits {
        let expected = "a network of the address's zone, or a tier of its VPC";
        return Err(CommandError::invalid("networkid", network.id, expected));
    }
    if network.account != ip.account {
        return Err(CommandError::permission("IpAddress", ip.id));
    }
    Ok((ip, network))
}

fn room(tx: &Tx<'_>, network: &Network, sources: usize) -> Result<(), CommandError> {
    if tx.view.count_balancers(network.id) >= BALANCERS_PER_NETWORK {
        return Err(CommandError::Limit {
            what: format!("Network {}", network.id),
            limit: BALANCERS_PER_NETWORK,
            of: "load balancer rules",
        });
    }
    checks::room_for_rules(tx, network, 2, sources)
}

/// `updateLoadBalancerRule`.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateLoadBalancer) -> Result<Started, CommandError> {
    let rule = tx.own::<LoadBalancerRule>("id", request.id)?;
    let mut next = LoadBalancerRule::clone(&rule);
    if let Some(name) = &request.name {
        checks::name("name", name)?;
        next.name.clone_from(name);
    }
    if let Some(description) = &request.description {
        next.description.clone_from(description);
    }
    next.algorithm = request.algorithm.unwrap_or(next.algorithm);
    next.protocol = request.protocol.unwrap_or(next.protocol);
    if let Some(sources) = &request.sources {
        next.sources = checks::cidrs("cidrlist", sources, firewall::everywhere())?;
    }
    let text = format!("changed load balancer rule {}", next.name);
    save(tx, &rule, next, ("updateLoadBalancerRule", "LB.UPDATE", text))
}

/// Stores what became of a rule and starts the command's job.
pub(crate) fn save(
    tx: &mut Tx<'_>,
    rule: &Stored<LoadBalancerRule>,
    mut next: LoadBalancerRule,
    (command, event, text): (&str, &str, String),
) -> Result<Started, CommandError> {
    let network = tx.known::<Network>(rule.network)?;
    next.since = tx.touch(&network);
    tx.event::<LoadBalancerRule>(event, next.account, next.id.0, text);
    let since = next.since;
    tx.draft.update(rule, next);
    Ok(tx.applied::<LoadBalancerRule>(command, rule.id.0, network.realm(), since))
}

/// `deleteLoadBalancerRule`: the firewall rule that was opened for it goes too.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteLoadBalancer) -> Result<Started, CommandError> {
    let rule = tx.own::<LoadBalancerRule>("id", request.id)?;
    let network = tx.known::<Network>(rule.network)?;
    remove_rule(tx, &rule);
    let generation = tx.touch(&network);
    Ok(tx.applied::<LoadBalancerRule>("deleteLoadBalancerRule", rule.id.0, network.realm(), generation))
}

/// Takes a rule away with the firewall rule that came with it. The caller touches the network.
pub(crate) fn remove_rule(tx: &mut Tx<'_>, rule: &Stored<LoadBalancerRule>) {
    tx.draft.delete(rule);
    let opened = rule.opened.and_then(|id| tx.view.get::<FirewallRule>(id));
    if let Some(opened) = opened.cloned() {
        tx.draft.delete(&opened);
    }
    tier::untie(tx, rule.public_ip);
    let text = format!("removed load balancer rule {}", rule.name);
    tx.event::<LoadBalancerRule>("LB.DELETE", rule.account, rule.id.0, text);
}

/// `assignToLoadBalancerRule`.
pub(crate) fn assign(tx: &mut Tx<'_>, request: &ChangeMembers) -> Result<Started, CommandError> {
    let rule = tx.own::<LoadBalancerRule>("id", request.id)?;
    let network = tx.known::<Network>(rule.network)?;
    let mut next = LoadBalancerRule::clone(&rule);
    for (id, wanted) in named(request)? {
        let guest = tx.own::<Guest>("virtualmachineids", *id)?;
        let member = member(&guest, &network, *wanted)?;
        if next.members.iter().any(|other| other.address == member.address) {
            let expected = format!(
                "a guest that is not yet a member of load balancer rule {} with {}",
                rule.id, member.address
            );
            return Err(CommandError::invalid("virtualmachineids", id, expected));
        }
        next.members.push(member);
    }
    if next.members.len() > MEMBERS_PER_BALANCER {
        return Err(CommandError::Limit {
            what: format!("load balancer rule {}", rule.id),
            limit: MEMBERS_PER_BALANCER,
            of: "members",
        });
    }
    let of_network = tx.view.balancers_of_network(network.id);
    let others = of_network.filter(|other| other.id != rule.id);
    if next.members.len() + others.map(|other| other.members.len()).sum::<usize>() > MEMBERS_PER_NETWORK {
        return Err(CommandError::Limit {
            what: format!("Network {}", network.id),
            limit: MEMBERS_PER_NETWORK,
            of: "members of load balancer rules",
        });
    }
    let text = format!(
        "{} guests for load balancer rule {}",
        request.members.len(),
        rule.name
    );
    save(
        tx,
        &rule,
        next,
        ("assignToLoadBalancerRule", "LB.ASSIGN.TO.RULE", text),
    )
}

fn named(request: &ChangeMembers) -> Result<&[(GuestId, Option<Ipv4Addr>)], CommandError> {
    if request.members.is_empty() {
        return Err(CommandError::missing("virtualmachineids"));
    }
    Ok(&request.members)
}

fn member(guest: &Guest, network: &Network, wanted: Option<Ipv4Addr>) -> Result<LbMember, CommandError> {
    let target = checks::target(guest, network, wanted)?;
    Ok(LbMember {
        guest: guest.id,
        nic: target.nic,
        address: target.address,
    })
}

/// `removeFromLoadBalancerRule`. Sessions that the guests have stay until they end.
pub(crate) fn remove(tx: &mut Tx<'_>, request: &ChangeMembers) -> Result<Started, CommandError> {
    let rule = tx.own::<LoadBalancerRule>("id", request.id)?;
    let mut next = LoadBalancerRule::clone(&rule);
    for (id, address) in named(request)? {
        let before = next.members.len();
        next.members
            .retain(|m| m.guest != *id || address.is_some_and(|address| address != m.address));
        if next.members.len() == before {
            let expected = format!("a member of load balancer rule {}", rule.id);
            return Err(CommandError::invalid("virtualmachineids", id, expected));
        }
    }
    let text = format!(
        "{} guests less for load balancer rule {}",
        request.members.len(),
        rule.name
    );
    save(
        tx,
        &rule,
        next,
        ("removeFromLoadBalancerRule", "LB.REMOVE.FROM.RULE", text),
    )
}

/// Takes a guest that goes out of all rules, or only one of its NICs. The caller touches the networks.
pub(crate) fn forget(tx: &mut Tx<'_>, guest: GuestId, nic: Option<NicId>) {
    let rules: Vec<_> = tx.view.balancers_of_guest(guest).cloned().collect();
    for rule in &rules {
        // Other guests may leave by the same transaction, such as all of a network's.
        let now = match tx.draft.staged::<LoadBalancerRule>(rule.id) {
            Some(None) => continue,
            Some(Some(staged)) => staged,
            None => Arc::clone(&rule.object),
        };
        let mut next = LoadBalancerRule::clone(&now);
        next.members
            .retain(|m| m.guest != guest || nic.is_some_and(|nic| nic != m.nic));
        if next.members.len() != now.members.len() {
            tx.draft.update(rule, next);
        }
    }
}
