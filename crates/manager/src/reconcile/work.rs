// SPDX-License-Identifier: Apache-2.0
//! What is to be done for one network: read from the mirror, without a look at any host.

use outgate_model::id::NetworkId;
use outgate_model::object::{Guest, GuestObserved, Network, NetworkPhase, Power, Router};
use outgate_model::{GuestSpec, RouterSpec};

use crate::mirror::{Stored, View};
use crate::spec::{RouterSettings, Source, SpecError, guest_spec, router_spec};

/// A guest that this network's task looks after: its first NIC is here.
#[derive(Debug)]
pub(super) struct GuestWork {
    pub(super) guest: Stored<Guest>,
    pub(super) spec: Option<GuestSpec>,
    /// What was last observed: whether it runs; `None` for nothing yet.
    pub(super) seen: Option<bool>,
}

impl GuestWork {
    /// Whether it is to run.
    pub(super) fn wanted(&self) -> bool {
        self.guest.power == Power::On && self.spec.is_some()
    }
}

/// Everything that one look at a network needs.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) network: Stored<Network>,
    pub(super) router: Option<Stored<Router>>,
    /// What the router must be, if it is to run.
    pub(super) spec: Option<RouterSpec>,
    pub(super) guests: Vec<GuestWork>,
    /// Guests with another NIC here, looked after elsewhere.
    pub(super) visitors: usize,
}

/// Reads the work for `id`; `None` when the network is gone.
pub(super) fn look(
    view: &View<'_>,
    settings: &RouterSettings,
    id: NetworkId,
) -> Result<Option<Work>, SpecError> {
    let Some(network) = view.get::<Network>(id).cloned() else {
        return Ok(None);
    };
    let router = view.router_of_network(id).cloned();
    let runs = router.as_ref().is_some_and(|r| r.power == Power::On);
    let spec = if runs {
        router_spec(Source::stored(view), settings, id)?
    } else {
        None
    };
    let alive = network.phase == NetworkPhase::Implemented;
    let mut guests = Vec::new();
    let mut visitors = 0;
    for guest in view.guests_of_network(id) {
        if guest.nics.first().is_none_or(|nic| nic.network != id) {
            visitors += 1;
            continue;
        }
        let wanted = alive && guest.power == Power::On;
        guests.push(GuestWork {
            guest: guest.clone(),
            spec: if wanted {
                Some(guest_spec(Source::stored(view), guest)?)
            } else {
                None
            },
            seen: view
                .guest_observed(guest.id)
                .map(|seen: &Stored<GuestObserved>| seen.running),
        });
    }
    Ok(Some(Work {
        network,
        router,
        spec,
        guests,
        visitors,
    }))
}
