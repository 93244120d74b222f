// SPDX-License-Identifier: Apache-2.0
//! What a VPC's router has in place of an isolated network's: which sides may meet (chain `forward`), and spoofing
//! protection by interface. Tiers and private gateways are elements of sets and maps: a packet pays for none of the
//! others, and one of a known session passes the chains `acl_*` by.

use outgate_model::RouterSpec;
use outgate_model::router_spec::{GuestNetwork, VpcSide};

use super::acl;
use super::build::{Holds, INVALID, KNOWN, TRANSLATED, mss_clamp};
use super::spoofing::NEVER_OUTSIDE;
use crate::Ruleset;

/// The sets that say which interface and address is what.
pub(super) fn add_sets(spec: &RouterSpec, vpc: &VpcSide, ruleset: &mut Ruleset) {
    let names = |all: Vec<&str>| all.into_iter().map(|i| format!("\"{i}\"")).collect::<Vec<_>>();
    let tiers = names(spec.guest_networks.iter().map(|n| n.interface.as_str()).collect());
    let gateways = names(
        vpc.private_gateways
            .iter()
            .map(|g| g.interface.as_str())
            .collect(),
    );
    let bounces = tiers.iter().map(|i| format!("{i} . {i}"));
    let cidrs = spec.guest_networks.iter().map(|n| n.gateway.trunc().to_string());
    ruleset.set("bounces", "iface_index . iface_index", Holds::Values, bounces);
    ruleset.set("tier_networks", "ipv4_addr", Holds::Spans, cidrs);
    ruleset.set("tiers", "iface_index", Holds::Values, tiers.into_iter());
    ruleset.set(
        "private_gateways",
        "iface_index",
        Holds::Values,
        gateways.into_iter(),
    );
}

/// Chain `forward`. The ACL of the side that a new session comes from judges it, then that of the side that it goes to.
pub(super) fn forward(spec: &RouterSpec, vpc: &VpcSide) -> Vec<String> {
    let (public, cidr) = (&spec.public.interface, vpc.cidr.trunc());
    vec![
        mss_clamp(spec),
        format!("{KNOWN} accept"),
        format!("{INVALID} drop"),
        "iif vmap @acl_from".to_owned(),
        "oif vmap @acl_to".to_owned(),
        // Only what `gate` let in is ever translated.
        format!("iif \"{public}\" oif @tiers {TRANSLATED} accept"),
        // Guests of one tier reach each other by themselves; through the router by public addresses only.
        "iif . oif @bounces ct status ! 0x20 ip daddr @tier_networks drop".to_owned(),
        "iif @tiers oif @tiers accept".to_owned(),
        "iif @tiers oif @private_gateways accept".to_owned(),
        "iif @private_gateways oif @tiers accept".to_owned(),
        // Addresses of the VPC that no tier has are nowhere, not outside; only guests have an address outside.
        format!("iif @tiers oif \"{public}\" ip saddr @tier_networks ip daddr != {cidr} accept"),
    ]
}

/// Chains `spoofing_*`, one an interface. An interface that is not among them may say nothing.
pub(super) fn add_spoofing(spec: &RouterSpec, vpc: &VpcSide, ruleset: &mut Ruleset) {
    let mut sides = vec![("\"lo\"".to_owned(), "accept".to_owned())];
    let mut chain = |interface: &str, rules: Vec<String>| {
        let name = format!("spoofing_{interface}");
        sides.push((format!("\"{interface}\""), format!("goto {name}")));
        ruleset.chain(name, rules);
    };
    let control = spec.control.address.trunc();
    chain(
        &spec.control.interface,
        vec![format!("ip saddr != {control} drop")],
    );
    let outside = format!("ip saddr @{NEVER_OUTSIDE} drop");
    chain(&spec.public.interface, vec![outside.clone()]);
    for gateway in &vpc.private_gateways {
        let own = format!("ip saddr {} accept", gateway.address.trunc());
        chain(&gateway.interface, vec![own, outside.clone()]);
    }
    for tier in &spec.guest_networks {
        chain(&tier.interface, tier_spoofing(vpc, tier));
    }
    ruleset.map(
        "spoofing_by_side",
        ("iface_index", "verdict"),
        Holds::Values,
        sides.into_iter(),
    );
    let rules = vec!["iif vmap @spoofing_by_side".to_owned(), "drop".to_owned()];
    ruleset.base_chain("spoofing", ("filter", "prerouting", -300, "accept"), rules);
}

fn tier_spoofing(vpc: &VpcSide, tier: &GuestNetwork) -> Vec<String> {
    let behind = vpc.static_routes.iter().filter(|r| tier.gateway.contains(&r.via));
    let sources: Vec<_> = behind.map(|r| r.to).chain([tier.gateway]).collect();
    let own = acl::addresses(&sources).map_or_else(String::new, |a| format!("ip saddr {a} "));
    vec![
        format!("{own}accept"),
        // A guest without an address asks for one.
        "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept".to_owned(),
        "drop".to_owned(),
    ]
}
