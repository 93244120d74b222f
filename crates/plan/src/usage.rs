// SPDX-License-Identifier: Apache-2.0
//! The table that counts what crosses the public side: `ip outgate_usage`, beside the table that rules.
//!
//! Its shape is the same for the whole life of a router, so no change of rules ever replaces it and no counter is lost.
//! Its sets fill themselves: an address has a counter from its first packet on, and keeps it when it is released.
//! A key is an address and an interface together, because a counter costs every packet a look into a set.
//! Counters live as long as the table; the number in set `epoch` tells one life from the next.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::ParseError;
use crate::parse;
use crate::ruleset::{Chain, Hook, Memory, Set, push_chains};

/// The table's name, family `ip`.
pub const TABLE: &str = "outgate_usage";
/// Elements of a set: more than a router may ever have had addresses and interfaces to reach them from.
const SIZE: u32 = 262_144;
/// Sets that fill themselves, with the type of their keys: the public address, and the interface on the other side. That
/// has no name where the router itself is the other side.
const SETS: [(&str, &str); 2] = [
    ("carried_in", "ipv4_addr . ifname"),
    ("carried_out", "ipv4_addr . ifname"),
];

/// The chains, for a router whose public side is this interface.
///
/// Each packet is counted once, where it has both names of a key: at the end of its way, behind all that might drop it.
/// One that leaves has its public address then. One that came in has lost it, and conntrack knows what it was. A packet
/// for the router itself ends in `delivered`, all others in `passing`; no packet pays for a hook of its own on its way.
fn chains(public: &str) -> BTreeMap<String, Chain> {
    let chain = |hook: &str, rules: Vec<String>| Chain {
        hook: Some(Hook {
            kind: "filter".to_owned(),
            hook: hook.to_owned(),
            priority: 300,
            policy: "accept".to_owned(),
        }),
        rules,
    };
    let came = [(0, "original"), (1, "reply")].map(|(number, direction)| {
        let what = format!("iifname \"{public}\" ct direction {number}");
        format!("{what} update @carried_in {{ ct {direction} ip daddr . oifname counter }}")
    });
    let leaves = format!("oifname \"{public}\" update @carried_out {{ ip saddr . iifname counter }} accept");
    let passing = [leaves].into_iter().chain(came.clone()).collect();
    BTreeMap::from([
        ("delivered".to_owned(), chain("input", came.to_vec())),
        ("passing".to_owned(), chain("postrouting", passing)),
    ])
}

/// A script that makes the table anew, all counters at zero.
pub fn script(public: &str, epoch: u32) -> String {
    use std::fmt::Write;
    let mut text = format!("table ip {TABLE} {{ }}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n");
    let _ = write!(
        text,
        "\tset epoch {{\n\t\ttype mark\n\t\telements = {{ {epoch:#010x} }}\n\t}}\n"
    );
    for (name, key) in SETS {
        let _ = write!(
            text,
            "\tset {name} {{\n\t\ttype {key}\n\t\tsize {SIZE}\n\t\tflags dynamic\n\t}}\n"
        );
    }
    push_chains(&chains(public), &mut text);
    text.push_str("}\n");
    text
}

/// Whether `nft -n -s list table ip outgate_usage` printed the table as [`script`] makes it.
///
/// # Errors
/// When the listing is not one, or not whole.
pub fn is_whole(listing: &str, public: &str) -> Result<bool, ParseError> {
    let Some(seen) = parse::parse_table(listing, TABLE)? else {
        return Ok(false);
    };
    let memory = Some(Memory::of(SIZE, None));
    let sets = SETS.iter().all(|(name, key)| {
        let set = seen.sets.get(*name);
        let same = |set: &Set| set.key_type == *key && set.data_type.is_none() && set.memory == memory;
        set.is_some_and(same)
    });
    let epoch = seen.sets.get("epoch").is_some_and(|set| set.elements.len() == 1);
    Ok(sets && epoch && seen.sets.len() == SETS.len() + 1 && seen.chains == chains(public))
}

/// What was counted for one address or interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, IP headers among them.
    pub bytes: u64,
}

impl Count {
    /// Adds another count to this one.
    pub fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// What the table has counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Which life of the counters this is.
    pub epoch: u32,
    /// By public address: what came in and what went out.
    pub addresses: BTreeMap<Ipv4Addr, [Count; 2]>,
    /// By interface of a guest network: what was forwarded to it and from it across the public side.
    pub networks: BTreeMap<String, [Count; 2]>,
}

/// Reads what `nft -j list table ip outgate_usage` printed. `None` when it is not that.
pub fn counted(json: &str) -> Option<Counted> {
    let document: serde_json::Value = serde_json::from_str(json).ok()?;
    let mut counted = Counted::default();
    let mut epoch = None;
    for set in document
        .get("nftables")?
        .as_array()?
        .iter()
        .filter_map(|o| o.get("set"))
    {
        let name = set.get("name")?.as_str()?;
        let elements = set.get("elem").and_then(|e| e.as_array()).into_iter().flatten();
        let way = match name {
            "carried_in" => 0,
            "carried_out" => 1,
            "epoch" => {
                epoch = elements.filter_map(serde_json::Value::as_u64).next();
                continue;
            }
            _ => continue,
        };
        for (address, interface, count) in elements.filter_map(element) {
            counted.addresses.entry(address).or_default()[way].add(count);
            if !interface.is_empty() {
                let network = counted.networks.entry(interface.to_owned()).or_default();
                network[way].add(count);
            }
        }
    }
    counted.epoch = u32::try_from(epoch?).ok()?;
    Some(counted)
}

fn element(element: &serde_json::Value) -> Option<(Ipv4Addr, &str, Count)> {
    let element = element.get("elem")?;
    let counter = element.get("counter")?;
    let number = |name: &str| counter.get(name).and_then(serde_json::Value::as_u64);
    let count = Count {
        packets: number("packets")?,
        bytes: number("bytes")?,
    };
    let key = element.get("val")?.get("concat")?;
    let part = |index: usize| key.get(index).and_then(serde_json::Value::as_str);
    Some((part(0)?.parse().ok()?, part(1)?, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What nft 1.0.6 printed for a table that had counted.
    const LISTING: &str = include_str!("../tests/usage/listing.nft");
    const JSON: &str = include_str!("../tests/usage/listing.json");

    #[test]
    fn the_table_as_nft_prints_it_is_whole_and_with_a_line_less_it_is_not() {
        assert_eq!(is_whole(LISTING, "eth2"), Ok(true));
        assert_eq!(is_whole(LISTING, "eth1"), Ok(false));
        assert_eq!(is_whole("", "eth2"), Ok(false));
        for gone in ["size 262144", "flags dynamic", "0x1234abcd", "ct direction 1"] {
            let kept = LISTING.lines().filter(|line| !line.contains(gone));
            let less = kept.collect::<Vec<_>>().join("\n");
            assert_eq!(is_whole(&less, "eth2"), Ok(false), "without {gone}");
        }
    }

    /// Four pings of a guest and two of the router itself, answered.
    #[test]
    fn counters_are_read_by_address_and_by_network() {
        let counted = counted(JSON).unwrap();
        let pings = |packets| Count {
            packets,
            bytes: packets * 84,
        };
        let address = counted.addresses[&Ipv4Addr::new(203, 0, 113, 10)];
        assert_eq!(counted.epoch, 0x1234_abcd);
        assert_eq!(address, [pings(6), pings(6)]);
        assert_eq!(counted.networks["eth0"], [pings(4), pings(4)]);
        assert_eq!(counted.networks.len(), 1, "the router is no network");
    }

    #[test]
    fn what_is_no_listing_is_nothing() {
        for text in [
            "",
            "{}",
            "[]",
            "{\"nftables\":[]}",
            "{\"nftables\":[{\"set\":{}}]}",
        ] {
            assert_eq!(counted(text), None, "{text}");
        }
    }
}
