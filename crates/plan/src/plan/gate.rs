// SPDX-License-Identifier: Apache-2.0
//! Chain `gate`: new sessions to a public address, from outside or from a guest (hairpin), pass only where a firewall
//! rule of that address lets them; in a VPC, only where they lead to a guest, whose tier then judges them.
//!
//! It stands before destination NAT, so it sees the address and port that the sender used; nft 1.0.6 cannot put
//! `ct original proto-dst` into a concatenation, so it could not be judged later. What it lets in goes on to chain
//! `translate_in`; what a guest sends to the outside is spared that. It is a chain of type nat: the kernel
//! asks those for the first packet of a session only, so known sessions do not pay for it. What belongs to no session
//! and can open none it never sees; `input` and `forward` drop that.

use std::fmt::Write;
use std::net::Ipv4Addr;

use outgate_model::router_spec::{FirewallRule, PublicAddress};
use outgate_model::{Match, RouterSpec};

use super::build::Holds;
use super::limits;
use crate::Ruleset;
use crate::area::{self, ANY_ADDRESS, ANY_BYTE, Span};

pub(super) fn add(spec: &RouterSpec, ruleset: &mut Ruleset) {
    add_sets(spec, ruleset);
    let mut rules = limits::of_guests(spec);
    for network in &spec.guest_networks {
        rules.push(format!(
            "iif \"{}\" ip daddr != @public_addresses accept",
            network.interface
        ));
    }
    // Private gateways lead to tiers only.
    for gateway in spec.private_gateways() {
        let from = format!("iif \"{}\"", gateway.interface);
        rules.push(format!("{from} ip daddr != @public_addresses accept"));
        rules.push(format!("{from} drop"));
    }
    // What the control side and the router itself may reach, `input` and `forward` decide.
    rules.push(format!("iif \"{}\" accept", spec.control.interface));
    rules.push("iif \"lo\" accept".to_owned());
    let entry = limits::entry(spec);
    rules.push(format!("ip daddr . meta l4proto . th dport @open_ports {entry}"));
    rules.push(format!(
        "ip daddr . meta l4proto . th dport . ip saddr @open_port_ranges {entry}"
    ));
    rules.push(format!(
        "ip daddr . icmp type . icmp code . ip saddr @open_icmp {entry}"
    ));
    rules.push(format!(
        "ip daddr . meta l4proto . ip saddr @open_protocols {entry}"
    ));
    rules.push("drop".to_owned());
    ruleset.base_chain("gate", ("nat", "prerouting", -101, "accept"), rules);
}

/// Whether the sets of these rules stay within bounds.
pub(super) fn is_bounded(rules: &[FirewallRule]) -> bool {
    let areas = Areas::of(rules);
    area::is_bounded(&areas.ports) && area::is_bounded(&areas.icmp) && area::is_bounded(&areas.protocols)
}

/// Firewall rules as areas, per public address.
fn add_sets(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let (mut single, mut ports, mut icmp, mut protocols) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for public in &spec.public.addresses {
        let to = public.address.addr();
        let areas = match spec.vpc {
            Some(_) => Areas::of_targets(public),
            None => Areas::of(&public.firewall),
        };
        single.extend(areas.open.iter().map(|numbers| element(to, numbers, None)));
        ports.extend(
            area::union(&areas.ports)
                .iter()
                .map(|[p, n, from]| element(to, &[*p, *n], Some(*from))),
        );
        icmp.extend(
            area::union(&areas.icmp)
                .iter()
                .map(|[k, c, from]| element(to, &[*k, *c], Some(*from))),
        );
        protocols.extend(
            area::union(&areas.protocols)
                .iter()
                .map(|[p, from]| element(to, &[*p], Some(*from))),
        );
    }
    let [values, spans] = [Holds::Values, Holds::Spans];
    let port_key = "ipv4_addr . inet_proto . inet_service";
    ruleset.set("open_ports", port_key, values, single.into_iter());
    ruleset.set(
        "open_port_ranges",
        &format!("{port_key} . ipv4_addr"),
        spans,
        ports.into_iter(),
    );
    ruleset.set(
        "open_icmp",
        "ipv4_addr . icmp_type . icmp_code . ipv4_addr",
        spans,
        icmp.into_iter(),
    );
    ruleset.set(
        "open_protocols",
        "ipv4_addr . inet_proto . ipv4_addr",
        spans,
        protocols.into_iter(),
    );
}

/// What the firewall rules of one public address open.
#[derive(Default)]
struct Areas {
    /// Protocol and single port, open to everybody; by far the most common rule, so it gets a hash.
    open: Vec<[Span; 2]>,
    /// Protocol, ports, sources.
    ports: Vec<[Span; 3]>,
    /// Type, code, sources.
    icmp: Vec<[Span; 3]>,
    /// Protocol numbers, sources.
    protocols: Vec<[Span; 2]>,
}

impl Areas {
    fn of(rules: &[FirewallRule]) -> Self {
        let mut areas = Self::default();
        for rule in rules {
            for source in &rule.sources {
                areas.insert(rule.matches, area::net(*source));
            }
        }
        areas
    }

    /// In a VPC whatever leads to a guest comes in; the tier's network ACL judges it behind.
    fn of_targets(public: &PublicAddress) -> Self {
        let mut areas = Self::default();
        for forward in &public.port_forwarding {
            let (protocol, ports) = (forward.protocol, forward.public_ports);
            areas.insert(Match::Ports { protocol, ports }, ANY_ADDRESS);
        }
        if public.static_nat.is_some() {
            areas.insert(Match::All, ANY_ADDRESS);
        }
        for (matches, source) in super::balancers::passes(public) {
            areas.insert(matches, source);
        }
        areas
    }

    fn insert(&mut self, matches: Match, from: Span) {
        match matches {
            Match::All => self.protocols.push([ANY_BYTE, from]),
            Match::Number { number } => self.protocols.push([area::byte(Some(number)), from]),
            Match::Icmp { icmp } => self
                .icmp
                .push([area::byte(icmp.kind), area::byte(icmp.code), from]),
            Match::Ports { protocol, ports } => {
                let protocol = area::byte(Some(protocol.number()));
                if ports.count() == 1 && from == ANY_ADDRESS {
                    self.open.push([protocol, area::ports(ports)]);
                } else {
                    self.ports.push([protocol, area::ports(ports), from]);
                }
            }
        }
    }
}

/// `203.0.113.10 . 6 . 80-90 . 198.51.100.0/24`.
fn element(to: Ipv4Addr, numbers: &[Span], from: Option<Span>) -> String {
    let mut text = String::with_capacity(40);
    let _ = write!(text, "{to}");
    for span in numbers {
        text.push_str(" . ");
        area::push_numbers(*span, &mut text);
    }
    if let Some(from) = from {
        text.push_str(" . ");
        area::push_addresses(from, &mut text);
    }
    text
}
