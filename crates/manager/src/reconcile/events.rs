// SPDX-License-Identifier: Apache-2.0
//! What hosts notice by themselves becomes events, and wakes the reconciler.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outgate_host::Host;
use outgate_model::event::Level;
use outgate_model::host::HostEvent;
use outgate_model::id::{GuestId, RouterId};
use outgate_model::object::{Guest, Power, Router};
use tokio::sync::broadcast::error::RecvError;

use super::Waker;
use super::observed::{self, GuestSeen, Seen};
use crate::draft::Instance;
use crate::manager::{CommitError, Manager};

/// A repair that fails again and again in the same way is written down once in this time.
const SAME_FAILURE: Duration = Duration::from_secs(60);
/// How many differences one event names; it says how many more there were.
const DIFFERENCES: usize = 10;

/// Listens to one host until the host is gone.
pub(crate) async fn listen(manager: Manager, host: Arc<dyn Host>, waker: Waker) {
    let mut events = host.events();
    // What happened before we listened is found by looking.
    waker.all();
    let mut failures: HashMap<RouterId, (String, Instant)> = HashMap::new();
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Err(error) = take(&manager, &waker, &event, &mut failures).await {
                    tracing::error!(%error, ?event, "a host's event could not be written down");
                }
            }
            Err(RecvError::Lagged(lost)) => {
                tracing::warn!(lost, "too many events of a host at once; looking at everything");
                waker.all();
            }
            Err(RecvError::Closed) => return tracing::warn!("a host's events have ended"),
        }
    }
}

async fn take(
    manager: &Manager,
    waker: &Waker,
    event: &HostEvent,
    failures: &mut HashMap<RouterId, (String, Instant)>,
) -> Result<(), CommitError> {
    match event {
        HostEvent::Drift {
            router,
            differences,
            error,
        } => {
            let realm = manager.view().get::<Router>(*router).map(|r| r.realm);
            let text = drift_text(differences, error.as_deref());
            if error.is_none() {
                failures.remove(router);
            } else {
                // The router could not help itself.
                realm.into_iter().for_each(|realm| waker.realm(realm));
                if failures
                    .get(router)
                    .is_some_and(|(last, at)| *last == text && at.elapsed() < SAME_FAILURE)
                {
                    return Ok(());
                }
                failures.retain(|_, (_, at)| at.elapsed() < SAME_FAILURE);
                failures.insert(*router, (text.clone(), Instant::now()));
            }
            let (kind, level) = match error {
                None => ("ROUTER.DRIFT", Level::Warn),
                Some(_) => ("ROUTER.DRIFT", Level::Error),
            };
            note_router(manager, *router, kind, level, &text).await
        }
        HostEvent::RouterLost { router } => {
            let wanted = manager
                .view()
                .get::<Router>(*router)
                .filter(|r| r.power == Power::On)
                .map(|r| r.realm);
            let Some(realm) = wanted else { return Ok(()) };
            note_router(
                manager,
                *router,
                "ROUTER.LOST",
                Level::Error,
                "was gone without anyone having asked; starting it again",
            )
            .await?;
            observed::router(manager, *router, Seen::lost()).await?;
            waker.realm(realm);
            Ok(())
        }
        HostEvent::GuestLost { guest } => guest_lost(manager, waker, *guest).await,
    }
}

fn drift_text(differences: &[String], error: Option<&str>) -> String {
    let mut text = differences
        .iter()
        .take(DIFFERENCES)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    if differences.len() > DIFFERENCES {
        text += &format!("; and {} more", differences.len() - DIFFERENCES);
    }
    match error {
        None => format!("differed and was repaired: {text}"),
        Some(error) => format!("differs and could not be repaired ({error}): {text}"),
    }
}

async fn note_router(
    manager: &Manager,
    id: RouterId,
    kind: &str,
    level: Level,
    text: &str,
) -> Result<(), CommitError> {
    manager
        .commit(|view, draft| {
            if let Some(router) = view.get::<Router>(id) {
                let text = format!("router {} {text}", router.name);
                draft.event(
                    kind,
                    level,
                    text,
                    Some(router.account),
                    Some(Instance::of::<Router>(id.0)),
                );
            }
            Ok(())
        })
        .await
}

async fn guest_lost(manager: &Manager, waker: &Waker, id: GuestId) -> Result<(), CommitError> {
    let realm = {
        let view = manager.view();
        let guest = view.get::<Guest>(id).filter(|g| g.power == Power::On);
        guest.and_then(|guest| view.realm_of_guest(guest))
    };
    let Some(realm) = realm else { return Ok(()) };
    manager
        .commit(|view, draft| {
            if let Some(guest) = view.get::<Guest>(id) {
                let text = format!(
                    "guest {} was gone without anyone having asked; starting it again",
                    guest.name
                );
                draft.event(
                    "VM.LOST",
                    Level::Error,
                    text,
                    Some(guest.account),
                    Some(Instance::of::<Guest>(id.0)),
                );
            }
            Ok::<_, CommitError>(())
        })
        .await?;
    observed::guest(manager, id, GuestSeen::Down).await?;
    waker.realm(realm);
    Ok(())
}
