// SPDX-License-Identifier: Apache-2.0
//! Load balancer rules in a router's spec.

use std::net::Ipv4Addr;
use std::sync::Arc;

use outgate_model::object::{LoadBalancerRule, Network};
use outgate_model::router_spec::LoadBalancer;

use super::{ByIp, Source};

/// The rules of the networks by public address and port.
pub(super) fn by_ip(source: Source<'_>, networks: &[Arc<Network>]) -> ByIp<LoadBalancer> {
    let of_network = |network: &Arc<Network>| {
        let stored = source.view.balancers_of_network(network.id);
        source.each(stored, |r: &LoadBalancerRule| r.network == network.id)
    };
    let mut rules: Vec<_> = networks.iter().flat_map(of_network).collect();
    rules.sort_by_key(|r| (r.public_port, r.id));
    let mut by_ip = ByIp::new();
    for rule in rules {
        by_ip.entry(rule.public_ip).or_default().push(balancer(&rule));
    }
    by_ip
}

fn balancer(rule: &LoadBalancerRule) -> LoadBalancer {
    let mut members: Vec<Ipv4Addr> = rule.members.iter().map(|m| m.address).collect();
    members.sort_unstable();
    members.dedup();
    LoadBalancer {
        id: rule.id,
        public_port: rule.public_port,
        private_port: rule.private_port,
        algorithm: rule.algorithm,
        protocol: rule.protocol,
        sources: rule.sources.clone(),
        members,
        stickiness: rule.stickiness.as_ref().map(|policy| policy.method.clone()),
        health_check: rule.health_check.as_ref().map(|policy| policy.check.clone()),
    }
}
