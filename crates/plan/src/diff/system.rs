// SPDX-License-Identifier: Apache-2.0
//! Interfaces, addresses, routes and kernel parameters.

use ipnet::Ipv4Net;

use super::{Changes, Step};
use crate::RouterPlan;
use crate::router_plan::Link;

/// Whether a sysctl makes the router forward. It does so only after filters, addresses and routes are in place.
pub(super) fn forwards(sysctl: &str) -> bool {
    sysctl == "net.ipv4.ip_forward" || sysctl.ends_with(".forwarding")
}

impl Changes {
    /// What comes before the ruleset.
    pub(super) fn links(&mut self, observed: &RouterPlan, plan: &RouterPlan) {
        for (name, link) in &plan.links {
            let Some(seen) = observed.links.get(name) else {
                self.missing_links.insert(name.clone());
                self.differences.push(format!("Interface {name} not found"));
                continue;
            };
            if seen.mac != link.mac {
                let step = Step::SetMac {
                    interface: name.clone(),
                    mac: link.mac,
                };
                self.step(
                    step,
                    format!(
                        "{name} has the MAC address {}, should have {}",
                        seen.mac, link.mac
                    ),
                );
            }
            if seen.mtu != link.mtu {
                let step = Step::SetMtu {
                    interface: name.clone(),
                    mtu: link.mtu,
                };
                self.step(
                    step,
                    format!("{name} has MTU {}, should have {}", seen.mtu, link.mtu),
                );
            }
        }
    }

    pub(super) fn sysctls(&mut self, observed: &RouterPlan, plan: &RouterPlan, which: impl Fn(&str) -> bool) {
        for (name, wanted) in plan.sysctls.iter().filter(|(name, _)| which(name)) {
            let seen = observed.sysctls.get(name).map(|s| s.value.as_str());
            if seen == Some(wanted.value.as_str()) || self.is_of_missing_link(name) {
                continue;
            }
            let value = wanted.value.clone();
            let difference = match seen {
                Some(seen) => format!("sysctl {name} is {seen}, should be {value}"),
                None => format!("sysctl {name} cannot be read, should be {value}"),
            };
            self.step(
                Step::Sysctl {
                    name: name.clone(),
                    value,
                    required: wanted.required,
                },
                difference,
            );
        }
    }

    fn is_of_missing_link(&self, sysctl: &str) -> bool {
        sysctl
            .split('.')
            .nth(3)
            .is_some_and(|interface| self.missing_links.contains(interface))
    }

    /// What comes after the ruleset: interfaces go up and get their addresses.
    pub(super) fn new_addresses(&mut self, observed: &RouterPlan, plan: &RouterPlan) {
        for (interface, seen, link) in pairs(observed, plan) {
            if seen.up != link.up {
                self.step(
                    Step::SetUp {
                        interface: interface.clone(),
                    },
                    format!("{interface} is down"),
                );
            }
            for address in link.addresses.difference(&seen.addresses) {
                let step = Step::AddAddress {
                    interface: interface.clone(),
                    address: *address,
                };
                self.step(step, format!("address {address} is missing on {interface}"));
            }
        }
    }

    pub(super) fn old_addresses(&mut self, observed: &RouterPlan, plan: &RouterPlan) {
        for (interface, seen, link) in pairs(observed, plan) {
            for address in seen.addresses.difference(&link.addresses) {
                let step = Step::DeleteAddress {
                    interface: interface.clone(),
                    address: *address,
                };
                self.step(step, format!("address {address} should not be on {interface}"));
            }
        }
    }

    pub(super) fn new_routes(&mut self, observed: &RouterPlan, plan: &RouterPlan) {
        for route in plan.routes.difference(&observed.routes) {
            if !self.missing_links.contains(&route.interface) {
                self.step(
                    Step::ReplaceRoute(route.clone()),
                    format!("route {route} is missing"),
                );
            }
        }
    }

    /// Routes to a destination that the plan has another route to were replaced already.
    pub(super) fn old_routes(&mut self, observed: &RouterPlan, plan: &RouterPlan) {
        let replaced = |to: Ipv4Net| plan.routes.iter().any(|r| r.to == to);
        for route in observed
            .routes
            .difference(&plan.routes)
            .filter(|r| !replaced(r.to))
        {
            self.step(
                Step::DeleteRoute(route.clone()),
                format!("route {route} should not be there"),
            );
        }
    }
}

fn pairs<'a>(
    observed: &'a RouterPlan,
    plan: &'a RouterPlan,
) -> impl Iterator<Item = (&'a String, &'a Link, &'a Link)> {
    plan.links
        .iter()
        .filter_map(|(name, link)| observed.links.get(name).map(|seen| (name, seen, link)))
}
