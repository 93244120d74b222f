// SPDX-License-Identifier: Apache-2.0
//! Port forwarding: ports of a public address lead to ports of a guest.

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_model::Match;
use outgate_model::id::{FirewallRuleId, PortForwardingRuleId};
use outgate_model::object::{FirewallRule, Guest, Network, Nic, PortForwardingRule, PublicIp, Service};

use super::conflicts::{self, WantedPass, WantedPorts};
use super::request::{CreatePortForwarding, DeletePortForwarding, Started};
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
    let nic = checks::nic_on(&guest, &network, request.guest_address)?;
    checks::room_for_rules(tx, &network, 2, sources.len())?;
    let wanted = WantedPorts {
        protocol: request.protocol,
        ports: request.public_ports,
    };
    conflicts::forward_beside_static_nat(&ip, wanted)?;
    let other = tx
        .view
        .forward_at(ip.id, wanted.protocol, wanted.ports)
        .map(|rule| &*rule.object);
    conflicts::forward_beside_forward(&ip, wanted, other)?;
    if ip.network.is_none() {
        tx.draft.update(&ip, checks::attached(&ip, &network));
    }
    let opened = if request.open_firewall {
        tx.offers(&network, Service::Firewall)?;
        open(tx, &network, &ip, wanted, sources)?
    } else {
        None
    };
    let rule = add(tx, request, &network, &nic, opened);
    Ok(tx
        .applied::<PortForwardingRule>("createPortForwardingRule", rule.id.0, network.realm(), rule.since)
        .made(rule.id.0))
}

fn add(
    tx: &mut Tx<'_>,
    request: &CreatePortForwarding,
    network: &Stored<Network>,
    nic: &Nic,
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
        nic: nic.id,
        guest_address: nic.address,
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

/// Opens the firewall for the forwarded ports, unless one rule lets all of that through already.
fn open(
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
    Ok(Some(firewall::ingress(tx, network, ip, matches, sources).id))
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
