// SPDX-License-Identifier: Apache-2.0
//! The table that counts what crosses the public side: `ip outgate_usage`, beside the table that rules.
//!
//! Its sets and its counters stay for the whole life of a router, so no change of rules ever loses a count.
//! Its sets fill themselves: an address has a counter from its first packet on, and keeps it when it is released.
//! A key is an address and an interface together, because a counter costs every packet a look into a set.
//! What most packets belong to, source NAT of the first guest networks, is spared that look: each has a rule and a named
//! counter of its own. What was counted is the sum of both.
//! Counters live as long as the table; the number in set `epoch` tells one life from the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

use outgate_model::RouterSpec;

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
/// At most so many pairs of address and interface have rules of their own: a packet pays for each that is not its own.
const PAIRS: usize = 4;

/// What the table must count for a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counting {
    /// The public interface.
    public: String,
    /// Public addresses and interfaces of guest networks that have rules of their own.
    pairs: Vec<(Ipv4Addr, String)>,
}

impl Counting {
    /// For the router of this spec, of whose interfaces these are there. `None`: the public one is not, and nothing
    /// crosses it.
    pub fn of(spec: &RouterSpec, is_there: impl Fn(&str) -> bool) -> Option<Self> {
        let networks = spec.guest_networks.iter().filter(|n| is_there(&n.interface));
        let pairs = networks.flat_map(|network| {
            let pool = spec.source_nat_pool();
            pool.map(|address| (address, network.interface.clone()))
        });
        is_there(&spec.public.interface).then(|| Self {
            public: spec.public.interface.clone(),
            pairs: pairs.take(PAIRS).collect(),
        })
    }

    /// Rules know interfaces by number, which is quicker than by name. What has no such rule, or comes from an interface
    /// that took another's place, the sets count.
    ///
    /// Each packet is counted once, where it has both names of a key: at the end of its way, behind all that might drop it.
    /// One that leaves has its public address then. One that came in has lost it, and conntrack knows what it was. A packet
    /// for the router itself ends in `delivered`, all others in `passing`; no packet pays for a hook of its own on its way.
    fn chains(&self) -> BTreeMap<String, Chain> {
        let public = &self.public;
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
            let what = format!("iif \"{public}\" ct direction {number}");
            format!("{what} update @carried_in {{ ct {direction} ip daddr . oifname counter }}")
        });
        let each = self.pairs.iter();
        let mut passing: Vec<_> = each
            .clone()
            .map(|(address, interface)| {
                let counter = name("out", *address, interface);
                let what = format!("ip saddr {address} iif \"{interface}\" oif \"{public}\"");
                format!("{what} counter name \"{counter}\" accept")
            })
            .collect();
        // What comes in and has this address where its replies go to is an answer to a guest: nothing else has.
        passing.extend(each.map(|(address, interface)| {
            let counter = name("in", *address, interface);
            let what = format!("iif \"{public}\" oif \"{interface}\" ct reply ip daddr {address}");
            format!("{what} counter name \"{counter}\" accept")
        }));
        passing.push(format!(
            "oif \"{public}\" update @carried_out {{ ip saddr . iifname counter }} accept"
        ));
        passing.extend(came.clone());
        BTreeMap::from([
            ("delivered".to_owned(), chain("input", came.to_vec())),
            ("passing".to_owned(), chain("postrouting", passing)),
        ])
    }

    fn counters(&self) -> impl Iterator<Item = String> {
        let each = self.pairs.iter();
        each.flat_map(|(address, interface)| ["in", "out"].map(|way| name(way, *address, interface)))
    }

    /// A script that makes the table anew, all counters at zero.
    pub fn script(&self, epoch: u32) -> String {
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
        push_counters(self.counters(), &mut text);
        push_chains(&self.chains(), &mut text);
        text.push_str("}\n");
        text
    }

    /// A script that gives the table the rules that it must have and leaves what it has counted.
    fn rules_script(&self, seen: &BTreeSet<String>) -> String {
        let mut text = format!("table ip {TABLE} {{\n");
        push_counters(self.counters().filter(|name| !seen.contains(name)), &mut text);
        text.push_str("}\n");
        for (name, chain) in self.chains() {
            let _ = writeln!(text, "flush chain ip {TABLE} {name}");
            for rule in chain.rules {
                let _ = writeln!(text, "add rule ip {TABLE} {name} {rule}");
            }
        }
        text
    }

    /// What is due, by what `nft -n -s list table ip outgate_usage` printed.
    ///
    /// # Errors
    /// When the listing is not one, or not whole.
    pub fn due(&self, listing: &str) -> Result<Due, ParseError> {
        let Some(seen) = parse::parse_table(listing, TABLE)? else {
            return Ok(Due::Table);
        };
        let memory = Some(Memory::of(SIZE, None));
        let sets = SETS.iter().all(|(name, key)| {
            let set = seen.sets.get(*name);
            let same = |set: &Set| set.key_type == *key && set.data_type.is_none() && set.memory == memory;
            set.is_some_and(same)
        });
        let epoch = seen.sets.get("epoch").is_some_and(|set| set.elements.len() == 1);
        let chains = self.chains();
        let hooks = |chains: &BTreeMap<String, Chain>| -> Vec<_> {
            let each = chains.iter();
            each.map(|(name, chain)| (name.clone(), chain.hook.clone()))
                .collect()
        };
        if !sets || !epoch || seen.sets.len() != SETS.len() + 1 || hooks(&seen.chains) != hooks(&chains) {
            return Ok(Due::Table);
        }
        Ok(if seen.chains == chains {
            Due::Nothing
        } else {
            Due::Rules(self.rules_script(&seen.counters))
        })
    }
}

/// What the table of counters lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// Other rules, by this script: what was counted stays.
    Rules(String),
    /// Everything: it must be made anew.
    Table,
}

/// `out_eth0_203.0.113.10`.
fn name(way: &str, address: Ipv4Addr, interface: &str) -> String {
    format!("{way}_{interface}_{address}")
}

fn push_counters(names: impl Iterator<Item = String>, text: &mut String) {
    for name in names {
        let _ = writeln!(text, "\tcounter {name} {{ }}");
    }
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
    for object in document.get("nftables")?.as_array()? {
        if let Some((way, address, interface, count)) = object.get("counter").and_then(named) {
            counted.add(way, address, interface, count);
        }
        let Some(set) = object.get("set") else { continue };
        let elements = set.get("elem").and_then(|e| e.as_array()).into_iter().flatten();
        let way = match set.get("name")?.as_str()? {
            "carried_in" => 0,
            "carried_out" => 1,
            "epoch" => {
                epoch = elements.filter_map(serde_json::Value::as_u64).next();
                continue;
            }
            _ => continue,
        };
        for (address, interface, count) in elements.filter_map(element) {
            counted.add(way, address, interface, count);
        }
    }
    counted.epoch = u32::try_from(epoch?).ok()?;
    Some(counted)
}

impl Counted {
    fn add(&mut self, way: usize, address: Ipv4Addr, interface: &str, count: Count) {
        self.addresses.entry(address).or_default()[way].add(count);
        if !interface.is_empty() {
            let network = self.networks.entry(interface.to_owned()).or_default();
            network[way].add(count);
        }
    }
}

/// A named counter that has counted: its way, address, interface and count.
fn named(counter: &serde_json::Value) -> Option<(usize, Ipv4Addr, &str, Count)> {
    let (way, pair) = counter.get("name")?.as_str()?.split_once('_')?;
    let (interface, address) = pair.rsplit_once('_')?;
    let way = match way {
        "in" => 0,
        "out" => 1,
        _ => return None,
    };
    let count = count(counter)?;
    (count.packets > 0).then_some((way, address.parse().ok()?, interface, count))
}

fn count(counter: &serde_json::Value) -> Option<Count> {
    let number = |name: &str| counter.get(name).and_then(serde_json::Value::as_u64);
    Some(Count {
        packets: number("packets")?,
        bytes: number("bytes")?,
    })
}

fn element(element: &serde_json::Value) -> Option<(Ipv4Addr, &str, Count)> {
    let element = element.get("elem")?;
    let count = count(element.get("counter")?)?;
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

    fn counting(public: &str) -> Counting {
        Counting {
            public: public.to_owned(),
            pairs: vec![(Ipv4Addr::new(203, 0, 113, 10), "eth0".to_owned())],
        }
    }

    #[test]
    fn the_table_as_nft_prints_it_is_whole_and_with_a_line_less_it_is_not() {
        assert_eq!(counting("eth2").due(LISTING), Ok(Due::Nothing));
        assert_eq!(counting("eth2").due(""), Ok(Due::Table));
        let without = |gone: &str| {
            let kept = LISTING.lines().filter(|line| !line.contains(gone));
            counting("eth2").due(&kept.collect::<Vec<_>>().join("\n"))
        };
        for gone in ["size 262144", "flags dynamic", "0x1234abcd", "hook input"] {
            assert_eq!(without(gone), Ok(Due::Table), "without {gone}");
        }
        for gone in ["ct direction 1", "iif \"eth0\" oif \"eth2\""] {
            assert!(matches!(without(gone), Ok(Due::Rules(_))), "without {gone}");
        }
    }

    #[test]
    fn other_pairs_and_interfaces_that_came_back_are_rules_only_and_no_counter_is_made_twice() {
        let renumbered = LISTING.replace("iif \"eth2\"", "iif 7");
        for (counting, listing) in [
            (counting("eth2"), renumbered.as_str()),
            (counting("eth1"), LISTING),
        ] {
            let Ok(Due::Rules(script)) = counting.due(listing) else {
                panic!("{counting:?} makes the table anew");
            };
            assert!(!script.contains("delete"), "{script}");
            assert!(!script.contains("counter out_eth0_203.0.113.10 { }"), "{script}");
        }
        let mut more = counting("eth2");
        more.pairs
            .push((Ipv4Addr::new(203, 0, 113, 11), "eth0".to_owned()));
        let Ok(Due::Rules(script)) = more.due(LISTING) else {
            panic!("one pair more makes the table anew");
        };
        assert!(script.contains("counter out_eth0_203.0.113.11 { }"), "{script}");
        assert!(!script.contains("counter out_eth0_203.0.113.10 { }"), "{script}");
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
