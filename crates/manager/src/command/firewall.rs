// SPDX-License-Identifier: Apache-2.0
//! Firewall rules (in from outside, by public address) and egress rules (out, by network).

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_model::Match;
use outgate_model::id::FirewallRuleId;
use outgate_model::object::{Direction, FirewallRule, Network, PublicIp, Service};

use super::checks;
use super::conflicts::{self, WantedPass, WantedPorts, match_text};
use super::request::{
    CreateEgressRule, CreateFirewallRule, DeleteEgressRule, DeleteFirewallRule, Started, UpdateEgressRule,
    UpdateFirewallRule,
};
use super::tx::Tx;
use crate::CommandError;
use crate::mirror::Stored;

/// 0.0.0.0/0.
pub(crate) fn everywhere() -> Ipv4Net {
    Ipv4Net::default()
}

/// `createFirewallRule`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateFirewallRule) -> Result<Started, CommandError> {
    let ip = tx.own::<PublicIp>("ipaddressid", request.public_ip)?;
    checks::matches(request.matches)?;
    let sources = checks::cidrs("cidrlist", &request.sources, everywhere())?;
    if let Some(vpc) = ip.vpc {
        let expected = format!(
            "an address of an isolated network: in VPC {vpc} the tiers' network ACLs decide (createNetworkACL)"
        );
        return Err(CommandError::invalid("ipaddressid", ip.id, expected));
    }
    let Some(network) = ip.network else {
        let expected = "an address that is associated with a network";
        return Err(CommandError::invalid("ipaddressid", ip.id, expected));
    };
    let network = tx.own::<Network>("networkid", network)?;
    tx.offers(&network, Service::Firewall)?;
    checks::room_for_rules(tx, &network, 1, sources.len())?;
    let wanted = WantedPass {
        matches: request.matches,
        sources: &sources,
        destinations: &[],
    };
    let others = tx.view.firewall_rules_of_ip(ip.id).map(|rule| &*rule.object);
    conflicts::pass_beside_passes(wanted, others, ip.address)?;
    let rule = ingress(tx, &network, &ip, request.matches, sources);
    Ok(tx
        .applied::<FirewallRule>("createFirewallRule", rule.id.0, network.realm(), rule.since)
        .made(rule.id.0))
}

/// Adds a firewall rule that has been checked.
pub(crate) fn ingress(
    tx: &mut Tx<'_>,
    network: &Stored<Network>,
    ip: &PublicIp,
    matches: Match,
    sources: Vec<Ipv4Net>,
) -> FirewallRule {
    let text = format!("opened {} of {}", match_text(matches), ip.address);
    add(
        tx,
        network,
        Direction::Ingress { public_ip: ip.id },
        matches,
        (sources, Vec::new()),
        &text,
    )
}

/// The firewall rule that comes with another rule for `ports`, if `openfirewall` asks for one: true when left out, but
/// in a VPC, where network ACLs decide instead.
pub(crate) fn opened(
    tx: &mut Tx<'_>,
    network: &Stored<Network>,
    ip: &PublicIp,
    (ports, wanted): (WantedPorts, Option<bool>),
    sources: Vec<Ipv4Net>,
) -> Result<Option<FirewallRuleId>, CommandError> {
    let in_vpc = network.tier.is_some();
    if in_vpc && wanted == Some(true) {
        let expected = "false: an address of a VPC has no firewall rules; the tier's network ACL list, or a load \
                        balancer rule's own cidrlist, decides";
        return Err(CommandError::invalid("openfirewall", true, expected));
    }
    if !wanted.unwrap_or(!in_vpc) {
        return Ok(None);
    }
    tx.offers(network, Service::Firewall)?;
    open(tx, network, ip, ports, sources)
}

/// Opens the firewall for the ports of another rule, unless one rule lets all of that through already.
pub(crate) fn open(
    tx: &mut Tx<'_>,
    network: &Stored<Network>,
    ip: &PublicIp,
    ports: WantedPorts,
    sources: Vec<Ipv4Net>,
) -> Result<Option<FirewallRuleId>, CommandError> {
    let matches = Match::Ports {
        protocol: ports.protocol,
        ports: ports.ports,
    };
    let wanted = WantedPass {
        matches,
        sources: &sources,
        destinations: &[],
    };
    let others = || tx.view.firewall_rules_of_ip(ip.id).map(|rule| &*rule.object);
    if others().any(|rule| conflicts::covers(rule, wanted)) {
        return Ok(None);
    }
    conflicts::pass_beside_passes(wanted, others(), ip.address)?;
    Ok(Some(ingress(tx, network, ip, matches, sources).id))
}

/// `createEgressFirewallRule`.
pub(crate) fn create_egress(tx: &mut Tx<'_>, request: &CreateEgressRule) -> Result<Started, CommandError> {
    let network = tx.own::<Network>("networkid", request.network)?;
    if let Some(tier) = &network.tier {
        let expected = format!(
            "an isolated network: what leaves a tier is decided by its network ACL list {} (createNetworkACL)",
            tier.acl
        );
        return Err(CommandError::invalid("networkid", network.id, expected));
    }
    tx.offers(&network, Service::Firewall)?;
    checks::matches(request.matches)?;
    let sources = checks::cidrs("cidrlist", &request.sources, network.cidr())?;
    checks::inside(&network, &sources)?;
    let destinations = checks::cidrs("destcidrlist", &request.destinations, everywhere())?;
    checks::room_for_rules(tx, &network, 1, sources.len() * destinations.len())?;
    let wanted = WantedPass {
        matches: request.matches,
        sources: &sources,
        destinations: &destinations,
    };
    let rules = tx
        .view
        .firewall_rules_of_network(network.id)
        .map(|rule| &*rule.object);
    let egress = rules.filter(|rule| rule.direction == Direction::Egress);
    conflicts::pass_beside_passes(wanted, egress, format_args!("network {}", network.id))?;
    let rule = add_egress(tx, &network, request.matches, sources, destinations);
    Ok(tx
        .applied::<FirewallRule>("createEgressFirewallRule", rule.id.0, network.realm(), rule.since)
        .made(rule.id.0))
}

/// Adds an egress rule that stands beside the others.
pub(crate) fn add_egress(
    tx: &mut Tx<'_>,
    network: &Stored<Network>,
    matches: Match,
    sources: Vec<Ipv4Net>,
    destinations: Vec<Ipv4Net>,
) -> FirewallRule {
    let text = format!("egress rule {} for network {}", match_text(matches), network.name);
    add(
        tx,
        network,
        Direction::Egress,
        matches,
        (sources, destinations),
        &text,
    )
}

fn add(
    tx: &mut Tx<'_>,
    network: &Stored<Network>,
    direction: Direction,
    matches: Match,
    (sources, destinations): (Vec<Ipv4Net>, Vec<Ipv4Net>),
    text: &str,
) -> FirewallRule {
    let rule = FirewallRule {
        id: FirewallRuleId::new(),
        network: network.id,
        account: network.account,
        direction,
        matches,
        sources,
        destinations,
        since: tx.touch(network),
        created: Timestamp::now(),
    };
    tx.draft.create(&rule);
    let kind = if direction == Direction::Egress {
        "FIREWALL.EGRESS.OPEN"
    } else {
        "FIREWALL.OPEN"
    };
    tx.event::<FirewallRule>(kind, rule.account, rule.id.0, text);
    rule
}

/// `updateFirewallRule`.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateFirewallRule) -> Result<Started, CommandError> {
    let (rule, network) = of_direction(tx, request.id, false)?;
    let since = change(tx, &network, &rule, request.sources.as_deref(), None)?;
    Ok(tx.applied::<FirewallRule>("updateFirewallRule", rule.id.0, network.realm(), since))
}

/// `updateEgressFirewallRule`.
pub(crate) fn update_egress(tx: &mut Tx<'_>, request: &UpdateEgressRule) -> Result<Started, CommandError> {
    let (rule, network) = of_direction(tx, request.id, true)?;
    let (sources, destinations) = (request.sources.as_deref(), request.destinations.as_deref());
    let since = change(tx, &network, &rule, sources, destinations)?;
    Ok(tx.applied::<FirewallRule>("updateEgressFirewallRule", rule.id.0, network.realm(), since))
}

/// Gives a rule other CIDRs, where they are given, and returns the generation that brings them.
pub(crate) fn change(
    tx: &mut Tx<'_>,
    network: &Network,
    rule: &Stored<FirewallRule>,
    sources: Option<&[Ipv4Net]>,
    destinations: Option<&[Ipv4Net]>,
) -> Result<u64, CommandError> {
    if sources.is_none() && destinations.is_none() {
        return Ok(rule.since);
    }
    let is_egress = rule.direction == Direction::Egress;
    let everyone = if is_egress { network.cidr() } else { everywhere() };
    let mut next = FirewallRule::clone(rule);
    if let Some(sources) = sources {
        next.sources = checks::cidrs("cidrlist", sources, everyone)?;
    }
    if let Some(destinations) = destinations {
        next.destinations = checks::cidrs("destcidrlist", destinations, everywhere())?;
    }
    if is_egress {
        checks::inside(network, &next.sources)?;
    }
    let pairs = |rule: &FirewallRule| rule.sources.len() * rule.destinations.len().max(1);
    checks::room_for_rules(tx, network, 0, pairs(&next).saturating_sub(pairs(rule)))?;
    let wanted = WantedPass {
        matches: next.matches,
        sources: &next.sources,
        destinations: &next.destinations,
    };
    let of_network = tx.view.firewall_rules_of_network(network.id);
    let others = of_network.filter(|other| other.id != rule.id && other.direction == rule.direction);
    let whose = match rule.direction {
        Direction::Ingress { public_ip } => format!("IpAddress {public_ip}"),
        Direction::Egress => format!("network {}", network.id),
    };
    conflicts::pass_beside_passes(wanted, others.map(|other| &*other.object), whose)?;
    next.since = tx.touch(network);
    let text = format!(
        "rule {} is for {} now",
        match_text(next.matches),
        conflicts::join(&next.sources)
    );
    let kind = if is_egress {
        "FIREWALL.EGRESS.UPDATE"
    } else {
        "FIREWALL.UPDATE"
    };
    tx.event::<FirewallRule>(kind, next.account, next.id.0, text);
    let since = next.since;
    tx.draft.update(rule, next);
    Ok(since)
}

/// The caller's rule that looks this way, with its network.
fn of_direction(
    tx: &mut Tx<'_>,
    id: FirewallRuleId,
    egress: bool,
) -> Result<(Stored<FirewallRule>, Stored<Network>), CommandError> {
    let rule = tx.own::<FirewallRule>("id", id)?;
    if (rule.direction == Direction::Egress) != egress {
        return Err(CommandError::not_found("id", id));
    }
    let network = tx.known::<Network>(rule.network)?;
    Ok((rule, network))
}

/// `deleteFirewallRule`.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteFirewallRule) -> Result<Started, CommandError> {
    remove(tx, request.id, false)
}

/// `deleteEgressFirewallRule`.
pub(crate) fn delete_egress(tx: &mut Tx<'_>, request: DeleteEgressRule) -> Result<Started, CommandError> {
    remove(tx, request.id, true)
}

fn remove(tx: &mut Tx<'_>, id: FirewallRuleId, egress: bool) -> Result<Started, CommandError> {
    let (rule, network) = of_direction(tx, id, egress)?;
    tx.draft.delete(&rule);
    let generation = tx.touch(&network);
    let (command, kind) = if egress {
        ("deleteEgressFirewallRule", "FIREWALL.EGRESS.CLOSE")
    } else {
        ("deleteFirewallRule", "FIREWALL.CLOSE")
    };
    tx.event::<FirewallRule>(
        kind,
        rule.account,
        id.0,
        format!("removed rule {}", match_text(rule.matches)),
    );
    Ok(tx.applied::<FirewallRule>(command, id.0, network.realm(), generation))
}
