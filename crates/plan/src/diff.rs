// SPDX-License-Identifier: Apache-2.0
//! What to do to get from what a router holds to what it must hold.

mod nft;
mod services;
mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use ipnet::Ipv4Net;
use outgate_model::MacAddr;

use crate::RouterPlan;
use crate::router_plan::{File, Route};

pub use nft::nft_script;

/// What differs and what to do about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// What to do, in an order that is safe for traffic: filters stand before addresses appear and before packets are
    /// forwarded, and addresses go last.
    pub steps: Vec<Step>,
    /// Interfaces that must exist and do not. No step can make them; no step touches them.
    pub missing_links: BTreeSet<String>,
    /// What differs, one sentence each, for people. Many alike are summed up.
    pub differences: Vec<String>,
}

impl Changes {
    /// Whether everything is as it must be.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.missing_links.is_empty()
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Give an interface its Ethernet address.
    SetMac {
        /// The interface.
        interface: String,
        /// Its address.
        mac: MacAddr,
    },
    /// Give an interface its MTU.
    SetMtu {
        /// The interface.
        interface: String,
        /// Bytes.
        mtu: u32,
    },
    /// Write a kernel parameter.
    Sysctl {
        /// Its dotted name.
        name: String,
        /// What to write.
        value: String,
        /// When false, a refusal is reported once and is no failure.
        required: bool,
    },
    /// One script for `nft -f`: one transaction.
    Nft(String),
    /// Input for `iptables-restore`, which replaces the whole table `nat` of iptables.
    Iptables(String),
    /// Switch an interface on.
    SetUp {
        /// The interface.
        interface: String,
    },
    /// Add an address, and tell the neighbours (gratuitous ARP).
    AddAddress {
        /// The interface.
        interface: String,
        /// The address with its prefix length.
        address: Ipv4Net,
    },
    /// Add a route, replacing one to the same destination.
    ReplaceRoute(Route),
    /// Start a service, end it and start it anew, send it SIGHUP, or only write its files.
    Service {
        /// Its name.
        name: String,
        /// Files to write first: path to content.
        write: BTreeMap<String, File>,
        /// What to do then.
        action: ServiceAction,
    },
    /// Remove a route.
    DeleteRoute(Route),
    /// Remove an address.
    DeleteAddress {
        /// The interface.
        interface: String,
        /// The address with its prefix length.
        address: Ipv4Net,
    },
}

/// What to do with a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAction {
    /// Nothing: it reads its files when it needs them.
    None,
    /// Send it SIGHUP.
    Hangup,
    /// End it if it runs, then start it.
    Start {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// End it.
    Stop,
}

/// The steps from `observed` to `plan`. `observed` holds at least what the plan names: other interfaces and sysctls do
/// no harm. `diff(p, p)` is empty for every plan.
pub fn diff(observed: &RouterPlan, plan: &RouterPlan) -> Changes {
    let mut changes = Changes::default();
    changes.links(observed, plan);
    changes.sysctls(observed, plan, |name| !system::forwards(name));
    // nft takes no rule for an interface that is not there, and no packet would meet it.
    if changes.missing_links.is_empty() {
        changes.ruleset(&observed.ruleset, &plan.ruleset);
    } else {
        let wanted = plan.ruleset.without(&changes.missing_links);
        changes.ruleset(&observed.ruleset, &wanted);
    }
    changes.iptables(observed, plan);
    changes.new_addresses(observed, plan);
    changes.new_routes(observed, plan);
    changes.sysctls(observed, plan, system::forwards);
    changes.services(observed, plan);
    changes.old_routes(observed, plan);
    changes.old_addresses(observed, plan);
    changes
}

/// Input for `iptables-restore` that makes table `nat` hold exactly these rules of POSTROUTING, as `iptables -S` prints
/// them.
pub fn iptables_restore(postrouting: &[String]) -> String {
    let mut text = "*nat\n".to_owned();
    for chain in ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"] {
        let _ = writeln!(text, ":{chain} ACCEPT [0:0]");
    }
    for rule in postrouting {
        let _ = writeln!(text, "{rule}");
    }
    text.push_str("COMMIT\n");
    text
}

impl Changes {
    fn step(&mut self, step: Step, difference: String) {
        self.steps.push(step);
        self.differences.push(difference);
    }

    fn iptables(&mut self, observed: &RouterPlan, plan: &RouterPlan) {
        if observed.iptables_postrouting == plan.iptables_postrouting {
            return;
        }
        self.steps
            .push(Step::Iptables(iptables_restore(&plan.iptables_postrouting)));
        let before = self.differences.len();
        for rule in plan
            .iptables_postrouting
            .iter()
            .filter(|r| !observed.iptables_postrouting.contains(r))
        {
            self.differences
                .push(format!("iptables rule is missing in nat: {rule}"));
        }
        for rule in observed
            .iptables_postrouting
            .iter()
            .filter(|r| !plan.iptables_postrouting.contains(r))
        {
            self.differences
                .push(format!("iptables rule in nat should not be there: {rule}"));
        }
        if self.differences.len() == before {
            self.differences
                .push("iptables rules in nat POSTROUTING are in another order or doubled".to_owned());
        }
    }
}
