// SPDX-License-Identifier: Apache-2.0
//! Step 1: the router exists, is meant to run, runs, has an address, and took over what the database says.

use std::collections::BTreeMap;

use super::outside;
use crate::evidence::{Books, Evidence};
use crate::finding::{Cause, Finding, Fix};

/// So many repairs of the same thing within [`WINDOW`] are somebody's doing.
const AGAIN: usize = 4;
/// In milliseconds.
const WINDOW: u64 = 30_000;
/// The last of them is no longer ago than this, in milliseconds; else whoever did it has given up.
const LAST: u64 = 4_000;

pub(super) fn check(evidence: &Evidence) -> Vec<Finding> {
    let books = &evidence.books;
    let Some(name) = &books.router else {
        let seen = vec!["listRouters finds none for it".to_owned()];
        return vec![with(Cause::NoRouter, "network", seen, Fix::RestartNetwork)];
    };
    let place = format!("router {name}");
    let mut findings = Vec::new();
    findings.extend(running(evidence, &place));
    if books.source_nat.is_none() {
        let seen = vec!["listPublicIpAddresses issourcenat=true finds none for the network".to_owned()];
        findings.push(with(Cause::NoSourceNat, &place, seen, Fix::RestartNetwork));
    }
    findings.extend(repairs_undone(evidence, &place));
    let runs = books.state == "Running";
    if runs && books.applied < books.generation {
        findings.push(with(
            Cause::DatabaseDiffers,
            &place,
            behind(books),
            Fix::RestartNetwork,
        ));
    } else if let Some(error) = books.error.as_ref().filter(|_| runs) {
        let seen = vec![format!("the router says: {error}")];
        findings.push(with(Cause::DatabaseDiffers, &place, seen, Fix::RestartNetwork));
    }
    findings
}

fn with(cause: Cause, place: &str, evidence: Vec<String>, fix: Fix) -> Finding {
    Finding {
        fix: Some(fix),
        ..outside(cause, place, evidence)
    }
}

fn running(evidence: &Evidence, place: &str) -> Option<Finding> {
    let books = &evidence.books;
    let state = format!("listRouters: state {}", books.state);
    if !books.wanted {
        return Some(with(Cause::RouterStopped, place, vec![state], Fix::StartRouter));
    }
    let runs = evidence.host.as_ref().map(|host| host.running);
    let failed = books.error.iter().map(|error| format!("its error: {error}"));
    if books.state == "Error" || (books.state != "Running" && books.error.is_some()) {
        let seen = [state].into_iter().chain(failed).collect();
        return Some(with(Cause::BootFailed, place, seen, Fix::RestartNetwork));
    }
    if runs == Some(false) || books.state != "Running" {
        let host = match runs {
            Some(false) => "its host does not run it",
            Some(true) => "its host runs it, but it has not been configured",
            None => "its host says nothing",
        };
        return Some(with(
            Cause::RouterDown,
            place,
            vec![state, host.to_owned()],
            Fix::RestartNetwork,
        ));
    }
    None
}

fn behind(books: &Books) -> Vec<String> {
    let generations = format!(
        "the database is at generation {}, the router has applied {}",
        books.generation, books.applied
    );
    let error = books
        .error
        .iter()
        .map(|error| format!("the router says: {error}"));
    [generations].into_iter().chain(error).collect()
}

/// The same sentence again and again.
fn repairs_undone(evidence: &Evidence, place: &str) -> Option<Finding> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for repair in evidence.books.repairs.iter().filter(|r| r.ago_millis <= WINDOW) {
        *counts.entry(&repair.text).or_default() += 1;
    }
    let (text, times) = counts.into_iter().max_by_key(|(_, times)| *times)?;
    let latest = evidence.books.repairs.iter().find(|repair| repair.text == text);
    if times < AGAIN || latest.is_none_or(|repair| repair.ago_millis > LAST) {
        return None;
    }
    let mut seen = vec![format!("within {} s, {times} times: {text}", WINDOW / 1_000)];
    let strangers = evidence.router.iter().flat_map(|router| &router.strangers);
    seen.extend(strangers.map(|line| format!("a program in the router that is not its own: {line}")));
    Some(outside(Cause::RepairsUndone, place, seen))
}
