// SPDX-License-Identifier: Apache-2.0
//! Reads what the router is, in the shape of a plan.

use std::collections::{BTreeMap, BTreeSet};

use outgate_kernel::link::{self, LinkState};
use outgate_kernel::{iptables, nft, sysctl};
use outgate_plan::router_plan::{Link, Route, Sysctl};
use outgate_plan::ruleset::Chain;
use outgate_plan::{Changes, RouterPlan, Ruleset, Step, diff, foreign_tables, parse_ruleset};

use super::Engine;
use crate::RouterError;

/// How often a reading is tried anew when somebody writes rules meanwhile.
const READINGS: usize = 5;

/// What a router is.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) state: RouterPlan,
    /// The ruleset's generation whose rules these are; `None` when they changed while they were read.
    pub(super) generation: Option<u32>,
    /// Tables of somebody else that do something to packets.
    pub(super) foreign: Vec<String>,
    /// Whether the rules were taken from the target's plan instead of read, and are missing there.
    lent: bool,
}

impl Observed {
    /// What is due to become `wanted`. Tables of somebody else go first.
    pub(super) fn changes(&self, wanted: &RouterPlan) -> Changes {
        let mut changes = diff(&self.state, wanted);
        for table in &self.foreign {
            changes
                .steps
                .insert(0, Step::Nft(format!("delete table {table}\n")));
            changes
                .differences
                .insert(0, format!("table {table} should not be there"));
        }
        changes
    }
}

/// The ruleset's generation.
pub(super) fn generation() -> Result<u32, RouterError> {
    nft::generation().map_err(|e| reading(&e))
}

impl Engine {
    /// What the router is, of what `wanted` names. Rules that nobody has written since are taken from the target's
    /// plan: see [`Engine::give_back_rules`].
    pub(super) fn observe(&mut self, wanted: &RouterPlan) -> Result<Observed, RouterError> {
        self.note_numbers(wanted);
        let mut state = self.observe_system(wanted)?;
        let current = generation()?;
        if let Some(target) = self.target.as_mut().filter(|_| self.known == Some(current)) {
            state.ruleset = std::mem::take(&mut target.plan.ruleset);
            state.iptables_postrouting = std::mem::take(&mut target.plan.iptables_postrouting);
            return Ok(Observed {
                state,
                generation: Some(current),
                foreign: Vec::new(),
                lent: true,
            });
        }
        let Rules {
            generation,
            ruleset,
            postrouting,
            foreign,
        } = read_rules()?;
        state.ruleset = ruleset;
        state.iptables_postrouting = postrouting;
        Ok(Observed {
            state,
            generation,
            foreign,
            lent: false,
        })
    }

    /// Undoes the lending of [`Engine::observe`].
    pub(super) fn give_back_rules(&mut self, observed: &mut Observed) {
        if let Some(target) = self.target.as_mut().filter(|_| observed.lent) {
            target.plan.ruleset = std::mem::take(&mut observed.state.ruleset);
            target.plan.iptables_postrouting = std::mem::take(&mut observed.state.iptables_postrouting);
        }
    }

    /// An interface that was taken away and came back under its name has another number, which no rule knows: nobody has
    /// written a rule, and the rules are other ones than wanted nevertheless. So they are read anew.
    pub(super) fn note_numbers(&mut self, wanted: &RouterPlan) {
        let now = wanted.links.keys();
        let now = now.filter_map(|name| Some((name.clone(), link::number(name)?)));
        let now: BTreeMap<_, _> = now.collect();
        let renumbered = now
            .iter()
            .any(|(name, number)| self.numbers.get(name).is_some_and(|before| before != number));
        if renumbered {
            self.known = None;
        }
        self.numbers.extend(now);
    }

    /// The same for the spec that was applied last.
    pub(super) fn forget_if_renumbered(&mut self) {
        if let Some(target) = self.target.take() {
            self.note_numbers(&target.plan);
            self.target = Some(target);
        }
    }

    /// Everything but the rules.
    pub(super) fn observe_system(&mut self, wanted: &RouterPlan) -> Result<RouterPlan, RouterError> {
        let links = &self.links;
        let seen = self.runtime.block_on(async {
            let states = links.list().await?;
            let routes = links.routes(&states).await?;
            Ok((states, routes))
        });
        let (states, routes) = seen.map_err(|e: outgate_kernel::link::LinkError| reading(&e))?;
        let routes = routes
            .into_iter()
            .filter(|route| !route.by_kernel)
            .filter_map(|route| {
                Some(Route {
                    to: route.to,
                    via: route.via?,
                    interface: route.interface,
                    source: route.source,
                })
            });
        Ok(RouterPlan {
            links: observed_links(wanted, &states),
            routes: routes.collect::<BTreeSet<_>>(),
            sysctls: self.observe_sysctls(wanted),
            services: self.services.observe(&wanted.services),
            ..RouterPlan::default()
        })
    }

    fn observe_sysctls(&self, wanted: &RouterPlan) -> BTreeMap<String, Sysctl> {
        let seen = wanted.sysctls.iter().filter_map(|(name, want)| {
            let tolerated = self.tolerated.get(name).is_some_and(|value| *value == want.value);
            let value = if tolerated {
                want.value.clone()
            } else {
                sysctl::read(name).ok()?
            };
            Some((
                name.clone(),
                Sysctl {
                    value,
                    required: want.required,
                },
            ))
        });
        seen.collect()
    }
}

fn observed_links(wanted: &RouterPlan, states: &BTreeMap<String, LinkState>) -> BTreeMap<String, Link> {
    let links = wanted.links.keys().filter_map(|name| {
        let state = states.get(name)?;
        let link = Link {
            mac: state.mac?,
            mtu: state.mtu,
            up: state.up,
            addresses: state.addresses.clone(),
        };
        Some((name.clone(), link))
    });
    links.collect()
}

/// The rules as the kernel holds them.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// The generation that they are of; `None` when they changed while they were read.
    pub(super) generation: Option<u32>,
    pub(super) ruleset: Ruleset,
    pub(super) postrouting: Vec<String>,
    /// Tables of somebody else that do something to packets.
    pub(super) foreign: Vec<String>,
}

/// Reads the rules until nobody writes meanwhile.
pub(super) fn read_rules() -> Result<Rules, RouterError> {
    let mut before = generation()?;
    let mut rules = Rules::default();
    for _ in 0..READINGS {
        let listing = nft::list_all().map_err(|e| reading(&e))?;
        rules.ruleset = ruleset(&listing);
        rules.foreign = foreign_tables(&listing);
        rules.postrouting = iptables::nat_rules().map_err(|e| reading(&e))?;
        let after = generation()?;
        if before == after {
            rules.generation = Some(after);
            break;
        }
        before = after;
    }
    Ok(rules)
}

fn ruleset(listing: &str) -> Ruleset {
    match parse_ruleset(listing) {
        Ok(ruleset) => ruleset.unwrap_or_default(),
        // Somebody put in what no ruleset of ours can hold. Named as a chain that should not be there, it makes the
        // difference that has the table replaced as a whole.
        Err(error) => {
            let foreign = Chain {
                hook: None,
                rules: Vec::new(),
            };
            Ruleset {
                chains: BTreeMap::from([(error.to_string(), foreign)]),
                ..Ruleset::default()
            }
        }
    }
}

fn reading(error: &dyn std::fmt::Display) -> RouterError {
    RouterError::failed("reading the router's state", error)
}
