// SPDX-License-Identifier: Apache-2.0
//! Keeps the number of events and finished jobs bounded, the oldest go first; and expunges destroyed guests in time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use outgate_model::key;

use crate::command::guest_life;
use crate::config::Pace;
use crate::manager::{CommitError, Manager};
use crate::mirror::View;

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(10);
/// How many keys one transaction deletes.
const CHUNK: usize = 500;

/// Runs until it is dropped.
pub(crate) async fn run(manager: Manager) {
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        ticks.tick().await;
        if let Err(error) = prune(&manager).await {
            tracing::error!(%error, "old events and jobs could not be removed; trying again");
        }
        if let Err(error) = expunge(&manager).await {
            tracing::error!(%error, "destroyed guests could not be expunged; trying again");
        }
    }
}

/// Expunges the destroyed guests whose time is over.
///
/// # Errors
/// When the store fails.
async fn expunge(manager: &Manager) -> Result<(), CommitError> {
    manager
        .commit(|view, draft| {
            guest_life::expunge_due(view, draft);
            Ok::<_, CommitError>(())
        })
        .await
}

/// Deletes what is too much or too old now.
///
/// # Errors
/// When the store fails.
pub(crate) async fn prune(manager: &Manager) -> Result<(), CommitError> {
    loop {
        let keys = surplus(&manager.view(), &manager.config().pace);
        if keys.is_empty() {
            return Ok(());
        }
        manager
            .commit(|_, draft| {
                keys.iter().for_each(|key| draft.delete_raw(key.clone()));
                Ok::<_, CommitError>(())
            })
            .await?;
    }
}

fn surplus(view: &View<'_>, pace: &Pace) -> Vec<String> {
    let events = view.events_oldest_first();
    let too_many = events.len().saturating_sub(pace.events_kept);
    let events = events.take(too_many.min(CHUNK)).map(|e| key::event(e.id));
    let jobs = view.finished_jobs();
    let too_many = jobs.len().saturating_sub(pace.jobs_kept);
    let age = SignedDuration::try_from(pace.jobs_age).unwrap_or(SignedDuration::MAX);
    let oldest = Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN);
    let old = jobs
        .enumerate()
        .take_while(|(i, (ended, _))| *i < too_many || *ended < oldest);
    events
        .chain(old.take(CHUNK).map(|(_, (_, id))| key::job(id)))
        .collect()
}
