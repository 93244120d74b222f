// SPDX-License-Identifier: Apache-2.0
//! Chains `acl_in_*` and `acl_out_*`: the network ACL of each tier and private gateway of a VPC, one rule an item, in
//! order. `forward` sends only new sessions there, through the maps `acl_from` (by the side that a packet comes from)
//! and `acl_to` (by the side that it goes to): what is allowed returns to `forward`, which knows which sides may meet.

use ipnet::Ipv4Net;
use outgate_model::router_spec::{AclAction, AclDirection, AclItem, NetworkAcl};
use outgate_model::{Match, RouterSpec};

use super::build::Holds;
use crate::Ruleset;
use crate::area::{self, ANY_ADDRESS};

/// How many ACL items one router may have in all, and how many CIDRs these may name. Each item is a rule, and nft takes
/// a tenth of a millisecond for a rule and for each CIDR beyond its first: two seconds for as many as may be.
const ITEMS_MAX: usize = 4_096;
const CIDRS_MAX: usize = 16_384;

pub(super) fn add(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for (interface, acl, is_tier) in acls(spec) {
        let (inward, outward) = (format!("acl_in_{interface}"), format!("acl_out_{interface}"));
        // A tier is entered by what goes to it; a private gateway by what comes from it.
        let (of_sender, of_receiver) = if is_tier {
            (&outward, &inward)
        } else {
            (&inward, &outward)
        };
        from.push((format!("\"{interface}\""), format!("jump {of_sender}")));
        to.push((format!("\"{interface}\""), format!("jump {of_receiver}")));
        ruleset.chain(inward, rules(acl, AclDirection::Ingress));
        ruleset.chain(outward, rules(acl, AclDirection::Egress));
    }
    let key = ("iface_index", "verdict");
    ruleset.map("acl_from", key, Holds::Values, from.into_iter());
    ruleset.map("acl_to", key, Holds::Values, to.into_iter());
}

/// Whether the ACLs of a router stay within bounds; if not, how many items there are.
pub(super) fn is_bounded(spec: &RouterSpec) -> Result<(), usize> {
    let items = || acls(spec).flat_map(|(_, acl, _)| &acl.items);
    let cidrs: usize = items().map(|item| item.cidrs.len()).sum();
    let count = items().count();
    if count <= ITEMS_MAX && cidrs <= CIDRS_MAX {
        Ok(())
    } else {
        Err(count)
    }
}

/// Every ACL with its interface, and whether it is a tier's.
fn acls(spec: &RouterSpec) -> impl Iterator<Item = (&str, &NetworkAcl, bool)> {
    let tiers = spec.guest_networks.iter();
    let tiers = tiers.filter_map(|t| t.acl.as_ref().map(|acl| (t.interface.as_str(), acl, true)));
    let gateways = spec.private_gateways().iter();
    tiers.chain(gateways.map(|g| (g.interface.as_str(), &g.acl, false)))
}

fn rules(acl: &NetworkAcl, direction: AclDirection) -> Vec<String> {
    let items = || acl.items.iter().filter(|item| item.direction == direction);
    let mut rules: Vec<String> = items().map(rule).collect();
    if direction == AclDirection::Ingress || items().next().is_some() {
        rules.push("drop".to_owned());
    }
    rules
}

fn rule(item: &AclItem) -> String {
    let field = match item.direction {
        AclDirection::Ingress => "saddr",
        AclDirection::Egress => "daddr",
    };
    let mut text = addresses(&item.cidrs).map_or_else(String::new, |a| format!("ip {field} {a} "));
    text.push_str(&transport(item.matches));
    text.push_str(match item.action {
        AclAction::Allow => "return",
        AclAction::Deny => "drop",
    });
    text
}

/// One address, network or range, or a set of them; `None` for every address.
pub(super) fn addresses(cidrs: &[Ipv4Net]) -> Option<String> {
    let boxes: Vec<_> = cidrs.iter().map(|cidr| [area::net(*cidr)]).collect();
    let spans = area::union(&boxes);
    let mut text = String::new();
    match spans.as_slice() {
        [[all]] if *all == ANY_ADDRESS => return None,
        [[one]] => area::push_addresses(*one, &mut text),
        many => {
            for (i, [span]) in many.iter().enumerate() {
                text.push_str(if i == 0 { "{ " } else { ", " });
                area::push_addresses(*span, &mut text);
            }
            text.push_str(" }");
        }
    }
    Some(text)
}

/// What a rule says of the transport header, with a space behind.
fn transport(matches: Match) -> String {
    match matches {
        Match::All => String::new(),
        Match::Number { number } => format!("meta l4proto {number} "),
        Match::Ports { protocol, ports } => format!("{} dport {ports} ", protocol.name()),
        Match::Icmp { icmp } => match (icmp.kind, icmp.code) {
            (None, None) => "meta l4proto 1 ".to_owned(),
            (Some(kind), None) => format!("icmp type {kind} "),
            (None, Some(code)) => format!("icmp code {code} "),
            (Some(kind), Some(code)) => format!("icmp type {kind} icmp code {code} "),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidrs_become_what_nft_prints_for_the_area_that_they_cover() {
        let text = |cidrs: &[&str]| addresses(&cidrs.iter().map(|c| c.parse().unwrap()).collect::<Vec<_>>());
        assert_eq!(text(&["10.1.1.0/24", "0.0.0.0/0"]), None);
        assert_eq!(text(&["0.0.0.0/1", "128.0.0.0/1"]), None);
        assert_eq!(
            text(&["10.1.1.9/24", "10.1.1.7/32"]).as_deref(),
            Some("10.1.1.0/24")
        );
        assert_eq!(
            text(&["192.0.2.0/24", "1.2.3.4/32", "10.1.1.0/24", "10.1.2.0/24"]).as_deref(),
            Some("{ 1.2.3.4, 10.1.1.0-10.1.2.255, 192.0.2.0/24 }")
        );
    }
}
