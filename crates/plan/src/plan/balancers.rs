// SPDX-License-Identifier: Apache-2.0
//! Who may reach the balanced ports: set `balanced` holds address, port and sources, for chain `input`. In an isolated
//! network chain `gate` has seen a firewall rule before; in a VPC the set alone decides.

use std::fmt::Write;

use outgate_model::router_spec::PublicAddress;
use outgate_model::{Match, PortRange, Protocol, RouterSpec};

use super::build::Holds;
use crate::Ruleset;
use crate::area::{self, Span};

/// What chains ask the set.
pub(super) const BALANCED: &str = "ip daddr . meta l4proto . th dport . ip saddr @balanced accept";

/// The rules of chain `input`: from outside, and from guests that reach their own network's address.
pub(super) fn let_in(spec: &RouterSpec, rules: &mut Vec<String>) {
    if spec.vpc.is_some() {
        rules.push(format!("iif \"{}\" {BALANCED}", spec.public.interface));
        // What a guest sends there leaves its tier.
        rules.push("iif vmap @acl_from".to_owned());
        rules.push(format!("iif @tiers {BALANCED}"));
        return;
    }
    let guests = spec.guest_networks.iter().map(|n| &n.interface);
    for interface in guests.chain([&spec.public.interface]) {
        rules.push(format!("iif \"{interface}\" {BALANCED}"));
    }
}

pub(super) fn add_set(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let elements = spec.public.addresses.iter().flat_map(|public| {
        let to = public.address.addr();
        area::union(&areas(public)).into_iter().map(move |[port, from]| {
            let mut text = format!("{to} . {} . ", Protocol::Tcp.number());
            area::push_numbers(port, &mut text);
            let _ = write!(text, " . ");
            area::push_addresses(from, &mut text);
            text
        })
    });
    let key = "ipv4_addr . inet_proto . inet_service . ipv4_addr";
    ruleset.set("balanced", key, Holds::Spans, elements);
}

/// Whether the set stays within bounds.
pub(super) fn is_bounded(public: &PublicAddress) -> bool {
    area::is_bounded(&areas(public))
}

/// What a VPC's gate lets in to balanced ports, and from where.
pub(super) fn passes(public: &PublicAddress) -> impl Iterator<Item = (Match, Span)> {
    areas(public).into_iter().filter_map(|[(port, _), from]| {
        let ports = PortRange::single(u16::try_from(port).ok()?).ok()?;
        let protocol = Protocol::Tcp;
        Some((Match::Ports { protocol, ports }, from))
    })
}

fn areas(public: &PublicAddress) -> Vec<[Span; 2]> {
    let balancers = public.load_balancers.iter();
    let areas = balancers.flat_map(|balancer| {
        let port = (balancer.public_port.into(), balancer.public_port.into());
        balancer
            .sources
            .iter()
            .map(move |source| [port, area::net(*source)])
    });
    areas.collect()
}
