// SPDX-License-Identifier: Apache-2.0
//! Address translation. Priorities lie one before those of `ip nat`, so that what `iptables -t nat` shows is only the
//! net beneath: a session is translated once, by the first chain that does.

use std::fmt::Write;
use std::net::Ipv4Addr;

use outgate_model::RouterSpec;
use outgate_model::router_spec::PortForward;

use super::build::{Holds, TRANSLATED};
use super::pool;
use crate::Ruleset;
use crate::area;

/// The chain that says whom a session from outside is for, once `gate` has let it in.
pub(super) const INBOUND: &str = "translate_in";

pub(super) fn add(spec: &RouterSpec, ruleset: &mut Ruleset) {
    add_forwards(spec, ruleset);
    add_static(spec, ruleset);
    let inbound = vec![
        "dnat ip to ip daddr . meta l4proto . th dport map @port_forward".to_owned(),
        "dnat to ip daddr . meta l4proto . th dport map @port_forward_ranges".to_owned(),
        "dnat to ip daddr map @static_nat_in".to_owned(),
    ];
    ruleset.chain(INBOUND, inbound);
    pool::add(spec, ruleset);
    ruleset.base_chain(
        "nat_postrouting",
        ("nat", "postrouting", 99, "accept"),
        outbound(spec),
    );
}

/// Ports stay as they are where they are free (RFC 4787 section 4.2.1): no `random`, no `fully-random`.
fn outbound(spec: &RouterSpec) -> Vec<String> {
    let public = &spec.public.interface;
    let mut rules = Vec::from_iter(static_nat(spec, &format!("oif \"{public}\"")));
    let Some(source_nat) = pool::translation(spec) else {
        return rules;
    };
    if spec.vpc.is_some() {
        rules.extend(vpc_outbound(spec, &source_nat));
        return rules;
    }
    for network in &spec.guest_networks {
        let cidr = network.gateway.trunc();
        rules.push(format!("oif \"{public}\" ip saddr {cidr} {source_nat}"));
        // Hairpinning: the other guest sees the sender's external address (RFC 4787 REQ-9).
        let hairpin = format!("oif \"{}\" {TRANSLATED} ip saddr {cidr}", network.interface);
        rules.extend(static_nat(spec, &hairpin));
        rules.push(format!("{hairpin} {source_nat}"));
    }
    rules
}

/// A guest with an address of its own leaves with it. No rule where there is none: a new session does not pay for it.
fn static_nat(spec: &RouterSpec, what: &str) -> Option<String> {
    let mut addresses = spec.public.addresses.iter();
    let any = addresses.any(|address| address.static_nat.is_some());
    any.then(|| format!("{what} snat to ip saddr map @static_nat_out"))
}

/// One source NAT address, or one pool of them, for all tiers, towards the outside and for hairpins; a private gateway's
/// own address.
fn vpc_outbound(spec: &RouterSpec, source_nat: &str) -> Vec<String> {
    let hairpin = format!("oif @tiers {TRANSLATED} ip saddr @tier_networks");
    let mut rules = vec![format!(
        "oif \"{}\" ip saddr @tier_networks {source_nat}",
        spec.public.interface
    )];
    rules.extend(static_nat(spec, &hairpin));
    rules.push(format!("{hairpin} {source_nat}"));
    let gateways = spec.private_gateways().iter().filter(|g| g.source_nat);
    rules.extend(gateways.map(|g| format!("oif \"{}\" snat to {}", g.interface, g.address.addr())));
    rules
}

/// Forwards of single ports, and of ranges whose private ports differ, are one element a port; a range onto the same
/// ports is one element in all, because an address without a port leaves the port alone.
fn add_forwards(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let (mut single, mut ranges) = (Vec::new(), Vec::new());
    for public in &spec.public.addresses {
        let to = public.address.addr();
        for forward in &public.port_forwarding {
            if is_range(forward) {
                let mut key = format!("{to} . {} . ", forward.protocol.number());
                area::push_numbers(area::ports(forward.public_ports), &mut key);
                ranges.push((key, forward.guest.to_string()));
            } else {
                single.extend(
                    ports(forward).map(|(public, private)| port_element(to, forward, public, private)),
                );
            }
        }
    }
    let key = "ipv4_addr . inet_proto . inet_service";
    ruleset.map(
        "port_forward",
        (key, "ipv4_addr . inet_service"),
        Holds::Values,
        single.into_iter(),
    );
    ruleset.map(
        "port_forward_ranges",
        (key, "ipv4_addr"),
        Holds::Spans,
        ranges.into_iter(),
    );
}

fn is_range(forward: &PortForward) -> bool {
    forward.public_ports.count() > 1 && forward.public_ports == forward.private_ports
}

fn ports(forward: &PortForward) -> impl Iterator<Item = (u16, u16)> {
    let public = forward.public_ports.first()..=forward.public_ports.last();
    public.zip(forward.private_ports.first()..=forward.private_ports.last())
}

fn port_element(to: Ipv4Addr, forward: &PortForward, public: u16, private: u16) -> (String, String) {
    // One allocation each: there may be 65,535 of them for one address.
    let mut key = String::with_capacity(32);
    let _ = write!(key, "{to} . {} . {public}", forward.protocol.number());
    let mut data = String::with_capacity(24);
    let _ = write!(data, "{} . {private}", forward.guest);
    (key, data)
}

fn add_static(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let pairs = || {
        let addresses = spec.public.addresses.iter();
        addresses.filter_map(|a| {
            a.static_nat
                .map(|guest| (a.address.addr().to_string(), guest.to_string()))
        })
    };
    ruleset.map(
        "static_nat_in",
        ("ipv4_addr", "ipv4_addr"),
        Holds::Values,
        pairs(),
    );
    let out = pairs().map(|(public, guest)| (guest, public));
    ruleset.map("static_nat_out", ("ipv4_addr", "ipv4_addr"), Holds::Values, out);
}
