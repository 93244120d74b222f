// SPDX-License-Identifier: Apache-2.0
//! What is to be done for one realm: read from the mirror, without a look at any host.

use outgate_model::id::{JobId, NetworkId, RouterId};
use outgate_model::object::{Guest, GuestObserved, Network, NetworkPhase, Power, Router};
use outgate_model::router_spec::JOBS_NAMED;
use outgate_model::{Realm, RouterSpec};

use crate::mirror::{Stored, View};
use crate::realm::Phase;
use crate::spec::{RouterSettings, Source, SpecError, router_spec};

/// A guest that this realm's task looks after: its first NIC is here.
#[derive(Debug)]
pub(super) struct GuestWork {
    pub(super) guest: Stored<Guest>,
    /// Whether its network is one that guests run on.
    pub(super) alive: bool,
    /// What was last observed: whether it runs; `None` for nothing yet.
    pub(super) seen: Option<bool>,
}

impl GuestWork {
    /// Whether it is to run.
    pub(super) fn wanted(&self) -> bool {
        self.guest.power == Power::On && self.alive
    }
}

/// Everything that one look at a realm needs.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) realm: Realm,
    pub(super) phase: Phase,
    pub(super) router: Option<Stored<Router>>,
    /// What the router must be, if it is to run.
    pub(super) spec: Option<RouterSpec>,
    pub(super) guests: Vec<GuestWork>,
    /// The networks that are on their way out: the isolated network itself, or tiers.
    pub(super) leaving: Vec<NetworkId>,
    /// Tiers whose former routers are still there.
    pub(super) moved: Vec<(NetworkId, RouterId)>,
}

/// Reads the work for `realm`; `None` when it is gone.
pub(super) fn look(
    view: &View<'_>,
    settings: &RouterSettings,
    realm: Realm,
) -> Result<Option<Work>, SpecError> {
    let Some(standing) = view.standing(realm) else {
        return Ok(None);
    };
    let router = view.router_of(realm).cloned();
    let runs = router.as_ref().is_some_and(|r| r.power == Power::On);
    let mut spec = if runs {
        router_spec(Source::stored(view), settings, realm)?
    } else {
        None
    };
    if let (Some(spec), Some(router)) = (&mut spec, &router) {
        spec.jobs = jobs(view, router);
    }
    let mut work = Work {
        realm,
        phase: standing.phase,
        router,
        spec,
        guests: Vec::new(),
        leaving: Vec::new(),
        moved: Vec::new(),
    };
    for network in view.networks_of_realm(realm) {
        if network.phase == NetworkPhase::Destroyed {
            work.leaving.push(network.id);
        }
        let from = network.tier.as_ref().and_then(|tier| tier.moved_from);
        work.moved.extend(from.map(|router| (network.id, router)));
        add_guests(view, &network, &mut work);
    }
    Ok(Some(work))
}

/// The jobs that wait for a router, for its log. One of another version is not told: it refuses what it does not know.
fn jobs(view: &View<'_>, router: &Router) -> Vec<JobId> {
    let version = view
        .router_observed(router.id)
        .and_then(|seen| seen.version.as_deref());
    if version.is_some_and(|version| version != env!("CARGO_PKG_VERSION")) {
        return Vec::new();
    }
    let waiting = view
        .pending_jobs()
        .filter(|job| view.realm_of_goal(&job.until) == Some(router.realm));
    waiting.map(|job| job.id).take(JOBS_NAMED).collect()
}

fn add_guests(view: &View<'_>, network: &Network, work: &mut Work) {
    let alive = network.phase == NetworkPhase::Implemented && work.phase == Phase::Alive;
    for guest in view.guests_of_network(network.id) {
        // With another NIC first it is looked after elsewhere.
        if guest.nics.first().is_none_or(|nic| nic.network != network.id) {
            continue;
        }
        work.guests.push(GuestWork {
            guest: guest.clone(),
            alive,
            seen: view
                .guest_observed(guest.id)
                .map(|seen: &Stored<GuestObserved>| seen.running),
        });
    }
}
