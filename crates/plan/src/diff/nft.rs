// SPDX-License-Identifier: Apache-2.0
//! The native table's differences as one transaction: elements where only elements differ, a chain's rules where only
//! rules do, the whole table otherwise.

use std::collections::{BTreeMap, HashSet};
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
        let before = self.differences.len();
        self.structure(observed, wanted);
        if self.differences.len() > before {
            let script = format!(
                "table ip {TABLE} {{ }}\ndelete table ip {TABLE}\n{}",
                wanted.to_script()
            );
            self.steps.push(Step::Nft(script));
            return;
        }
        let mut script = String::new();
        self.elements(observed, wanted, &mut script);
        self.rules(observed, wanted, &mut script);
        if !script.is_empty() {
            self.steps.push(Step::Nft(script));
        }
    }

    /// Names everything that elements and rules cannot mend.
    fn structure(&mut self, observed: &Ruleset, wanted: &Ruleset) {
        if observed.is_empty() && !wanted.is_empty() {
            self.differences.push(format!("table ip {TABLE} is missing"));
            return;
        }
        let same_set = |a: &Set, b: &Set| {
            a.key_type == b.key_type && a.data_type == b.data_type && a.interval == b.interval
        };
        compare(
            ("set", "type"),
            &observed.sets,
            &wanted.sets,
            same_set,
            &mut self.differences,
        );
        let same_chain = |a: &Chain, b: &Chain| a.hook == b.hook;
        compare(
            ("chain", "hook or policy"),
            &observed.chains,
            &wanted.chains,
            same_chain,
            &mut self.differences,
        );
    }

    fn elements(&mut self, observed: &Ruleset, wanted: &Ruleset, script: &mut String) {
        let (mut delete, mut add) = (Elements::new(), Elements::new());
        for (name, set) in &wanted.sets {
            let Some(seen) = observed.sets.get(name) else {
                continue;
            };
            let (gone, new) = compare_elements(seen, set);
            let kind = if set.data_type.is_some() { "map" } else { "set" };
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

/// Says which named things are missing, too many or of another make.
fn compare<T>(
    (kind, make): (&str, &str),
    observed: &BTreeMap<String, T>,
    wanted: &BTreeMap<String, T>,
    same: impl Fn(&T, &T) -> bool,
    differences: &mut Vec<String>,
) {
    for (name, want) in wanted {
        match observed.get(name) {
            None => differences.push(format!("{kind} {name} is missing in table ip {TABLE}")),
            Some(seen) if !same(seen, want) => {
                differences.push(format!("{kind} {name} of table ip {TABLE} has another {make}"))
            }
            Some(_) => {}
        }
    }
    for name in observed
        .keys()
        .filter(|name| !wanted.contains_key(*name))
        .take(NAMED)
    {
        differences.push(format!("{kind} {name} should not be in table ip {TABLE}"));
    }
}

type Listed<'a> = Vec<(&'a str, Option<&'a str>)>;

/// Elements to delete (by key) and to add. A key whose data changes is in both. Both sides are sorted: one pass.
fn compare_elements<'a>(seen: &'a Set, wanted: &'a Set) -> (Listed<'a>, Listed<'a>) {
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    let mut have = seen.elements.iter().peekable();
    let mut want = wanted.elements.iter().peekable();
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
