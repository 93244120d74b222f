// SPDX-License-Identifier: Apache-2.0
//! An nftables table as a value: chains with few, fixed rules, and sets and maps that hold what grows.

use std::collections::BTreeMap;

/// The table `ip outgate`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
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
    /// Elements in nft's own numeric form (`203.0.113.10 . 6 . 80`), with their data for maps.
    pub elements: BTreeMap<String, Option<String>>,
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
