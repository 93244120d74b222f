// SPDX-License-Identifier: Apache-2.0
//! What to do about a packet that the model drops.

use outgate_model::router_spec::EgressPolicy;

use super::explain::Seen;
use super::{Header, Reason, egress_rule};

/// One sentence, with the command of the API where there is one.
pub(super) fn remedy(seen: &Seen<'_>, why: Reason) -> String {
    let packet = seen.packet;
    let opening = opening(packet.header);
    match why {
        Reason::Spoofed => format!(
            "a sender on {} must use an address of its own side; look at the guest's address, and at --in",
            packet.interface
        ),
        Reason::Invalid => {
            "a session begins with a SYN or a request; the one that this belonged to has ended".into()
        }
        Reason::NoFirewallRule if seen.public.is_some() => format!(
            "open it: createFirewallRule for {} with {opening} cidrlist={}/32",
            packet.destination, packet.source
        ),
        Reason::NoFirewallRule => {
            "the public side is closed; a guest is reached through a public address of its network, by port \
             forwarding, static NAT or a load balancer"
                .into()
        }
        Reason::NoTarget => {
            "createPortForwardingRule or enableStaticNat leads a public address to a guest; nothing else comes in"
                .into()
        }
        Reason::Egress => egress(seen, &opening),
        Reason::Acl => acl(seen, &opening),
        Reason::NothingListens => {
            "a router serves DHCP, DNS and ping to its guests, and balanced ports; to reach a guest, forward the port"
                .into()
        }
        Reason::NotForwarded => {
            "guests of one network reach each other without the router; other networks by their public addresses"
                .into()
        }
    }
}

fn egress(seen: &Seen<'_>, opening: &str) -> String {
    let Some(network) = seen.egress_of() else {
        return "look at the network's egress rules".into();
    };
    let packet = seen.packet;
    let rule = egress_rule(&network.egress, packet.header, packet.source, packet.destination);
    match (network.egress.default, rule) {
        (EgressPolicy::Allow, Some(rule)) => format!(
            "that egress rule denies it: deleteEgressFirewallRule id={}, or make it narrower",
            rule.id
        ),
        _ => format!(
            "the network's default is deny; let it out: createEgressFirewallRule networkid={} {opening} destcidrlist={}/32",
            network.id, packet.destination
        ),
    }
}

fn acl(seen: &Seen<'_>, opening: &str) -> String {
    let decisions = seen.acls();
    let Some(denied) = decisions.last() else {
        return "look at the network ACLs on the way".into();
    };
    let traffic = match denied.direction {
        outgate_model::router_spec::AclDirection::Ingress => "ingress",
        outgate_model::router_spec::AclDirection::Egress => "egress",
    };
    let (list, where_) = (denied.acl.id, denied.item.map(|item| item.number));
    let number = where_.map_or_else(String::new, |number| format!(" and a number below {number}"));
    format!("allow it: createNetworkACL aclid={list} traffictype={traffic} action=allow {opening}{number}")
}

/// A rule's parameters for such packets.
fn opening(header: Header) -> String {
    match header {
        Header::Tcp { destination, .. } => {
            format!("protocol=tcp startport={destination} endport={destination}")
        }
        Header::Udp { destination, .. } => {
            format!("protocol=udp startport={destination} endport={destination}")
        }
        Header::Icmp { kind, code } => format!("protocol=icmp icmptype={kind} icmpcode={code}"),
        Header::Other(number) => format!("protocol={number}"),
    }
}
