// SPDX-License-Identifier: Apache-2.0
//! `firewallrule`, for rules in and out. Ports and ICMP types are integers here, unlike in port forwarding rules.

use outgate_manager::read;
use outgate_model::key::Object as _;
use outgate_model::object::{Direction, FirewallRule, PublicIp};
use outgate_model::{IcmpMatch, Match, PortRange};

use crate::view::{joined, view};

view! {
    /// A firewall or egress rule.
    (look, rule: &FirewallRule) {
        let ip = match rule.direction {
            Direction::Ingress { public_ip } => Some(public_ip),
            Direction::Egress => None,
        };
        let ports = ports_of(rule.matches);
        let icmp = icmp_of(rule.matches);
        let or_any = |value: Option<u8>| value.map_or(-1, i64::from);
    }
    "id" string = rule.id;
    "networkid" string = rule.network;
    "protocol" string = rule.matches.protocol_name();
    "startport" integer = ports.map(PortRange::first);
    "endport" integer = ports.map(PortRange::last);
    "icmptype" integer = icmp.map(|i| or_any(i.kind));
    "icmpcode" integer = icmp.map(|i| or_any(i.code));
    "cidrlist" string = joined(&rule.sources);
    "destcidrlist" string = ip.is_none().then(|| joined(&rule.destinations));
    "ipaddressid" string = ip;
    "ipaddress" string = ip.and_then(|id| look.view.get::<PublicIp>(id)).map(|ip| ip.address);
    "traffictype" string = if ip.is_none() { "Egress" } else { "Ingress" };
    "state" string = read::rule_state_name(look.view.firewall_rule_state(rule));
    "fordisplay" boolean = true;
    "tags" list = look.tags(FirewallRule::NAME, rule.id.0);
}

pub(super) fn ports_of(matches: Match) -> Option<PortRange> {
    if let Match::Ports { ports, .. } = matches {
        Some(ports)
    } else {
        None
    }
}

pub(super) fn icmp_of(matches: Match) -> Option<IcmpMatch> {
    if let Match::Icmp { icmp } = matches {
        Some(icmp)
    } else {
        None
    }
}
