// SPDX-License-Identifier: Apache-2.0
//! One server works, the others wait: whoever holds the lead, a key under a lease, ends jobs and drives the hosts.
//!
//! The jobs of a server that died are so claimed all at once. With the embedded store there is only one server; a
//! restarted one takes its own lead over without waiting for the old lease to run out.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use outgate_store::{Condition, LeaseId, Outcome, Store, StoreError, Txn, Write};
use tokio::sync::watch;

use crate::manager::Manager;

/// The key that the leading server holds; its value names the server.
const LEAD: &str = "servers/lead";
/// After how long without a sign of life another server takes over.
const TTL: Duration = Duration::from_secs(15);
/// How often the leading server gives a sign of life, and the others look.
const PERIOD: Duration = Duration::from_secs(3);

/// This server's name, the same after a restart: the machine's and its key file's.
pub(crate) fn name(key_file: &Path) -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let file = std::path::absolute(key_file).unwrap_or_else(|_| key_file.to_owned());
    format!("{}:{}", machine.trim(), file.display())
}

/// Seeks the lead, keeps it, and says in `leading` whether it is ours. Runs until it is dropped.
pub(crate) async fn run(manager: Manager, leading: watch::Sender<bool>) {
    let store = manager.store();
    let name = name(&manager.config().key_file);
    loop {
        match take(&**store, &name).await {
            Ok(Some(lease)) => {
                leading.send_replace(true);
                keep(&**store, lease).await;
                leading.send_replace(false);
                tracing::warn!("the lead was lost; another server may work now");
            }
            Ok(None) => tokio::time::sleep(PERIOD).await,
            Err(error) => {
                tracing::error!(%error, "the lead cannot be sought; trying again");
                tokio::time::sleep(PERIOD).await;
            }
        }
    }
}

/// Gives the lead up, so that another server need not wait.
pub(crate) async fn give_up(manager: &Manager) -> Result<(), StoreError> {
    let name = name(&manager.config().key_file);
    if let Some(entry) = manager
        .store()
        .get(LEAD)
        .await?
        .filter(|e| e.value == name.as_bytes())
    {
        let conditions = vec![Condition::Unchanged(LEAD.to_owned(), entry.modified)];
        // On a conflict somebody else has it already.
        let _ = manager
            .store()
            .txn(Txn {
                conditions,
                writes: vec![Write::Delete(LEAD.to_owned())],
            })
            .await?;
    }
    Ok(())
}

/// Takes the lead if nobody has it, or if it is our own from before a restart.
async fn take(store: &dyn Store, name: &str) -> Result<Option<LeaseId>, StoreError> {
    let condition = match store.get(LEAD).await? {
        None => Condition::Absent(LEAD.to_owned()),
        Some(entry) if entry.value == name.as_bytes() => {
            Condition::Unchanged(LEAD.to_owned(), entry.modified)
        }
        Some(_) => return Ok(None),
    };
    let lease = store.grant(TTL).await?;
    let put = Write::Put {
        key: LEAD.to_owned(),
        value: name.as_bytes().to_vec(),
        lease: Some(lease),
    };
    match store
        .txn(Txn {
            conditions: vec![condition],
            writes: vec![put],
        })
        .await?
    {
        Outcome::Committed(_) => Ok(Some(lease)),
        Outcome::Conflict => {
            store.revoke(lease).await?;
            Ok(None)
        }
    }
}

/// Returns when the lead is lost.
async fn keep(store: &dyn Store, lease: LeaseId) {
    let mut alive = Instant::now();
    while alive.elapsed() < TTL {
        tokio::time::sleep(PERIOD).await;
        match store.keep_alive(lease).await {
            Ok(()) => alive = Instant::now(),
            Err(StoreError::LeaseExpired(_)) => return,
            Err(error) => tracing::warn!(%error, "no sign of life could be given"),
        }
    }
}

/// Runs `work` while this server leads; starts it anew each time the lead is gained.
pub(crate) async fn while_leading<F: Future<Output = ()>>(
    mut leading: watch::Receiver<bool>,
    work: impl Fn() -> F,
) {
    loop {
        // It fails only when the manager is gone.
        if leading.wait_for(|leads| *leads).await.is_err() {
            return;
        }
        tokio::select! {
            () = work() => return,
            gone = lost(&mut leading) => if gone { return },
        }
    }
}

/// Waits until the lead is lost. Returns whether there is nobody left who could gain it: the manager ends.
async fn lost(leading: &mut watch::Receiver<bool>) -> bool {
    leading.wait_for(|leads| !*leads).await.is_err()
}
