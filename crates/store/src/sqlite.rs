// SPDX-License-Identifier: Apache-2.0
//! The embedded store: one SQLite file, one thread that owns it. Requests that wait while the disk syncs are committed
//! together with the next sync.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::database::{self, Applied, Database};
use crate::log::{COMMITS_KEPT, Log};
use crate::{Change, Entry, LeaseId, Outcome, Revision, Store, StoreError, Txn, Watch, Write};

/// The longest key, in bytes.
pub const KEY_MAX: usize = 512;
/// The largest value, in bytes.
pub const VALUE_MAX: usize = 4 << 20;
/// How many requests may wait for the thread; further callers wait for a place.
const QUEUE: usize = 1024;
/// How many requests are committed together at most.
const BATCH: usize = 256;
/// The thread looks for expired leases at least this often.
const TICK: Duration = Duration::from_secs(1);

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Request {
    Txn(Txn, Reply<Outcome>),
    Get(String, Reply<Option<Entry>>),
    Range(String, Reply<(Revision, Vec<Entry>)>),
    Revision(Reply<Revision>),
    Grant(Duration, Reply<LeaseId>),
    KeepAlive(LeaseId, Reply<()>),
    Revoke(LeaseId, Reply<()>),
}

/// The embedded store.
pub struct SqliteStore {
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    log: Arc<Log>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store at `path`, or makes an empty one when there has never been one. It blocks while the whole file
    /// is checked.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::TooNew`], [`StoreError::InUse`], or [`StoreError::Failed`] for anything
    /// else (such as a missing folder).
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, COMMITS_KEPT)
    }

    /// Like [`SqliteStore::open`], keeping `commits_kept` commits for watches instead of 16,384.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(path: &Path, commits_kept: usize) -> Result<Self, StoreError> {
        let database = database::open(path)?;
        let log = Log::new(database.revision(), commits_kept);
        let (requests, queue) = mpsc::channel(QUEUE);
        let worker = Worker::new(database, Arc::clone(&log))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(database::failed)?;
        let thread = std::thread::Builder::new()
            .name("outgate-store".to_owned())
            .spawn(move || runtime.block_on(worker.run(queue)))
            .map_err(database::failed)?;
        Ok(Self {
            requests: Mutex::new(Some(requests)),
            log,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Finishes what was asked before, ends every watch and closes the file. Later calls fail.
    pub async fn close(&self) {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread ends by itself once its queue is empty.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, StoreError> {
        let closed =
            || StoreError::Failed("it is closed, or its disk failed before this request's turn".to_owned());
        let requests = self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .ok_or_else(closed)?;
        let (reply, answer) = oneshot::channel();
        requests.send(request(reply)).await.map_err(|_| closed())?;
        drop(requests);
        answer.await.map_err(|_| closed())?
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn revision(&self) -> Result<Revision, StoreError> {
        self.ask(Request::Revision).await
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.ask(|reply| Request::Get(key.to_owned(), reply)).await
    }

    async fn range(&self, prefix: &str) -> Result<(Revision, Vec<Entry>), StoreError> {
        self.ask(|reply| Request::Range(prefix.to_owned(), reply)).await
    }

    async fn txn(&self, txn: Txn) -> Result<Outcome, StoreError> {
        check_sizes(&txn)?;
        self.ask(|reply| Request::Txn(txn, reply)).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        Ok(Box::new(self.log.watch(prefix, after)?))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.ask(|reply| Request::Grant(ttl, reply)).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.ask(|reply| Request::KeepAlive(lease, reply)).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.ask(|reply| Request::Revoke(lease, reply)).await
    }
}

fn check_sizes(txn: &Txn) -> Result<(), StoreError> {
    let check = |what: String, size: usize, max: usize| {
        if size > max {
            Err(StoreError::TooLarge { what, size, max })
        } else {
            Ok(())
        }
    };
    for write in &txn.writes {
        let (Write::Put { key, .. } | Write::Delete(key)) = write;
        // A char boundary must be respected: a key is text.
        let start: String = key.chars().take(64).collect();
        check(format!("the key {start}"), key.len(), KEY_MAX)?;
        if let Write::Put { value, .. } = write {
            check(format!("the value of {key}"), value.len(), VALUE_MAX)?;
        }
    }
    Ok(())
}

/// What to do for a caller once the batch is durable (or has failed).
type Then = Box<dyn FnOnce(Result<(), &StoreError>) + Send>;

struct Worker {
    database: Database,
    log: Arc<Log>,
    /// Time to live and deadline of each lease. After a restart each has its whole time again: its keeper could not
    /// keep it alive while the store was away.
    leases: HashMap<u64, (Duration, Instant)>,
    /// Set when the disk failed in a way that leaves open what it holds.
    broken: Option<String>,
}

fn again(error: &StoreError) -> StoreError {
    StoreError::Failed(error.to_string())
}

impl Worker {
    fn new(database: Database, log: Arc<Log>) -> Result<Self, StoreError> {
        let now = Instant::now();
        let leases = database.leases()?.into_iter().map(|lease| {
            let ttl = Duration::from_millis(lease.ttl_millis);
            (lease.id, (ttl, now + ttl))
        });
        Ok(Self {
            leases: leases.collect(),
            database,
            log,
            broken: None,
        })
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let wait = self.until_next_expiry();
            match tokio::time::timeout(wait, queue.recv_many(&mut batch, BATCH)).await {
                Ok(0) => break,
                Ok(_) | Err(_) => self.work(&mut batch),
            }
        }
        self.log.close();
    }

    fn until_next_expiry(&self) -> Duration {
        let next = self.leases.values().map(|(_, deadline)| *deadline).min();
        next.map_or(TICK, |at| at.saturating_duration_since(Instant::now()).min(TICK))
    }

    /// Works off a batch: all of it becomes durable together, then everybody is answered.
    fn work(&mut self, batch: &mut Vec<Request>) {
        let expired = self.expired();
        if batch.is_empty() && expired.is_empty() {
            return;
        }
        let mut thens: Vec<Then> = Vec::with_capacity(batch.len());
        let mut commits = Vec::new();
        let result = self.run_batch(batch, &expired, &mut thens, &mut commits);
        if let Err(error) = &result {
            tracing::error!(%error, "a batch of transactions was not committed");
        } else {
            for (revision, changes) in commits {
                self.log.add(revision, changes);
            }
        }
        for then in thens {
            then(result.as_ref().copied());
        }
        // What was not reached because of a failure is answered by dropping it: its callers get an error.
        batch.clear();
    }

    fn run_batch(
        &mut self,
        batch: &mut Vec<Request>,
        expired: &[u64],
        thens: &mut Vec<Then>,
        commits: &mut Vec<(Revision, Vec<Change>)>,
    ) -> Result<(), StoreError> {
        if let Some(broken) = &self.broken {
            return Err(StoreError::Failed(broken.clone()));
        }
        let mut run = || {
            self.database.begin()?;
            for lease in expired {
                self.leases.remove(lease);
                note(self.database.revoke(*lease)?, commits);
            }
            for request in batch.drain(..) {
                self.serve(request, thens, commits)?;
            }
            self.database.commit()
        };
        let result = run();
        if result.is_err() {
            // They are still in the file: expire them again, a little later.
            let soon = Instant::now() + TICK;
            self.leases
                .extend(expired.iter().map(|lease| (*lease, (TICK, soon))));
        }
        if result.is_err() && !self.database.roll_back() {
            let text = "the disk failed during a commit; restart the server, the store is checked then";
            self.broken = Some(text.to_owned());
        }
        result
    }

    fn expired(&self) -> Vec<u64> {
        let now = Instant::now();
        self.leases
            .iter()
            .filter(|(_, (_, deadline))| *deadline <= now)
            .map(|(id, _)| *id)
            .collect()
    }

    fn serve(
        &mut self,
        request: Request,
        thens: &mut Vec<Then>,
        commits: &mut Vec<(Revision, Vec<Change>)>,
    ) -> Result<(), StoreError> {
        match request {
            Request::Txn(txn, reply) => {
                let answer = match self.database.apply(txn)? {
                    Applied::Conflict => Ok(Outcome::Conflict),
                    Applied::NoLease(lease) => Err(StoreError::LeaseExpired(lease)),
                    Applied::Done(revision, changes) => {
                        note(Some(Applied::Done(revision, changes)), commits);
                        Ok(Outcome::Committed(revision))
                    }
                };
                thens.push(later(reply, answer));
            }
            Request::Get(key, reply) => thens.push(later(reply, self.database.get(&key))),
            Request::Range(prefix, reply) => {
                let found = self
                    .database
                    .range(&prefix)
                    .map(|entries| (self.database.revision(), entries));
                thens.push(later(reply, found));
            }
            Request::Revision(reply) => thens.push(later(reply, Ok(self.database.revision()))),
            Request::Grant(ttl, reply) => {
                let ttl = ttl.max(Duration::from_millis(1));
                let id = self
                    .database
                    .grant(u64::try_from(ttl.as_millis()).map_err(database::failed)?)?;
                self.leases.insert(id, (ttl, Instant::now() + ttl));
                thens.push(later(reply, Ok(LeaseId(id))));
            }
            Request::KeepAlive(LeaseId(id), reply) => {
                let alive = self
                    .leases
                    .get_mut(&id)
                    .map(|(ttl, deadline)| *deadline = Instant::now() + *ttl);
                thens.push(later(reply, alive.ok_or(StoreError::LeaseExpired(id))));
            }
            Request::Revoke(LeaseId(id), reply) => {
                self.leases.remove(&id);
                let revoked = self.database.revoke(id)?;
                let answer = if revoked.is_some() {
                    Ok(())
                } else {
                    Err(StoreError::LeaseExpired(id))
                };
                note(revoked, commits);
                thens.push(later(reply, answer));
            }
        }
        Ok(())
    }
}

fn note(applied: Option<Applied>, commits: &mut Vec<(Revision, Vec<Change>)>) {
    if let Some(Applied::Done(revision, changes)) = applied
        && !changes.is_empty()
    {
        commits.push((revision, changes));
    }
}

/// Answers `reply` when the batch is durable. Nobody may be listening any more; that is no failure.
fn later<T: Send + 'static>(reply: Reply<T>, answer: Result<T, StoreError>) -> Then {
    Box::new(move |durable| {
        let _ = reply.send(durable.map_err(again).and(answer));
    })
}
