// SPDX-License-Identifier: Apache-2.0
//! The recent commits, from which watches are served. It is bounded: the oldest ones are forgotten (compacted), and a
//! reader that still wants them is told so. It lives in memory only: a watch never outlives its store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{Change, Revision, StoreError, Watch};

/// How many commits are kept.
pub(crate) const COMMITS_KEPT: usize = 16_384;
/// How many bytes of keys and values are kept.
pub(crate) const BYTES_KEPT: usize = 64 << 20;

/// One commit's changes, all of one revision.
#[derive(Debug)]
struct Commit {
    revision: Revision,
    changes: Vec<Change>,
    bytes: usize,
}

#[derive(Debug)]
struct Recent {
    commits: VecDeque<Arc<Commit>>,
    bytes: usize,
    /// Every change with a revision above this one is kept.
    forgotten: Revision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    revision: Revision,
    open: bool,
}

/// The recent commits.
#[derive(Debug)]
pub(crate) struct Log {
    recent: Mutex<Recent>,
    head: watch::Sender<Head>,
    commits_kept: usize,
}

impl Log {
    /// An empty log after `revision`.
    pub(crate) fn new(revision: Revision, commits_kept: usize) -> Arc<Self> {
        let recent = Recent {
            commits: VecDeque::new(),
            bytes: 0,
            forgotten: revision,
        };
        let head = watch::Sender::new(Head { revision, open: true });
        Arc::new(Self {
            recent: Mutex::new(recent),
            head,
            commits_kept,
        })
    }

    /// Adds a commit that is durable and wakes the watches.
    pub(crate) fn add(&self, revision: Revision, changes: Vec<Change>) {
        let bytes = changes.iter().map(size).sum();
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.bytes += bytes;
            recent.commits.push_back(Arc::new(Commit {
                revision,
                changes,
                bytes,
            }));
            while recent.commits.len() > self.commits_kept || recent.bytes > BYTES_KEPT {
                let Some(oldest) = recent.commits.pop_front() else {
                    break;
                };
                recent.bytes -= oldest.bytes;
                recent.forgotten = oldest.revision;
            }
        }
        self.head.send_modify(|head| head.revision = revision);
    }

    /// Ends every watch.
    pub(crate) fn close(&self) {
        self.head.send_modify(|head| head.open = false);
    }

    /// A watch of what comes after `after`.
    ///
    /// # Errors
    /// When some of it is forgotten already.
    pub(crate) fn watch(self: &Arc<Self>, prefix: &str, after: Revision) -> Result<LogWatch, StoreError> {
        let _ = self.first_after(after, prefix)?;
        Ok(LogWatch {
            log: Arc::clone(self),
            head: self.head.subscribe(),
            prefix: prefix.to_owned(),
            after,
        })
    }

    /// The first kept commit above `after` that touches `prefix`, or the newest revision if there is none.
    fn first_after(
        &self,
        after: Revision,
        prefix: &str,
    ) -> Result<Result<Arc<Commit>, Revision>, StoreError> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if after < recent.forgotten {
            return Err(StoreError::Compacted {
                oldest: recent.forgotten + 1,
            });
        }
        let from = recent.commits.partition_point(|c| c.revision <= after);
        let found = recent
            .commits
            .range(from..)
            .find(|c| c.changes.iter().any(|change| key(change).starts_with(prefix)));
        let newest = recent.commits.back().map_or(after, |c| c.revision);
        Ok(found.map(Arc::clone).ok_or(newest.max(after)))
    }
}

fn key(change: &Change) -> &str {
    match change {
        Change::Put(entry) => &entry.key,
        Change::Deleted(key, _) => key,
    }
}

fn size(change: &Change) -> usize {
    match change {
        Change::Put(entry) => entry.key.len() + entry.value.len() + 64,
        Change::Deleted(key, _) => key.len() + 64,
    }
}

/// A reader of the log. It holds its place only, so that a slow one costs no memory.
#[derive(Debug)]
pub(crate) struct LogWatch {
    log: Arc<Log>,
    head: watch::Receiver<Head>,
    prefix: String,
    after: Revision,
}

#[async_trait]
impl Watch for LogWatch {
    async fn next(&mut self) -> Option<Result<Vec<Change>, StoreError>> {
        loop {
            let head = *self.head.borrow_and_update();
            match self.log.first_after(self.after, &self.prefix) {
                Err(error) => return Some(Err(error)),
                Ok(Ok(commit)) => {
                    self.after = commit.revision;
                    let under = |c: &&Change| key(c).starts_with(&self.prefix);
                    return Some(Ok(commit.changes.iter().filter(under).cloned().collect()));
                }
                Ok(Err(newest)) => self.after = newest,
            }
            if !head.open || self.head.changed().await.is_err() {
                return None;
            }
        }
    }
}
