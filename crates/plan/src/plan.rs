// SPDX-License-Identifier: Apache-2.0
//! What a router must hold for its spec. One module per concern.

mod acl;
mod balancers;
pub(crate) mod build;
mod dnsmasq;
mod egress;
mod filter;
mod gate;
mod haproxy;
mod iptables;
mod limits;
mod links;
mod nat;
mod pool;
mod routes;
mod spoofing;
mod sshd;
mod sysctls;
mod vpc;

use std::collections::BTreeMap;

use outgate_model::{FieldError, RouterSpec};

use crate::router_plan::Service;
use crate::{RouterPlan, Ruleset, drops};

pub use dnsmasq::{DNSMASQ_CONF, DNSMASQ_DHCP_HOSTS, DNSMASQ_DNS_HOSTS, DNSMASQ_LEASES};
pub use haproxy::{HAPROXY_CFG, HAPROXY_ROOT, HAPROXY_SOCKET, HAPROXY_STATE, HAPROXY_UID};
pub use sshd::{SSH_HOST_KEY, SSHD_AUTHORIZED_KEYS, SSHD_CONFIG};

/// Where the router's files live, in its own mount namespace.
pub const RUN_DIR: &str = "/run/outgate-vr";

/// Everything that a router's kernel and services must hold for `spec`, which [`RouterSpec::validate`] has passed.
/// The same spec always gives the same plan.
pub fn plan(spec: &RouterSpec) -> RouterPlan {
    RouterPlan {
        links: links::links(spec),
        routes: routes::routes(spec),
        sysctls: sysctls::sysctls(spec),
        ruleset: ruleset(spec),
        iptables_postrouting: iptables::postrouting(spec),
        services: services(spec),
    }
}

fn services(spec: &RouterSpec) -> BTreeMap<String, Service> {
    let mut services = BTreeMap::from([("sshd".to_owned(), sshd::service(spec))]);
    // Without an interface to serve it would serve all, the public one too. A VPC may have no tier yet.
    if !spec.guest_networks.is_empty() {
        services.insert("dnsmasq".to_owned(), dnsmasq::service(spec));
    }
    services.extend(haproxy::service(spec).map(|haproxy| ("haproxy".to_owned(), haproxy)));
    services
}

/// Whether the sets that the rules of `spec` make stay within bounds of time and memory. They do, by far, unless hundreds
/// of rules overlap in sources, destinations and ports all at once.
///
/// # Errors
/// The rules that do not. Such a spec must not be planned.
pub fn check(spec: &RouterSpec) -> Result<(), FieldError> {
    let refused = |field: String, rules: usize| {
        let expected = "rules of which fewer overlap in ports, sources and destinations at the same time";
        Err(FieldError::new(field, format!("{rules} rules"), expected))
    };
    for network in &spec.guest_networks {
        let rules = &network.egress.rules;
        if !egress::is_bounded(rules) {
            return refused(format!("egress rules of network {}", network.id), rules.len());
        }
    }
    for public in &spec.public.addresses {
        let rules = &public.firewall;
        if !gate::is_bounded(rules) {
            return refused(
                format!("firewall rules of {}", public.address.addr()),
                rules.len(),
            );
        }
        if !balancers::is_bounded(public) {
            return refused(
                format!("load balancer rules of {}", public.address.addr()),
                public.load_balancers.len(),
            );
        }
    }
    acl::is_bounded(spec).map_err(|items| {
        let field = "network ACLs of the VPC's tiers and private gateways";
        let expected = "at most 4096 items with 16384 CIDRs in all";
        FieldError::new(field, format!("{items} items"), expected)
    })
}

/// The native table. The path of a packet: `spoofing`, connection tracking, `gate` (what may come in, judged by the
/// address that the sender used), `nat_prerouting`, then `input` or `forward` with `egress_*` (`acl_*` in a VPC), then
/// `nat_postrouting`.
fn ruleset(spec: &RouterSpec) -> Ruleset {
    let mut ruleset = Ruleset {
        counters: drops::counters().collect(),
        ..Ruleset::default()
    };
    spoofing::add(spec, &mut ruleset);
    gate::add(spec, &mut ruleset);
    limits::add(spec, &mut ruleset);
    nat::add(spec, &mut ruleset);
    filter::add(spec, &mut ruleset);
    match &spec.vpc {
        Some(side) => {
            vpc::add_sets(spec, side, &mut ruleset);
            acl::add(spec, &mut ruleset);
        }
        None => egress::add(spec, &mut ruleset),
    }
    ruleset
}
