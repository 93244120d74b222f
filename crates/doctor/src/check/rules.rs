// SPDX-License-Identifier: Apache-2.0
//! Step 4: the rules are there, nobody has changed them, and nobody else's stand in their way.

use outgate_plan::{RouterPlan, diff, foreign_tables, parse_ruleset};

use super::Case;
use crate::finding::{Cause, Finding};

pub(super) fn check(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(listing) = &case.router.listing {
        findings.extend(foreign(case, listing));
        findings.extend(own(case, listing));
    }
    findings.extend(shown(case));
    findings
}

fn foreign(case: &Case<'_>, listing: &str) -> Option<Finding> {
    let tables = foreign_tables(listing);
    let seen: Vec<String> = tables
        .iter()
        .map(|table| {
            format!(
                "nft list ruleset: table {table} is not the router's own{}",
                first_rule(listing, table)
            )
        })
        .collect();
    (!seen.is_empty()).then(|| case.in_router(Cause::RulesForeign, "nftables", seen))
}

/// The first thing that a foreign table does, so that its owner recognises it.
fn first_rule(listing: &str, table: &str) -> String {
    let head = format!("table {table} {{");
    let mut lines = listing.lines().skip_while(|line| *line != head).skip(1);
    let rule = lines
        .by_ref()
        .take_while(|line| *line != "}")
        .map(str::trim)
        .find(|line| {
            !line.is_empty() && !line.starts_with("chain ") && !line.starts_with("type ") && *line != "}"
        });
    rule.map_or_else(String::new, |rule| format!(": {rule}"))
}

fn own(case: &Case<'_>, listing: &str) -> Option<Finding> {
    let ruleset = match parse_ruleset(listing) {
        // A listing that was cut off proves nothing.
        Err(_) => return None,
        Ok(None) => {
            let seen = "nft list ruleset: table ip outgate is missing".to_owned();
            return Some(case.in_router(Cause::RulesMissing, "nftables", vec![seen]));
        }
        Ok(Some(ruleset)) => ruleset,
    };
    let wanted = RouterPlan {
        ruleset: case.plan.ruleset.clone(),
        ..RouterPlan::default()
    };
    let observed = RouterPlan {
        ruleset,
        ..RouterPlan::default()
    };
    let differences = diff(&observed, &wanted).differences;
    if differences.is_empty() {
        return None;
    }
    // The database may be ahead; then that is what is wrong, and not the rules.
    let books = &case.evidence.books;
    if books.applied < books.generation {
        return None;
    }
    let added = differences.iter().any(|d| d.contains("rule should not be in"));
    let taken = differences.iter().any(|d| d.contains("missing"));
    let cause = match (added, taken, case.plan.ruleset.chains.len()) {
        (true, false, _) => Cause::RulesForeign,
        _ if observed
            .ruleset
            .chains
            .values()
            .all(|chain| chain.rules.is_empty()) =>
        {
            Cause::RulesMissing
        }
        _ => Cause::RulesDiffer,
    };
    Some(case.in_router(cause, "nftables", differences))
}

/// What `iptables -t nat -S POSTROUTING` prints.
fn shown(case: &Case<'_>) -> Option<Finding> {
    let rules = case.router.postrouting.as_ref()?;
    if case.evidence.books.applied < case.evidence.books.generation {
        return None;
    }
    let wanted = &case.plan.iptables_postrouting;
    let missing = wanted.iter().filter(|rule| !rules.contains(rule));
    let foreign = rules.iter().filter(|rule| !wanted.contains(rule));
    let missing = missing.map(|rule| (Cause::NatRuleMissing, format!("it lacks {rule}")));
    let foreign = foreign.map(|rule| {
        (
            Cause::RulesForeign,
            format!("it has {rule}, which is not the router's own"),
        )
    });
    let all: Vec<(Cause, String)> = foreign.chain(missing).collect();
    let cause = all.first()?.0;
    let seen = all
        .into_iter()
        .map(|(_, text)| format!("iptables -t nat -S POSTROUTING: {text}"));
    Some(case.in_router(cause, "iptables", seen.collect()))
}
