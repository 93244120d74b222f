// SPDX-License-Identifier: Apache-2.0
//! Chains `egress_*`, one a guest network: what may leave for the outside. Rules are exceptions from the default, so
//! all of them have one verdict and the area that they cover together is all that matters.

use outgate_model::router_spec::{EgressPolicy, EgressRule, GuestNetwork};
use outgate_model::{Match, RouterSpec};

use super::build::Holds;
use crate::Ruleset;
use crate::area::{self, ANY_BYTE, Span};

/// `egress_eth0`.
pub(super) fn chain_name(network: &GuestNetwork) -> String {
    format!("egress_{}", network.interface)
}

pub(super) fn add(spec: &RouterSpec, ruleset: &mut Ruleset) {
    for network in &spec.guest_networks {
        let name = chain_name(network);
        let areas = Areas::of(&network.egress.rules);
        add_sets(&name, &areas, ruleset);
        let (exception, default) = match network.egress.default {
            EgressPolicy::Allow => ("drop", "accept"),
            EgressPolicy::Deny => ("accept", "drop"),
        };
        let pair = "ip saddr . ip daddr";
        let looks = [
            (
                areas.ports.is_empty(),
                format!("{pair} . meta l4proto . th dport @{name}_ports"),
            ),
            (
                areas.icmp.is_empty(),
                format!("{pair} . icmp type . icmp code @{name}_icmp"),
            ),
            (
                areas.protocols.is_empty(),
                format!("{pair} . meta l4proto @{name}_protocols"),
            ),
        ];
        // A new session does not pay for a look into what is empty.
        let looks = looks.into_iter().filter(|(is_empty, _)| !is_empty);
        let mut rules: Vec<_> = looks.map(|(_, look)| format!("{look} {exception}")).collect();
        rules.push(default.to_owned());
        ruleset.chain(name, rules);
    }
}

/// Whether the sets of these rules stay within bounds.
pub(super) fn is_bounded(rules: &[EgressRule]) -> bool {
    let areas = Areas::of(rules);
    area::is_bounded(&areas.ports) && area::is_bounded(&areas.icmp) && area::is_bounded(&areas.protocols)
}

fn add_sets(name: &str, areas: &Areas, ruleset: &mut Ruleset) {
    let mut set = |kind: &str, key: &str, elements: Vec<String>| {
        let key = format!("ipv4_addr . ipv4_addr . {key}");
        ruleset.set(format!("{name}_{kind}"), &key, Holds::Spans, elements.into_iter());
    };
    set("ports", "inet_proto . inet_service", elements(&areas.ports));
    set("icmp", "icmp_type . icmp_code", elements(&areas.icmp));
    set("protocols", "inet_proto", elements(&areas.protocols));
}

/// What rules cover. The dimensions with the fewest values come first: that keeps the number of boxes small.
#[derive(Default)]
struct Areas {
    ports: Vec<[Span; 4]>,
    icmp: Vec<[Span; 4]>,
    protocols: Vec<[Span; 3]>,
}

impl Areas {
    fn of(rules: &[EgressRule]) -> Self {
        let mut areas = Self::default();
        for rule in rules {
            for (from, to) in pairs(rule) {
                areas.add(rule.matches, from, to);
            }
        }
        areas
    }

    fn add(&mut self, matches: Match, from: Span, to: Span) {
        match matches {
            Match::All => self.protocols.push([ANY_BYTE, from, to]),
            Match::Number { number } => self.protocols.push([area::byte(Some(number)), from, to]),
            Match::Icmp { icmp: i } => self.icmp.push([area::byte(i.kind), area::byte(i.code), from, to]),
            Match::Ports { protocol, ports } => {
                self.ports
                    .push([area::byte(Some(protocol.number())), area::ports(ports), from, to]);
            }
        }
    }
}

fn pairs(rule: &EgressRule) -> impl Iterator<Item = (Span, Span)> {
    let to = |from| {
        rule.destinations
            .iter()
            .map(move |to| (area::net(from), area::net(*to)))
    };
    rule.sources.iter().flat_map(move |from| to(*from))
}

/// Boxes of numbers, sources and destinations as elements: `10.1.1.0/24 . 0.0.0.0/0 . 6 . 80`.
fn elements<const D: usize>(boxes: &[[Span; D]]) -> Vec<String> {
    area::union(boxes).iter().filter_map(|b| element(b)).collect()
}

fn element(b: &[Span]) -> Option<String> {
    let [numbers @ .., from, to] = b else { return None };
    let mut text = String::with_capacity(48);
    area::push_addresses(*from, &mut text);
    text.push_str(" . ");
    area::push_addresses(*to, &mut text);
    for span in numbers {
        text.push_str(" . ");
        area::push_numbers(*span, &mut text);
    }
    Some(text)
}
