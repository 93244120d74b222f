// SPDX-License-Identifier: Apache-2.0
//! What runs beside what is wanted: orphans at start, differences at each full pass.

use std::collections::{BTreeSet, HashMap};

use outgate_model::Realm;
use outgate_model::event::Level;
use outgate_model::host::{HostObserved, Inventory, PrivateWire};
use outgate_model::id::{GuestId, HostId, RouterId};
use outgate_model::object::{self, Guest, Power, PrivateGateway, Router, RouterState};

use super::observed;
use super::pass::answer;
use crate::draft::Instance;
use crate::manager::{CommitError, Manager};
use crate::mirror::View;
use crate::realm::Phase;

/// How often a host that fails is asked to remove orphans before the work begins without that.
const TRIES: u32 = 3;

/// Everything that may exist on a host. What is meant to be off or to go is no orphan: the realms' own tasks see to it.
fn inventory(view: &View<'_>, host: HostId) -> Inventory {
    let mut networks = BTreeSet::new();
    let mut keep = Inventory::default();
    let mut vpcs = BTreeSet::new();
    for router in view.all::<Router>().filter(|r| r.host == host) {
        keep.routers.push(router.id);
        if let Realm::Vpc(vpc) = router.realm {
            vpcs.insert(vpc);
        }
        networks.extend(view.networks_of_realm(router.realm).iter().map(|n| n.id));
    }
    for guest in view.all::<Guest>().filter(|g| g.host == host) {
        keep.guests.push(guest.id);
        networks.extend(guest.nics.iter().map(|n| n.network));
    }
    let gateways = view.all::<PrivateGateway>().filter(|g| vpcs.contains(&g.vpc));
    let wires: BTreeSet<_> = gateways
        .map(|g| PrivateWire {
            physical_network: g.physical_network,
            vlan: g.vlan,
        })
        .collect();
    keep.wires = wires.into_iter().collect();
    keep.networks = networks.into_iter().collect();
    keep
}

/// Removes what runs on the hosts and belongs to nothing.
pub(super) async fn clean_hosts(manager: &Manager) {
    let hosts = manager.inner.hosts.iter();
    for (id, host) in hosts {
        for attempt in 1..=TRIES {
            let keep = inventory(&manager.view(), *id);
            match answer(manager, host.retain(&keep)).await {
                Ok(removed) => {
                    if let Err(error) = note_orphans(manager, *id, &removed).await {
                        tracing::error!(%error, ?removed, "orphans were removed, but no event could be written");
                    }
                    break;
                }
                Err(error) => tracing::error!(host = %id, attempt, %error, "orphans could not be removed"),
            }
        }
    }
}

async fn note_orphans(manager: &Manager, host: HostId, removed: &[String]) -> Result<(), CommitError> {
    manager
        .commit(|_, draft| {
            for text in removed {
                let about = Instance::of::<object::Host>(host.0);
                draft.event("ORPHAN.REMOVE", Level::Warn, text.clone(), None, Some(about));
            }
            Ok(())
        })
        .await
}

/// What a look at the hosts found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The realms where what runs is not what is wanted.
    pub(super) differing: BTreeSet<Realm>,
    /// Routers that are written down as running and do not run.
    pub(super) lost_routers: Vec<RouterId>,
    /// The same of guests.
    pub(super) lost_guests: Vec<GuestId>,
}

/// Compares what runs with what is wanted, and corrects what is written down of it. Returns the realms to work on. A
/// host that does not answer is left out and reported.
pub(super) async fn differing(manager: &Manager) -> BTreeSet<Realm> {
    let mut found = Found::default();
    for (id, host) in &manager.inner.hosts {
        // What comes up while the host looks is not lost.
        let (routers, guests) = believed(&manager.view(), *id);
        match answer(manager, host.observe()).await {
            Ok(seen) => {
                note_host(manager, *id, None).await;
                compare(&manager.view(), *id, &seen, &mut found);
                found.lost_routers.retain(|id| routers.contains(id));
                found.lost_guests.retain(|id| guests.contains(id));
            }
            Err(error) => {
                tracing::error!(host = %id, %error, "the host cannot be observed");
                note_host(manager, *id, Some(&error.to_string())).await;
            }
        }
    }
    if let Err(error) = observed::lost(manager, &found.lost_routers, &found.lost_guests).await {
        tracing::error!(%error, "what was lost could not be written down");
    }
    found.differing
}

/// Raises the alert about a host that does not answer, or takes it away.
async fn note_host(manager: &Manager, id: HostId, error: Option<&str>) {
    if let Err(failure) = crate::alerts::host(manager, id, error).await {
        tracing::error!(host = %id, %failure, "whether the host answers could not be written down");
    }
}

/// The routers and guests that are written down as running on a host.
fn believed(view: &View<'_>, host: HostId) -> (BTreeSet<RouterId>, BTreeSet<GuestId>) {
    let routers = view
        .all::<Router>()
        .filter(|r| r.host == host && is_believed(view, r.id));
    let guests = view.all::<Guest>().filter(|g| g.host == host);
    let guests = guests.filter(|g| view.guest_observed(g.id).is_some_and(|s| s.running));
    (routers.map(|r| r.id).collect(), guests.map(|g| g.id).collect())
}

fn is_believed(view: &View<'_>, router: RouterId) -> bool {
    view.router_observed(router)
        .is_some_and(|seen| seen.state == RouterState::Running)
}

fn compare(view: &View<'_>, host: HostId, seen: &HostObserved, found: &mut Found) {
    let routers: HashMap<_, _> = seen
        .routers
        .iter()
        .map(|r| (r.id, (r.boot, r.generation)))
        .collect();
    for router in view.all::<Router>().filter(|r| r.host == host) {
        let wanted = view
            .standing(router.realm)
            .filter(|realm| realm.phase == Phase::Alive && router.power == Power::On)
            .map(|realm| (router.boot, Some(realm.generation)));
        let runs = routers.get(&router.id).copied();
        if runs != wanted {
            found.differing.insert(router.realm);
        }
        if runs.is_none() && is_believed(view, router.id) {
            found.lost_routers.push(router.id);
        }
    }
    let guests: BTreeSet<_> = seen.guests.iter().map(|g| g.id).collect();
    for guest in view.all::<Guest>().filter(|g| g.host == host) {
        let runs = guests.contains(&guest.id);
        if runs != (guest.power == Power::On) {
            found.differing.extend(view.realm_of_guest(guest));
        }
        if !runs && view.guest_observed(guest.id).is_some_and(|s| s.running) {
            found.lost_guests.push(guest.id);
        }
    }
}
