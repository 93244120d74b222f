// SPDX-License-Identifier: Apache-2.0
//! Opening a store file: exclusively, whole, of a known version, and with everything in it that was ever acknowledged.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{Database, failed, from_sql};
use crate::{Revision, StoreError};

/// "Outg": marks a SQLite file as a store of ours.
const APPLICATION_ID: i64 = 0x4f75_7467;

/// One script for each schema version; the file's `user_version` says how many it has been through.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    INSERT INTO meta VALUES ('revision', 0);
    CREATE TABLE kv (
        key TEXT PRIMARY KEY NOT NULL,
        value BLOB NOT NULL,
        created INTEGER NOT NULL,
        modified INTEGER NOT NULL,
        lease INTEGER,
        sum INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX kv_lease ON kv (lease) WHERE lease IS NOT NULL;
    CREATE TABLE lease (id INTEGER PRIMARY KEY AUTOINCREMENT, ttl_millis INTEGER NOT NULL) STRICT;
"];

const HEADER: &[u8] = b"SQLite format 3\0";

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn damaged(path: &Path, reason: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        path: path.display().to_string(),
        reason: reason.into(),
    }
}

/// Opens the store at `path`, or makes an empty one when there has never been one.
pub(crate) fn open(path: &Path) -> Result<Database, StoreError> {
    let mut witness = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(beside(path, ".acknowledged"))
        .map_err(failed)?;
    // This lock and not only SQLite's: closing any handle of the store file would drop that one, so nothing may touch
    // the file before we know that we are alone.
    match witness.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse {
                path: path.display().to_string(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let acknowledged = read_witness(&mut witness, path);
    if path.exists() {
        check_header(path)?;
    } else if acknowledged > 0 {
        return Err(damaged(
            path,
            format!("the file is missing, but it has been at revision {acknowledged}"),
        ));
    } else {
        create(path)?;
    }
    let connection = connect(path)?;
    let revision = check(&connection, path)?;
    if revision < acknowledged {
        let reason = format!(
            "it is at revision {revision}, but revision {acknowledged} was acknowledged: its end (the file or its -wal) \
             is missing. If you put an older backup here on purpose, remove {}",
            beside(path, ".acknowledged").display()
        );
        return Err(damaged(path, reason));
    }
    let database = Database {
        connection,
        path: path.to_owned(),
        witness,
        revision,
        durable: revision,
        suspect: false,
    };
    // Reads every row, and with it checks every row's sum.
    database.range("").map_err(|error| match error {
        StoreError::Failed(reason) => damaged(path, reason),
        other => other,
    })?;
    acknowledge(&database.witness, revision).map_err(failed)?;
    Ok(database)
}

/// Notes a revision that callers have been told of. It is never synced: after a power cut it may be too low, never too
/// high, because the database itself was synced before.
pub(super) fn acknowledge(witness: &File, revision: Revision) -> std::io::Result<()> {
    witness.write_all_at(format!("{revision:020}\n").as_bytes(), 0)
}

fn read_witness(file: &mut File, path: &Path) -> Revision {
    let mut text = String::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.take(64).read_to_string(&mut text));
    match (read, text.trim().parse()) {
        (Ok(0), _) => 0,
        (Ok(_), Ok(revision)) => revision,
        _ => {
            tracing::warn!(store = %path.display(), "the note of the last acknowledged revision is unreadable; ignored");
            0
        }
    }
}

/// Makes an empty store beside `path` and renames it: a file at `path` is always a whole one.
fn create(path: &Path) -> Result<(), StoreError> {
    let new = beside(path, ".new");
    for leftover in [new.clone(), beside(&new, "-wal"), beside(&new, "-journal")] {
        match std::fs::remove_file(&leftover) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed)?;
    let connection = Connection::open(&new).map_err(failed)?;
    connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(failed)?;
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(failed)?;
    migrate(&connection, &new)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    File::open(&new).and_then(|f| f.sync_all()).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)?;
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(failed)
}

/// SQLite takes an empty file for an empty database, and repairs silently what it can: look at the file first.
fn check_header(path: &Path) -> Result<(), StoreError> {
    let mut header = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    file.take(100).read_to_end(&mut header).map_err(failed)?;
    let [page_high, page_low] = match header.get(16..18) {
        Some(&[high, low]) if header.len() == 100 && header.starts_with(HEADER) => [high, low],
        _ => {
            return Err(damaged(
                path,
                format!("its {size} bytes do not start with a database header"),
            ));
        }
    };
    // The value 1 stands for 65536.
    let page = match u64::from(u16::from_be_bytes([page_high, page_low])) {
        1 => 65_536,
        page => page.max(1),
    };
    if size % page != 0 {
        return Err(damaged(
            path,
            format!("its size of {size} bytes is not a whole number of pages: it was truncated"),
        ));
    }
    Ok(())
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let wrong = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse {
            path: path.display().to_string(),
        },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(path, error.to_string()),
        _ => failed(error),
    };
    let connection = Connection::open_with_flags(path, flags).map_err(wrong)?;
    connection
        .busy_timeout(std::time::Duration::ZERO)
        .map_err(wrong)?;
    // Exclusive first: then the write-ahead index lives in memory and no second process gets in.
    connection
        .pragma_update(None, "locking_mode", "EXCLUSIVE")
        .map_err(wrong)?;
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .map_err(wrong)?;
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(wrong)?;
    connection
        .pragma_update(None, "cache_size", -65_536)
        .map_err(wrong)?;
    connection
        .execute_batch("BEGIN IMMEDIATE; COMMIT")
        .map_err(wrong)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Checks that the file is a whole store of ours and brings its schema up to date. Returns its revision.
fn check(connection: &Connection, path: &Path) -> Result<Revision, StoreError> {
    let wrong = |error: rusqlite::Error| damaged(path, error.to_string());
    let number = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(wrong)
    };
    if number("application_id")? != APPLICATION_ID {
        return Err(damaged(path, "it is a database, but not one of Outgate's"));
    }
    let report: String = connection
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .map_err(wrong)?;
    if report != "ok" {
        return Err(damaged(path, report));
    }
    migrate(connection, path)?;
    let sql = "SELECT value FROM meta WHERE name = 'revision'";
    connection
        .query_row(sql, [], |row| row.get(0))
        .map(from_sql)
        .map_err(wrong)
}

fn migrate(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let version: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    let known = u32::try_from(MIGRATIONS.len()).map_err(failed)?;
    if version > known {
        return Err(StoreError::TooNew {
            path: path.display().to_string(),
            found: version,
            known,
        });
    }
    for (next, script) in (1..=known)
        .zip(MIGRATIONS)
        .skip(version.try_into().map_err(failed)?)
    {
        connection
            .execute_batch(&format!("BEGIN; {script}; PRAGMA user_version = {next}; COMMIT"))
            .map_err(failed)?;
    }
    Ok(())
}
