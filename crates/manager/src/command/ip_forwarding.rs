// SPDX-License-Identifier: Apache-2.0
//! Legacy IP forwarding rules: ports of a static NAT address that its firewall lets through. Static NAT itself leads
//! every port to the guest; what a rule adds in the kernel is the firewall rule that `openfirewall` makes.

use jiff::Timestamp;
use outgate_model::id::{GuestId, IpForwardingRuleId};
use outgate_model::object::{FirewallRule, IpForwardingRule, Network, PublicIp, Service};

use super::conflicts::{self, WantedPorts};
use super::request::{CreateIpForwarding, DeleteIpForwarding, Started};
use super::tx::Tx;
use super::{checks, firewall};
use crate::CommandError;
use crate::mirror::Stored;

/// `createIpForwardingRule`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateIpForwarding) -> Result<Started, CommandError> {
    let ip = tx.own::<PublicIp>("ipaddressid", request.public_ip)?;
    let (Some(static_nat), Some(network)) = (ip.static_nat, ip.network) else {
        let expected = "an address with static NAT: enableStaticNat first";
        return Err(CommandError::invalid("ipaddressid", ip.id, expected));
    };
    if ip.vpc.is_some() {
        let expected = "an address of an isolated network: in a VPC the tier's network ACL decides";
        return Err(CommandError::invalid("ipaddressid", ip.id, expected));
    }
    let network = tx.own::<Network>("networkid", network)?;
    let sources = checks::cidrs("cidrlist", &request.sources, firewall::everywhere())?;
    checks::room_for_rules(tx, &network, 2, sources.len())?;
    let wanted = WantedPorts {
        protocol: request.protocol,
        ports: request.ports,
    };
    conflicts::ip_forward(tx.view, &ip, wanted)?;
    let opened = if request.open_firewall {
        tx.offers(&network, Service::Firewall)?;
        firewall::open(tx, &network, &ip, wanted, sources)?
    } else {
        None
    };
    let rule = IpForwardingRule {
        id: IpForwardingRuleId::new(),
        network: network.id,
        account: ip.account,
        public_ip: ip.id,
        guest: static_nat.guest,
        guest_address: static_nat.address,
        protocol: request.protocol,
        ports: request.ports,
        opened,
        since: tx.touch(&network),
        created: Timestamp::now(),
    };
    tx.draft.create(&rule);
    let text = format!(
        "forwarding {} {} of {} to {}",
        rule.protocol.name(),
        rule.ports,
        ip.address,
        rule.guest_address
    );
    tx.event::<IpForwardingRule>("NET.RULEADD", rule.account, rule.id.0, text);
    Ok(tx
        .applied::<IpForwardingRule>("createIpForwardingRule", rule.id.0, network.realm(), rule.since)
        .made(rule.id.0))
}

/// `deleteIpForwardingRule`.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteIpForwarding) -> Result<Started, CommandError> {
    let rule = tx.own::<IpForwardingRule>("id", request.id)?;
    let network = tx.known::<Network>(rule.network)?;
    remove(tx, &rule);
    let generation = tx.touch(&network);
    Ok(tx.applied::<IpForwardingRule>("deleteIpForwardingRule", rule.id.0, network.realm(), generation))
}

/// Removes a rule and what was opened for it. The caller touches the network.
pub(crate) fn remove(tx: &mut Tx<'_>, rule: &Stored<IpForwardingRule>) {
    tx.draft.delete(rule);
    let opened = rule.opened.and_then(|id| tx.view.get::<FirewallRule>(id));
    if let Some(opened) = opened.cloned() {
        tx.draft.delete(&opened);
    }
    let text = format!(
        "removed the forwarding of {} {}",
        rule.protocol.name(),
        rule.ports
    );
    tx.event::<IpForwardingRule>("NET.RULEDELETE", rule.account, rule.id.0, text);
}

/// Removes the rules that lead to a guest. The caller touches their networks.
pub(crate) fn forget_guest(tx: &mut Tx<'_>, guest: GuestId) {
    let rules: Vec<_> = tx.view.ip_forwards_of_guest(guest).cloned().collect();
    for rule in &rules {
        remove(tx, rule);
    }
}
