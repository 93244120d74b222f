// SPDX-License-Identifier: Apache-2.0
//! Networks that no guest uses give their router back, CloudStack's network garbage collection: an isolated network that
//! is not persistent and has had no running guest, and no change, for `network.gc.wait` goes back to Allocated. Its
//! addresses and rules stay; the next guest that starts, or the next address, brings its router back with all of them.
//! Tiers stay with their VPC's router.
//!
//! Since when a network is idle is known to the leading server alone: after its end the wait begins anew. What was
//! decided is in the store, so that a router which was to go goes whoever leads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use outgate_model::event::Level;
use outgate_model::id::NetworkId;
use outgate_model::object::{Guest, Network, NetworkOffering, NetworkPhase, Power, Router};

use crate::draft::{Draft, Instance};
use crate::manager::{CommitError, Manager};
use crate::mirror::{Stored, View};
use crate::settings;

/// How soon a change of the settings is noticed.
const STEP: Duration = Duration::from_secs(1);

/// Since when networks are idle, each with the generation that it had then: whatever changes it begins the wait anew.
#[derive(Debug, Default)]
pub struct Idle {
    since: BTreeMap<NetworkId, (u64, Instant)>,
}

impl Idle {
    /// Looks at every network, and returns those that have been idle for `wait` at `now`.
    pub fn due(&mut self, view: &View<'_>, now: Instant, wait: Duration) -> Vec<NetworkId> {
        let mut still = BTreeMap::new();
        for network in view.all::<Network>().filter(|network| is_idle(view, network)) {
            let before = self
                .since
                .get(&network.id)
                .filter(|(generation, _)| *generation == network.generation);
            let since = before.map_or(now, |(_, since)| *since);
            still.insert(network.id, (network.generation, since));
        }
        self.since = still;
        let due = |(_, since): &(u64, Instant)| now.saturating_duration_since(*since) >= wait;
        let found = self.since.iter().filter(|(_, since)| due(since));
        found.map(|(id, _)| *id).collect()
    }
}

/// Whether a network has a router that no guest needs.
fn is_idle(view: &View<'_>, network: &Network) -> bool {
    let uses = |guest: &Stored<Guest>| {
        guest.power == Power::On || view.guest_observed(guest.id).is_some_and(|seen| seen.running)
    };
    let persistent = || {
        let offering = view.get::<NetworkOffering>(network.offering);
        offering.is_none_or(|offering| offering.persistent)
    };
    network.tier.is_none()
        && network.phase == NetworkPhase::Implemented
        && !view.guests_of_network(network.id).any(uses)
        && !persistent()
}

/// Runs until it is dropped.
pub(crate) async fn run(manager: Manager) {
    let mut idle = Idle::default();
    let mut last = Instant::now();
    let mut ticks = tokio::time::interval(STEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (interval, wait) = {
            let view = manager.view();
            let seconds = |known| Duration::from_secs(u64::try_from(view.setting(known)).unwrap_or(u64::MAX));
            (
                seconds(&settings::NETWORK_GC_INTERVAL),
                seconds(&settings::NETWORK_GC_WAIT),
            )
        };
        let now = Instant::now();
        if now.saturating_duration_since(last) < interval {
            continue;
        }
        last = now;
        if let Err(error) = manager.shut_down_idle(&mut idle, now, wait).await {
            tracing::error!(%error, "networks without guests could not be shut down; trying again");
        }
    }
}

impl Manager {
    /// Shuts down the networks that have been idle for `wait` at `now`, and returns them.
    ///
    /// # Errors
    /// When the store fails; networks before that are shut down.
    pub async fn shut_down_idle(
        &self,
        idle: &mut Idle,
        now: Instant,
        wait: Duration,
    ) -> Result<Vec<NetworkId>, CommitError> {
        let due = idle.due(&self.view(), now, wait);
        let mut done = Vec::new();
        for id in due {
            let shut = self.commit(|view, draft| Ok::<_, CommitError>(shut_down(view, draft, id)));
            if shut.await? {
                done.push(id);
            }
        }
        Ok(done)
    }
}

/// Takes a network's router away unless it is needed by now. Whoever starts a guest on it raises its generation, so
/// that one of both decides anew.
fn shut_down(view: &View<'_>, draft: &mut Draft, id: NetworkId) -> bool {
    let Some(network) = view.get::<Network>(id).filter(|network| is_idle(view, network)) else {
        return false;
    };
    draft.touch(view, network.realm());
    let next = Network {
        phase: NetworkPhase::Allocated,
        ..Network::clone(network)
    };
    draft.update(network, next);
    let account = Some(network.account);
    let text = format!("network {} has no running guests and is shut down", network.name);
    draft.event(
        "NETWORK.SHUTDOWN",
        Level::Info,
        text,
        account,
        Some(Instance::of::<Network>(id.0)),
    );
    if let Some(router) = view.router_of(network.realm()) {
        let next = Router {
            power: Power::Gone,
            ..Router::clone(router)
        };
        draft.update(router, next);
        let text = format!("destroying router {}", router.name);
        let about = Instance::of::<Router>(router.id.0);
        draft.event("ROUTER.DESTROY", Level::Info, text, account, Some(about));
    }
    true
}
