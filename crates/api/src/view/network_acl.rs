// SPDX-License-Identifier: Apache-2.0
//! `networkacl`: an item of a network ACL list. Its ports are strings, its ICMP type, code and number integers.

use outgate_model::PortRange;
use outgate_model::key::Object as _;
use outgate_model::object::{NetworkAclItem, NetworkAclList};
use outgate_model::router_spec::{AclAction, AclDirection};

use crate::view::firewall_rule::{icmp_of, ports_of};
use crate::view::{joined, view};

/// `action`.
pub fn action(item: &NetworkAclItem) -> &'static str {
    match item.action {
        AclAction::Allow => "Allow",
        AclAction::Deny => "Deny",
    }
}

/// `traffictype`.
pub fn traffic_type(item: &NetworkAclItem) -> &'static str {
    match item.direction {
        AclDirection::Ingress => "Ingress",
        AclDirection::Egress => "Egress",
    }
}

view! {
    /// An item of a network ACL list.
    (look, item: &NetworkAclItem) {
        let list = look.view.get::<NetworkAclList>(item.list);
        let ports = ports_of(item.matches);
        let icmp = icmp_of(item.matches);
        let or_any = |value: Option<u8>| value.map_or(-1, i64::from);
    }
    "id" string = item.id;
    "aclid" string = item.list;
    "aclname" string = list.map(|l| &l.name);
    "number" integer = item.number;
    "action" string = action(item);
    "traffictype" string = traffic_type(item);
    "protocol" string = item.matches.protocol_name();
    "startport" string = ports.map(PortRange::first).map(|p| p.to_string());
    "endport" string = ports.map(PortRange::last).map(|p| p.to_string());
    "icmptype" integer = icmp.map(|i| or_any(i.kind));
    "icmpcode" integer = icmp.map(|i| or_any(i.code));
    "cidrlist" string = joined(&item.cidrs);
    "reason" string = (!item.reason.is_empty()).then_some(&item.reason);
    "state" string = "Active";
    "fordisplay" boolean = true;
    "tags" list = look.tags(NetworkAclItem::NAME, item.id.0);
}
