// SPDX-License-Identifier: Apache-2.0
//! Short words to build a [`Ruleset`] with.
//!
//! Rules are written in the exact form that `nft -n -s list table` (1.0.6) prints, so that what is wanted and what the
//! kernel holds compare as text. In that form connection states and statuses are numbers:

use std::collections::BTreeMap;

use outgate_model::RouterSpec;

use crate::Ruleset;
use crate::drops::counted_rules;
use crate::ruleset::{Chain, Hook, Memory, Set};

/// `ct state established,related`.
pub(crate) const KNOWN: &str = "ct state 0x2,0x4";
/// `ct state invalid`.
pub(crate) const INVALID: &str = "ct state 0x1";
/// `ct status dnat`: the session's destination was rewritten, so `gate` let it in.
pub(crate) const TRANSLATED: &str = "ct status 0x20";
/// The headers of IPv4 and TCP without options.
const TCP_HEADERS: u32 = 40;
/// `icmp type echo-request`.
pub(crate) const PING: &str = "icmp type 8";

/// SYN and SYN-ACK: both sides learn the smaller of the two directions' MTU. Where all sides have the same it is a number;
/// else the kernel must look for a route back for each of them, a microsecond for a session.
pub(super) fn mss_clamp(spec: &RouterSpec) -> String {
    let guests = spec.guest_networks.iter().map(|network| network.mtu);
    let gateways = spec.private_gateways().iter().map(|gateway| gateway.mtu);
    let mtu = spec.public.mtu;
    let size = if guests.chain(gateways).all(|other| other == mtu) {
        mtu.saturating_sub(TCP_HEADERS).to_string()
    } else {
        "rt mtu".to_owned()
    };
    format!("tcp flags 0x2 / 0x2,0x4 tcp option maxseg size set {size}")
}

/// What a set's elements may be.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    /// Single values: a hash.
    Values,
    /// Ranges and prefixes, never overlapping.
    Spans,
}

impl Ruleset {
    pub(super) fn set(
        &mut self,
        name: impl Into<String>,
        key: &str,
        holds: Holds,
        elements: impl Iterator<Item = String>,
    ) {
        let set = Set {
            key_type: key.to_owned(),
            data_type: None,
            interval: matches!(holds, Holds::Spans),
            memory: None,
            elements: elements.map(|e| (e, None)).collect(),
        };
        self.sets.insert(name.into(), set);
    }

    /// A set that rules write to.
    pub(super) fn memory(&mut self, name: String, key: &str, memory: Memory) {
        let set = Set {
            key_type: key.to_owned(),
            data_type: None,
            interval: false,
            memory: Some(memory),
            elements: BTreeMap::new(),
        };
        self.sets.insert(name, set);
    }

    pub(super) fn map(
        &mut self,
        name: &str,
        (key, data): (&str, &str),
        holds: Holds,
        elements: impl Iterator<Item = (String, String)>,
    ) {
        let set = Set {
            key_type: key.to_owned(),
            data_type: Some(data.to_owned()),
            interval: matches!(holds, Holds::Spans),
            memory: None,
            elements: elements.map(|(k, d)| (k, Some(d))).collect(),
        };
        self.sets.insert(name.to_owned(), set);
    }

    /// A chain that is hooked in: `at` says `filter prerouting -300 accept`.
    pub(super) fn base_chain(&mut self, name: &str, at: (&str, &str, i32, &str), rules: Vec<String>) {
        let (kind, hook, priority, policy) = at;
        let hook = Hook {
            kind: kind.to_owned(),
            hook: hook.to_owned(),
            priority,
            policy: policy.to_owned(),
        };
        self.chains.insert(
            name.to_owned(),
            Chain {
                hook: Some(hook),
                rules: counted_rules(name, policy, rules),
            },
        );
    }

    /// A chain that others jump to.
    pub(super) fn chain(&mut self, name: impl Into<String>, rules: Vec<String>) {
        let name = name.into();
        let rules = counted_rules(&name, "", rules);
        self.chains.insert(name, Chain { hook: None, rules });
    }
}
