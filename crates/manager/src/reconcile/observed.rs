// SPDX-License-Identifier: Apache-2.0
//! Writing down what was observed, only when it changed.

use std::fmt;

use jiff::Timestamp;
use outgate_host::HostError;
use outgate_model::event::Level;
use outgate_model::host::Applied;
use outgate_model::id::{GuestId, RouterId};
use outgate_model::key;
use outgate_model::object::{Guest, GuestObserved, Router, RouterObserved, RouterState};

use crate::draft::Instance;
use crate::manager::{CommitError, Manager};
use crate::spec::SpecError;

/// Why a network is not as wanted yet. It is tried again.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What failed, for users.
    pub(crate) text: String,
    /// The router cannot use what it was given; trying again does not help.
    pub(crate) refused: bool,
    /// The router goes on with what it had.
    pub(crate) runs_on: bool,
}

impl Failure {
    pub(crate) fn panicked() -> Self {
        Self::other("an internal error; the server's log has it")
    }

    pub(crate) fn other(text: impl fmt::Display) -> Self {
        Self {
            text: text.to_string(),
            refused: false,
            runs_on: false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        let refused = matches!(error, HostError::BadSpec { .. } | HostError::Rules { .. });
        let runs_on = refused || matches!(error, HostError::NoInterface { .. });
        Self {
            text: error.to_string(),
            refused,
            runs_on,
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        Self::other(error)
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Self::other(error)
    }
}

/// What a router was found to be; the time is added when it is written.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) state: RouterState,
    pub(super) boot: u64,
    pub(super) generation: u64,
    pub(super) version: Option<String>,
    pub(super) error: Option<String>,
    pub(super) refused: Option<u64>,
}

impl Seen {
    /// It runs, and has said this.
    pub(super) fn up(boot: u64, applied: Applied) -> Self {
        Self {
            state: RouterState::Running,
            boot,
            generation: applied.generation,
            version: Some(applied.version).filter(|version| !version.is_empty()),
            error: None,
            refused: None,
        }
    }

    pub(super) fn down(boot: u64) -> Self {
        Self {
            state: RouterState::Stopped,
            boot,
            generation: 0,
            version: None,
            error: None,
            refused: None,
        }
    }

    pub(super) fn lost() -> Self {
        Self {
            state: RouterState::Starting,
            boot: 0,
            generation: 0,
            version: None,
            error: None,
            refused: None,
        }
    }
}

/// Writes what a router was found to be, if it differs from what is written. An error that is new is an event too.
pub(super) async fn router(manager: &Manager, id: RouterId, seen: Seen) -> Result<(), CommitError> {
    write_router(manager, id, |_| Some(seen.clone())).await
}

/// Writes that a router could not be made as wanted.
pub(super) async fn router_failed(
    manager: &Manager,
    id: RouterId,
    generation: u64,
    failure: &Failure,
) -> Result<(), CommitError> {
    write_router(manager, id, |before| {
        let running = before.filter(|b| failure.runs_on && b.state == RouterState::Running);
        Some(Seen {
            state: if running.is_some() {
                RouterState::Running
            } else {
                RouterState::Error
            },
            boot: before.map_or(0, |b| b.boot),
            generation: running.map_or(0, |b| b.generation),
            version: running.and_then(|b| b.version.clone()),
            error: Some(failure.text.clone()),
            refused: failure.refused.then_some(generation),
        })
    })
    .await
}

async fn write_router(
    manager: &Manager,
    id: RouterId,
    next: impl Fn(Option<&RouterObserved>) -> Option<Seen> + Send + Sync,
) -> Result<(), CommitError> {
    manager
        .commit(|view, draft| {
            let before = view.router_observed(id).map(|s| &*s.object);
            let (Some(router), Some(seen)) = (view.get::<Router>(id), next(before)) else {
                return Ok(());
            };
            let at = before.map_or_else(Timestamp::now, |b| b.at);
            let Seen {
                state,
                boot,
                generation,
                version,
                error,
                refused,
            } = seen;
            let new_error = error
                .clone()
                .filter(|e| before.and_then(|b| b.error.as_ref()) != Some(e));
            let mut observed = RouterObserved {
                id,
                state,
                boot,
                generation,
                version,
                error,
                refused,
                at,
            };
            if before == Some(&observed) {
                return Ok(());
            }
            observed.at = Timestamp::now();
            // Nothing is written down of a router that goes away meanwhile.
            draft.read(router);
            draft.put_raw(key::observed_router(id), &observed);
            if let Some(error) = new_error {
                let text = format!("router {}: {error}", router.name);
                let about = Instance::of::<Router>(id.0);
                draft.event(
                    "ROUTER.ERROR",
                    Level::Error,
                    text,
                    Some(router.account),
                    Some(about),
                );
            }
            Ok(())
        })
        .await
}

/// How a guest was seen.
#[derive(Debug, Clone, Copy)]
pub(super) enum GuestSeen<'a> {
    /// It runs, with the NICs of this generation.
    Up(u64),
    /// It does not run.
    Down,
    /// It could not be made as wanted, for this reason. One that ran goes on as it was.
    Failed(&'a str),
}

/// Writes whether a guest runs, and why it is not as wanted, if it differs from what is written.
pub(super) async fn guest(manager: &Manager, id: GuestId, seen: GuestSeen<'_>) -> Result<(), CommitError> {
    manager
        .commit(|view, draft| {
            let Some(guest) = view.get::<Guest>(id) else {
                return Ok(());
            };
            let before = view.guest_observed(id);
            let ran = before.is_some_and(|b| b.running);
            let generation = before.map_or(0, |b| b.generation);
            let (running, generation, error) = match seen {
                GuestSeen::Up(now) => (true, now, None),
                GuestSeen::Down => (false, generation, None),
                GuestSeen::Failed(error) => (ran, generation, Some(error)),
            };
            let same = |b: &GuestObserved| {
                (b.running, b.generation, b.error.as_deref()) == (running, generation, error)
            };
            if before.is_some_and(|b| same(b)) {
                return Ok(());
            }
            let error = error.map(str::to_owned);
            if let Some(error) = &error {
                let text = format!("guest {}: {error}", guest.name);
                let about = Instance::of::<Guest>(id.0);
                draft.event("VM.ERROR", Level::Error, text, Some(guest.account), Some(about));
            }
            let seen = GuestObserved {
                id,
                running,
                generation,
                error,
                at: Timestamp::now(),
            };
            draft.read(guest);
            draft.put_raw(key::observed_guest(id), &seen);
            Ok(())
        })
        .await
}

/// Writes that routers and guests which were believed to run do not, all at once.
pub(super) async fn lost(
    manager: &Manager,
    routers: &[RouterId],
    guests: &[GuestId],
) -> Result<(), CommitError> {
    manager
        .commit(|view, draft| {
            let at = Timestamp::now();
            for router in routers.iter().filter_map(|id| view.get::<Router>(*id)) {
                let Seen {
                    state,
                    boot,
                    generation,
                    version,
                    error,
                    refused,
                } = Seen::lost();
                let seen = RouterObserved {
                    id: router.id,
                    state,
                    boot,
                    generation,
                    version,
                    error,
                    refused,
                    at,
                };
                draft.read(router);
                draft.put_raw(key::observed_router(router.id), &seen);
            }
            for guest in guests.iter().filter_map(|id| view.get::<Guest>(*id)) {
                let seen = GuestObserved {
                    id: guest.id,
                    running: false,
                    generation: 0,
                    error: None,
                    at,
                };
                draft.read(guest);
                draft.put_raw(key::observed_guest(guest.id), &seen);
            }
            Ok(())
        })
        .await
}
