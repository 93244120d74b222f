// SPDX-License-Identifier: Apache-2.0
//! The engine: observe -> diff -> apply, for a change that was asked for and for a drift that was not.
//!
//! It acts in the network and mount namespaces of the thread that made it and must stay on that thread.

mod announce;
mod fast_path;
mod leases;
mod observe;
mod pool;
mod sessions;
mod steps;
mod usage;

use std::collections::BTreeMap;
use std::time::Instant;

use outgate_kernel::link::Links;
use outgate_model::RouterSpec;
use outgate_model::host::Applied;
use outgate_plan::usage::Counting;
use outgate_plan::{Changes, RouterPlan, diff, plan};
use tokio::runtime::Runtime;

use crate::RouterError;
use crate::cloud_log::CloudLog;
use crate::services::{Services, Wake};
use steps::OnError;

/// The version of Outgate that this router runs.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// At most so many differences of one change are written to the log; the others are counted.
const LOGGED: usize = 40;

/// Makes the kernel and the services of one router match its spec.
#[derive(Debug)]
pub struct Engine {
    runtime: Runtime,
    links: Links,
    services: Services,
    log: CloudLog,
    target: Option<Target>,
    /// The ruleset's generation at which the kernel's rules were known to be the target's. As long as the kernel still
    /// has it, nobody has written a rule, and the rules need not be read.
    known: Option<u32>,
    /// The numbers of the interfaces when the rules were read: rules know interfaces by number.
    numbers: BTreeMap<String, u32>,
    /// What the table of counters was made for.
    counting: Option<Counting>,
    /// Why it could not be made, told once.
    uncounted: Option<String>,
    /// Kernel parameters that this namespace may not set, with the value wanted: reported once.
    tolerated: BTreeMap<String, String>,
    /// Whether there may be sessions that no spec has judged: those of a former process, or of a failure.
    doubts_sessions: bool,
    /// Whether dnsmasq may hold leases of guests that the spec no longer names.
    doubts_leases: bool,
    /// Addresses whose neighbours are still being told.
    announcements: Vec<announce::Announcement>,
    fast_path: fast_path::Driver,
    /// When the rules of a source NAT pool were told what the sessions say; `None`: it is due.
    pool_look: Option<pool::Look>,
}

/// What the router must be.
#[derive(Debug)]
struct Target {
    spec: RouterSpec,
    plan: RouterPlan,
}

/// What a repair found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repair {
    /// What differed, one sentence each.
    pub differences: Vec<String>,
    /// Why it could not be repaired, or not wholly.
    pub error: Option<RouterError>,
}

impl Engine {
    /// An engine without a spec. `wake` is called, from any thread, when a service has ended and [`Engine::heal`] is
    /// due.
    ///
    /// # Errors
    /// When the system has no netlink socket to give.
    pub fn new(log: CloudLog, wake: Wake) -> Result<Self, RouterError> {
        let failed = |e: &dyn std::fmt::Display| RouterError::failed("starting the engine", e);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|e| failed(&e))?;
        let links = runtime.block_on(async {
            let links = Links::open()?;
            // dnsmasq and the router's own tools speak over it.
            links.set_up("lo").await.map(|()| links)
        });
        let links = links.map_err(|e| failed(&e))?;
        Ok(Self {
            runtime,
            links,
            services: Services::new(log.clone(), wake),
            log,
            target: None,
            known: None,
            numbers: BTreeMap::new(),
            counting: None,
            uncounted: None,
            tolerated: BTreeMap::new(),
            doubts_sessions: true,
            doubts_leases: true,
            announcements: Vec::new(),
            fast_path: fast_path::Driver::default(),
            pool_look: None,
        })
    }

    /// The spec that was applied last.
    pub fn spec(&self) -> Option<&RouterSpec> {
        self.target.as_ref().map(|target| &target.spec)
    }

    /// The process id of a service that runs.
    pub fn service_pid(&self, name: &str) -> Option<u32> {
        self.services.pid(name)
    }

    /// Makes the router be what `spec` says. On an error it is what it was before, rules and all.
    ///
    /// # Errors
    /// When the spec is invalid or older than the one that was applied, an interface is missing, or the kernel
    /// refuses.
    pub fn apply(&mut self, spec: &RouterSpec) -> Result<Applied, RouterError> {
        let result = self.apply_unlogged(spec);
        match &result {
            Ok(applied) => self.log_applied(applied),
            Err(error) => self.log.error(&error.to_string()),
        }
        result
    }

    fn apply_unlogged(&mut self, spec: &RouterSpec) -> Result<Applied, RouterError> {
        let started = Instant::now();
        spec.validate()
            .map_err(|problems| RouterError::bad_spec(&problems))?;
        if let Some(has) = self
            .spec()
            .map(|s| s.generation)
            .filter(|has| *has > spec.generation)
        {
            return Err(RouterError::Stale {
                generation: spec.generation,
                has,
            });
        }
        if self.spec() == Some(spec) && !self.doubts_sessions {
            return self.confirm(spec.generation, started);
        }
        outgate_plan::check(spec).map_err(|problem| RouterError::bad_spec(&[problem]))?;
        self.require_fast_path(spec)?;
        let seen = self.suspensions();
        let wanted = plan(spec);
        let mut observed = self.observe(&wanted)?;
        let changes = observed.changes(&wanted);
        if changes.steps.iter().any(steps::moves_packets) || self.remakes_fast_path(spec) {
            self.pause_fast_path();
        }
        let done = match changes.missing_links.first() {
            Some(interface) => Err(RouterError::NoInterface {
                interface: interface.clone(),
            }),
            None => {
                self.ensure_counters(usage::counting(spec));
                self.carry_out(&changes, &wanted, observed.generation, OnError::Stop)
                    .inspect_err(|_| self.roll_back(&observed.state))
            }
        };
        if let Err(error) = done {
            self.suspend_fast_path();
            self.give_back_rules(&mut observed);
            return Err(error);
        }
        let target = Target {
            spec: spec.clone(),
            plan: wanted,
        };
        let before = self.target.replace(target);
        self.drive_fast_path(seen);
        self.doubts_leases |= before.as_ref().is_none_or(|b| !same_leases(&b.spec, spec));
        self.release_leases();
        let sessions_cut = self.cut_sessions(before.as_ref().map(|target| &target.spec), spec)?;
        self.pool_look = None;
        self.remember_pool();
        Ok(Applied {
            generation: spec.generation,
            changes: changes.differences,
            sessions_cut,
            micros: micros(started),
            version: VERSION.to_owned(),
        })
    }

    /// Cuts the sessions that lost their right, and returns how many. They went on until now, on whatever path.
    fn cut_sessions(&mut self, before: Option<&RouterSpec>, now: &RouterSpec) -> Result<u64, RouterError> {
        let before = before.filter(|_| !self.doubts_sessions);
        self.doubts_sessions = true;
        let cut = sessions::cut(before, now)?;
        self.doubts_sessions = false;
        if cut > 0 {
            self.end_leases();
        }
        Ok(cut)
    }

    /// Applies the spec that is applied already: what differs nevertheless is repaired.
    fn confirm(&mut self, generation: u64, started: Instant) -> Result<Applied, RouterError> {
        let Repair { differences, error } = self.heal()?.unwrap_or_default();
        match error {
            Some(error) => Err(error),
            None => Ok(Applied {
                generation,
                changes: differences,
                sessions_cut: 0,
                micros: micros(started),
                version: VERSION.to_owned(),
            }),
        }
    }

    /// Looks for differences between the router and its spec and repairs them. `None`: there is no difference, or no
    /// spec yet.
    ///
    /// # Errors
    /// When the kernel cannot be read.
    pub fn heal(&mut self) -> Result<Option<Repair>, RouterError> {
        let seen = self.suspensions();
        let repair = self.look_and_repair();
        if matches!(repair, Ok(Some(_))) {
            self.pool_look = None;
        }
        self.remember_pool();
        match &repair {
            Ok(None | Some(Repair { error: None, .. })) => self.drive_fast_path(seen),
            _ => self.suspend_fast_path(),
        }
        repair
    }

    fn look_and_repair(&mut self) -> Result<Option<Repair>, RouterError> {
        self.announce_due();
        self.release_leases();
        self.forget_if_renumbered();
        let counting = self.spec().and_then(usage::counting);
        self.ensure_counters(counting);
        self.with_plan(|engine, wanted| {
            let (changes, generation) = engine.compare(wanted)?;
            if changes.is_empty() {
                return Ok(None);
            }
            let missing = changes.missing_links.first();
            let missing = missing.map(|interface| RouterError::NoInterface {
                interface: interface.clone(),
            });
            let failed = engine
                .carry_out(&changes, wanted, generation, OnError::GoOn)
                .err();
            Ok(Some(Repair {
                differences: changes.differences,
                error: missing.or(failed),
            }))
        })
    }

    /// What differs between the router and its spec right now, one sentence each.
    ///
    /// # Errors
    /// When the kernel cannot be read.
    pub fn differences(&mut self) -> Result<Vec<String>, RouterError> {
        let differences = self.with_plan(|engine, wanted| Ok(Some(engine.compare(wanted)?.0.differences)))?;
        Ok(differences.unwrap_or_default())
    }

    /// Does something with the plan, lent from the target. `None` when there is no spec yet.
    fn with_plan<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &mut RouterPlan) -> Result<Option<T>, RouterError>,
    ) -> Result<Option<T>, RouterError> {
        let Some(target) = &mut self.target else {
            return Ok(None);
        };
        let mut wanted = std::mem::take(&mut target.plan);
        let result = work(self, &mut wanted);
        if let Some(target) = &mut self.target {
            target.plan = wanted;
        }
        result
    }

    /// The changes that are due, and the generation of the rules that they start from.
    fn compare(&mut self, wanted: &mut RouterPlan) -> Result<(Changes, Option<u32>), RouterError> {
        self.note_numbers(wanted);
        let generation = observe::generation()?;
        if self.known == Some(generation) {
            // Nobody has written a rule: only the rest is looked at.
            let rules = (
                std::mem::take(&mut wanted.ruleset),
                std::mem::take(&mut wanted.iptables_postrouting),
            );
            let changes = self
                .observe_system(wanted)
                .map(|observed| diff(&observed, wanted));
            (wanted.ruleset, wanted.iptables_postrouting) = rules;
            return Ok((changes?, self.known));
        }
        self.known = None;
        let observed = self.observe(wanted)?;
        let changes = observed.changes(wanted);
        if changes.is_empty() {
            self.known = observed.generation;
        }
        Ok((changes, observed.generation))
    }

    fn log_applied(&self, applied: &Applied) {
        let Applied {
            generation,
            changes,
            sessions_cut,
            micros,
            version: _,
        } = applied;
        if changes.is_empty() && *sessions_cut == 0 {
            return;
        }
        for change in changes.iter().take(LOGGED) {
            self.log.info(&format!("changed: {change}"));
        }
        if changes.len() > LOGGED {
            self.log
                .info(&format!("changed: {} more", changes.len() - LOGGED));
        }
        let count = changes.len();
        self.log.info(&format!(
            "applied generation {generation}: {count} differences, {sessions_cut} sessions cut, {micros} us"
        ));
    }
}

fn same_leases(a: &RouterSpec, b: &RouterSpec) -> bool {
    let (a, b) = (&a.guest_networks, &b.guest_networks);
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.leases == b.leases)
}

fn micros(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}
