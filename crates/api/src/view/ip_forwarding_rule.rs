// SPDX-License-Identifier: Apache-2.0
//! `ipforwardingrule`, in the shape of a port forwarding rule whose ports stay as they are.

use outgate_manager::read;
use outgate_model::key::Object as _;
use outgate_model::object::{FirewallRule, Guest, IpForwardingRule, PublicIp};

use crate::view::{joined, view};

view! {
    /// An IP forwarding rule.
    (look, rule: &IpForwardingRule) {
        let guest = look.view.get::<Guest>(rule.guest);
        let opened = rule.opened.and_then(|id| look.view.get::<FirewallRule>(id));
        let (first, last) = (rule.ports.first().to_string(), rule.ports.last().to_string());
    }
    "id" string = rule.id;
    "networkid" string = rule.network;
    "protocol" string = rule.protocol.name();
    "publicport" string = &first;
    "publicendport" string = &last;
    // Older servers, and libcloud's reading of them, call the ports so.
    "startport" integer = rule.ports.first();
    "endport" integer = rule.ports.last();
    "privateport" string = &first;
    "privateendport" string = &last;
    "ipaddressid" string = rule.public_ip;
    "ipaddress" string = look.view.get::<PublicIp>(rule.public_ip).map(|ip| ip.address);
    "virtualmachineid" string = rule.guest;
    "virtualmachinename" string = guest.map(|g| &g.name);
    "virtualmachinedisplayname" string = guest.map(|g| &g.display_name);
    "vmguestip" string = rule.guest_address;
    "cidrlist" string = opened.map_or_else(String::new, |rule| joined(&rule.sources));
    "state" string = read::rule_state_name(look.view.ip_forward_state(rule));
    "fordisplay" boolean = true;
    "tags" list = look.tags(IpForwardingRule::NAME, rule.id.0);
}
