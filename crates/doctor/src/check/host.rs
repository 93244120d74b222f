// SPDX-License-Identifier: Apache-2.0
//! The host beneath: who looks after the router, the links, the hardware.

use std::collections::BTreeMap;

use outgate_model::host::{HostSeen, PortSeen};

use super::outside;
use crate::evidence::Evidence;
use crate::finding::{Cause, Finding, Fix};

/// Counters that only bad hardware or a bad line raises.
const DAMAGE: [&str; 6] = [
    "rx_crc_errors",
    "rx_frame_errors",
    "rx_length_errors",
    "rx_errors",
    "tx_errors",
    "tx_carrier_errors",
];
/// Counters of frames that found no room.
const DROPS: [&str; 4] = ["rx_fifo_errors", "rx_missed_errors", "tx_dropped", "queue_drops"];
/// So many drops while looking are more than chance.
const DROPS_MIN: u64 = 3;
/// A link that loses one frame of so many is what is wrong.
const GOOD_PART: u64 = 50;

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let Some(host) = &evidence.host else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if host.running {
        findings.extend(control(evidence, host));
    }
    for port in &host.ports {
        findings.extend(port_findings(port));
    }
    let ill = host.health.iter().filter(|health| health.trouble);
    let ill: Vec<String> = ill
        .map(|h| format!("{}: {}", h.what, h.seen.as_deref().unwrap_or("unknown")))
        .collect();
    if !ill.is_empty() {
        findings.push(outside(Cause::HostTrouble, "host", ill));
    }
    findings
}

/// What this machine has nothing to measure with.
pub(super) fn not_available(evidence: &Evidence) -> Vec<String> {
    let health = evidence.host.iter().flat_map(|host| &host.health);
    health
        .filter(|h| h.seen.is_none())
        .map(|h| h.what.clone())
        .collect()
}

fn control(evidence: &Evidence, host: &HostSeen) -> Vec<Finding> {
    let place = format!("router {}", evidence.books.router.as_deref().unwrap_or("?"));
    let restart = |cause, evidence| Finding {
        fix: Some(Fix::RestartNetwork),
        ..outside(cause, place.clone(), evidence)
    };
    let mut findings = Vec::new();
    if let Err(reason) = &host.engine {
        let seen = vec![format!("its control socket: {reason}")];
        findings.push(restart(Cause::EngineDown, seen));
    }
    if !host.login.pass {
        let seen = vec![format!("{}: {}", host.login.command, host.login.seen)];
        findings.push(restart(Cause::SshUnreachable, seen));
    }
    findings
}

fn port_findings(port: &PortSeen) -> Vec<Finding> {
    let place = format!("host, {} ({})", port.name, port.what);
    let mut findings = Vec::new();
    let is_uplink = port.what.starts_with("uplink");
    if is_uplink && !port.up {
        let seen = format!("ip link show {}: it is down or has no carrier", port.name);
        findings.push(outside(Cause::UplinkDown, place.clone(), vec![seen]));
    }
    if port.up && port.forwards == Some(false) {
        let seen = format!("bridge link show dev {}: it does not forward", port.name);
        findings.push(outside(Cause::PortBlocked, place.clone(), vec![seen]));
    }
    let rose = |names: &[&str], least: u64| -> Vec<String> {
        names
            .iter()
            .filter_map(|name| sentence(&port.rose, name, least))
            .collect()
    };
    let mut seen = rose(&DAMAGE, 1);
    seen.extend(rose(&DROPS, DROPS_MIN));
    if !seen.is_empty() {
        let of = |names: &[&str]| -> u64 { names.iter().filter_map(|name| port.rose.get(*name)).sum() };
        let (lost, passed) = (of(&DAMAGE) + of(&DROPS), of(&["rx_packets", "tx_packets"]));
        let heavy = lost.saturating_mul(GOOD_PART) >= passed;
        let cause = if heavy {
            Cause::LinkFailing
        } else {
            Cause::LinkErrors
        };
        seen.push(format!("{passed} frames passed meanwhile"));
        findings.push(outside(cause, place, seen));
    }
    findings
}

fn sentence(rose: &BTreeMap<String, u64>, name: &str, least: u64) -> Option<String> {
    let count = rose.get(name).filter(|count| **count >= least)?;
    let meaning = match name {
        "rx_crc_errors" | "rx_frame_errors" => " (damaged on the line: cable, optics, attenuation)",
        "queue_drops" => " (a traffic control limit or filter drops them)",
        _ => "",
    };
    Some(format!("{name} rose by {count} while looking{meaning}"))
}
