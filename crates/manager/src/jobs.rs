// SPDX-License-Identifier: Apache-2.0
//! Ends jobs: a job is a question about observed state, so whoever looks, whenever, sees the same answer. A server
//! that was killed in between answers it after its restart.

mod goal;
mod undo;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use outgate_model::Realm;
use outgate_model::event::Level;
use outgate_model::id::JobId;
use outgate_model::job::{Job, JobState};
use outgate_model::key;

use crate::draft::Draft;
use crate::manager::{CommitError, Manager};
use crate::mirror::{Affected, Stored, View};
use goal::Progress;

/// CloudStack's error code for what went wrong inside.
const INTERNAL: u16 = 530;
/// How many jobs are ended in one transaction.
const CHUNK: usize = 128;

/// Runs until it is dropped.
pub(crate) async fn run(manager: Manager) {
    let deadline = manager.config().pace.job_deadline;
    let tick = (deadline / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    manager.inner.mirror.any.all();
    loop {
        let woken = tokio::time::timeout(tick, manager.inner.mirror.any.take()).await;
        let affected = woken.unwrap_or_else(|_| Affected::default());
        let due = due(&manager.view(), &affected, deadline);
        for chunk in due.chunks(CHUNK) {
            if let Err(error) = end(&manager, chunk).await {
                tracing::error!(%error, jobs = chunk.len(), "jobs could not be ended; trying again");
                manager.inner.mirror.any.all();
                tokio::time::sleep(tick).await;
            }
        }
    }
}

/// The jobs that can be ended now, and those that can give their claims back.
fn due(view: &View<'_>, affected: &Affected, deadline: Duration) -> Vec<JobId> {
    let concerns = |job: &Job| match view.realm_of_goal(&job.until) {
        Some(realm) => affected.all || affected.realms.contains(&realm),
        None => true,
    };
    let now = Timestamp::now();
    let due = view.pending_jobs().filter(|job| {
        is_late(job, now, deadline)
            || (concerns(job) && !matches!(goal::progress(view, &job.until), Progress::Waiting(_)))
    });
    let free = view
        .holding_jobs()
        .filter(|job| concerns(job) && goal::has_let_go(view, &job.until));
    due.chain(free).map(|job| job.id).collect()
}

fn is_late(job: &Job, now: Timestamp, deadline: Duration) -> bool {
    now.duration_since(job.created).unsigned_abs() > deadline && now > job.created
}

/// Ends jobs in one transaction. When what would be taken back does not fit any more, it stays.
async fn end(manager: &Manager, jobs: &[JobId]) -> Result<(), CommitError> {
    match end_with(manager, jobs, true).await {
        Err(CommitError::Unusable { .. } | CommitError::Spec(_)) => end_with(manager, jobs, false).await,
        other => other,
    }
}

async fn end_with(manager: &Manager, jobs: &[JobId], undo: bool) -> Result<(), CommitError> {
    let deadline = manager.config().pace.job_deadline;
    manager
        .commit(|view, draft| {
            let now = Timestamp::now();
            let mut touched = BTreeSet::new();
            for job in jobs.iter().filter_map(|id| view.job(*id)) {
                if job.state != JobState::Pending {
                    give_back(view, draft, job);
                    continue;
                }
                let state = match goal::progress(view, &job.until) {
                    Progress::Reached => JobState::Succeeded,
                    Progress::Refused(text) => refused(view, draft, job, &text, undo, &mut touched),
                    Progress::Waiting(error) if is_late(job, now, deadline) => late(job, error, deadline),
                    Progress::Waiting(_) => continue,
                };
                write(view, draft, job, state, now);
            }
            for realm in touched {
                draft.touch(view, realm);
            }
            Ok(())
        })
        .await
}

fn write(view: &View<'_>, draft: &mut Draft, job: &Stored<Job>, state: JobState, now: Timestamp) {
    draft.unchanged(key::job(job.id), job.modified);
    let mut ended = Job {
        state,
        completed: Some(now),
        undo: Vec::new(),
        ..(*job.object).clone()
    };
    // Otherwise the router may still answer for what the claims stand for, and nobody else may have it yet.
    if goal::has_let_go(view, &job.until) {
        ended
            .then_release
            .drain(..)
            .for_each(|claim| draft.release(claim));
    }
    draft.put_raw(key::job(job.id), &ended);
}

/// Gives back what an ended job still holds.
fn give_back(view: &View<'_>, draft: &mut Draft, job: &Stored<Job>) {
    if !job.then_release.is_empty() && goal::has_let_go(view, &job.until) {
        draft.unchanged(key::job(job.id), job.modified);
        let mut job = Job::clone(job);
        job.then_release.drain(..).for_each(|claim| draft.release(claim));
        draft.put_raw(key::job(job.id), &job);
    }
}

fn late(job: &Job, error: Option<String>, deadline: Duration) -> JobState {
    let cause = error.unwrap_or_else(|| "its host has not reported back".to_owned());
    let goes_on = if job.until == outgate_model::job::Goal::Reported {
        "it is given up"
    } else {
        "it is still being retried"
    };
    let text = format!(
        "{} {} is not done after {} s; {goes_on}: {cause}",
        job.instance_type,
        job.instance_id,
        deadline.as_secs_f64()
    );
    JobState::Failed { code: INTERNAL, text }
}

/// The router cannot use the change: it is taken back, in the same transaction as the job's end.
fn refused(
    view: &View<'_>,
    draft: &mut Draft,
    job: &Stored<Job>,
    text: &str,
    undo: bool,
    touched: &mut BTreeSet<Realm>,
) -> JobState {
    let realm = view.realm_of_goal(&job.until);
    let taken_back = undo && realm.is_some() && undo::take_back(view, draft, job);
    let (text, description) = if taken_back {
        touched.extend(realm);
        (text.to_owned(), format!("{} was taken back: {text}", job.command))
    } else {
        (
            format!("{text}; the change stays and is retried as a whole"),
            format!("{} failed: {text}", job.command),
        )
    };
    draft.event_of_job(job, "JOB.FAILED", Level::Error, description);
    JobState::Failed { code: INTERNAL, text }
}
