// SPDX-License-Identifier: Apache-2.0
//! Limits on new sessions, so that no guest and no address outside starves the others. Only packets that would open a
//! session come here. What a sender has used is kept in sets that packets fill themselves, bounded in size; what is
//! refused is counted by reason and address, see [`refused`].

use outgate_model::RouterSpec;
use outgate_model::refusal::Refusal;

use super::build::PING;
use super::nat::INBOUND;
use crate::Ruleset;
use crate::refused;
use crate::ruleset::Memory;

/// `ct state new`.
const NEW: &str = "ct state 0x8";
/// Senders that are told apart: a network's guests at most.
const SENDERS: u32 = 65_535;
/// After so many seconds of silence a sender is forgotten.
const FORGET_SECS: u32 = 60;

/// The chain that a guest's new sessions pass.
const GUESTS: &str = "guest_limits";
/// The chain that new sessions to a public address pass, once they may come in.
const ENTRY: &str = "let_in";

pub(super) fn add(spec: &RouterSpec, ruleset: &mut Ruleset) {
    add_guests(spec, ruleset);
    let Some(rate) = spec.limits.source_rate else {
        return add_refusals(spec, ruleset);
    };
    senders("source_rate", ruleset);
    let limit = sender_over("source_rate", rate);
    let public = &spec.public.interface;
    let rules = vec![
        format!(
            "iif \"{public}\" {limit} goto {}",
            refused::name(Refusal::SourceRate)
        ),
        format!("goto {INBOUND}"),
    ];
    ruleset.chain(ENTRY, rules);
    add_refusals(spec, ruleset);
}

/// The rules of chain `gate` that lead guests' new sessions to their limits.
pub(super) fn of_guests(spec: &RouterSpec) -> Vec<String> {
    if spec.limits.guest_sessions.is_none() && spec.limits.guest_rate.is_none() {
        return Vec::new();
    }
    if spec.vpc.is_some() {
        return vec![format!("iif @tiers {NEW} jump {GUESTS}")];
    }
    let interfaces = spec.guest_networks.iter().map(|n| &n.interface);
    interfaces
        .map(|interface| format!("iif \"{interface}\" {NEW} jump {GUESTS}"))
        .collect()
}

/// What chain `gate` does with a new session that may come in.
pub(super) fn entry(spec: &RouterSpec) -> String {
    match spec.limits.source_rate {
        None => format!("goto {INBOUND}"),
        Some(_) => format!("goto {ENTRY}"),
    }
}

/// The first rule of chain `input`: echo requests of a known session count as well, because each makes the router work.
pub(super) fn pings(spec: &RouterSpec) -> Option<String> {
    let rate = spec.limits.ping_rate?;
    let public = &spec.public.interface;
    let (limit, refusal) = (over(rate), refused::name(Refusal::PingRate));
    Some(format!("iif \"{public}\" {PING} {limit} goto {refusal}"))
}

fn add_guests(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let limits = &spec.limits;
    if limits.guest_sessions.is_none() && limits.guest_rate.is_none() {
        return;
    }
    // A guest that has no address yet asks for one: all of them with this source.
    let mut rules = vec!["ip saddr 0.0.0.0 return".to_owned()];
    if let Some(rate) = limits.guest_rate {
        senders("guest_rate", ruleset);
        let limit = sender_over("guest_rate", rate);
        rules.push(format!("{limit} goto {}", refused::name(Refusal::GuestRate)));
    }
    if let Some(most) = limits.guest_sessions {
        // The kernel remembers each session that it counts, refused ones too, and forgets but a few a packet. So a guest
        // at its limit is counted anew once a second only, however hard it tries.
        ruleset.memory(
            "guests_at_limit".to_owned(),
            "ipv4_addr",
            Memory::of(SENDERS, Some(1)),
        );
        ruleset.memory(
            "guest_sessions".to_owned(),
            "ipv4_addr",
            Memory::of(SENDERS, None),
        );
        let refusal = refused::name(Refusal::GuestSessions);
        rules.push(format!("ip saddr @guests_at_limit goto {refusal}"));
        rules.push(format!(
            "add @guest_sessions {{ ip saddr ct count over {most} }} \
             add @guests_at_limit {{ ip saddr timeout 1s }} goto {refusal}"
        ));
    }
    ruleset.chain(GUESTS, rules);
}

/// For each limit a chain that counts and drops.
fn add_refusals(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let limited = Refusal::ALL
        .into_iter()
        .filter(|r| r.limit(&spec.limits).is_some());
    for refusal in limited {
        let name = refused::name(refusal);
        ruleset.memory(name.to_owned(), "ipv4_addr", Memory::of(SENDERS, None));
        let key = refused::key(refusal);
        let mut rules = vec![format!("update @{name} {{ {key} counter }}")];
        if refusal == Refusal::SourceRate {
            let memory = Memory::of(refused::SOURCES_MAX, Some(refused::SOURCES_SECS));
            ruleset.memory(refused::SOURCES.to_owned(), "ipv4_addr", memory);
            rules.push(format!("update @{} {{ ip saddr counter }}", refused::SOURCES));
        }
        // A set that is full ends its rule, and no other.
        rules.push("drop".to_owned());
        ruleset.chain(name, rules);
    }
}

/// A set of senders with a bucket each.
fn senders(name: &str, ruleset: &mut Ruleset) {
    ruleset.memory(
        name.to_owned(),
        "ipv4_addr",
        Memory::of(SENDERS, Some(FORGET_SECS)),
    );
}

/// Matches a packet whose sender is over its rate.
fn sender_over(set: &str, rate: u32) -> String {
    format!("update @{set} {{ ip saddr {} }}", over(rate))
}

/// Matches packets over a rate. A second's worth may come at once.
fn over(rate: u32) -> String {
    // nft does not print a burst of 5: it is what it takes for none.
    let burst = if rate == 5 {
        String::new()
    } else {
        format!(" burst {rate} packets")
    };
    format!("limit rate over {rate}/second{burst}")
}
