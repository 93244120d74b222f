// SPDX-License-Identifier: Apache-2.0
//! Whether a job's goal is observed. Pure.

use outgate_model::Realm;
use outgate_model::id::{AccountId, GuestId, NetworkId, RouterId};
use outgate_model::job::Goal;
use outgate_model::object::{Account, Domain, Guest, Network, Power, Project, Router, RouterState, Vpc};

use crate::mirror::View;
use crate::realm::Phase;

/// How far a goal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is observed.
    Reached,
    /// Its router refused it for good, for this reason.
    Refused(String),
    /// Not yet; the last error, if there was one.
    Waiting(Option<String>),
}

/// How far `goal` is.
pub(super) fn progress(view: &View<'_>, goal: &Goal) -> Progress {
    match goal {
        Goal::Stored => Progress::Reached,
        Goal::Reported => {
            Progress::Waiting(Some("the server that worked on it is gone; ask again".to_owned()))
        }
        Goal::Applied { realm, generation } => applied(view, *realm, *generation),
        Goal::NetworkMoved {
            network,
            vpc,
            generation,
        } => match applied(view, Realm::Vpc(*vpc), *generation) {
            Progress::Reached if is_moving(view, *network) => Progress::Waiting(None),
            progress => progress,
        },
        Goal::NetworkGone { network } => match view.get::<Network>(*network) {
            None => Progress::Reached,
            Some(network) => Progress::Waiting(router_error(view, network.realm())),
        },
        Goal::VpcGone { vpc } => match view.get::<Vpc>(*vpc) {
            None => Progress::Reached,
            Some(vpc) => Progress::Waiting(router_error(view, Realm::Vpc(vpc.id))),
        },
        Goal::AccountGone { account } => gone(view.get::<Account>(*account).is_none()),
        Goal::ProjectGone { project } => gone(view.get::<Project>(*project).is_none()),
        Goal::DomainGone { domain } => gone(view.get::<Domain>(*domain).is_none()),
        Goal::GuestsDown { account } => guests_down(view, *account),
        Goal::GuestSettled { guest, generation } => guest_settled(view, *guest, *generation),
        Goal::RouterSettled { router, boot } => router_settled(view, *router, *boot),
    }
}

fn gone(is_gone: bool) -> Progress {
    if is_gone {
        Progress::Reached
    } else {
        Progress::Waiting(Some("what it owns is still being removed".to_owned()))
    }
}

fn guests_down(view: &View<'_>, account: AccountId) -> Progress {
    let mut down = view
        .guests_of_account(account)
        .filter(|guest| guest.power == Power::Off);
    let running = down.find(|guest| view.guest_observed(guest.id).is_some_and(|seen| seen.running));
    match running {
        None => Progress::Reached,
        Some(guest) => Progress::Waiting(Some(format!("guest {} still runs", guest.name))),
    }
}

fn router_error(view: &View<'_>, realm: Realm) -> Option<String> {
    view.router_observed(view.router_of(realm)?.id)?.error.clone()
}

/// Whether the router of its time as an isolated network is still there.
fn is_moving(view: &View<'_>, network: NetworkId) -> bool {
    let network = view.get::<Network>(network);
    let tier = network.and_then(|network| network.tier.as_ref());
    tier.is_some_and(|tier| tier.moved_from.is_some())
}

fn is_alive(view: &View<'_>, realm: Realm) -> bool {
    view.standing(realm).is_some_and(|s| s.phase == Phase::Alive)
}

/// A realm without a running router holds its rules ready: they count as applied.
fn applied(view: &View<'_>, realm: Realm, generation: u64) -> Progress {
    let router = view.router_of(realm).filter(|r| r.power == Power::On);
    match router {
        Some(router) if is_alive(view, realm) => reached(view, router.id, generation),
        _ => Progress::Reached,
    }
}

/// Whether no router can hold any more what a change with this goal has taken away. Stricter than [`progress`]: a router
/// that is meant to be off or to go holds it until it is seen to be off.
pub(super) fn has_let_go(view: &View<'_>, goal: &Goal) -> bool {
    let Goal::Applied { realm, generation } = goal else {
        return progress(view, goal) == Progress::Reached;
    };
    let Some(router) = view.router_of(*realm) else {
        return true;
    };
    if is_alive(view, *realm) && router.power == Power::On {
        return reached(view, router.id, *generation) == Progress::Reached;
    }
    view.router_observed(router.id)
        .is_some_and(|seen| seen.state == RouterState::Stopped)
}

/// The router has applied `generation` or a later one.
fn reached(view: &View<'_>, router: RouterId, generation: u64) -> Progress {
    runs(view, router, (0, generation), generation)
}

/// The router runs this boot with at least this generation. A refusal counts from the generation `newest` on: what it
/// refused earlier is no answer to what is asked of it now.
fn runs(view: &View<'_>, router: RouterId, (boot, generation): (u64, u64), newest: u64) -> Progress {
    let Some(seen) = view.router_observed(router) else {
        return Progress::Waiting(None);
    };
    if seen.generation >= generation && seen.boot >= boot && seen.state == RouterState::Running {
        return Progress::Reached;
    }
    match (&seen.error, seen.refused) {
        (Some(error), Some(refused)) if refused >= newest => Progress::Refused(error.clone()),
        (error, _) => Progress::Waiting(error.clone()),
    }
}

fn guest_settled(view: &View<'_>, guest: GuestId, generation: u64) -> Progress {
    let Some(guest) = view.get::<Guest>(guest) else {
        return Progress::Reached;
    };
    let seen = view.guest_observed(guest.id);
    let running = seen.is_some_and(|s| s.running);
    let error = || {
        let of_nic = |network| router_error(view, view.get::<Network>(network)?.realm());
        let routers = || guest.nics.iter().find_map(|nic| of_nic(nic.network));
        seen.and_then(|s| s.error.clone()).or_else(routers)
    };
    match guest.power {
        Power::On if running && seen.is_some_and(|s| s.generation >= generation) => Progress::Reached,
        Power::Off if !running => Progress::Reached,
        _ => Progress::Waiting(error()),
    }
}

fn router_settled(view: &View<'_>, router: RouterId, boot: u64) -> Progress {
    let Some(router) = view.get::<Router>(router) else {
        return Progress::Reached;
    };
    let seen = view.router_observed(router.id);
    match router.power {
        // Whatever generation it runs: it came up with the newest there was, and a realm that changes all the time
        // would else keep the job waiting.
        Power::On => view.standing(router.realm).map_or(Progress::Reached, |standing| {
            runs(view, router.id, (boot, 1), standing.generation)
        }),
        Power::Off if seen.is_some_and(|s| s.state == RouterState::Stopped) => Progress::Reached,
        Power::Off | Power::Gone => Progress::Waiting(seen.and_then(|s| s.error.clone())),
    }
}
