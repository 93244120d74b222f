// SPDX-License-Identifier: Apache-2.0
//! From an isolated network's firewall and egress rules to the items of a tier's ACL list, with equal meaning. Pure.
//!
//! A firewall rule sees a public address and its port, an ACL item the guest's port behind it and no guest: what one
//! rule lets in to one guest, an item lets in to every guest that some public address leads to at that port. Where that
//! would let in more than before, the migration is refused by name, never done with another meaning.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use outgate_model::id::PublicIpId;
use outgate_model::object::{FirewallRule, LoadBalancerRule, PortForwardingRule};
use outgate_model::router_spec::{AclAction, AclDirection, EgressPolicy};
use outgate_model::{IcmpMatch, Match, PortRange, Protocol};

use super::acl_item::ITEMS_PER_LIST;
use crate::CommandError;
use crate::command::checks::CIDRS_PER_RULE;

/// What to do about a rule that no item can mean.
const WAY_OUT: &str = "or name with aclid a network ACL list of your own, which stands for all of them";

/// An item to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) direction: AclDirection,
    pub(super) action: AclAction,
    pub(super) matches: Match,
    pub(super) cidrs: Vec<Ipv4Net>,
    pub(super) reason: String,
}

/// A public address with the firewall rules in front of it and what leads from it to guests.
#[derive(Debug)]
pub(super) struct Address<'a> {
    pub(super) id: PublicIpId,
    pub(super) static_nat: bool,
    pub(super) firewall: Vec<&'a FirewallRule>,
    pub(super) forwards: Vec<&'a PortForwardingRule>,
}

/// A way from outside to guests' ports.
struct Way<'a> {
    what: String,
    /// The guests' ports that it leads to; `None` for everything.
    leads: Option<(Protocol, PortRange)>,
    /// What may come that way: rules as guests see their packets.
    grants: Vec<(Match, &'a [Ipv4Net])>,
}

/// The items for what comes in.
pub(super) fn ingress(addresses: &[Address<'_>]) -> Result<Vec<Item>, CommandError> {
    let ways: Vec<Way<'_>> = addresses.iter().flat_map(ways_of).collect();
    let mut grants = BTreeMap::new();
    for way in &ways {
        for (matches, sources) in &way.grants {
            grants.entry((*matches, *sources)).or_insert(way.what.as_str());
        }
    }
    if grants.len() > ITEMS_PER_LIST {
        return Err(too_many());
    }
    for way in &ways {
        for ((matches, sources), other) in &grants {
            not_more(way, *matches, sources, other)?;
        }
    }
    let item = |((matches, sources), what): ((Match, &[Ipv4Net]), &str)| Item {
        direction: AclDirection::Ingress,
        action: AclAction::Allow,
        matches,
        cidrs: sources.to_vec(),
        reason: format!("firewall of {what}"),
    };
    Ok(grants.into_iter().map(item).collect())
}

pub(super) fn too_many() -> CommandError {
    CommandError::Limit {
        what: "a network ACL list".to_owned(),
        limit: ITEMS_PER_LIST,
        of: "items",
    }
}

fn ways_of<'a>(address: &'a Address<'a>) -> Vec<Way<'a>> {
    let all = address.firewall.iter();
    if address.static_nat {
        return vec![Way {
            what: format!("static NAT of {}", address.id),
            leads: None,
            grants: all.map(|rule| (rule.matches, rule.sources.as_slice())).collect(),
        }];
    }
    let forwards = address.forwards.iter().map(|forward| {
        let grants = address.firewall.iter().filter_map(|rule| {
            let ports = common(rule.matches, Some((forward.protocol, forward.public_ports)))?;
            Some((translated(ports, forward)?, rule.sources.as_slice()))
        });
        Way {
            what: format!("port forwarding rule {}", forward.id),
            leads: Some((forward.protocol, forward.private_ports)),
            grants: grants.collect(),
        }
    });
    forwards.collect()
}

/// Public ports as the guest sees them.
fn translated(matches: Match, forward: &PortForwardingRule) -> Option<Match> {
    let Match::Ports { protocol, ports } = matches else {
        return None;
    };
    let place = |port: u16| {
        let offset = port.checked_sub(forward.public_ports.first())?;
        forward.private_ports.first().checked_add(offset)
    };
    let ports = PortRange::new(place(ports.first())?, place(ports.last())?).ok()?;
    Some(Match::Ports { protocol, ports })
}

/// Refuses a grant for another way that would let in by this way what may not come in by it.
fn not_more(way: &Way<'_>, matches: Match, sources: &[Ipv4Net], other: &str) -> Result<(), CommandError> {
    let Some(common) = common(matches, way.leads) else {
        return Ok(());
    };
    let covered = |source: &Ipv4Net| {
        let mut grants = way.grants.iter();
        grants
            .any(|(granted, from)| contains(*granted, common) && from.iter().any(|net| net.contains(source)))
    };
    if sources.iter().all(covered) {
        return Ok(());
    }
    Err(CommandError::Conflict {
        wanted: format!("what the firewall lets in by {other}"),
        other: way.what.clone(),
        holds: format!(
            "the same guests' ports with another firewall, and no item of a network ACL list tells guests apart; make \
             their firewall rules alike, {WAY_OUT}: that it"
        ),
    })
}

/// What both match.
fn common(matches: Match, with: Option<(Protocol, PortRange)>) -> Option<Match> {
    let Some((wanted, range)) = with else {
        return Some(matches);
    };
    let (protocol, ports) = match matches {
        Match::All => (wanted, range),
        Match::Ports { protocol, ports } if protocol == wanted && ports.overlaps(range) => {
            let (first, last) = (ports.first().max(range.first()), ports.last().min(range.last()));
            (protocol, PortRange::new(first, last).ok()?)
        }
        _ => return None,
    };
    Some(Match::Ports { protocol, ports })
}

/// Whether `outer` matches everything that `inner` does.
fn contains(outer: Match, inner: Match) -> bool {
    match (outer, inner) {
        (Match::All, _) => true,
        (
            Match::Ports { protocol, ports },
            Match::Ports {
                protocol: other,
                ports: within,
            },
        ) => protocol == other && ports.first() <= within.first() && ports.last() >= within.last(),
        (Match::Icmp { icmp: outer }, Match::Icmp { icmp: inner }) => {
            let IcmpMatch { kind, code } = outer;
            kind.is_none_or(|kind| inner.kind == Some(kind))
                && code.is_none_or(|code| inner.code == Some(code))
        }
        (outer, inner) => outer == inner,
    }
}

/// The items for what goes out: hairpins within the network pass as before, other tiers stay out of reach.
pub(super) fn egress(
    rules: &[&FirewallRule],
    default: EgressPolicy,
    network: Ipv4Net,
) -> Result<Vec<Item>, CommandError> {
    let (exception, otherwise) = match default {
        EgressPolicy::Allow => (AclAction::Deny, AclAction::Allow),
        EgressPolicy::Deny => (AclAction::Allow, AclAction::Deny),
    };
    let mut items = Vec::new();
    for rule in rules {
        let everyone = Ipv4Net::aggregate(&rule.sources);
        if !everyone.iter().any(|net| net.contains(&network)) {
            let expected = format!(
                "a network whose egress rules are for all of {network}: egress rule {} is for some of it, and no item of a \
                 network ACL list tells guests apart; change it, {WAY_OUT}",
                rule.id
            );
            return Err(CommandError::invalid("networkid", rule.network, expected));
        }
        items.push(Item {
            direction: AclDirection::Egress,
            action: exception,
            matches: rule.matches,
            cidrs: rule.destinations.clone(),
            reason: format!("egress rule {}", rule.id),
        });
    }
    items.push(Item {
        direction: AclDirection::Egress,
        action: otherwise,
        matches: Match::All,
        cidrs: vec![Ipv4Net::default()],
        reason: "egress default policy".to_owned(),
    });
    Ok(items)
}

/// The items that come first: as an isolated network it reached no other tier, and none reached it; it reached itself
/// by its public addresses.
pub(super) fn apart(network: Ipv4Net, vpc: Ipv4Net) -> Vec<Item> {
    let others = without(vpc, network);
    let item = |direction, action, cidrs, reason: &str| Item {
        direction,
        action,
        matches: Match::All,
        cidrs,
        reason: reason.to_owned(),
    };
    let mut items = vec![item(
        AclDirection::Egress,
        AclAction::Allow,
        vec![network],
        "the network itself",
    )];
    if !others.is_empty() {
        let reason = "other tiers: neither reached the other before the migration";
        let directions = [AclDirection::Ingress, AclDirection::Egress];
        items.extend(directions.map(|direction| item(direction, AclAction::Deny, others.clone(), reason)));
    }
    items
}

/// What is left of `net` without `part`, which lies in it.
fn without(net: Ipv4Net, part: Ipv4Net) -> Vec<Ipv4Net> {
    let (mut at, mut left) = (net, Vec::new());
    while at != part {
        let Ok(halves) = at.subnets(at.prefix_len() + 1) else {
            break;
        };
        let (within, apart): (Vec<_>, Vec<_>) = halves.partition(|half| half.contains(&part));
        left.extend(apart);
        match within.first() {
            Some(half) => at = *half,
            None => break,
        }
    }
    left
}

/// The sources that a balancer serves in a VPC, where no firewall stands in front of it: those that pass both now.
pub(super) fn balancer_sources(
    rule: &LoadBalancerRule,
    firewall: &[&FirewallRule],
) -> Result<Vec<Ipv4Net>, CommandError> {
    let port = (Protocol::Tcp, rule.public_port);
    let opens = |f: &&&FirewallRule| match f.matches {
        Match::All => true,
        Match::Ports { protocol, ports } => protocol == port.0 && ports.contains(port.1),
        _ => false,
    };
    let let_in: Vec<Ipv4Net> = firewall
        .iter()
        .filter(opens)
        .flat_map(|f| &f.sources)
        .copied()
        .collect();
    let both = |a: &Ipv4Net, b: &Ipv4Net| {
        let smaller = if a.prefix_len() >= b.prefix_len() { a } else { b };
        (a.contains(b) || b.contains(a)).then_some(*smaller)
    };
    let pairs = rule
        .sources
        .iter()
        .flat_map(|own| let_in.iter().filter_map(move |other| both(own, other)));
    let sources = Ipv4Net::aggregate(&pairs.collect());
    if sources.is_empty() || sources.len() > CIDRS_PER_RULE {
        let expected = format!(
            "a network whose load balancer rules serve 1 to {CIDRS_PER_RULE} CIDRs: load balancer rule {} serves {} by its \
             firewall; delete it, or change its firewall rules",
            rule.id,
            sources.len()
        );
        return Err(CommandError::invalid("networkid", rule.network, expected));
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_left_of_a_network_covers_the_rest_and_nothing_else() {
        let left = without(net("10.0.0.0/8"), net("10.1.1.0/24"));
        assert_eq!(left.len(), 16);
        let mut whole = left.clone();
        whole.push(net("10.1.1.0/24"));
        assert_eq!(Ipv4Net::aggregate(&whole), [net("10.0.0.0/8")]);
        assert!(without(net("10.1.1.0/24"), net("10.1.1.0/24")).is_empty());
    }

    #[test]
    fn ports_in_common_are_those_of_both() {
        let tcp = |first, last| Match::Ports {
            protocol: Protocol::Tcp,
            ports: PortRange::new(first, last).unwrap(),
        };
        let range = |first, last| Some((Protocol::Tcp, PortRange::new(first, last).unwrap()));
        assert_eq!(common(tcp(80, 90), range(85, 99)), Some(tcp(85, 90)));
        assert_eq!(common(Match::All, range(85, 99)), Some(tcp(85, 99)));
        assert_eq!(common(tcp(80, 84), range(85, 99)), None);
        assert_eq!(common(Match::Number { number: 47 }, range(85, 99)), None);
        assert_eq!(common(tcp(1, 2), None), Some(tcp(1, 2)));
        assert!(contains(tcp(80, 90), tcp(81, 90)) && !contains(tcp(80, 90), tcp(81, 91)));
    }
}
