// SPDX-License-Identifier: Apache-2.0
//! An nftables table as a value: chains with few, fixed rules, and sets and maps that hold what grows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The name of the native table, family `ip`.
pub const TABLE: &str = "outgate";

/// The table `ip outgate`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Names of named counters.
    pub counters: BTreeSet<String>,
    /// Sets and maps by name.
    pub sets: BTreeMap<String, Set>,
    /// Chains by name.
    pub chains: BTreeMap<String, Chain>,
}

/// A set, or a map when it has a data type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The key's type in nft's words: `ipv4_addr . inet_proto . inet_service`.
    pub key_type: String,
    /// The data's type, for maps.
    pub data_type: Option<String>,
    /// Whether elements may be ranges and prefixes (`flags interval`).
    pub interval: bool,
    /// What the router's rules note down in it themselves, packet by packet; `None` for a set whose elements are planned.
    pub memory: Option<Memory>,
    /// Elements in nft's own numeric form (`203.0.113.10 . 6 . 80`), with their data for maps. Always empty for a memory:
    /// what it holds is nobody's plan.
    pub elements: BTreeMap<String, Option<String>>,
}

/// How much a set remembers that rules write to, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// At most so many elements. When it is full, nothing more is noted down.
    pub size: u32,
    /// After so many seconds an element is forgotten; `None`: it stays while it has something to remember.
    pub secs: Option<u32>,
}

impl Memory {
    pub(crate) fn of(size: u32, secs: Option<u32>) -> Self {
        Self { size, secs }
    }

    /// The set's lines as nft prints them.
    fn render(self, text: &mut String) {
        let _ = write!(text, "\t\tsize {}\n\t\tflags dynamic", self.size);
        if let Some(secs) = self.secs {
            let _ = write!(text, ",timeout\n\t\ttimeout {secs}s");
        }
        text.push('\n');
    }
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Where it is hooked in; `None` for chains that others jump to.
    pub hook: Option<Hook>,
    /// Its rules in order, in the exact form that `nft -n -s list table` prints.
    pub rules: Vec<String>,
}

/// Where a base chain is hooked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// `prerouting`, `input`, `forward`, `output` or `postrouting`.
    pub hook: String,
    /// Its numeric priority.
    pub priority: i32,
    /// `accept` or `drop`.
    pub policy: String,
}

impl Ruleset {
    /// Whether there is nothing at all: as an observation it means that the kernel has no such table.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.chains.is_empty()
    }

    /// The table without the rules and elements that name one of these interfaces.
    pub(crate) fn without(&self, interfaces: &BTreeSet<String>) -> Self {
        let names: Vec<String> = interfaces.iter().map(|name| format!("\"{name}\"")).collect();
        let stays = |text: &str| !names.iter().any(|name| text.contains(name));
        let mut rest = self.clone();
        for chain in rest.chains.values_mut() {
            chain.rules.retain(|rule| stays(rule));
        }
        for set in rest.sets.values_mut() {
            set.elements.retain(|key, _| stays(key));
        }
        rest
    }

    /// The whole table as a script for `nft -f`. It does not remove an older table.
    pub fn to_script(&self) -> String {
        let mut text = format!("table ip {TABLE} {{\n");
        for name in &self.counters {
            let _ = writeln!(text, "\tcounter {name} {{ }}");
        }
        for (name, set) in &self.sets {
            set.render(name, &mut text);
        }
        push_chains(&self.chains, &mut text);
        text.push_str("}\n");
        text
    }
}

impl Set {
    pub(crate) fn render(&self, name: &str, text: &mut String) {
        let kind = if self.data_type.is_some() { "map" } else { "set" };
        let _ = write!(text, "\t{kind} {name} {{\n\t\ttype {}", self.key_type);
        if let Some(data) = &self.data_type {
            let _ = write!(text, " : {data}");
        }
        text.push('\n');
        if self.interval {
            text.push_str("\t\tflags interval\n");
        }
        if let Some(memory) = self.memory {
            memory.render(text);
        }
        if !self.elements.is_empty() {
            text.push_str("\t\telements = { ");
            push_elements(
                self.elements.iter().map(|(k, d)| (k.as_str(), d.as_deref())),
                text,
            );
            text.push_str(" }\n");
        }
        text.push_str("\t}\n");
    }
}

impl Chain {
    pub(crate) fn render_head(&self, name: &str, text: &mut String) {
        let _ = writeln!(text, "\tchain {name} {{");
        if let Some(hook) = &self.hook {
            let Hook {
                kind,
                hook,
                priority,
                policy,
            } = hook;
            let _ = writeln!(
                text,
                "\t\ttype {kind} hook {hook} priority {priority}; policy {policy};"
            );
        }
        text.push_str("\t}\n");
    }
}

/// Writes chains as nft reads them. They may jump to each other: each is declared before any rule.
pub(crate) fn push_chains(chains: &BTreeMap<String, Chain>, text: &mut String) {
    for (name, chain) in chains {
        chain.render_head(name, text);
    }
    for (name, chain) in chains {
        let _ = writeln!(text, "\tchain {name} {{");
        for rule in &chain.rules {
            let _ = writeln!(text, "\t\t{rule}");
        }
        text.push_str("\t}\n");
    }
}

/// Writes `key : data, key : data` as nft reads it.
pub(crate) fn push_elements<'a>(
    elements: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    text: &mut String,
) {
    for (i, (key, data)) in elements.enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        text.push_str(key);
        if let Some(data) = data {
            text.push_str(" : ");
            text.push_str(data);
        }
    }
}
