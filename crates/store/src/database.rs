// SPDX-License-Identifier: Apache-2.0
//! The SQLite file: its schema, how it is opened and checked, and transactions on it. Synchronous; the only user is
//! the store's thread.

mod open;

use std::path::PathBuf;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::{Change, Condition, Entry, Revision, StoreError, Txn, Write};

pub(crate) use open::open;

/// A lease as it is kept on disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredLease {
    pub(crate) id: u64,
    pub(crate) ttl_millis: u64,
}

/// An open store file.
#[derive(Debug)]
pub(crate) struct Database {
    connection: Connection,
    path: PathBuf,
    witness: std::fs::File,
    /// Of the newest transaction, committed or in the open batch.
    revision: Revision,
    durable: Revision,
    /// A sync of the disk failed: what it holds is unknown until the file is opened and checked again.
    suspect: bool,
}

/// How a transaction of a batch ended.
#[derive(Debug)]
pub(crate) enum Applied {
    /// It will have this revision and these changes once the batch is committed. No changes: nothing was written.
    Done(Revision, Vec<Change>),
    /// A condition did not hold.
    Conflict,
    /// It names a lease that is not there.
    NoLease(u64),
}

pub(crate) fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

/// SQLite's integers are signed; ours fit, as they count from 0.
fn to_sql(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(failed)
}

fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// FNV-1a over a row, kept beside it: SQLite's own check does not see a flipped bit inside a value.
fn checksum(key: &str, value: &[u8], created: Revision, modified: Revision) -> i64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let parts = [
        key.as_bytes(),
        value,
        &created.to_le_bytes(),
        &modified.to_le_bytes(),
    ];
    for byte in parts.into_iter().flatten() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash.cast_signed()
}

impl Database {
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    fn damaged(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Damaged {
            path: self.path.display().to_string(),
            reason: reason.into(),
        }
    }

    /// Starts a batch of transactions that become durable together.
    pub(crate) fn begin(&mut self) -> Result<(), StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)
    }

    /// Makes the batch durable: one sync of the disk for all of it.
    pub(crate) fn commit(&mut self) -> Result<(), StoreError> {
        if self.revision != self.durable {
            let revision = to_sql(self.revision)?;
            let mut set = self.prepare("UPDATE meta SET value = ?1 WHERE name = 'revision'")?;
            set.execute([revision]).map_err(failed)?;
        }
        self.connection.execute_batch("COMMIT").map_err(|error| {
            self.suspect = error.sqlite_error_code() != Some(ErrorCode::DiskFull);
            failed(error)
        })?;
        if self.revision != self.durable {
            self.durable = self.revision;
            if let Err(error) = open::acknowledge(&self.witness, self.durable) {
                tracing::warn!(%error, "the acknowledged revision could not be noted");
            }
        }
        Ok(())
    }

    /// Forgets the batch. Whether the file can be relied on afterwards.
    pub(crate) fn roll_back(&mut self) -> bool {
        self.revision = self.durable;
        let back = self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
        back && !self.suspect
    }

    fn prepare(&self, sql: &str) -> Result<rusqlite::CachedStatement<'_>, StoreError> {
        self.connection.prepare_cached(sql).map_err(failed)
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let mut select = self.prepare("SELECT key, value, created, modified, sum FROM kv WHERE key = ?1")?;
        let row = select.query_row([key], read_row).optional().map_err(failed)?;
        row.map(|row| self.checked(row)).transpose()
    }

    pub(crate) fn range(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        // Keys are UTF-8, so nothing sorts above the prefix followed by the last code point.
        let sql =
            "SELECT key, value, created, modified, sum FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key";
        let mut select = self.prepare(sql)?;
        let rows = select
            .query_map([prefix, &format!("{prefix}\u{10ffff}")], read_row)
            .map_err(failed)?;
        rows.map(|row| self.checked(row.map_err(failed)?)).collect()
    }

    fn checked(&self, (entry, sum): (Entry, i64)) -> Result<Entry, StoreError> {
        if checksum(&entry.key, &entry.value, entry.created, entry.modified) == sum {
            Ok(entry)
        } else {
            Err(self.damaged(format!("the value of {} is not what was written", entry.key)))
        }
    }

    fn modified(&self, key: &str) -> Result<Option<(Revision, Revision)>, StoreError> {
        let mut select = self.prepare("SELECT created, modified FROM kv WHERE key = ?1")?;
        let row = select.query_row([key], |row| Ok((from_sql(row.get(0)?), from_sql(row.get(1)?))));
        row.optional().map_err(failed)
    }

    fn holds(&self, condition: &Condition) -> Result<bool, StoreError> {
        Ok(match condition {
            Condition::Absent(key) => self.modified(key)?.is_none(),
            Condition::Unchanged(key, revision) => self.modified(key)?.is_some_and(|(_, m)| m == *revision),
        })
    }

    /// Runs one transaction inside the batch.
    pub(crate) fn apply(&mut self, txn: Txn) -> Result<Applied, StoreError> {
        for condition in &txn.conditions {
            if !self.holds(condition)? {
                return Ok(Applied::Conflict);
            }
        }
        for write in &txn.writes {
            if let Write::Put {
                lease: Some(lease), ..
            } = write
                && !self.has_lease(lease.0)?
            {
                return Ok(Applied::NoLease(lease.0));
            }
        }
        let revision = self.revision + 1;
        let mut changes = Vec::with_capacity(txn.writes.len());
        for write in txn.writes {
            changes.extend(self.write(write, revision)?);
        }
        if !changes.is_empty() {
            self.revision = revision;
        }
        Ok(Applied::Done(self.revision, changes))
    }

    fn write(&self, write: Write, revision: Revision) -> Result<Option<Change>, StoreError> {
        match write {
            Write::Put { key, value, lease } => {
                let created = self.modified(&key)?.map_or(revision, |(created, _)| created);
                let sum = checksum(&key, &value, created, revision);
                let lease = lease.map(|l| to_sql(l.0)).transpose()?;
                let sql = "INSERT INTO kv (key, value, created, modified, lease, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified = excluded.modified,
                           lease = excluded.lease, sum = excluded.sum";
                let row = params![key, value, to_sql(created)?, to_sql(revision)?, lease, sum];
                self.prepare(sql)?.execute(row).map_err(failed)?;
                Ok(Some(Change::Put(Entry {
                    key,
                    value,
                    created,
                    modified: revision,
                })))
            }
            Write::Delete(key) => {
                let gone = self
                    .prepare("DELETE FROM kv WHERE key = ?1")?
                    .execute([&key])
                    .map_err(failed)?;
                Ok((gone > 0).then_some(Change::Deleted(key, revision)))
            }
        }
    }

    fn has_lease(&self, id: u64) -> Result<bool, StoreError> {
        self.prepare("SELECT 1 FROM lease WHERE id = ?1")?
            .exists([to_sql(id)?])
            .map_err(failed)
    }

    /// Adds a lease; ids are never used again.
    pub(crate) fn grant(&self, ttl_millis: u64) -> Result<u64, StoreError> {
        let mut insert = self.prepare("INSERT INTO lease (ttl_millis) VALUES (?1)")?;
        Ok(from_sql(insert.insert([to_sql(ttl_millis)?]).map_err(failed)?))
    }

    /// Removes a lease and its keys. `None` when it is not there.
    pub(crate) fn revoke(&mut self, id: u64) -> Result<Option<Applied>, StoreError> {
        let sql_id = to_sql(id)?;
        if self
            .prepare("DELETE FROM lease WHERE id = ?1")?
            .execute([sql_id])
            .map_err(failed)?
            == 0
        {
            return Ok(None);
        }
        let keys: Vec<String> = {
            let mut select = self.prepare("SELECT key FROM kv WHERE lease = ?1 ORDER BY key")?;
            let rows = select.query_map([sql_id], |row| row.get(0)).map_err(failed)?;
            rows.collect::<Result<_, _>>().map_err(failed)?
        };
        let writes = keys.into_iter().map(Write::Delete).collect();
        self.apply(Txn {
            conditions: Vec::new(),
            writes,
        })
        .map(Some)
    }

    pub(crate) fn leases(&self) -> Result<Vec<StoredLease>, StoreError> {
        let mut select = self.prepare("SELECT id, ttl_millis FROM lease")?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(StoredLease {
                id: from_sql(row.get(0)?),
                ttl_millis: from_sql(row.get(1)?),
            })
        };
        let rows = select.query_map([], read).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Entry, i64)> {
    let entry = Entry {
        key: row.get(0)?,
        value: row.get(1)?,
        created: from_sql(row.get(2)?),
        modified: from_sql(row.get(3)?),
    };
    Ok((entry, row.get(4)?))
}
