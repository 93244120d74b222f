// SPDX-License-Identifier: Apache-2.0
//! Every rule that drops counts what it drops, by reason: named counters of table `ip outgate`. A packet that passes pays
//! nothing for them, and a change of rules leaves them; they begin at zero when the whole table is made anew.

use std::collections::BTreeMap;

use outgate_model::stats::{DropReason, Dropped};

use crate::plan::build::INVALID;

/// The counter's name.
fn counter(reason: DropReason) -> String {
    format!("dropped_{}", reason.name())
}

/// The names of all counters: every router has them, whatever it may drop.
pub(crate) fn counters() -> impl Iterator<Item = String> {
    DropReason::ALL.into_iter().map(counter)
}

/// Why rules of this chain drop.
fn reason(chain: &str, rule: &str) -> DropReason {
    let starts = |start: &str| chain.starts_with(start);
    match chain {
        _ if rule.starts_with(INVALID) => DropReason::Invalid,
        "gate" => DropReason::Unsolicited,
        "input" => DropReason::Router,
        _ if starts("spoofing") => DropReason::Spoofed,
        _ if starts("refused_") => DropReason::Limit,
        _ if starts("egress_") => DropReason::Egress,
        _ if starts("acl_") => DropReason::Acl,
        _ => DropReason::Noway,
    }
}

/// The rules of a chain, those that drop with their counter. A chain whose policy drops says so in a last rule.
pub(crate) fn counted_rules(chain: &str, policy: &str, mut rules: Vec<String>) -> Vec<String> {
    if policy == "drop" {
        rules.push("drop".to_owned());
    }
    for rule in &mut rules {
        if let Some(matches) = rule.strip_suffix("drop") {
            *rule = format!("{matches}counter name \"{}\" drop", counter(reason(chain, rule)));
        }
    }
    rules
}

/// Reads what `nft -j list counters table ip outgate` printed. What is none of the reasons' counters is passed over.
pub fn counted(json: &str) -> Vec<Dropped> {
    let document: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let objects = document.get("nftables").and_then(|list| list.as_array());
    let counters = objects.into_iter().flatten().filter_map(|o| o.get("counter"));
    let seen: BTreeMap<&str, _> = counters
        .filter_map(|counter| Some((counter.get("name")?.as_str()?, counter)))
        .collect();
    let of = |reason| {
        let counter = seen.get(counter(reason).as_str())?;
        let number = |name: &str| counter.get(name).and_then(serde_json::Value::as_u64);
        Some(Dropped {
            reason,
            packets: number("packets")?,
            bytes: number("bytes")?,
        })
    };
    DropReason::ALL.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_drops_counts_by_its_chain_and_an_invalid_packet_is_one_everywhere() {
        let rules = |chain: &str, policy: &str, rules: &[&str]| {
            counted_rules(chain, policy, rules.iter().map(|r| (*r).to_owned()).collect())
        };
        assert_eq!(
            rules(
                "gate",
                "accept",
                &["ct state 0x1 drop", "iif \"lo\" accept", "drop"]
            ),
            [
                "ct state 0x1 counter name \"dropped_invalid\" drop",
                "iif \"lo\" accept",
                "counter name \"dropped_unsolicited\" drop",
            ]
        );
        assert_eq!(
            rules("forward", "drop", &["accept"]),
            ["accept", "counter name \"dropped_noway\" drop"]
        );
        assert_eq!(
            rules("egress_eth0", "", &["ip daddr 192.0.2.1 drop"]),
            ["ip daddr 192.0.2.1 counter name \"dropped_egress\" drop"]
        );
    }

    #[test]
    fn counters_are_read_by_reason_and_foreign_ones_are_passed_over() {
        // What nft 1.0.6 prints.
        let json = r#"{"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
            {"counter": {"family": "ip", "name": "dropped_egress", "table": "outgate", "handle": 2, "packets": 3, "bytes": 252}},
            {"counter": {"family": "ip", "name": "mine", "table": "outgate", "handle": 3, "packets": 1, "bytes": 84}}]}"#;
        let dropped = Dropped {
            reason: DropReason::Egress,
            packets: 3,
            bytes: 252,
        };
        assert_eq!(counted(json), [dropped]);
        for text in ["", "{}", "[]", "{\"nftables\":[{\"counter\":{}}]}"] {
            assert_eq!(counted(text), [], "{text}");
        }
    }
}
