// SPDX-License-Identifier: Apache-2.0
//! What every store must do, whatever is behind the trait. Each function gets an empty store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use outgate_store::{Change, Condition, LeaseId, Outcome, Revision, Store, StoreError, Txn, Write};

pub type Shared = Arc<dyn Store>;

pub fn put(key: &str, value: &str) -> Write {
    Write::Put {
        key: key.to_owned(),
        value: value.as_bytes().to_vec(),
        lease: None,
    }
}

pub fn writes(writes: Vec<Write>) -> Txn {
    Txn {
        conditions: vec![],
        writes,
    }
}

pub async fn commit(store: &dyn Store, txn: Txn) -> Revision {
    match store.txn(txn).await.unwrap() {
        Outcome::Committed(revision) => revision,
        Outcome::Conflict => panic!("conflict"),
    }
}

pub async fn value(store: &dyn Store, key: &str) -> Option<String> {
    Some(String::from_utf8(store.get(key).await.unwrap()?.value).unwrap())
}

pub async fn a_transaction_writes_everything_at_one_revision(store: Shared) {
    let start = store.revision().await.unwrap();
    let revision = commit(
        &*store,
        writes(vec![put("a/1", "x"), put("a/2", "y"), put("b", "z")]),
    )
    .await;
    assert_eq!(revision, start + 1);
    let (at, entries) = store.range("a/").await.unwrap();
    assert_eq!(at, revision);
    let keys: Vec<_> = entries
        .iter()
        .map(|e| (e.key.as_str(), e.created, e.modified))
        .collect();
    assert_eq!(keys, [("a/1", revision, revision), ("a/2", revision, revision)]);
    let next = commit(
        &*store,
        writes(vec![put("a/1", "new"), Write::Delete("b".into())]),
    )
    .await;
    let entry = store.get("a/1").await.unwrap().unwrap();
    assert_eq!((entry.created, entry.modified), (revision, next));
    assert_eq!(value(&*store, "b").await, None);
    assert_eq!(store.range("").await.unwrap().1.len(), 2);
}

pub async fn a_transaction_that_changes_nothing_takes_no_revision(store: Shared) {
    let revision = commit(&*store, writes(vec![put("a", "1")])).await;
    assert_eq!(
        commit(&*store, writes(vec![Write::Delete("not there".into())])).await,
        revision
    );
    assert_eq!(store.revision().await.unwrap(), revision);
}

pub async fn a_condition_that_does_not_hold_lets_nothing_through(store: Shared) {
    let first = commit(&*store, writes(vec![put("a", "1")])).await;
    let second = commit(&*store, writes(vec![put("a", "2")])).await;
    let wrong = [
        Condition::Absent("a".into()),
        Condition::Unchanged("a".into(), first),
        Condition::Unchanged("c".into(), first),
    ];
    for condition in wrong {
        let txn = Txn {
            conditions: vec![condition.clone()],
            writes: vec![put("b", "x"), put("a", "x")],
        };
        assert_eq!(store.txn(txn).await.unwrap(), Outcome::Conflict, "{condition:?}");
    }
    assert_eq!(
        (value(&*store, "a").await.as_deref(), value(&*store, "b").await),
        (Some("2"), None)
    );
    let right = vec![
        Condition::Unchanged("a".into(), second),
        Condition::Absent("b".into()),
    ];
    commit(
        &*store,
        Txn {
            conditions: right,
            writes: vec![put("b", "x")],
        },
    )
    .await;
}

pub async fn of_64_writers_that_count_on_one_key_none_loses_a_step(store: Shared) {
    const EACH: u64 = 4;
    commit(&*store, writes(vec![put("n", "0")])).await;
    let count = |store: Shared| async move {
        for _ in 0..EACH {
            loop {
                let seen = store.get("n").await.unwrap().unwrap();
                let n: u64 = String::from_utf8(seen.value).unwrap().parse().unwrap();
                let conditions = vec![Condition::Unchanged("n".into(), seen.modified)];
                let txn = Txn {
                    conditions,
                    writes: vec![put("n", &(n + 1).to_string())],
                };
                if let Outcome::Committed(_) = store.txn(txn).await.unwrap() {
                    break;
                }
            }
        }
    };
    let tasks: Vec<_> = (0..64).map(|_| tokio::spawn(count(Arc::clone(&store)))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(value(&*store, "n").await, Some((64 * EACH).to_string()));
}

pub async fn of_64_writers_that_claim_one_key_exactly_one_gets_it(store: Shared) {
    let claim = |store: Shared, i: u32| async move {
        let txn = Txn {
            conditions: vec![Condition::Absent("claim".into())],
            writes: vec![put("claim", &i.to_string())],
        };
        (i, store.txn(txn).await.unwrap() != Outcome::Conflict)
    };
    let tasks: Vec<_> = (0..64)
        .map(|i| tokio::spawn(claim(Arc::clone(&store), i)))
        .collect();
    let mut winners = vec![];
    for task in tasks {
        winners.extend(Some(task.await.unwrap()).filter(|(_, won)| *won));
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(value(&*store, "claim").await, Some(winners[0].0.to_string()));
}

pub async fn a_watch_misses_nothing_and_repeats_nothing_under_its_prefix(store: Shared) {
    let start = commit(&*store, writes(vec![put("w/before", "x")])).await;
    let mut early = store.watch("w/", start).await.unwrap();
    let writer = |store: Shared, task: u32| async move {
        for i in 0..50 {
            commit(
                &*store,
                writes(vec![
                    put(&format!("w/{task}/{i}"), "1"),
                    put(&format!("other/{task}/{i}"), "2"),
                ]),
            )
            .await;
        }
    };
    let tasks: Vec<_> = (0..8)
        .map(|t| tokio::spawn(writer(Arc::clone(&store), t)))
        .collect();
    let mut late = store.watch("w/", start).await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    for watch in [&mut early, &mut late] {
        let mut last = start;
        for _ in 0..400 {
            let changes = watch.next().await.unwrap().unwrap();
            let [Change::Put(entry)] = &changes[..] else {
                panic!("{changes:?}")
            };
            assert!(entry.key.starts_with("w/"));
            assert!(entry.modified > last, "revisions rise");
            last = entry.modified;
        }
        assert_eq!(last, store.revision().await.unwrap());
    }
}

pub async fn a_watch_reports_deletions_and_waits_for_what_comes(store: Shared) {
    let start = commit(&*store, writes(vec![put("k", "1")])).await;
    let mut watch = store.watch("k", start).await.unwrap();
    let gone = commit(&*store, writes(vec![Write::Delete("k".into())])).await;
    assert_eq!(
        watch.next().await.unwrap().unwrap(),
        [Change::Deleted("k".into(), gone)]
    );
    let waiting = tokio::spawn(async move { watch.next().await });
    commit(&*store, writes(vec![put("not-under-it", "1")])).await;
    commit(&*store, writes(vec![put("k", "2")])).await;
    assert!(matches!(&waiting.await.unwrap().unwrap().unwrap()[..], [Change::Put(e)] if e.value == b"2"));
}

/// For a store that keeps fewer than 100 commits.
pub async fn a_reader_that_is_too_slow_is_told_to_read_again(store: Shared) {
    let start = commit(&*store, writes(vec![put("k", "0")])).await;
    let mut watch = store.watch("", start).await.unwrap();
    for i in 0..100 {
        commit(&*store, writes(vec![put("k", &i.to_string())])).await;
    }
    let Some(Err(StoreError::Compacted { oldest })) = watch.next().await else {
        panic!("not told")
    };
    assert!(matches!(
        store.watch("", start).await,
        Err(StoreError::Compacted { .. })
    ));
    assert!(matches!(
        store.watch("", oldest).await.unwrap().next().await,
        Some(Ok(_))
    ));
}

async fn until_gone(store: &dyn Store, key: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while store.get(key).await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "{key} is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn leased(key: &str, lease: LeaseId) -> Txn {
    writes(vec![Write::Put {
        key: key.to_owned(),
        value: vec![],
        lease: Some(lease),
    }])
}

pub async fn keys_under_a_lease_vanish_with_it(store: Shared) {
    // Long enough that both are written before it ends, on a machine that does much else.
    let lease = store.grant(Duration::from_secs(2)).await.unwrap();
    let kept = store.grant(Duration::from_secs(60)).await.unwrap();
    assert_ne!(lease, kept);
    commit(&*store, leased("short", lease)).await;
    let start = commit(&*store, leased("long", kept)).await;
    let mut watch = store.watch("", start).await.unwrap();
    assert!(matches!(&watch.next().await.unwrap().unwrap()[..], [Change::Deleted(key, _)] if key == "short"));
    until_gone(&*store, "short").await;
    assert!(matches!(
        store.keep_alive(lease).await,
        Err(StoreError::LeaseExpired(_))
    ));
    assert!(matches!(
        store.txn(leased("late", lease)).await,
        Err(StoreError::LeaseExpired(_))
    ));
    assert!(store.get("long").await.unwrap().is_some());
    store.revoke(kept).await.unwrap();
    assert!(store.get("long").await.unwrap().is_none());
    assert!(matches!(
        store.revoke(kept).await,
        Err(StoreError::LeaseExpired(_))
    ));
}

pub async fn a_lease_that_is_kept_alive_lives_on(store: Shared) {
    let lease = store.grant(Duration::from_secs(3)).await.unwrap();
    commit(&*store, leased("k", lease)).await;
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        store.keep_alive(lease).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(store.get("k").await.unwrap().is_some());
    // A put without the lease takes the key out of it.
    commit(&*store, writes(vec![put("k", "free")])).await;
    store.revoke(lease).await.unwrap();
    assert_eq!(value(&*store, "k").await.as_deref(), Some("free"));
}

pub async fn what_is_too_large_is_refused_by_name(store: Shared) {
    let long = "k".repeat(513);
    assert!(matches!(
        store.txn(writes(vec![put(&long, "")])).await,
        Err(StoreError::TooLarge { max: 512, .. })
    ));
    let big = Write::Put {
        key: "big".into(),
        value: vec![0; (4 << 20) + 1],
        lease: None,
    };
    let error = store
        .txn(writes(vec![put("a", "1"), big]))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("big"), "{error}");
    assert_eq!(store.revision().await.unwrap(), 0);
}
