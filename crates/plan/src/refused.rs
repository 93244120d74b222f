// SPDX-License-Identifier: Apache-2.0
//! What the limits of a router refuse, as its table counts it: a set for each limit, one counter an address.
//!
//! Counters live as long as the table does: they begin at zero when it is made anew.

use std::net::Ipv4Addr;

use outgate_model::refusal::{Refusal, Refused};
use outgate_model::stats::RANKED;

/// The name of the chain that refuses, and of the set that counts.
pub fn name(refusal: Refusal) -> String {
    format!("refused_{}", refusal.name())
}

/// The set that counts by address outside what the limit on these refuses. Anybody may invent addresses, so it is small and
/// forgets: in a flood of invented ones it names some of them.
pub const SOURCES: &str = "refused_sources";
/// So many addresses outside are told apart, for so many seconds after their last refusal.
pub(crate) const SOURCES_MAX: u32 = 1_024;
pub(crate) const SOURCES_SECS: u32 = 60;

/// Whose address is counted: the guest's, or the public one. Addresses outside are anybody's to invent.
pub(crate) fn key(refusal: Refusal) -> &'static str {
    if refusal.is_of_guests() {
        "ip saddr"
    } else {
        "ip daddr"
    }
}

/// Reads what `nft -j list set ip outgate <name>` printed. `None` when it is not that.
pub fn counted(reason: Refusal, json: &str) -> Option<Refused> {
    let mut addresses = elements(json)?;
    let packets = addresses.iter().map(|(_, packets)| packets).sum();
    addresses.truncate(RANKED);
    Some(Refused {
        reason,
        packets,
        addresses,
    })
}

/// The addresses outside that were refused most, by what nft printed of [`SOURCES`].
pub fn sources(json: &str) -> Option<Vec<(Ipv4Addr, u64)>> {
    let mut addresses = elements(json)?;
    addresses.truncate(RANKED);
    Some(addresses)
}

/// Addresses and packets of a set, the most packets first.
fn elements(json: &str) -> Option<Vec<(Ipv4Addr, u64)>> {
    let document: serde_json::Value = serde_json::from_str(json).ok()?;
    let mut objects = document.get("nftables")?.as_array()?.iter();
    let set = objects.find_map(|object| object.get("set"))?;
    let elements = set.get("elem").and_then(|e| e.as_array());
    let mut addresses: Vec<(Ipv4Addr, u64)> = elements.into_iter().flatten().filter_map(element).collect();
    addresses.sort_by_key(|(address, packets)| (std::cmp::Reverse(*packets), *address));
    Some(addresses)
}

fn element(element: &serde_json::Value) -> Option<(Ipv4Addr, u64)> {
    let element = element.get("elem")?;
    let packets = element.get("counter")?.get("packets")?.as_u64()?;
    Some((element.get("val")?.as_str()?.parse().ok()?, packets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_by_address_the_most_refused_first() {
        // What nft 1.0.6 prints.
        let json = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"set": {"family": "ip", "name": "refused_guest_rate",
            "table": "outgate", "type": "ipv4_addr", "handle": 7, "size": 65535, "elem": [
            {"elem": {"val": "10.1.1.5", "counter": {"packets": 20, "bytes": 580}}},
            {"elem": {"val": "10.1.1.6", "counter": {"packets": 22, "bytes": 580}}}]}}]}"#;
        let refused = counted(Refusal::GuestRate, json).unwrap();
        assert_eq!(refused.packets, 42);
        let most = (Ipv4Addr::new(10, 1, 1, 6), 22);
        assert_eq!(refused.addresses, [most, (Ipv4Addr::new(10, 1, 1, 5), 20)]);
        assert_eq!(sources(json), Some(refused.addresses));
        assert_eq!((counted(Refusal::GuestRate, "{}"), sources("{}")), (None, None));
    }
}
