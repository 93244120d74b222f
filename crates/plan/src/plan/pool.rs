// SPDX-License-Identifier: Apache-2.0
//! The source NAT pool (docs/adr/0004). Chain `pool` chooses the address of a new session: the one that its guest was
//! moved to, else the default, else the next; an address that is short of ports for the destination is passed over. A
//! pool of one address has none of this.
//!
//! Nothing in netfilter tells a rule that no port was left: the packet is dropped when its session is confirmed. So each
//! address has a memory of the sessions it was tried for. Who asks a second time was dropped, the destination is noted
//! down as short, and this and every further session to it go on to the next address.

use std::net::Ipv4Addr;

use outgate_model::RouterSpec;

use super::build::Holds;
use crate::Ruleset;
use crate::pool::{MOVED, SHORT, TRIED, moved, short};

const CHAIN: &str = "pool";
/// TCP, UDP, SCTP: what has ports to run short of.
const PORTED: &str = "meta l4proto @pool_ported";

/// What a rule does with a packet that source NAT is for; `None` without a source NAT address.
pub(super) fn translation(spec: &RouterSpec) -> Option<String> {
    let mut pool = spec.source_nat_pool();
    match (pool.next(), pool.next()) {
        (None, _) => None,
        (Some(only), None) => Some(format!("snat to {only}")),
        (Some(_), Some(_)) => Some(format!("jump {CHAIN}")),
    }
}

/// Chains and sets of a pool of several addresses.
pub(super) fn add(spec: &RouterSpec, ruleset: &mut Ruleset) {
    let pool: Vec<Ipv4Addr> = spec.source_nat_pool().collect();
    let [default, additional @ ..] = pool.as_slice() else {
        return;
    };
    if additional.is_empty() {
        return;
    }
    let ported = ["6", "17", "132"].map(str::to_owned);
    ruleset.set("pool_ported", "inet_proto", Holds::Values, ported.into_iter());
    // Who was moved twice stays where it was moved to last.
    let stay = additional.iter().rev();
    let stay = stay.map(|to| format!("ip saddr @{} jump {}", moved(*to), chain_name(*to)));
    let next = pool.iter().map(|to| format!("jump {}", chain_name(*to)));
    // Short everywhere: the kernel may find a port nevertheless.
    let last = format!("snat to {default}");
    ruleset.chain(CHAIN, stay.chain(next).chain([last]).collect());
    for address in &pool {
        ruleset.memory(short(*address), "ipv4_addr . inet_proto . inet_service", SHORT);
        let tuple = "ipv4_addr . inet_service . ipv4_addr . inet_proto . inet_service";
        ruleset.memory(tried(*address), tuple, TRIED);
        let is_default = address == default;
        if !is_default {
            ruleset.memory(moved(*address), "ipv4_addr", MOVED);
        }
        ruleset.chain(chain_name(*address), choose(*address, is_default));
    }
}

/// The session gets this address, unless there is no port of it for the destination.
fn choose(address: Ipv4Addr, is_default: bool) -> Vec<String> {
    let (destination, tuple) = (
        "ip daddr . meta l4proto . th dport",
        "ip saddr . th sport . ip daddr . meta l4proto . th dport",
    );
    let (short, tried) = (short(address), tried(address));
    let mut rules = vec![
        format!("{PORTED} {destination} @{short} return"),
        format!("{PORTED} {tuple} @{tried} add @{short} {{ {destination} }} return"),
        format!("{PORTED} add @{tried} {{ {tuple} }}"),
    ];
    if !is_default {
        rules.push(format!("update @{} {{ ip saddr }}", moved(address)));
    }
    rules.push(format!("snat to {address}"));
    rules
}

fn chain_name(address: Ipv4Addr) -> String {
    format!("pool_{address}")
}

fn tried(address: Ipv4Addr) -> String {
    format!("pool_tried_{address}")
}
