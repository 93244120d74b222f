// SPDX-License-Identifier: Apache-2.0
//! What the router's kernel and services show.

use std::net::Ipv4Addr;

use outgate_model::RouterSpec;
use outgate_plan::foreign_tables;

use super::{Audited, Deviation, Risk, Target};
use crate::read::files::sysctl_path;

/// Automatic assignment of helpers, on kernels that still have it.
const HELPERS: &str = "net.netfilter.nf_conntrack_helper";

pub(super) fn deviations(spec: &RouterSpec, seen: &Audited, target: &Target) -> Vec<Deviation> {
    let mut found = Vec::new();
    found.extend(rp_filter(spec, seen, target));
    found.extend(helpers(seen, target));
    found.extend(foreign(seen, target));
    found.extend(listeners(spec, seen, target));
    found.extend(login(seen, target));
    found
}

/// What could not be looked at.
pub(super) fn unseen(seen: &Audited) -> Vec<&'static str> {
    let looked = [
        (seen.parameters.is_some(), "kernel parameters of the router"),
        (seen.listing.is_some(), "rules of the router"),
        (seen.sockets.is_some(), "who listens in the router"),
        (seen.login.is_some(), "what the router's sshd says"),
    ];
    looked
        .iter()
        .filter(|(done, _)| !done)
        .map(|(_, what)| *what)
        .collect()
}

/// Strict is 1 on each interface; the kernel takes the larger of the interface's and `all`.
fn rp_filter(spec: &RouterSpec, seen: &Audited, target: &Target) -> Option<Deviation> {
    let parameters = seen.parameters.as_ref()?;
    let guests = spec.guest_networks.iter().map(|n| n.interface.as_str());
    let gateways = spec.private_gateways().iter().map(|g| g.interface.as_str());
    let sides = [spec.control.interface.as_str(), &spec.public.interface];
    let names = guests.chain(gateways).chain(sides).chain(["all"]);
    let wrong = names.filter_map(|name| {
        let name = format!("net.ipv4.conf.{name}.rp_filter");
        let value = parameters.get(&sysctl_path(&name))?;
        (value != "1").then(|| format!("sysctl {name}: {value}, strict is 1"))
    });
    let evidence: Vec<String> = wrong.collect();
    (!evidence.is_empty()).then(|| Deviation {
        id: "rp-filter-not-strict",
        risk: Risk::High,
        title: "the router takes packets with sources that cannot be (rp_filter is not strict)".to_owned(),
        evidence,
        command: target.restart.clone(),
    })
}

/// Helpers read payloads and open ports that those name.
fn helpers(seen: &Audited, target: &Target) -> Option<Deviation> {
    let parameters = seen.parameters.iter();
    let automatic = parameters.filter(|p| p.get(&sysctl_path(HELPERS)).is_some_and(|value| value == "1"));
    let automatic = automatic.map(|_| format!("sysctl {HELPERS}: 1"));
    let lines = seen.listing.iter().flat_map(|listing| listing.lines());
    let objects = lines.map(str::trim).filter(|line| line.starts_with("ct helper "));
    let evidence: Vec<String> = automatic
        .chain(objects.map(|line| format!("nft list ruleset: {line}")))
        .collect();
    (!evidence.is_empty()).then(|| Deviation {
        id: "conntrack-helpers",
        risk: Risk::Medium,
        title: "connection tracking helpers open ports that a payload names".to_owned(),
        evidence,
        command: target.restart.clone(),
    })
}

fn foreign(seen: &Audited, target: &Target) -> Option<Deviation> {
    let tables = foreign_tables(seen.listing.as_ref()?);
    let evidence: Vec<String> = tables
        .iter()
        .map(|table| format!("nft list ruleset: table {table}"))
        .collect();
    (!evidence.is_empty()).then(|| Deviation {
        id: "foreign-rules",
        risk: Risk::High,
        title: "somebody else's rules are in the router's kernel".to_owned(),
        evidence,
        command: target.restart.clone(),
    })
}

/// Who can be reached from the public side. dnsmasq asks its resolvers from sockets of its own, and haproxy listens on
/// what is balanced.
fn listeners(spec: &RouterSpec, seen: &Audited, target: &Target) -> Option<Deviation> {
    let public: Vec<Ipv4Addr> = spec.public.addresses.iter().map(|a| a.address.addr()).collect();
    let is_balanced = |address: &str, port: &str| {
        spec.public.addresses.iter().any(|a| {
            a.address.addr().to_string() == address
                && a.load_balancers.iter().any(|b| b.public_port.to_string() == port)
        })
    };
    let lines = seen.sockets.as_ref()?.lines();
    let listens = lines.filter(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((address, port)) = words.get(4).and_then(|local| local.rsplit_once(':')) else {
            return false;
        };
        let everywhere = ["0.0.0.0", "*", "[::]"].contains(&address);
        let on_public = public.iter().any(|public| public.to_string() == address);
        let of_dnsmasq = words.first() == Some(&"udp") && line.contains("\"dnsmasq\"");
        (everywhere || on_public) && !is_balanced(address, port) && !of_dnsmasq
    });
    let evidence: Vec<String> = listens
        .map(|line| format!("ss -lntup: {}", shorter(line)))
        .collect();
    (!evidence.is_empty()).then(|| Deviation {
        id: "public-listener",
        risk: Risk::High,
        title: "a program in the router listens on its public side".to_owned(),
        evidence,
        command: target.restart.clone(),
    })
}

fn shorter(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// sshd names what it would take: `Permission denied (publickey,password).`
fn login(seen: &Audited, target: &Target) -> Option<Deviation> {
    let said = seen.login.as_ref()?;
    let methods = said.rsplit_once("Permission denied (")?.1.split_once(')')?.0;
    let by_password = methods
        .split(',')
        .any(|m| m == "password" || m == "keyboard-interactive");
    by_password.then(|| Deviation {
        id: "sshd-password",
        risk: Risk::High,
        title: "the router's sshd takes passwords".to_owned(),
        evidence: vec![format!("ssh to the control address: it takes {methods}")],
        command: target.restart.clone(),
    })
}
