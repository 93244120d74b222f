// SPDX-License-Identifier: Apache-2.0
//! Typed objects under keys, with revisions: the contract that the rest builds on, and an embedded store behind it.
//!
//! The words and the semantics are etcd's, so that etcd can stand behind the same trait later. Nothing here speaks SQL.

mod database;
mod log;
mod sqlite;

use std::fmt::Debug;

use async_trait::async_trait;

pub use sqlite::{KEY_MAX, SqliteStore, VALUE_MAX};

/// Rises by one with each committed transaction that writes something.
pub type Revision = u64;

/// A lease: keys written under it vanish when it is not kept alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(pub u64);

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, at most 512 bytes.
    pub key: String,
    /// The value, at most 4 MiB.
    pub value: Vec<u8>,
    /// The revision that created the key (since its last deletion).
    pub created: Revision,
    /// The revision that wrote it last.
    pub modified: Revision,
}

/// A condition of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The key does not exist.
    Absent(String),
    /// The key exists and was last written at this revision.
    Unchanged(String, Revision),
}

/// A write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets the key, under a lease if one is given.
    Put {
        /// The key.
        key: String,
        /// Its new value.
        value: Vec<u8>,
        /// The lease that keeps it.
        lease: Option<LeaseId>,
    },
    /// Removes the key; no error if it is not there.
    Delete(String),
}

/// All or nothing: when every condition holds, every write happens, at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    /// What must hold.
    pub conditions: Vec<Condition>,
    /// What happens then. No key twice.
    pub writes: Vec<Write>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Durable on disk, at this revision.
    Committed(Revision),
    /// A condition did not hold; nothing was written. Read again and decide again.
    Conflict,
}

/// What a watch reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A key was written.
    Put(Entry),
    /// A key was removed, at this revision.
    Deleted(String, Revision),
}

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is not what it must be.
    #[error("the store {path} is damaged: {reason}; restore it from a backup, it is not read as empty")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file was written by a newer Outgate.
    #[error(
        "the store {path} has schema version {found}, this build knows up to {known}; use a newer outgate"
    )]
    TooNew {
        /// The file.
        path: String,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Another process has it open.
    #[error("the store {path} is in use by another process; stop that server first")]
    InUse {
        /// The file.
        path: String,
    },
    /// A watch asked for a revision that is no longer kept.
    #[error(
        "changes before revision {oldest} are no longer kept; read everything again and watch from there"
    )]
    Compacted {
        /// The oldest revision that is kept.
        oldest: Revision,
    },
    /// The lease does not exist (any more).
    #[error("lease {0} has expired")]
    LeaseExpired(u64),
    /// A key or value is too large.
    #[error("{what} is {size} bytes long, at most {max} are possible")]
    TooLarge {
        /// Key or value of which key.
        what: String,
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The disk or the database failed.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// A stream of changes, in order, none missing. Ends with [`StoreError::Compacted`] for a reader that is too slow.
#[async_trait]
pub trait Watch: Send + Debug {
    /// The next transaction's changes under the watched prefix, all of one revision. `None`: the store is closed.
    async fn next(&mut self) -> Option<Result<Vec<Change>, StoreError>>;
}

/// The store. Every method may be called from many tasks at once.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// The newest revision.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// One key's entry, if there is one.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// Every entry whose key starts with `prefix`, by key, all as of the returned revision.
    async fn range(&self, prefix: &str) -> Result<(Revision, Vec<Entry>), StoreError>;

    /// Commits or refuses a transaction. When this returns `Committed` the change survives a power cut.
    async fn txn(&self, txn: Txn) -> Result<Outcome, StoreError>;

    /// Every change under `prefix` with a revision above `after`.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError>;

    /// A new lease that lives for `ttl` unless kept alive.
    async fn grant(&self, ttl: std::time::Duration) -> Result<LeaseId, StoreError>;

    /// Starts the lease's time anew.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Ends the lease; its keys are deleted.
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError>;
}
