// SPDX-License-Identifier: Apache-2.0
//! Port forwarding: ports of a public address lead to ports of a guest.

use jiff::Timestamp;
use outgate_model::PortRange;
use outgate_model::id::{FirewallRuleId, PortForwardingRuleId};
use outgate_model::object::{FirewallRule, Guest, Network, PortForwardingRule, PublicIp, Service};

use super::checks::Target;
use super::conflicts::{self, WantedPorts};
use super::request::{CreatePortForwarding, DeletePortForwarding, Started, UpdatePortForwarding};
use super::tx::Tx;
use super::vpc::tier;
use super::{checks, firewall};
use crate::CommandError;
use crate::mirror::Stored;

/// `createPortForwardingRule`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreatePortForwarding) -> Result<Started, CommandError> {
    let ip = tx.own::<PublicIp>("ipaddressid", request.public_ip)?;
    let guest = tx.own::<Guest>("virtualmachineid", request.guest)?;
    if request.public_ports.count() != request.private_ports.count() {
        let expected = format!(
            "as many ports as publicport to publicendport, {}",
            request.public_ports.count()
        );
        return Err(CommandError::invalid(
            "privateendport",
            request.private_ports,
            expected,
        ));
    }
    let sources = checks::cidrs("cidrlist", &request.sources, firewall::everywhere())?;
    let network = checks::network_for(tx, &ip, request.network, &guest)?;
    tx.offers(&network, Service::PortForwarding)?;
    tx.one_purpose(&network, &ip, Service::PortForwarding)?;
    let target = checks::target(&guest, &network, request.guest_address)?;
    checks::room_for_rules(tx, &network, 2, sources.len())?;
    let wanted = WantedPorts {
        protocol: request.protocol,
        ports: request.public_ports,
    };
    conflicts::ports(tx.view, &ip, wanted, "port forwarding")?;
    if ip.network.is_none() {
        tx.draft.update(&ip, checks::attached(&ip, &network));
    }
    let opened = firewall::opened(tx, &network, &ip, (wanted, request.open_firewall), sources)?;
    let rule = add(tx, request, &network, target, opened);
    Ok(tx
        .applied::<PortForwardingRule>("createPortForwardingRule", rule.id.0, network.realm(), rule.since)
        .made(rule.id.0))
}

fn add(
    tx: &mut Tx<'_>,
    request: &CreatePortForwarding,
    network: &Stored<Network>,
    target: Target,
    opened: Option<FirewallRuleId>,
) -> PortForwardingRule {
    let rule = PortForwardingRule {
        id: PortForwardingRuleId::new(),
        network: network.id,
        account: network.account,
        public_ip: request.public_ip,
        protocol: request.protocol,
        public_ports: request.public_ports,
        private_ports: request.private_ports,
        guest: request.guest,
        nic: target.nic,
        guest_address: target.address,
        opened,
        since: tx.touch(network),
        created: Timestamp::now(),
    };
    tx.draft.create(&rule);
    let ports = (rule.public_ports, rule.private_ports);
    let text = format!(
        "forwarding {} {} to {} {}",
        rule.protocol.name(),
        ports.0,
        rule.guest_address,
        ports.1
    );
    tx.event::<PortForwardingRule>("NET.RULEADD", rule.account, rule.id.0, text);
    rule
}

/// `updatePortForwardingRule`. Sessions of what the rule leads to no longer are cut.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdatePortForwarding) -> Result<Started, CommandError> {
    let rule = tx.own::<PortForwardingRule>("id", request.id)?;
    let network = tx.known::<Network>(rule.network)?;
    let mut next = PortForwardingRule::clone(&rule);
    next.private_ports = private_ports(&rule, request)?;
    if request.guest.is_some() || request.guest_address.is_some() {
        let guest = tx.own::<Guest>("virtualmachineid", request.guest.unwrap_or(rule.guest))?;
        let target = checks::target(&guest, &network, request.guest_address)?;
        next.guest = guest.id;
        next.nic = target.nic;
        next.guest_address = target.address;
    }
    if let Some(sources) = &request.sources {
        let Some(opened) = rule.opened else {
            let expected =
                "nothing: the rule was made without a firewall rule of its own; change those of its address";
            return Err(CommandError::invalid(
                "cidrlist",
                conflicts::join(sources),
                expected,
            ));
        };
        let opened = tx.known::<FirewallRule>(opened)?;
        firewall::change(tx, &network, &opened, Some(sources), None)?;
    }
    next.since = tx.touch(&network);
    let text = format!(
        "forwarding {} {} to {} {}",
        next.protocol.name(),
        next.public_ports,
        next.guest_address,
        next.private_ports
    );
    tx.event::<PortForwardingRule>("NET.RULEMODIFY", next.account, next.id.0, text);
    let since = next.since;
    tx.draft.update(&rule, next);
    Ok(tx.applied::<PortForwardingRule>("updatePortForwardingRule", rule.id.0, network.realm(), since))
}

/// As many ports as the public ones, from the new first port on.
fn private_ports(
    rule: &PortForwardingRule,
    request: &UpdatePortForwarding,
) -> Result<PortRange, CommandError> {
    let first = request.private_port.unwrap_or(rule.private_ports.first());
    let count = rule.public_ports.last() - rule.public_ports.first();
    let expected = || {
        format!(
            "a port that leaves as many ports as publicport to publicendport, {}",
            rule.public_ports.count()
        )
    };
    let last = first
        .checked_add(count)
        .ok_or_else(|| CommandError::invalid("privateport", first, expected()))?;
    match request.private_end {
        Some(end) if end != last => Err(CommandError::invalid("privateendport", end, expected())),
        _ => PortRange::new(first, last).map_err(CommandError::from),
    }
}

/// `deletePortForwardingRule`: the firewall rule that was opened for it goes too.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeletePortForwarding) -> Result<Started, CommandError> {
    let rule = tx.own::<PortForwardingRule>("id", request.id)?;
    let network = tx.known::<Network>(rule.network)?;
    remove(tx, &rule);
    let generation = tx.touch(&network);
    Ok(tx.applied::<PortForwardingRule>("deletePortForwardingRule", rule.id.0, network.realm(), generation))
}

/// Removes a rule and what was opened for it. The caller touches the network.
pub(crate) fn remove(tx: &mut Tx<'_>, rule: &Stored<PortForwardingRule>) {
    tx.draft.delete(rule);
    tier::untie(tx, rule.public_ip);
    if let Some(opened) = rule
        .opened
        .and_then(|id| tx.view.get::<FirewallRule>(id))
        .cloned()
    {
        tx.draft.delete(&opened);
    }
    let text = format!(
        "removed the forwarding of {} {}",
        rule.protocol.name(),
        rule.public_ports
    );
    tx.event::<PortForwardingRule>("NET.RULEDELETE", rule.account, rule.id.0, text);
}
