// SPDX-License-Identifier: Apache-2.0
//! `portforwardingrule`. Its ports are strings, unlike a firewall rule's.

use outgate_manager::read;
use outgate_model::key::Object as _;
use outgate_model::object::{FirewallRule, Guest, PortForwardingRule, PublicIp};

use crate::view::{joined, view};

view! {
    /// A port forwarding rule.
    (look, rule: &PortForwardingRule) {
        let guest = look.view.get::<Guest>(rule.guest);
        let opened = rule.opened.and_then(|id| look.view.get::<FirewallRule>(id));
    }
    "id" string = rule.id;
    "networkid" string = rule.network;
    "protocol" string = rule.protocol.name();
    "publicport" string = rule.public_ports.first().to_string();
    "publicendport" string = rule.public_ports.last().to_string();
    "privateport" string = rule.private_ports.first().to_string();
    "privateendport" string = rule.private_ports.last().to_string();
    "ipaddressid" string = rule.public_ip;
    "ipaddress" string = look.view.get::<PublicIp>(rule.public_ip).map(|ip| ip.address);
    "virtualmachineid" string = rule.guest;
    "virtualmachinename" string = guest.map(|g| &g.name);
    "virtualmachinedisplayname" string = guest.map(|g| &g.display_name);
    "vmguestip" string = rule.guest_address;
    "cidrlist" string = opened.map_or_else(String::new, |rule| joined(&rule.sources));
    "state" string = read::rule_state_name(look.view.forward_state(rule));
    "fordisplay" boolean = true;
    "tags" list = look.tags(PortForwardingRule::NAME, rule.id.0);
}
