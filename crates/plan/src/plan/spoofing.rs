// SPDX-License-Identifier: Apache-2.0
//! Chain `spoofing`: packets with a source address that cannot be. Before connection tracking, so that they cost no
//! entry. It stands beside rp_filter, which an operator may switch off.

use ipnet::Ipv4Net;
use outgate_model::RouterSpec;

use super::build::Holds;
use super::vpc;
use crate::{Ruleset, area};

/// The set of sources that nobody outside has.
pub(super) const NEVER_OUTSIDE: &str = "never_outside";

/// Sources that no packet from outside can have: "this" network, loopback, link-local, multicast and class E
/// (RFC 6890). Private addresses are not among them: a cloud's "public" network may well be a company's.
const MARTIANS: [&str; 4] = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];

pub(super) fn add(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let public = &spec.public.interface;
    let control = &spec.control.interface;
    let addresses = spec.public.addresses.iter().map(|a| a.address.addr().to_string());
    ruleset.set("public_addresses", "ipv4_addr", Holds::Values, addresses);
    add_never_outside(spec, ruleset);
    if let Some(side) = &spec.vpc {
        return vpc::add_spoofing(spec, side, ruleset);
    }
    // What is right first: most packets end at the first or second rule.
    let each = spec.guest_networks.iter();
    let mut rules: Vec<String> = each
        .clone()
        .map(|network| {
            let cidr = network.gateway.trunc();
            format!("iif \"{}\" ip saddr {cidr} accept", network.interface)
        })
        .collect();
    rules.push(format!("iif \"{public}\" ip saddr != @{NEVER_OUTSIDE} accept"));
    // A guest without an address asks for one.
    rules.extend(each.map(|network| {
        let guest = &network.interface;
        format!("iif \"{guest}\" ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept")
    }));
    rules.push(format!(
        "iif \"{control}\" ip saddr {} accept",
        spec.control.address.trunc()
    ));
    rules.push("iif \"lo\" accept".to_owned());
    // From all other interfaces as well: they may say nothing.
    rules.push("drop".to_owned());
    ruleset.base_chain("spoofing", ("filter", "prerouting", -300, "accept"), rules);
}

/// The set of all sources that no packet from outside can have: one look, however many networks there are.
fn add_never_outside(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let martians = MARTIANS.iter().filter_map(|net| net.parse::<Ipv4Net>().ok());
    let own = spec
        .public
        .addresses
        .iter()
        .map(|a| Ipv4Net::from(a.address.addr()));
    let guests = spec.guest_networks.iter().map(|network| network.gateway);
    let gateways = spec.private_gateways().iter().map(|gateway| gateway.address);
    let vpc = spec.vpc.iter().map(|side| side.cidr);
    let all = martians.chain(own).chain(guests).chain(gateways).chain(vpc);
    let all: Vec<_> = all.map(|net| [area::net(net)]).collect();
    let spans = area::union(&all).into_iter().map(|[span]| {
        let mut text = String::new();
        area::push_addresses(span, &mut text);
        text
    });
    ruleset.set(NEVER_OUTSIDE, "ipv4_addr", Holds::Spans, spans);
}
