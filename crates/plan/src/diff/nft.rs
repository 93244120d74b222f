// SPDX-License-Identifier: Apache-2.0
//! The native table's differences as one transaction: elements where elements differ, a chain's rules where rules do,
//! sets and chains that come and go. Only where a set's type or a base chain differs is the table made anew as a whole:
//! while the kernel takes an old base chain away, it has no rules left for a moment, and its policy drops packets.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;

use super::{Changes, Step};
use crate::Ruleset;
use crate::ruleset::{Chain, Set, TABLE, push_elements};

/// How many differing elements of one set are named; the others are counted.
const NAMED: usize = 10;

/// The script that turns `observed` into `wanted`, if they differ. Transactions are atomic, so the order within it is
/// the kernel's matter only: what goes is deleted before what takes its place is added.
pub fn nft_script(observed: &Ruleset, wanted: &Ruleset) -> Option<String> {
    let mut changes = Changes::default();
    changes.ruleset(observed, wanted);
    changes.steps.into_iter().find_map(|step| {
        if let Step::Nft(script) = step {
            Some(script)
        } else {
            None
        }
    })
}

type Elements<'a> = BTreeMap<&'a str, Vec<(&'a str, Option<&'a str>)>>;

impl Changes {
    pub(super) fn ruleset(&mut self, observed: &Ruleset, wanted: &Ruleset) {
        if observed.is_empty() && !wanted.is_empty() {
            self.differences.push(format!("table ip {TABLE} is missing"));
        }
        let fits = observed.is_empty() == wanted.is_empty() && self.shape(observed, wanted);
        if !fits {
            let script = format!(
                "table ip {TABLE} {{ }}\ndelete table ip {TABLE}\n{}",
                wanted.to_script()
            );
            self.steps.push(Step::Nft(script));
            return;
        }
        let mut script = String::new();
        self.come(observed, wanted, &mut script);
        self.elements(observed, wanted, &mut script);
        self.rules(observed, wanted, &mut script);
        self.go(observed, wanted, &mut script);
        if !script.is_empty() {
            self.steps.push(Step::Nft(script));
        }
    }

    /// Names what can only be mended by making the whole table anew. Returns whether there is no such thing.
    fn shape(&mut self, observed: &Ruleset, wanted: &Ruleset) -> bool {
        let before = self.differences.len();
        for (name, seen) in &observed.sets {
            let same = |want: &Set| {
                (&seen.key_type, &seen.data_type, seen.interval, seen.memory)
                    == (&want.key_type, &want.data_type, want.interval, want.memory)
            };
            if !wanted.sets.get(name).is_none_or(same) {
                self.differences
                    .push(format!("set {name} of table ip {TABLE} has another type"));
            }
        }
        let chains: BTreeSet<_> = observed.chains.keys().chain(wanted.chains.keys()).collect();
        let hook = |ruleset: &Ruleset, name| {
            ruleset
                .chains
                .get(name)
                .and_then(|chain: &Chain| chain.hook.clone())
        };
        for name in chains {
            if hook(observed, name) != hook(wanted, name) {
                self.differences.push(format!(
                    "chain {name} of table ip {TABLE} has another hook or policy"
                ));
            }
        }
        self.differences.len() == before
    }

    /// Makes the counters, sets and chains that are missing, the chains without rules yet.
    fn come(&mut self, observed: &Ruleset, wanted: &Ruleset, script: &mut String) {
        let sets = new(&observed.sets, &wanted.sets);
        let chains = new(&observed.chains, &wanted.chains);
        let counters: Vec<_> = wanted.counters.difference(&observed.counters).collect();
        if sets.is_empty() && chains.is_empty() && counters.is_empty() {
            return;
        }
        let _ = writeln!(script, "table ip {TABLE} {{");
        for name in counters {
            self.differences.push(missing("counter", name));
            let _ = writeln!(script, "\tcounter {name} {{ }}");
        }
        for (name, set) in sets {
            self.differences.push(missing("set", name));
            // Its elements are added with the other sets': they may name chains, which are not there yet.
            let empty = Set {
                elements: BTreeMap::new(),
                ..set.clone()
            };
            empty.render(name, script);
        }
        for (name, chain) in chains {
            self.differences.push(missing("chain", name));
            chain.render_head(name, script);
        }
        script.push_str("}\n");
    }

    /// Takes away the chains, sets and counters that should not be there, when nothing names them any more.
    fn go(&mut self, observed: &Ruleset, wanted: &Ruleset, script: &mut String) {
        let chains = new(&wanted.chains, &observed.chains);
        let sets = new(&wanted.sets, &observed.sets);
        let counters: Vec<_> = observed.counters.difference(&wanted.counters).collect();
        for name in counters.iter().take(NAMED) {
            self.differences.push(surplus("counter", name));
        }
        for (name, _) in sets.iter().take(NAMED) {
            self.differences.push(surplus("set", name));
        }
        for (name, _) in chains.iter().take(NAMED) {
            self.differences.push(surplus("chain", name));
        }
        // Chains name sets and each other, and maps name chains.
        for (name, _) in &chains {
            let _ = writeln!(script, "flush chain ip {TABLE} {name}");
        }
        for (name, set) in sets {
            let _ = writeln!(script, "delete {} ip {TABLE} {name}", kind(set));
        }
        for (name, _) in chains {
            let _ = writeln!(script, "delete chain ip {TABLE} {name}");
        }
        for name in counters {
            let _ = writeln!(script, "delete counter ip {TABLE} {name}");
        }
    }

    fn elements(&mut self, observed: &Ruleset, wanted: &Ruleset, script: &mut String) {
        let (mut delete, mut add) = (Elements::new(), Elements::new());
        let empty = BTreeMap::new();
        for (name, set) in &wanted.sets {
            let seen = observed.sets.get(name).map_or(&empty, |seen| &seen.elements);
            let (gone, new) = compare_elements(seen, &set.elements);
            let kind = kind(set);
            self.name_elements(&new, &format!("is missing in {kind} {name}"));
            self.name_elements(&gone, &format!("should not be in {kind} {name}"));
            delete.insert(name, gone);
            add.insert(name, new);
        }
        for (verb, changes) in [("delete", delete), ("add", add)] {
            for (name, elements) in changes.into_iter().filter(|(_, e)| !e.is_empty()) {
                let _ = write!(script, "{verb} element ip {TABLE} {name} {{ ");
                push_elements(elements.into_iter(), script);
                script.push_str(" }\n");
            }
        }
    }

    fn name_elements(&mut self, elements: &[(&str, Option<&str>)], what: &str) {
        for (key, data) in elements.iter().take(NAMED) {
            let data = data.map(|d| format!(" : {d}")).unwrap_or_default();
            self.differences.push(format!("element {key}{data} {what}"));
        }
        if elements.len() > NAMED {
            let more = elements.len() - NAMED;
            self.differences
                .push(format!("the same is true of {more} more: an element {what}"));
        }
    }

    fn rules(&mut self, observed: &Ruleset, wanted: &Ruleset, script: &mut String) {
        for (name, chain) in &wanted.chains {
            let seen = observed.chains.get(name).map_or(&[][..], |c| &c.rules);
            if seen == chain.rules {
                continue;
            }
            let before = self.differences.len();
            self.name_rules(&chain.rules, seen, &format!("rule missing in chain {name}"));
            self.name_rules(seen, &chain.rules, &format!("rule should not be in chain {name}"));
            if self.differences.len() == before {
                self.differences
                    .push(format!("rules of chain {name} are in another order or doubled"));
            }
            let _ = writeln!(script, "flush chain ip {TABLE} {name}");
            // A limit's elements keep the limit that they were made with.
            for (set, _) in wanted.sets.iter().filter(|(_, set)| set.memory.is_some()) {
                if fills_otherwise(set, seen, &chain.rules) {
                    let _ = writeln!(script, "flush set ip {TABLE} {set}");
                }
            }
            for rule in &chain.rules {
                let _ = writeln!(script, "add rule ip {TABLE} {name} {rule}");
            }
        }
    }
}

impl Changes {
    /// Names the rules that are not among `others`. An ACL may have thousands.
    fn name_rules(&mut self, rules: &[String], others: &[String], what: &str) {
        let others: HashSet<&String> = others.iter().collect();
        let mut differing = rules.iter().filter(|rule| !others.contains(rule));
        for rule in differing.by_ref().take(NAMED) {
            self.differences.push(format!("{what}: {rule}"));
        }
        let more = differing.count();
        if more > 0 {
            self.differences
                .push(format!("the same is true of {more} more: {what}"));
        }
    }
}

/// What an element of a memory keeps as it was made.
const LIMITS: [&str; 2] = ["limit rate over", "ct count over"];

/// Whether rules fill a memory with another limit than they did.
fn fills_otherwise(set: &str, before: &[String], now: &[String]) -> bool {
    let fills = format!(" @{set} {{ ");
    let filling = |rules: &[String]| -> Vec<String> {
        rules
            .iter()
            .filter(|rule| rule.contains(&fills) && LIMITS.iter().any(|limit| rule.contains(limit)))
            .cloned()
            .collect()
    };
    filling(before) != filling(now)
}

/// What `after` has and `before` lacks.
fn new<'a, T>(before: &BTreeMap<String, T>, after: &'a BTreeMap<String, T>) -> Vec<(&'a String, &'a T)> {
    after
        .iter()
        .filter(|(name, _)| !before.contains_key(*name))
        .collect()
}

fn missing(kind: &str, name: &str) -> String {
    format!("{kind} {name} is missing in table ip {TABLE}")
}

fn surplus(kind: &str, name: &str) -> String {
    format!("{kind} {name} should not be in table ip {TABLE}")
}

fn kind(set: &Set) -> &'static str {
    if set.data_type.is_some() { "map" } else { "set" }
}

type Listed<'a> = Vec<(&'a str, Option<&'a str>)>;

/// Elements to delete (by key) and to add. A key whose data changes is in both. Both sides are sorted: one pass.
fn compare_elements<'a>(
    seen: &'a BTreeMap<String, Option<String>>,
    wanted: &'a BTreeMap<String, Option<String>>,
) -> (Listed<'a>, Listed<'a>) {
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    let mut have = seen.iter().peekable();
    let mut want = wanted.iter().peekable();
    loop {
        let order = match (have.peek(), want.peek()) {
            (None, None) => return (gone, new),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((a, x)), Some((b, y))) => {
                let order = a.cmp(b);
                if order.is_eq() && x == y {
                    have.next();
                    want.next();
                    continue;
                }
                order
            }
        };
        if order.is_le() {
            gone.extend(have.next().map(|(k, d)| (k.as_str(), d.as_deref())));
        }
        if order.is_ge() {
            new.extend(want.next().map(|(k, d)| (k.as_str(), d.as_deref())));
        }
    }
}
