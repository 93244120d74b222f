// SPDX-License-Identifier: Apache-2.0
//! Step 6: room for sessions, and ports.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use outgate_model::refusal::Refusal;

use super::{Case, guest_place, outside};
use crate::evidence::PortsUsed;
use crate::finding::{Cause, Finding};
use crate::probe::{CONNTRACK, COUNT, LIMIT};
use crate::read::files::conntrack_stat;

/// A table or a range of ports that is used beyond this part, in percent, is about to run out.
const NEAR: u64 = 90;

pub(super) fn check(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rose = |column| rose(case, column).unwrap_or(0);
    findings.extend(table(case, rose("drop").saturating_add(rose("early_drop"))));
    findings.extend(case.router.ports.iter().filter_map(|used| ports(case, used)));
    findings.extend(case.router.refused.iter().map(|refused| limit(case, refused)));
    let failed = rose("insert_failed");
    if failed > 0 {
        let seen = format!("/proc/net/stat/nf_conntrack: insert_failed rose by {failed} while looking");
        findings.push(Finding {
            fix: None,
            ..case.in_router(Cause::InsertFailed, "", vec![seen])
        });
    }
    findings
}

fn limit(case: &Case<'_>, (reason, address, packets): &(Refusal, Ipv4Addr, u64)) -> Finding {
    let limit = reason.limit(&case.spec.limits).unwrap_or_default();
    let seen = vec![
        reason.words(*address, limit),
        format!(
            "{packets} packets were refused while looking ({})",
            reason.setting()
        ),
    ];
    if reason.is_of_guests() {
        let place = guest_place(&case.guest_name(*address));
        return outside(Cause::GuestLimited, place, seen);
    }
    Finding {
        fix: None,
        ..case.in_router(Cause::PublicLimited, &address.to_string(), seen)
    }
}

/// By how much a counter of connection tracking rose.
fn rose(case: &Case<'_>, column: &str) -> Option<u64> {
    let at = |files: &BTreeMap<String, String>| conntrack_stat(files.get(CONNTRACK)?, column);
    Some(at(&case.router.after)?.saturating_sub(at(&case.router.before)?))
}

fn table(case: &Case<'_>, dropped: u64) -> Option<Finding> {
    let read = |path| {
        let now = case
            .router
            .after
            .get(path)
            .or_else(|| case.router.before.get(path));
        now?.trim().parse::<u64>().ok()
    };
    let (count, limit) = (read(COUNT)?, read(LIMIT)?);
    let mut seen = vec![format!("conntrack -C: {count} of at most {limit} sessions")];
    if dropped > 0 {
        seen.push(format!(
            "conntrack -S: {dropped} sessions were dropped for want of room while looking"
        ));
    }
    // The kernel makes room by dropping sessions that were never answered, so a full table may be some below its limit.
    let near = count.saturating_mul(100) >= limit.saturating_mul(NEAR);
    let full = count.saturating_add(count / 1_000) >= limit || (dropped > 0 && near);
    let cause = match near {
        _ if full => Cause::ConntrackFull,
        true => Cause::ConntrackNear,
        false => return None,
    };
    Some(Finding {
        fix: None,
        ..case.in_router(cause, "", seen)
    })
}

fn ports(case: &Case<'_>, used: &PortsUsed) -> Option<Finding> {
    let PortsUsed {
        address,
        protocol,
        destination,
        used: count,
        of,
        heaviest,
    } = used;
    let cause = match (*count, *of) {
        (count, of) if count >= of => Cause::PortsExhausted,
        (count, of) if count.saturating_mul(100) >= of.saturating_mul(NEAR) => Cause::PortsNear,
        _ => return None,
    };
    let mut seen = vec![format!(
        "{count} of {of} {protocol} ports of {address} are in use towards {destination}"
    )];
    seen.extend(heaviest.map(|(guest, count)| format!("guest {guest} uses {count} of them")));
    Some(Finding {
        fix: None,
        ..case.in_router(cause, address, seen)
    })
}
