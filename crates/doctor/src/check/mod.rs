// SPDX-License-Identifier: Apache-2.0
//! From evidence to findings. One module per stretch of the way; each check looks at its own evidence only.

mod books;
mod capacity;
mod flow;
mod guest;
mod host;
mod masters;
mod router;
mod rules;
mod upstream;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use outgate_model::RouterSpec;
use outgate_plan::RouterPlan;

use crate::evidence::{Evidence, RouterSeen};
use crate::finding::{Cause, Diagnosis, Finding, Fix, Link, LinkState};

/// No more findings are named, so that an answer stays readable whatever is wrong.
const FINDINGS: usize = 20;
/// No more sentences are kept of one finding.
const SENTENCES: usize = 6;
/// How long a repair is worth a note, in milliseconds.
const LATELY: u64 = 60_000;

/// The evidence, with what the router should be.
struct Case<'a> {
    evidence: &'a Evidence,
    spec: &'a RouterSpec,
    plan: RouterPlan,
    router: &'a RouterSeen,
}

impl Case<'_> {
    fn name(&self) -> String {
        format!("router {}", self.spec.name)
    }

    /// Whether guests have this address as their gateway.
    fn is_gateway(&self, address: Ipv4Addr) -> bool {
        let mut networks = self.spec.guest_networks.iter();
        networks.any(|network| network.gateway.addr() == address)
    }

    /// Whether this is a public address of the router.
    fn is_public(&self, address: Ipv4Addr) -> bool {
        let mut addresses = self.spec.public.addresses.iter();
        addresses.any(|public| public.address.addr() == address)
    }

    /// The name of the guest with this address, as far as it is known; the address otherwise.
    fn guest_name(&self, address: Ipv4Addr) -> String {
        let mut leases = self.spec.guest_networks.iter().flat_map(|n| &n.leases);
        let mac = leases.find(|(_, lease)| lease.address == address);
        let mac = mac.map(|(mac, _)| *mac);
        let known = self
            .evidence
            .guests
            .iter()
            .find(|g| g.mac.is_some() && g.mac == mac);
        known.map_or_else(|| address.to_string(), |guest| guest.name.clone())
    }

    /// A finding in the router, which a fresh one would not have.
    fn in_router(&self, cause: Cause, place: &str, evidence: Vec<String>) -> Finding {
        let place = if place.is_empty() {
            self.name()
        } else {
            format!("{}, {place}", self.name())
        };
        Finding {
            cause,
            place,
            evidence,
            fix: Some(Fix::RestartNetwork),
        }
    }
}

/// A finding that nobody here can mend.
fn outside(cause: Cause, place: impl Into<String>, evidence: Vec<String>) -> Finding {
    Finding {
        cause,
        place: place.into(),
        evidence,
        fix: None,
    }
}

/// What is wrong, the first broken link first.
pub fn diagnose(evidence: &Evidence) -> Diagnosis {
    let mut findings = books::check(evidence);
    let mut beside = Vec::new();
    let nothing = RouterSeen::default();
    if let Some(spec) = &evidence.spec {
        let case = Case {
            evidence,
            spec,
            plan: outgate_plan::plan(spec),
            router: evidence.router.as_ref().unwrap_or(&nothing),
        };
        let checks: [fn(&Case<'_>) -> Vec<Finding>; 7] = [
            router::check,
            rules::check,
            masters::check,
            upstream::check,
            guest::check,
            capacity::check,
            flow::check,
        ];
        findings.extend(checks.iter().flat_map(|check| check(&case)));
        beside = masters::beside(&case);
    }
    findings.extend(host::check(evidence));
    findings.sort_by_key(|finding| finding.cause);
    let mut findings = without_symptoms(findings, evidence);
    findings.extend(beside);
    findings.truncate(FINDINGS);
    for finding in &mut findings {
        finding.evidence.truncate(SENTENCES);
    }
    Diagnosis {
        links: links(&findings, evidence),
        notes: notes(evidence),
        not_available: host::not_available(evidence),
        findings,
    }
}

/// Leaves out what an earlier finding explains.
fn without_symptoms(mut findings: Vec<Finding>, evidence: &Evidence) -> Vec<Finding> {
    let sender = evidence
        .flow
        .as_ref()
        .and_then(|flow| evidence.guests.get(flow.guest));
    let of_another_guest = |finding: &Finding| {
        finding.cause.link() == Link::Guest
            && sender.is_none_or(|guest| finding.place != guest_place(&guest.name))
    };
    let explaining: Vec<Cause> = findings
        .iter()
        .filter(|f| f.cause.explains() && !of_another_guest(f))
        .map(|f| f.cause)
        .collect();
    let explained = |symptom: Cause| {
        // A port of the bridge, or a table without room, cuts a guest off too.
        let anywhere = [Cause::PortBlocked, Cause::ConntrackFull];
        let is_before = |cause: &Cause| *cause < symptom || anywhere.contains(cause);
        explaining.iter().any(is_before)
    };
    findings.retain(|finding| !finding.cause.is_symptom() || !explained(finding.cause));
    findings
}

fn guest_place(name: &str) -> String {
    format!("guest {name}")
}

fn links(findings: &[Finding], evidence: &Evidence) -> Vec<(Link, LinkState)> {
    let broken: BTreeSet<Link> = findings.iter().map(|finding| finding.cause.link()).collect();
    let router = evidence.router.as_ref();
    let flow = evidence.flow.as_ref();
    let tested = |link| match link {
        Link::Router => true,
        Link::Configuration => router.is_some_and(|r| r.links.is_some() && r.routes.is_some()),
        Link::Rules => router.is_some_and(|r| r.listing.is_some()),
        Link::Guest => evidence.guests.iter().any(|g| g.links.is_some()),
        Link::Upstream => router.is_some_and(|r| r.gateway.is_some()),
        Link::Masters => router.is_some_and(|r| r.adverts.is_some()),
        Link::Capacity => router.is_some_and(|r| r.counted && !r.before.is_empty()),
        Link::Policy => evidence.spec.is_some() && flow.is_some(),
        Link::Path => flow.is_some_and(|f| f.small.is_some()),
        Link::Mtu => flow.is_some_and(|f| f.large.is_some()),
        Link::Dns => flow.is_some_and(|f| f.dns.is_some()),
        Link::Control | Link::Host => evidence.host.is_some(),
    };
    let state = |link| {
        if broken.contains(&link) {
            LinkState::Broken
        } else if tested(link) {
            LinkState::Ok
        } else {
            LinkState::NotTested
        }
    };
    Link::ALL.map(|link| (link, state(link))).to_vec()
}

/// Repairs of late: a fault that healed before anybody could look is told all the same.
fn notes(evidence: &Evidence) -> Vec<String> {
    let late = evidence.books.repairs.iter().filter(|r| r.ago_millis <= LATELY);
    let mut notes: Vec<String> = late
        .take(SENTENCES)
        .map(|repair| format!("repaired {} s ago: {}", repair.ago_millis / 1_000, repair.text))
        .collect();
    if evidence.guests.iter().all(|guest| !guest.running) {
        notes.push("no guest runs on the network: nothing was sent from one".to_owned());
    }
    notes
}
