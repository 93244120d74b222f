// SPDX-License-Identifier: Apache-2.0
//! The table that counts what crosses the public side: `ip outgate_usage`, beside the table that rules.
//!
//! Its shape is the same for the whole life of a router, so no change of rules ever replaces it and no counter is lost.
//! Its sets fill themselves: an address has a counter from its first packet on, and keeps it when it is released.
//! Counters live as long as the table; the number in set `epoch` tells one life from the next.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::ParseError;
use crate::parse;
use crate::ruleset::{Chain, Hook, push_chains};

/// The table's name, family `ip`.
pub const TABLE: &str = "outgate_usage";
/// Elements of a set: as many as a router may ever have had addresses.
const SIZE: u32 = 65_535;
/// Sets that fill themselves, with the type of their keys.
const SETS: [(&str, &str); 4] = [
    ("address_in", "ipv4_addr"),
    ("address_out", "ipv4_addr"),
    ("network_in", "ifname"),
    ("network_out", "ifname"),
];

/// The chains, for a router whose public side is this interface.
///
/// `arriving` stands behind chain `gate` and before the translation: it sees the public address of everything that was
/// let in. `leaving` stands behind the translation. `forwarded` stands behind chain `forward`: it tells guest networks apart.
fn chains(public: &str) -> BTreeMap<String, Chain> {
    let chain = |hook: &str, priority, rules: Vec<String>| Chain {
        hook: Some(Hook {
            kind: "filter".to_owned(),
            hook: hook.to_owned(),
            priority,
            policy: "accept".to_owned(),
        }),
        rules,
    };
    let (from, to) = (format!("iifname \"{public}\""), format!("oifname \"{public}\""));
    let arriving = vec![format!("{from} update @address_in {{ ip daddr counter }}")];
    let leaving = vec![format!("{to} update @address_out {{ ip saddr counter }}")];
    let forwarded = vec![
        format!("{from} update @network_in {{ oifname counter }}"),
        format!("{to} update @network_out {{ iifname counter }}"),
    ];
    BTreeMap::from([
        ("arriving".to_owned(), chain("prerouting", -120, arriving)),
        ("forwarded".to_owned(), chain("forward", 10, forwarded)),
        ("leaving".to_owned(), chain("postrouting", 300, leaving)),
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
    let types = SETS.map(|(name, key)| (name, format!("{key}; size {SIZE}; flags dynamic")));
    let sets = types.iter().all(|(name, key)| {
        let set = seen.sets.get(*name);
        set.is_some_and(|set| set.key_type == *key && set.data_type.is_none() && !set.interval)
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
        if name == "epoch" {
            epoch = elements.filter_map(serde_json::Value::as_u64).next();
            continue;
        }
        let (kind, way) = name.split_once('_')?;
        let way = usize::from(way == "out");
        for (key, count) in elements.filter_map(element) {
            match kind {
                "address" => counted.addresses.entry(key.parse().ok()?).or_default()[way] = count,
                _ => counted.networks.entry(key.to_owned()).or_default()[way] = count,
            }
        }
    }
    counted.epoch = u32::try_from(epoch?).ok()?;
    Some(counted)
}

fn element(element: &serde_json::Value) -> Option<(&str, Count)> {
    let element = element.get("elem")?;
    let counter = element.get("counter")?;
    let number = |name: &str| counter.get(name).and_then(serde_json::Value::as_u64);
    let count = Count {
        packets: number("packets")?,
        bytes: number("bytes")?,
    };
    Some((element.get("val")?.as_str()?, count))
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
        for gone in ["size 65535", "flags dynamic", "0x1234abcd", "update @network_in"] {
            let kept = LISTING.lines().filter(|line| !line.contains(gone));
            let less = kept.collect::<Vec<_>>().join("\n");
            assert_eq!(is_whole(&less, "eth2"), Ok(false), "without {gone}");
        }
    }

    #[test]
    fn counters_are_read_by_address_and_by_network() {
        let counted = counted(JSON).unwrap();
        let count = |packets, bytes| Count { packets, bytes };
        assert_eq!(counted.epoch, 0x1234_abcd);
        assert_eq!(
            counted.addresses[&Ipv4Addr::new(203, 0, 113, 10)],
            [count(3, 252), count(4, 336)]
        );
        assert_eq!(counted.networks["eth0"], [count(3, 252), count(4, 336)]);
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
