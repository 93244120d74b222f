// SPDX-License-Identifier: Apache-2.0
//! An in-memory copy of the store with typed tables and indexes, fed by the store's watch: what every list, decision
//! and reconciliation reads. It trails the store by the time a notification takes; [`Mirror::wait_for`] closes the gap.

mod balancing;
mod index;
mod state;
mod tally;
mod tenants;
mod view;
mod vpc;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use outgate_store::{Change, Revision, Store, StoreError};
use tokio::sync::{Notify, watch};

use state::State;
pub(crate) use state::{Affected, Counters, Happened, Touched};
pub use state::{Row, Stored, Table, Unreadable};
pub(crate) use tally::Tally;
pub use view::{NetworkState, View};

/// How long the mirror waits before it tries to read the store again after a failure.
const RETRY: Duration = Duration::from_millis(200);

/// Why the mirror could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A value cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Realms that something happened to, for one reader. Bounded by the number of realms.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    affected: Mutex<Affected>,
    notify: Notify,
}

impl Wake {
    fn add(&self, more: &Affected) {
        if !more.is_empty() {
            self.affected
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .merge(more);
            self.notify.notify_one();
        }
    }

    /// Makes the reader look at everything.
    pub(crate) fn all(&self) {
        self.add(&Affected {
            realms: BTreeSet::new(),
            all: true,
        });
    }

    /// What happened since the last call; waits until there is something.
    pub(crate) async fn take(&self) -> Affected {
        loop {
            let taken = std::mem::take(&mut *self.affected.lock().unwrap_or_else(PoisonError::into_inner));
            if !taken.is_empty() {
                return taken;
            }
            self.notify.notified().await;
        }
    }
}

/// The mirror.
#[derive(Debug)]
pub struct Mirror {
    state: RwLock<State>,
    head: watch::Sender<Revision>,
    /// Realms whose desired state changed: for the reconciler.
    pub(crate) desired: Wake,
    /// Realms where anything changed: for the jobs.
    pub(crate) any: Wake,
    /// What happened since this server started.
    pub(crate) tally: Tally,
}

impl Mirror {
    /// Reads everything.
    ///
    /// # Errors
    /// When the store fails, or holds a value that cannot be read.
    pub async fn load(store: &dyn Store) -> Result<Self, MirrorError> {
        let (revision, entries) = store.range("").await?;
        let state = State::load(revision, &entries)?;
        let mirror = Self {
            state: RwLock::new(state),
            head: watch::Sender::new(revision),
            desired: Wake::default(),
            any: Wake::default(),
            tally: Tally::default(),
        };
        mirror.wake_all();
        Ok(mirror)
    }

    /// A consistent look at everything. See [`View`] for how long to hold it.
    pub fn view(&self) -> View<'_> {
        View(self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns once the mirror holds `revision` or a later one.
    pub async fn wait_for(&self, revision: Revision) {
        // It cannot fail: the sender lives as long as `self`.
        let _ = self.head.subscribe().wait_for(|head| *head >= revision).await;
    }

    /// The revision that the mirror holds, to be told of each change.
    pub fn revisions(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    /// Follows the store until it is closed. After any failure everything is read anew.
    pub(crate) async fn follow(&self, store: Arc<dyn Store>) {
        loop {
            match self.follow_once(&*store).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "the mirror lost the store's changes; reading everything again")
                }
            }
            tokio::time::sleep(RETRY).await;
            if let Err(error) = self.reload(&*store).await {
                tracing::error!(%error, "the mirror cannot read the store; trying again");
            }
        }
    }

    async fn follow_once(&self, store: &dyn Store) -> Result<(), StoreError> {
        let from = *self.head.borrow();
        let mut watch = store.watch("", from).await?;
        while let Some(changes) = watch.next().await {
            self.apply(&changes?);
        }
        Ok(())
    }

    async fn reload(&self, store: &dyn Store) -> Result<(), MirrorError> {
        let (revision, entries) = store.range("").await?;
        let state = State::load(revision, &entries)?;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.head.send_replace(revision);
        self.wake_all();
        Ok(())
    }

    fn apply(&self, changes: &[Change]) {
        let mut touched = Touched::default();
        let revision = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            for change in changes {
                if let Err(error) = state.apply(change, &mut touched) {
                    tracing::error!(%error, "a change was not taken over");
                }
            }
            state.revision
        };
        touched.happened.iter().for_each(|what| self.tally.add(what));
        self.head.send_replace(revision);
        self.desired.add(&touched.desired);
        touched.observed.merge(&touched.desired);
        self.any.add(&touched.observed);
    }

    fn wake_all(&self) {
        self.desired.all();
        self.any.all();
    }
}
