// SPDX-License-Identifier: Apache-2.0
//! Chain `spoofing`: packets with a source address that cannot be. Before connection tracking, so that they cost no
//! entry. It stands beside rp_filter, which an operator may switch off.

use outgate_model::RouterSpec;

use super::build::Holds;
use super::vpc;
use crate::Ruleset;

/// Sources that no packet from outside can have: "this" network, loopback, link-local, multicast and class E
/// (RFC 6890). Private addresses are not among them: a cloud's "public" network may well be a company's.
const MARTIANS: [&str; 4] = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];

pub(super) fn add(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let public = &spec.public.interface;
    let control = &spec.control.interface;
    let addresses = spec.public.addresses.iter().map(|a| a.address.addr().to_string());
    ruleset.set("public_addresses", "ipv4_addr", Holds::Values, addresses);
    ruleset.set(
        "martian_sources",
        "ipv4_addr",
        Holds::Spans,
        MARTIANS.iter().map(|m| (*m).to_owned()),
    );
    if let Some(side) = &spec.vpc {
        return vpc::add_spoofing(spec, side, ruleset);
    }
    let mut rules = Vec::new();
    // Guests first, and what is right first: most packets end at the first rule.
    for network in &spec.guest_networks {
        let interface = &network.interface;
        rules.push(format!(
            "iifname \"{interface}\" ip saddr {} accept",
            network.gateway.trunc()
        ));
        // A guest without an address asks for one.
        rules.push(format!(
            "iifname \"{interface}\" ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept"
        ));
        rules.push(format!("iifname \"{interface}\" drop"));
    }
    for network in &spec.guest_networks {
        let cidr = network.gateway.trunc();
        rules.push(format!("iifname \"{public}\" ip saddr {cidr} drop"));
    }
    rules.push(format!(
        "iifname \"{control}\" ip saddr != {} drop",
        spec.control.address.trunc()
    ));
    rules.push(format!("iifname \"{public}\" ip saddr @martian_sources drop"));
    rules.push(format!("iifname \"{public}\" ip saddr @public_addresses drop"));
    ruleset.base_chain("spoofing", ("filter", "prerouting", -300, "accept"), rules);
}
