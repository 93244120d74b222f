// SPDX-License-Identifier: Apache-2.0
//! What routers know, gathered: byte counters become usage, ports and sessions become forecasts and alerts, health
//! checks become observed state. Level-triggered: each look takes what there is now.

mod capacity;
mod diagnose;
pub mod health;
mod held;
mod looks;
mod pool;
mod records;
mod refusals;
mod samples;
mod usage;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outgate_host::Host;
use outgate_model::id::RouterId;
use outgate_model::object::{Alert, AlertKind, Power, Router, RouterState};
use outgate_model::stats::{PORTS, RouterStats};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::manager::Manager;
use crate::mirror::{Stored, View};
use crate::reconcile::answer;
use crate::settings;

pub use capacity::{AddressCapacity, Capacity, ports_remedy, protocol_name, protocol_number};
pub use diagnose::{Diagnose, Tool, parts};
pub use records::{Record, UsageType};
pub use usage::UsageQuery;

pub(crate) use looks::{Looks, Reading};
pub(crate) use pool::Pool;
pub(crate) use refusals::Refusals;
pub(crate) use samples::Samples;

/// How many routers are asked side by side.
const PARALLEL: usize = 16;
/// So many diagnoses may run at once.
const DIAGNOSES_MAX: usize = 8;
/// So many routers' usage is written in one transaction.
const CHUNK: usize = 32;
/// How often the setting of the interval is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often old usage is looked for.
const PRUNING: Duration = Duration::from_secs(3_600);
/// How long a router that is about to end is waited for.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// A router, and what it said.
type Read = (Stored<Router>, Arc<RouterStats>);

/// What is kept in memory: samples to forecast from, each router's last look, whom limits refuse. Bounded by the number of
/// routers and their addresses.
#[derive(Debug)]
pub(crate) struct Kept {
    samples: Mutex<Samples>,
    /// What each router said last.
    pub(crate) looks: Looks,
    refusals: Mutex<Refusals>,
    /// Places for programs that run for diagnosis.
    diagnoses: Arc<Semaphore>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            samples: Mutex::default(),
            looks: Looks::default(),
            refusals: Mutex::default(),
            diagnoses: Arc::new(Semaphore::new(DIAGNOSES_MAX)),
        }
    }
}

impl Kept {
    /// Takes a reading of a router in.
    fn take_in(&self, router: RouterId, stats: &Arc<RouterStats>, pool: &Pool) {
        let now = jiff::Timestamp::now();
        self.samples().take_in(router, now, stats, pool);
        self.looks.put(router, now, Arc::clone(stats));
    }

    fn retain(&self, keep: impl Fn(RouterId) -> bool) {
        self.samples().retain(&keep);
        self.refusals().retain(&keep);
        self.looks.retain(keep);
    }

    /// The samples of every series; not to be held while a view is taken.
    pub(crate) fn samples(&self) -> MutexGuard<'_, Samples> {
        // Whoever panicked left whole series behind: each change of one is a push.
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom limits refuse; not to be held while a view is taken.
    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        // Whoever panicked left whole counts behind.
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all routers again and again. Runs until it is dropped.
pub(crate) async fn run(manager: Manager) {
    let (mut last, mut pruned): (Option<Instant>, Option<Instant>) = (None, None);
    loop {
        let interval = manager.view().setting(&settings::ROUTER_STATS_INTERVAL);
        let interval = Duration::from_secs(u64::try_from(interval).unwrap_or(1));
        let due = manager.inner.insight.looks.take_hurry();
        if due || last.is_none_or(|last| last.elapsed() >= interval) {
            last = Some(Instant::now());
            if let Err(error) = pass(&manager).await {
                tracing::error!(%error, "usage could not be written; the next reading makes up for it");
            }
        }
        if pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNING) {
            pruned = Some(Instant::now());
            if let Err(error) = usage::prune(&manager).await {
                tracing::error!(%error, "old usage could not be removed; trying again");
            }
        }
        tokio::time::sleep(TICK.min(interval)).await;
    }
}

/// Reads all routers once.
async fn pass(manager: &Manager) -> Result<(), crate::CommitError> {
    let routers = running(&manager.view());
    let from = match manager.inner.insight.looks.are_watched() {
        true => 0,
        false => census_from(&manager.view()),
    };
    let ids: BTreeSet<RouterId> = routers.iter().map(|router| router.id).collect();
    manager.inner.insight.retain(|router| ids.contains(&router));
    let mut failed = held::note(manager).await;
    failed = failed.and(let_go(manager, &ids).await);
    let mut asked = JoinSet::new();
    let mut waiting = routers.into_iter();
    let mut read = Vec::new();
    loop {
        for router in waiting.by_ref().take(PARALLEL.saturating_sub(asked.len())) {
            let manager = manager.clone();
            asked.spawn(async move {
                let stats = ask(&manager, &router, from).await;
                (router, stats.map(Arc::new))
            });
        }
        let Some(done) = asked.join_next().await else {
            break;
        };
        if let Ok((router, Some(stats))) = done {
            read.push((router, stats));
        }
        if read.len() >= CHUNK {
            failed = failed.and(take_in(manager, &std::mem::take(&mut read)).await);
        }
    }
    failed.and(take_in(manager, &read).await)
}

/// What an alert about something of a router is about.
fn about(what: impl std::fmt::Display, router: RouterId) -> String {
    format!("{what} of router {router}")
}

/// Of which router it is.
fn router_of(about: &str) -> Option<RouterId> {
    about.rsplit_once(" of router ")?.1.parse().ok()
}

/// Takes away what was said of routers that do not run.
async fn let_go(manager: &Manager, running: &BTreeSet<RouterId>) -> Result<(), crate::CommitError> {
    let is_gone = |alert: &Alert| {
        let of_routers = matches!(alert.kind, AlertKind::Ports | AlertKind::Limit);
        of_routers && router_of(&alert.about).is_some_and(|id| !running.contains(&id))
    };
    if !manager.view().all::<Alert>().any(|alert| is_gone(alert)) {
        return Ok(());
    }
    manager
        .commit(|view, draft| {
            for alert in view.all::<Alert>().filter(|alert| is_gone(alert)) {
                draft.delete(alert);
            }
            Ok(())
        })
        .await
}

/// Makes of readings what there is to be made.
async fn take_in(manager: &Manager, read: &[Read]) -> Result<(), crate::CommitError> {
    for (router, stats) in read {
        let pool = Pool::of(&manager.view(), router);
        manager.inner.insight.take_in(router.id, stats, &pool);
    }
    let added = usage::add(manager, read).await;
    let warned = capacity::warn(manager, read).await;
    added.and(warned).and(refusals::warn(manager, read).await)
}

/// Whether a router runs.
fn runs(view: &View<'_>, router: &Router) -> bool {
    let seen = view.router_observed(router.id);
    router.power == Power::On && seen.is_some_and(|seen| seen.state == RouterState::Running)
}

/// The routers that run.
fn running(view: &View<'_>) -> Vec<Stored<Router>> {
    view.all::<Router>()
        .filter(|router| runs(view, router))
        .cloned()
        .collect()
}

/// From how many sessions on they are looked at one by one: half as many as make a warning.
fn census_from(view: &View<'_>) -> u32 {
    let percent = u32::try_from(view.setting(&settings::PORT_THRESHOLD)).unwrap_or(100);
    PORTS.saturating_mul(percent) / 200
}

/// `None` when the router does not answer, which the reconciler sees by itself.
async fn ask(manager: &Manager, router: &Router, census_from: u32) -> Option<RouterStats> {
    let host = manager.host(router.host)?;
    match answer(manager, host.router_stats(router.id, census_from)).await {
        Ok(stats) => Some(stats),
        Err(error) => {
            tracing::debug!(router = router.name, %error, "no statistics");
            None
        }
    }
}

/// Reads the counters of a router that is about to end: they end with it.
pub(crate) async fn read_last(manager: &Manager, router: &Stored<Router>) {
    let runs = manager
        .view()
        .router_observed(router.id)
        .is_some_and(|seen| seen.state == RouterState::Running);
    if !runs {
        return;
    }
    let asked = tokio::time::timeout(LAST_PATIENCE, ask(manager, router, u32::MAX)).await;
    let Ok(Some(stats)) = asked else { return };
    if let Err(error) = usage::add(manager, &[(router.clone(), Arc::new(stats))]).await {
        tracing::error!(router = router.name, %error, "the last bytes of a router were not added");
    }
}

/// A router with its host's driver.
pub(crate) type Driven = (Stored<Router>, Arc<dyn Host>);

/// The router with its host's driver, if it is there.
fn driver(manager: &Manager, id: RouterId) -> Option<Driven> {
    let router = manager.view().get::<Router>(id).cloned()?;
    let host = manager.host(router.host).cloned()?;
    Some((router, host))
}
