// SPDX-License-Identifier: Apache-2.0
//! Makes what runs match what is wanted: level-triggered, one task for a realm (an isolated
//! network or a VPC) at a time, many realms side by side.
//!
//! A realm is looked at when its desired state changes, when its host reports something, when a failure's back-off is
//! over, and when the full pass finds a difference. However many changes came meanwhile, the next look sees them all
//! and one apply brings them all.

mod events;
mod moved;
mod observed;
mod pass;
mod start;
mod work;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use outgate_model::Realm;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use crate::manager::Manager;
use crate::mirror::Affected;
pub(crate) use events::listen;
pub(crate) use observed::Failure;
use pass::Memo;
pub(crate) use pass::answer;

/// How many wake-ups from hosts may wait; beyond that the full pass finds what they were about.
const WAKE_UPS: usize = 1024;

/// Who may ask for a look at a realm.
#[derive(Debug, Clone)]
pub(crate) struct Waker(mpsc::Sender<Affected>);

/// The other end of a [`Waker`].
pub(crate) type WakeUps = mpsc::Receiver<Affected>;

impl Waker {
    pub(crate) fn new() -> (Self, WakeUps) {
        let (sender, receiver) = mpsc::channel(WAKE_UPS);
        (Self(sender), receiver)
    }

    /// Asks for a look at `realm` that takes nothing for granted.
    pub(crate) fn realm(&self, realm: Realm) {
        self.send(Affected {
            realms: BTreeSet::from([realm]),
            all: false,
        });
    }

    /// Asks for a full pass.
    pub(crate) fn all(&self) {
        self.send(Affected {
            realms: BTreeSet::new(),
            all: true,
        });
    }

    fn send(&self, affected: Affected) {
        if self.0.try_send(affected).is_err() {
            tracing::warn!(
                "too many wake-ups of the reconciler at once; the full pass finds what this one was about"
            );
        }
    }
}

/// What the dispatcher knows of one realm.
#[derive(Debug, Default)]
struct Slot {
    /// Away while a task works with it.
    memo: Memo,
    working: bool,
    /// Something happened since the work began.
    again: bool,
    /// The next look takes nothing for granted.
    force: bool,
    failures: u32,
    retry_at: Option<Instant>,
}

/// What a task gives back: the memo, whether the realm is gone, and how it went.
type Outcome = (Memo, bool, Result<(), Failure>);

struct Dispatcher {
    manager: Manager,
    slots: HashMap<Realm, Slot>,
    ready: BTreeSet<Realm>,
    /// When realms that failed are tried again, soonest first: of ten thousand slots few have failed.
    retries: BTreeSet<(Instant, Realm)>,
    tasks: JoinSet<Outcome>,
    names: HashMap<Id, Realm>,
    /// The full pass that is under way, if one is: a host that hangs must not hold up the dispatcher.
    passes: JoinSet<BTreeSet<Realm>>,
    /// Another one was asked for meanwhile: the one under way may have looked too early.
    pass_again: bool,
}

/// Runs until it is dropped.
pub(crate) async fn run(manager: Manager, wake_ups: Arc<tokio::sync::Mutex<WakeUps>>) {
    // Taken anew when this task is restarted after a panic.
    let mut wake_ups = wake_ups.lock().await;
    start::clean_hosts(&manager).await;
    start::differing(&manager).await;
    manager.inner.mirror.desired.all();
    let period = manager.config().pace.full_pass.max(Duration::from_millis(10));
    let mut full_pass = tokio::time::interval_at(Instant::now() + period, period);
    full_pass.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut dispatcher = Dispatcher {
        manager: manager.clone(),
        slots: HashMap::new(),
        ready: BTreeSet::new(),
        retries: BTreeSet::new(),
        tasks: JoinSet::new(),
        names: HashMap::new(),
        passes: JoinSet::new(),
        pass_again: false,
    };
    loop {
        dispatcher.start_tasks();
        let retry_at = dispatcher.next_retry();
        tokio::select! {
            affected = manager.inner.mirror.desired.take() => dispatcher.mark(&affected, false),
            Some(affected) = wake_ups.recv() => {
                if affected.all {
                    dispatcher.begin_full_pass();
                }
                dispatcher.mark(&Affected { all: false, ..affected }, true);
            }
            Some(ended) = dispatcher.tasks.join_next_with_id() => dispatcher.ended(ended),
            () = tokio::time::sleep_until(retry_at) => dispatcher.mark_due(),
            _ = full_pass.tick() => dispatcher.begin_full_pass(),
            Some(found) = dispatcher.passes.join_next() => dispatcher.end_full_pass(found),
        }
    }
}

impl Dispatcher {
    fn mark(&mut self, affected: &Affected, force: bool) {
        let realms: Vec<Realm> = if affected.all {
            self.manager.view().realms().collect()
        } else {
            affected.realms.iter().copied().collect()
        };
        for realm in realms {
            self.mark_one(realm, force);
        }
    }

    fn mark_one(&mut self, realm: Realm, force: bool) {
        let slot = self.slots.entry(realm).or_default();
        slot.force |= force;
        if let Some(at) = slot.retry_at.take() {
            self.retries.remove(&(at, realm));
        }
        if slot.working {
            slot.again = true;
        } else {
            self.ready.insert(realm);
        }
    }

    /// Looks at what runs and marks every realm where that is not what is wanted. Routers keep themselves in order;
    /// this is for what a lost message or a lost event left behind.
    fn begin_full_pass(&mut self) {
        if self.passes.is_empty() {
            let manager = self.manager.clone();
            self.passes.spawn(async move { start::differing(&manager).await });
        } else {
            self.pass_again = true;
        }
    }

    fn end_full_pass(&mut self, found: Result<BTreeSet<Realm>, tokio::task::JoinError>) {
        match found {
            Ok(realms) => realms.into_iter().for_each(|realm| self.mark_one(realm, true)),
            Err(error) => tracing::error!(%error, "a full pass ended by a panic"),
        }
        if std::mem::take(&mut self.pass_again) {
            self.begin_full_pass();
        }
    }

    fn next_retry(&self) -> Instant {
        let next = self.retries.first().map(|(at, _)| *at);
        next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    fn mark_due(&mut self) {
        let now = Instant::now();
        let due: Vec<Realm> = self
            .retries
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, realm)| *realm)
            .collect();
        for realm in due {
            self.mark_one(realm, false);
        }
    }

    fn start_tasks(&mut self) {
        while self.tasks.len() < self.manager.config().pace.parallel.max(1) {
            let Some(realm) = self.ready.pop_first() else {
                return;
            };
            let slot = self.slots.entry(realm).or_default();
            slot.working = true;
            slot.again = false;
            let force = std::mem::take(&mut slot.force);
            let mut memo = std::mem::take(&mut slot.memo);
            if force {
                memo = Memo::default();
            }
            let manager = self.manager.clone();
            let task = self.tasks.spawn(async move {
                let result = pass::run(&manager, realm, &mut memo).await;
                let gone = manager.view().standing(realm).is_none();
                (memo, gone, result)
            });
            self.names.insert(task.id(), realm);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Outcome), tokio::task::JoinError>) {
        let (task, outcome) = match ended {
            Ok((task, outcome)) => (task, Some(outcome)),
            Err(error) => {
                tracing::error!(%error, "the work on a realm ended by a panic");
                (error.id(), None)
            }
        };
        let Some(realm) = self.names.remove(&task) else {
            return;
        };
        let pace = self.manager.config().pace.clone();
        let Some(slot) = self.slots.get_mut(&realm) else {
            return;
        };
        slot.working = false;
        let (memo, gone, result) = outcome.unwrap_or((Memo::default(), false, Err(Failure::panicked())));
        slot.memo = memo;
        if let Some(at) = slot.retry_at.take() {
            self.retries.remove(&(at, realm));
        }
        match result {
            Ok(()) => {
                slot.failures = 0;
                if let Some(at) = slot.memo.look_again.take().filter(|_| !gone) {
                    slot.retry_at = Some(at);
                    self.retries.insert((at, realm));
                }
            }
            Err(failure) => {
                slot.failures = slot.failures.saturating_add(1);
                let factor = 1_u32 << (slot.failures - 1).min(16);
                let wait = pace.retry_first.saturating_mul(factor).min(pace.retry_most);
                tracing::warn!(%realm, failures = slot.failures, ?wait, %failure, "a realm is not as wanted");
                // What happened meanwhile is looked at right away, and a realm that is gone not at all.
                if !slot.again && !gone {
                    let at = Instant::now() + wait;
                    slot.retry_at = Some(at);
                    self.retries.insert((at, realm));
                }
            }
        }
        if slot.again {
            self.ready.insert(realm);
        } else if gone {
            self.slots.remove(&realm);
        }
    }
}
