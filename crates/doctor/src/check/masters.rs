// SPDX-License-Identifier: Apache-2.0
//! Virtual addresses (VRRP, keepalived) on the router's wires: each has one master, and nobody is master of the router's own.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use outgate_model::MacAddr;

use super::{Case, outside};
use crate::finding::{Cause, Finding};
use crate::read::vrrp::Advert;

/// The virtual routers of a wire: by the router's interface and their id.
type Groups<'a> = BTreeMap<(&'a str, u8), Vec<&'a Advert>>;

/// Splits over an address that the router needs, and foreign masters of its own ones.
pub(super) fn check(case: &Case<'_>) -> Vec<Finding> {
    let groups = groups(case);
    let mut findings = splits(case, &groups, true);
    if findings.is_empty() {
        findings.extend(groups.values().filter_map(|adverts| usurper(case, adverts)));
    }
    findings
}

/// Splits over addresses of somebody else: no trouble of the router's, but somebody's on its wire.
pub(super) fn beside(case: &Case<'_>) -> Vec<Finding> {
    splits(case, &groups(case), false)
}

/// Adverts of those that are master and do not give that up.
fn groups<'a>(case: &'a Case<'_>) -> Groups<'a> {
    let mut groups = Groups::new();
    let adverts = case.router.adverts.iter().flatten();
    for advert in adverts.filter(|advert| advert.priority > 0) {
        let group = groups.entry((advert.interface.as_str(), advert.vrid));
        group.or_default().push(advert);
    }
    groups
}

fn splits(case: &Case<'_>, groups: &Groups<'_>, needed: bool) -> Vec<Finding> {
    let each = groups.iter().filter_map(|((interface, vrid), adverts)| {
        let masters = masters(adverts);
        let claims = |advert: &&Advert| advert.addresses.iter().any(|a| meaning(case, *a).is_some());
        let concerns = masters.values().any(claims);
        (masters.len() > 1 && concerns == needed).then(|| {
            let place = format!("{}, virtual router {vrid}", wire(case, interface));
            outside(Cause::KeepalivedSplit, place, sentences(case, adverts, &masters))
        })
    });
    each.collect()
}

type Sender = (Ipv4Addr, MacAddr);

fn sender(advert: &Advert) -> Sender {
    (advert.sender, advert.mac)
}

/// Who goes on saying that it is master after another's first advert, which does the same. Where one takes over from
/// another, which then falls silent, or starts as master and gives way at once, there are none.
fn masters<'a>(adverts: &[&'a Advert]) -> BTreeMap<Sender, &'a Advert> {
    let first = |who: Sender| adverts.iter().position(|a| sender(a) == who);
    let last = |who: Sender| adverts.iter().rposition(|a| sender(a) == who);
    let goes_on = |who: Sender, other: Sender| last(who) > first(other).max(first(who));
    let all: BTreeMap<Sender, &Advert> = adverts.iter().map(|a| (sender(a), *a)).collect();
    let rivals = |who: Sender| all.keys().filter(move |other| **other != who);
    let split = |who: Sender| rivals(who).any(|other| goes_on(who, *other) && goes_on(*other, who));
    let split = all.keys().copied().filter(|who| split(*who));
    split.filter_map(|who| Some((who, *all.get(&who)?))).collect()
}

fn sentences(case: &Case<'_>, adverts: &[&Advert], masters: &BTreeMap<Sender, &Advert>) -> Vec<String> {
    let mut seen: Vec<String> = masters
        .values()
        .map(|master| {
            let count = adverts.iter().filter(|a| sender(a) == sender(master)).count();
            format!("tcpdump: {}, {count} times", claim(case, master))
        })
        .collect();
    let differ = |of: fn(&Advert) -> String| {
        let mut all = masters.values().map(|master| of(master));
        let first = all.next();
        all.any(|other| Some(other) != first)
    };
    if differ(|advert| advert.version.to_string()) {
        seen.push("they speak different versions of VRRP, so neither heeds the other".to_owned());
    }
    if differ(|advert| format!("{:?}", advert.addresses)) {
        seen.push(
            "they name different addresses: two pairs on one wire may have the same virtual router id"
                .to_owned(),
        );
    }
    seen
}

/// `10.1.1.241 at 06:32:42:b8:c5:3b says that it is master of 10.1.1.1 (the guests' gateway) with priority 101 (VRRPv2)`.
fn claim(case: &Case<'_>, advert: &Advert) -> String {
    let addresses: Vec<String> = advert
        .addresses
        .iter()
        .map(|address| match meaning(case, *address) {
            Some(meaning) => format!("{address} ({meaning})"),
            None => address.to_string(),
        })
        .collect();
    let here = if advert.ours { ", this router itself," } else { "" };
    format!(
        "{} at {}{here} says that it is master of {} with priority {} (VRRPv{})",
        advert.sender,
        advert.mac,
        addresses.join(", "),
        advert.priority,
        advert.version
    )
}

/// What an address is to the router, if it needs it.
fn meaning(case: &Case<'_>, address: Ipv4Addr) -> Option<&'static str> {
    if case.is_gateway(address) {
        Some("the guests' gateway")
    } else if case.is_public(address) {
        Some("a public address of the router")
    } else if case.spec.public.gateway == address {
        Some("the upstream gateway")
    } else if case.spec.static_routes().iter().any(|route| route.via == address) {
        Some("a static route's next hop")
    } else {
        None
    }
}

fn wire(case: &Case<'_>, interface: &str) -> String {
    if interface == case.spec.public.interface {
        format!("public segment of {interface}")
    } else if case.spec.guest_networks.iter().any(|n| n.interface == interface) {
        format!("guest network on {interface}")
    } else {
        format!("wire of {interface}")
    }
}

/// A master, which is not this router, of an address that is this router's own.
fn usurper(case: &Case<'_>, adverts: &[&Advert]) -> Option<Finding> {
    let claims = |advert: &Advert, at: &dyn Fn(Ipv4Addr) -> bool| advert.addresses.iter().any(|a| at(*a));
    let foreign = adverts.iter().filter(|advert| !advert.ours);
    let mut usurped = foreign.filter_map(|advert| {
        let cause = if claims(advert, &|address| case.is_gateway(address)) {
            Cause::GatewayStolen
        } else if claims(advert, &|address| case.is_public(address)) {
            Cause::AddressConflict
        } else {
            return None;
        };
        let seen = format!("tcpdump: {}", claim(case, advert));
        Some(outside(cause, wire(case, &advert.interface), vec![seen]))
    });
    usurped.next()
}
