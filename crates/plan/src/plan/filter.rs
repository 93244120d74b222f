// SPDX-License-Identifier: Apache-2.0
//! Chains `forward` and `input`: both drop what no rule accepts.

use outgate_model::RouterSpec;
use outgate_model::router_spec::GuestNetwork;

use super::build::{INVALID, KNOWN, PING, TRANSLATED, mss_clamp};
use super::{balancers, egress, limits, vpc};
use crate::Ruleset;

pub(super) fn add(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let forward = spec
        .vpc
        .as_ref()
        .map_or_else(|| forward(spec), |side| vpc::forward(spec, side));
    ruleset.base_chain("forward", ("filter", "forward", 0, "drop"), forward);
    ruleset.base_chain("input", ("filter", "input", 0, "drop"), input(spec));
    balancers::add_set(spec, ruleset);
}

fn forward(spec: &RouterSpec) -> Vec<String> {
    let public = &spec.public.interface;
    let mut rules = vec![
        mss_clamp(spec),
        format!("{KNOWN} accept"),
        format!("{INVALID} drop"),
    ];
    for network in &spec.guest_networks {
        let GuestNetwork { interface, .. } = network;
        rules.push(format!(
            "iif \"{interface}\" oif \"{public}\" goto {}",
            egress::chain_name(network)
        ));
        // Only what `gate` let in is ever translated.
        rules.push(format!(
            "iif \"{public}\" oif \"{interface}\" {TRANSLATED} accept"
        ));
        rules.push(format!(
            "iif \"{interface}\" oif \"{interface}\" {TRANSLATED} accept"
        ));
    }
    rules
}

fn input(spec: &RouterSpec) -> Vec<String> {
    let control = format!(
        "iif \"{}\" ip daddr {}",
        spec.control.interface,
        spec.control.address.addr()
    );
    let mut rules: Vec<_> = limits::pings(spec).into_iter().collect();
    rules.extend([
        "iif \"lo\" accept".to_owned(),
        format!("{KNOWN} accept"),
        format!("{INVALID} drop"),
        format!("{control} tcp dport {} accept", spec.ssh.port),
        format!("{control} {PING} accept"),
    ]);
    for network in &spec.guest_networks {
        let guest = format!("iif \"{}\"", network.interface);
        let gateway = network.gateway.addr();
        rules.push(format!("{guest} udp dport 67 accept"));
        rules.push(format!("{guest} ip daddr {gateway} udp dport 53 accept"));
        rules.push(format!("{guest} ip daddr {gateway} tcp dport 53 accept"));
        rules.push(format!("{guest} ip daddr {gateway} {PING} accept"));
        // `gate` has seen a firewall rule for it.
        rules.push(format!("{guest} ip daddr @public_addresses {PING} accept"));
    }
    rules.push(format!(
        "iif \"{}\" ip daddr @public_addresses {PING} accept",
        spec.public.interface
    ));
    balancers::let_in(spec, &mut rules);
    rules
}
