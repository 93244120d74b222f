// SPDX-License-Identifier: Apache-2.0
//! A host that takes its time to say what runs: nothing that changes meanwhile is missed or taken for lost.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test")]

mod support;

use std::time::Duration;

use outgate_manager::Pace;
use outgate_model::host::HostEvent;
use outgate_model::id::GuestId;
use outgate_store::{Change, Store};
use support::{World, quick};

/// A world without regular full passes.
async fn calm() -> World {
    let full_pass = Duration::from_secs(3600);
    let w = World::with(Pace { full_pass, ..quick() }).await;
    // One at the start, one by the listener as soon as it listens.
    w.until("the host's events are listened to", || w.host.inside().looks >= 2)
        .await;
    w
}

/// More events at once than a listener keeps up with, most of the time, so that everything must be looked at.
fn flood(w: &World) {
    for _ in 0..10_000 {
        let guest = GuestId::new();
        w.host.tell(HostEvent::GuestLost { guest });
    }
}

/// Makes the host look, and returns when it has looked but not said yet what it saw.
async fn begin_a_look(w: &World) {
    w.host.eyes.send_replace(false);
    let before = w.host.inside().looks;
    // A listener that is quick enough misses nothing and needs no look: flooded until it does.
    let looks = || {
        flood(w);
        w.host.inside().looks > before
    };
    w.until("the host looks", looks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_while_the_host_looks_is_found_by_another_look() {
    let w = calm().await;
    w.persistent("n").await;
    begin_a_look(&w).await;
    w.host.inside().routers.clear();
    // Time for the listener to take the floods in; too little of it makes the test easier, never fail.
    for _ in 0..10 {
        flood(&w);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    w.host.eyes.send_replace(true);
    w.until("the router is back", || !w.host.inside().routers.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_up_while_the_host_looks_is_not_taken_for_lost() {
    let w = calm().await;
    begin_a_look(&w).await;
    let network = w.persistent("n").await;
    let mut watch = w
        .store
        .watch("observed/router/", w.store_revision().await)
        .await
        .unwrap();
    let before = w.host.inside().applies.len();
    w.host.eyes.send_replace(true);
    w.until("it is looked at again", || w.host.inside().applies.len() > before)
        .await;
    while let Ok(Some(changes)) = tokio::time::timeout(Duration::from_millis(300), watch.next()).await {
        for change in changes.unwrap() {
            let Change::Put(entry) = change else { continue };
            let text = String::from_utf8_lossy(&entry.value).to_lowercase();
            assert!(!text.contains("starting"), "{text}");
        }
    }
    assert!(w.generation_applied(network));
}
