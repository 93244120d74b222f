// SPDX-License-Identifier: Apache-2.0
//! Carries out the steps of a change: the only place that writes to the kernel.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use outgate_kernel::link::{LinkChange, LinkError, Route};
use outgate_kernel::{iptables, nft, sysctl};
use outgate_plan::router_plan::{File, Service};
use outgate_plan::ruleset::TABLE;
use outgate_plan::{Changes, RouterPlan, ServiceAction, Step, diff};

use super::Engine;
use super::observe::{Rules, generation, read_rules};
use crate::RouterError;
use crate::services::write_file;

/// What a failed step means for those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnError {
    /// They are not taken: all or nothing.
    Stop,
    /// They are taken: each mends something. The first error is reported.
    GoOn,
}

/// What was sent to nft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loaded {
    /// Elements only: such a script does what it says or nothing, so what the kernel holds afterwards is known.
    Elements,
    /// Rules too, which nft may print in other words than were sent.
    Rules,
}

/// Whether a step may lead packets of established sessions elsewhere. Rules do not, they judge new ones; services do not
/// either.
pub(super) fn moves_packets(step: &Step) -> bool {
    !matches!(step, Step::Nft(_) | Step::Iptables(_) | Step::Service { .. })
}

impl Engine {
    /// Carries out the steps that lead to `wanted`. `seen` is the generation of the rules that they start from. What
    /// is doubted is read back: everything but a transaction of elements that is the only one since `seen`.
    pub(super) fn carry_out(
        &mut self,
        changes: &Changes,
        wanted: &RouterPlan,
        seen: Option<u32>,
        on_error: OnError,
    ) -> Result<(), RouterError> {
        self.known = None;
        let mut expected = seen;
        let mut failed = Ok(());
        for step in &changes.steps {
            if let (Step::Nft(_) | Step::Iptables(_), Some(before)) = (step, expected) {
                self.expect_rules(Some(before.wrapping_add(1)));
            }
            let done = match step {
                Step::Nft(script) => load_rules(script, wanted).map(|loaded| {
                    expected = expected
                        .filter(|_| loaded == Loaded::Elements)
                        .map(|g| g.wrapping_add(1));
                }),
                Step::Iptables(tables) => {
                    load_iptables(tables).map(|()| expected = expected.map(|g| g.wrapping_add(1)))
                }
                Step::Sysctl {
                    name,
                    value,
                    required: false,
                } => {
                    self.try_sysctl(name, value);
                    Ok(())
                }
                other => self.step(other, wanted),
            };
            match on_error {
                OnError::Stop => done?,
                OnError::GoOn => failed = failed.and(done),
            }
        }
        failed?;
        self.known = match expected {
            Some(expected) if generation()? == expected => Some(expected),
            _ => Some(confirm_rules(wanted)?),
        };
        Ok(())
    }

    /// Makes the router again what it was before a change that failed.
    pub(super) fn roll_back(&mut self, before: &RouterPlan) {
        self.known = None;
        let back = match self.observe(before) {
            Ok(now) => diff(&now.state, before),
            Err(error) => return self.log.error(&format!("cannot roll back: {error}")),
        };
        for step in &back.steps {
            let done = match step {
                Step::Nft(script) => nft::load(script).map_err(|e| RouterError::rules(&e)),
                Step::Iptables(tables) => iptables::restore(tables).map_err(|e| RouterError::rules(&e)),
                other => self.step(other, before),
            };
            if let Err(error) = done {
                self.log.error(&format!("rolling back: {error}"));
            }
        }
        if !back.steps.is_empty() {
            self.log.warn(&format!("rolled back {} steps", back.steps.len()));
        }
    }

    fn step(&mut self, step: &Step, plan: &RouterPlan) -> Result<(), RouterError> {
        match step {
            Step::Nft(_) | Step::Iptables(_) => Ok(()),
            Step::SetMac { interface, mac } => self.change_link(
                interface,
                LinkChange {
                    mac: Some(*mac),
                    ..LinkChange::default()
                },
            ),
            Step::SetMtu { interface, mtu } => self.change_link(
                interface,
                LinkChange {
                    mtu: Some(*mtu),
                    ..LinkChange::default()
                },
            ),
            Step::SetUp { interface } => self.change_link(
                interface,
                LinkChange {
                    up: Some(true),
                    ..LinkChange::default()
                },
            ),
            Step::Sysctl { name, value, .. } => {
                sysctl::write(name, value).map_err(|e| RouterError::failed("setting a kernel parameter", e))
            }
            Step::AddAddress { interface, address } => self.add_address(interface, *address),
            Step::DeleteAddress { interface, address } => {
                self.fall_silent(interface, address.addr());
                self.runtime
                    .block_on(self.links.remove_address(interface, *address))
                    .map_err(link_error)
            }
            Step::ReplaceRoute(route) => self
                .runtime
                .block_on(self.links.add_route(&kernel_route(route)))
                .map_err(link_error),
            Step::DeleteRoute(route) => self
                .runtime
                .block_on(self.links.remove_route(&kernel_route(route)))
                .map_err(link_error),
            Step::Service { name, write, action } => {
                self.service(name, write, action, plan.services.get(name))
            }
        }
    }

    /// A limit that this namespace may not set is reported by being among the differences once.
    fn try_sysctl(&mut self, name: &str, value: &str) {
        if let Err(error) = sysctl::write(name, value) {
            self.log.info(&format!("left as it is: {error}"));
            self.tolerated.insert(name.to_owned(), value.to_owned());
        }
    }

    fn change_link(&self, interface: &str, change: LinkChange) -> Result<(), RouterError> {
        self.runtime
            .block_on(self.links.change(interface, &change))
            .map_err(link_error)
    }

    fn add_address(&mut self, interface: &str, address: Ipv4Net) -> Result<(), RouterError> {
        self.runtime
            .block_on(self.links.add_address(interface, address))
            .map_err(link_error)?;
        self.announce(interface, address.addr());
        Ok(())
    }

    fn service(
        &mut self,
        name: &str,
        write: &BTreeMap<String, File>,
        action: &ServiceAction,
        planned: Option<&Service>,
    ) -> Result<(), RouterError> {
        for (path, file) in write {
            write_file(path, file)?;
        }
        if let Some(service) =
            planned.filter(|s| s.control.is_some() && !matches!(action, ServiceAction::Stop))
        {
            self.services.check(name, service)?;
            let start = matches!(action, ServiceAction::Start { .. });
            return self.services.take_over(name, service, start);
        }
        match action {
            ServiceAction::None => Ok(()),
            ServiceAction::Hangup => self.services.hang_up(name),
            ServiceAction::Start { argv } => self.services.start(name, argv),
            ServiceAction::Stop => {
                self.services.stop(name);
                Ok(())
            }
        }
    }
}

/// Loads a change. Should the kernel hold something that the change cannot be made from, the whole table is replaced,
/// in one transaction too.
fn load_rules(script: &str, wanted: &RouterPlan) -> Result<Loaded, RouterError> {
    let is_elements = |line: &str| line.starts_with("add element ") || line.starts_with("delete element ");
    let Err(error) = nft::load(script) else {
        return Ok(if script.lines().all(is_elements) {
            Loaded::Elements
        } else {
            Loaded::Rules
        });
    };
    let whole = format!(
        "table ip {TABLE} {{ }}\ndelete table ip {TABLE}\n{}",
        wanted.ruleset.to_script()
    );
    if script == whole || script.starts_with("delete table ") || nft::load(&whole).is_err() {
        return Err(RouterError::rules(&error));
    }
    tracing::warn!(%error, "replaced the whole table instead of a part");
    Ok(Loaded::Rules)
}

/// Loads iptables' nat table. One that somebody wrote to past iptables, which refuses it then, is deleted first: the
/// native table translates meanwhile.
fn load_iptables(tables: &str) -> Result<(), RouterError> {
    let Err(error) = iptables::restore(tables) else {
        return Ok(());
    };
    let again = nft::load("delete table ip nat").and_then(|()| iptables::restore(tables));
    again.map_err(|_| RouterError::rules(&error))
}

/// Reads the rules back. Returns the generation at which they are as wanted.
fn confirm_rules(wanted: &RouterPlan) -> Result<u32, RouterError> {
    let Rules {
        generation,
        ruleset,
        postrouting,
        ..
    } = read_rules()?;
    let seen = RouterPlan {
        ruleset,
        iptables_postrouting: postrouting,
        ..RouterPlan::default()
    };
    if seen.ruleset == wanted.ruleset && seen.iptables_postrouting == wanted.iptables_postrouting {
        let changing = || RouterError::Rules {
            reason: "somebody else keeps changing the rules".to_owned(),
        };
        return generation.ok_or_else(changing);
    }
    let rules = RouterPlan {
        ruleset: wanted.ruleset.clone(),
        iptables_postrouting: wanted.iptables_postrouting.clone(),
        ..RouterPlan::default()
    };
    let mut differences = diff(&seen, &rules).differences;
    differences.truncate(5);
    let reason = format!(
        "the kernel holds other rules than were sent: {}",
        differences.join("; ")
    );
    Err(RouterError::Rules { reason })
}

fn kernel_route(route: &outgate_plan::router_plan::Route) -> Route {
    let outgate_plan::router_plan::Route {
        to,
        via,
        interface,
        source,
    } = route;
    Route {
        to: *to,
        via: Some(*via),
        interface: interface.clone(),
        source: *source,
        by_kernel: false,
    }
}

fn link_error(error: LinkError) -> RouterError {
    match error {
        LinkError::NotFound { name } => RouterError::NoInterface { interface: name },
        LinkError::Refused { doing, source } => RouterError::failed(doing, source),
        other => RouterError::failed("changing an interface", other),
    }
}
