// SPDX-License-Identifier: Apache-2.0
//! Steps 3 and 5: interfaces, addresses, routes, kernel parameters, services.

use std::collections::BTreeMap;

use super::Case;
use crate::finding::{Cause, Finding};
use crate::read::files::sysctl_path;
use crate::read::ip::{LinkSeen, RouteSeen};

pub(super) fn check(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(links) = &case.router.links {
        for (name, wanted) in &case.plan.links {
            findings.extend(interface(case, name, wanted, links.get(name)));
        }
    }
    if let Some(routes) = &case.router.routes {
        let up = |name: &str| {
            case.router
                .links
                .as_ref()
                .and_then(|l| l.get(name))
                .is_none_or(|l| l.up)
        };
        findings.extend(default_route(case, routes).filter(|_| up(&case.spec.public.interface)));
        findings.extend(foreign_routes(case, routes));
    }
    findings.extend(parameters(case));
    findings.extend(policy(case));
    findings.extend(dhcp(case));
    findings
}

fn interface(
    case: &Case<'_>,
    name: &str,
    wanted: &outgate_plan::router_plan::Link,
    seen: Option<&LinkSeen>,
) -> Option<Finding> {
    let Some(seen) = seen else {
        let text = format!("Interface {name} not found (ip addr show {name})");
        return Some(case.in_router(Cause::InterfaceMissing, name, vec![text]));
    };
    if !seen.up || !seen.carrier {
        let what = if seen.up {
            "has no carrier"
        } else {
            "is switched off"
        };
        let text = format!("ip addr show {name}: it {what}");
        return Some(case.in_router(Cause::InterfaceDown, name, vec![text]));
    }
    let has = seen
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let missing: Vec<String> = wanted
        .addresses
        .iter()
        .filter(|address| !seen.addresses.contains(address))
        .map(|address| {
            format!(
                "ip addr show {name}: {address} is missing; it has {}",
                or_none(&has)
            )
        })
        .collect();
    if !missing.is_empty() && name != case.spec.control.interface {
        let public = name == case.spec.public.interface;
        let cause = if public {
            Cause::AddressNotBound
        } else {
            Cause::GatewayNotBound
        };
        return Some(case.in_router(cause, name, missing));
    }
    let mut differs = missing;
    if seen.mtu != wanted.mtu {
        differs.push(format!("{name} has MTU {}, should have {}", seen.mtu, wanted.mtu));
    }
    if let Some(mac) = seen.mac.filter(|mac| *mac != wanted.mac) {
        differs.push(format!(
            "{name} has Ethernet address {mac}, should have {}",
            wanted.mac
        ));
    }
    (!differs.is_empty()).then(|| case.in_router(Cause::InterfaceDiffers, name, differs))
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "no address" } else { text }
}

fn default_route(case: &Case<'_>, routes: &[RouteSeen]) -> Option<Finding> {
    let public = &case.spec.public;
    let defaults: Vec<&RouteSeen> = routes.iter().filter(|r| r.to.prefix_len() == 0).collect();
    let right = |r: &&RouteSeen| r.via == Some(public.gateway) && r.interface == public.interface;
    if matches!(defaults.as_slice(), [one] if right(one)) {
        return None;
    }
    let wanted = format!("default via {} dev {}", public.gateway, public.interface);
    let seen = match defaults.as_slice() {
        [] => format!("ip route: there is no default route; it should be {wanted}"),
        some => {
            let some = some
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ");
            format!("ip route: {some}; it should be {wanted}")
        }
    };
    Some(case.in_router(Cause::DefaultRoute, &public.interface, vec![seen]))
}

fn foreign_routes(case: &Case<'_>, routes: &[RouteSeen]) -> Option<Finding> {
    let own = |route: &RouteSeen| {
        let mut planned = case.plan.routes.iter();
        planned.any(|p| p.to == route.to && Some(p.via) == route.via && p.interface == route.interface)
    };
    let foreign: Vec<String> = routes
        .iter()
        .filter(|route| !route.by_kernel && route.to.prefix_len() > 0 && !own(route))
        .map(|route| format!("ip route: {route} is not the router's own"))
        .collect();
    (!foreign.is_empty()).then(|| case.in_router(Cause::ForeignRoute, "", foreign))
}

/// Parameters as they were read, of those that are required.
fn parameters(case: &Case<'_>) -> Vec<Finding> {
    let files: &BTreeMap<String, String> = &case.router.before;
    let mut off = Vec::new();
    let mut differ = Vec::new();
    for (name, wanted) in case.plan.sysctls.iter().filter(|(_, wanted)| wanted.required) {
        let Some(value) = files
            .get(&sysctl_path(name))
            .filter(|value| **value != wanted.value)
        else {
            continue;
        };
        let text = format!("sysctl {name}: {name} = {value}, should be {}", wanted.value);
        if name == "net.ipv4.ip_forward" || name.ends_with(".forwarding") {
            off.push(text);
        } else {
            differ.push(text);
        }
    }
    // Switching ip_forward off switches the interfaces' off too; the one that the text names comes first.
    off.sort_by_key(|text| !text.starts_with("sysctl net.ipv4.ip_forward"));
    let found = [(Cause::ForwardingOff, off), (Cause::ParameterDiffers, differ)];
    found
        .into_iter()
        .filter(|(_, texts)| !texts.is_empty())
        .map(|(cause, texts)| case.in_router(cause, "", texts))
        .collect()
}

fn policy(case: &Case<'_>) -> Option<Finding> {
    let rules = case.router.policy.as_ref().filter(|rules| !rules.is_empty())?;
    let seen = rules.iter().map(|rule| format!("ip rule: {rule}")).collect();
    Some(case.in_router(Cause::PolicyRoute, "", seen))
}

/// dnsmasq listens on each guest network's gateway address.
fn dhcp(case: &Case<'_>) -> Option<Finding> {
    let sockets = case.router.sockets.as_ref()?;
    let listens = |wanted: &str| {
        sockets
            .lines()
            .any(|line| line.split_whitespace().any(|word| word == wanted))
    };
    // With several interfaces it answers requests on all of them by one socket.
    let serves = |wanted: &str| {
        let everywhere = wanted.starts_with("0.0.0.0%") && listens("0.0.0.0:67");
        listens(wanted) || everywhere
    };
    let networks = case.spec.guest_networks.iter();
    let wanted = networks.flat_map(|n| {
        [
            format!("0.0.0.0%{}:67", n.interface),
            format!("{}:53", n.gateway.addr()),
        ]
    });
    let missing: Vec<String> = wanted
        .filter(|wanted| !serves(wanted))
        .map(|wanted| format!("ss -lntu: nobody listens on {wanted}"))
        .collect();
    (!missing.is_empty()).then(|| case.in_router(Cause::DhcpDown, "dnsmasq", missing))
}
