// SPDX-License-Identifier: Apache-2.0
//! The embedded store against the conformance suite, and what only a file can do: survive, or be damaged.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    missing_docs,
    reason = "a test"
)]

mod conformance;

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use conformance::{commit, put, value, writes};
use outgate_store::{SqliteStore, Store, StoreError, Txn};

macro_rules! conforms {
    ($($name:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            let dir = tempfile::tempdir().unwrap();
            conformance::$name(Arc::new(open(&dir.path().join("store.db")))).await;
        }
    )+};
}

conforms! {
    a_transaction_writes_everything_at_one_revision,
    a_transaction_that_changes_nothing_takes_no_revision,
    a_condition_that_does_not_hold_lets_nothing_through,
    of_64_writers_that_count_on_one_key_none_loses_a_step,
    of_64_writers_that_claim_one_key_exactly_one_gets_it,
    a_watch_misses_nothing_and_repeats_nothing_under_its_prefix,
    a_watch_reports_deletions_and_waits_for_what_comes,
    keys_under_a_lease_vanish_with_it,
    a_lease_that_is_kept_alive_lives_on,
    what_is_too_large_is_refused_by_name,
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).unwrap()
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_to_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_with(&dir.path().join("store.db"), 10).unwrap();
    conformance::a_reader_that_is_too_slow_is_told_to_read_again(Arc::new(store)).await;
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart_and_revisions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = open(&path);
    let revision = commit(&store, writes(vec![put("a", "1")])).await;
    store.close().await;
    assert!(matches!(store.get("a").await, Err(StoreError::Failed(_))));
    let store = open(&path);
    assert_eq!(store.revision().await.unwrap(), revision);
    assert_eq!(value(&store, "a").await.as_deref(), Some("1"));
    assert_eq!(commit(&store, writes(vec![put("a", "2")])).await, revision + 1);
    assert!(matches!(
        store.watch("", 0).await,
        Err(StoreError::Compacted { .. })
    ));
}

#[tokio::test]
async fn a_lease_has_its_whole_time_again_after_a_restart_and_then_expires() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = open(&path);
    let lease = store.grant(Duration::from_secs(2)).await.unwrap();
    let put = outgate_store::Write::Put {
        key: "k".into(),
        value: vec![],
        lease: Some(lease),
    };
    commit(&store, writes(vec![put])).await;
    store.close().await;
    let store = open(&path);
    store.keep_alive(lease).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while store.get("k").await.unwrap().is_some() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn closing_ends_the_watches() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store.db"));
    let mut watch = store.watch("", 0).await.unwrap();
    store.close().await;
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_second_opener_is_told_that_the_store_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = open(&path);
    commit(&store, writes(vec![put("a", "1")])).await;
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::InUse { .. })));
    // And so is another process.
    let mut child = child(&path, "once");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .for_each(|l| line += &l);
    child.wait().unwrap();
    assert!(line.contains("is in use by another process"), "{line}");
}

/// A store file with 200 keys, closed.
async fn filled(dir: &Path) -> PathBuf {
    let path = dir.join("store.db");
    let store = open(&path);
    for i in 0..20 {
        let ten = (0..10)
            .map(|j| put(&format!("key/{i}/{j}"), &"value ".repeat(50)))
            .collect();
        commit(&store, writes(ten)).await;
    }
    store.close().await;
    path
}

fn assert_damaged(path: &Path, what: &str) {
    match SqliteStore::open(path) {
        Err(StoreError::Damaged { reason, .. }) => println!("{what}: {reason}"),
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test]
async fn a_truncated_file_is_refused_whatever_its_new_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path()).await;
    let whole = std::fs::read(&path).unwrap();
    for size in [
        0,
        1,
        50,
        99,
        100,
        512,
        4096,
        8192,
        whole.len() / 2 / 4096 * 4096,
        whole.len() / 2,
        whole.len() - 4096,
        whole.len() - 1,
    ] {
        std::fs::write(&path, &whole[..size]).unwrap();
        assert_damaged(&path, &format!("{size} of {} bytes", whole.len()));
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(open(&path).range("").await.unwrap().1.len(), 200);
}

#[tokio::test]
async fn a_flipped_bit_in_any_row_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path()).await;
    let whole = std::fs::read(&path).unwrap();
    let rows: Vec<_> = (0..whole.len() - 6)
        .filter(|i| &whole[*i..*i + 6] == b"value ")
        .collect();
    assert!(rows.len() >= 200 * 40);
    for at in rows.iter().step_by(997) {
        let mut wrong = whole.clone();
        wrong[*at] ^= 1;
        std::fs::write(&path, &wrong).unwrap();
        assert_damaged(&path, &format!("bit at {at}"));
    }
}

#[tokio::test]
async fn a_file_of_noise_another_database_or_no_file_at_all_is_refused_when_there_was_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path()).await;
    std::fs::write(&path, vec![0x5a; 40_960]).unwrap();
    assert_damaged(&path, "noise");
    std::fs::remove_file(&path).unwrap();
    assert_damaged(&path, "missing");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    other.close().unwrap();
    assert_damaged(&path, "another database");
}

#[tokio::test]
async fn a_store_without_its_acknowledged_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let mut child = child(&path, "many");
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert!(
        lines
            .by_ref()
            .filter(|l| l.starts_with("acked"))
            .nth(50)
            .is_some()
    );
    child.kill().unwrap();
    child.wait().unwrap();
    let wal = dir.path().join("store.db-wal");
    let size = std::fs::metadata(&wal).unwrap().len();
    std::fs::OpenOptions::new()
        .write(true)
        .open(&wal)
        .unwrap()
        .set_len(size / 2)
        .unwrap();
    assert_damaged(&path, "half of the write-ahead file");
}

#[tokio::test]
async fn a_store_of_a_newer_build_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(dir.path()).await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    connection.close().unwrap();
    assert!(matches!(
        SqliteStore::open(&path),
        Err(StoreError::TooNew { found: 99, .. })
    ));
}

fn child(path: &Path, what: &str) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process", "--nocapture", "--test-threads=1"])
        .env("OUTGATE_STORE_CHILD", path)
        .env("OUTGATE_STORE_CHILD_DOES", what)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test by itself: the process that others start and kill. It says what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_process() {
    let Ok(path) = std::env::var("OUTGATE_STORE_CHILD") else {
        return;
    };
    let store = match SqliteStore::open(Path::new(&path)) {
        Ok(store) => Arc::new(store),
        Err(error) => return println!("{error}"),
    };
    if std::env::var("OUTGATE_STORE_CHILD_DOES").as_deref() == Ok("once") {
        return;
    }
    let round = store.revision().await.unwrap();
    let writer = |store: Arc<SqliteStore>, task: u32| async move {
        for i in 0..100_000 {
            let key = format!("{round}/{task}/{i}");
            let pair = writes(vec![put(&key, "left"), put(&format!("{key}/twin"), "right")]);
            let revision = commit(&*store, pair).await;
            std::io::stdout()
                .write_all(format!("acked {key} {revision}\n").as_bytes())
                .unwrap();
        }
    };
    let tasks: Vec<_> = (0..8)
        .map(|t| tokio::spawn(writer(Arc::clone(&store), t)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn after_kill_9_at_random_moments_everything_acknowledged_is_there_and_nothing_is_half() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let mut acknowledged = Vec::new();
    for round in 0..20_u64 {
        let mut child = child(&path, "many");
        let pid = child.id();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        acknowledged.extend(lines.by_ref().find(|l| l.starts_with("acked")));
        let killer = std::thread::spawn(move || {
            // Between 0 and 95 ms after the first acknowledgement.
            std::thread::sleep(Duration::from_millis(round * 37 % 96));
            child.kill().unwrap();
            child.wait().unwrap()
        });
        acknowledged.extend(lines.filter(|l| l.starts_with("acked ") && l.split(' ').count() == 3));
        assert!(!killer.join().unwrap().success(), "process {pid} was killed");
        let store = open(&path);
        let (revision, entries) = store.range("").await.unwrap();
        let there: std::collections::HashMap<_, _> =
            entries.iter().map(|e| (e.key.as_str(), e.modified)).collect();
        for line in &acknowledged {
            let mut words = line.split(' ').skip(1);
            let (key, at) = (words.next().unwrap(), words.next().unwrap().parse::<u64>());
            // The last line of a killed process may be cut off in its number.
            let Ok(at) = at else { continue };
            assert!(
                there
                    .get(key)
                    .is_some_and(|m| *m == at || m.to_string().starts_with(&at.to_string())),
                "{line} is lost"
            );
            assert!(
                there.contains_key(format!("{key}/twin").as_str()),
                "half of {line}"
            );
        }
        assert_eq!(there.len() % 2, 0);
        assert!(entries.iter().all(|e| e.modified <= revision));
        store.close().await;
    }
    println!(
        "{} acknowledged transactions over 20 kills, all there",
        acknowledged.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_that_wait_for_the_disk_share_its_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&dir.path().join("store.db")));
    let mut rates = Vec::new();
    for writers in [1_u32, 16, 64, 256] {
        let each = 1024 / writers;
        let start = Instant::now();
        let run = |store: Arc<SqliteStore>, w: u32| async move {
            for i in 0..each {
                let txn = Txn {
                    conditions: vec![],
                    writes: vec![put(&format!("{w}/{i}"), &"x".repeat(500))],
                };
                store.txn(txn).await.unwrap();
            }
        };
        let tasks: Vec<_> = (0..writers)
            .map(|w| tokio::spawn(run(Arc::clone(&store), w)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let rate = f64::from(each * writers) / start.elapsed().as_secs_f64();
        println!("{writers} writers: {rate:.0} commits/s");
        rates.push(rate);
    }
    assert!(rates[2] > rates[0], "64 writers are faster than one: {rates:?}");
}
