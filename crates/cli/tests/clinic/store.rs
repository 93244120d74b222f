// SPDX-License-Identifier: Apache-2.0
//! What no command does: the server's store is changed while the server does not run.

use outgate_model::key::{DESIRED, Object as _};
use outgate_model::object::PublicIp;
use outgate_store::{Outcome, SqliteStore, Store as _, Txn, Write};

use super::{Act, Clinic};
use crate::support::{PATIENCE, wait_until};

/// The supervisor starts again whatever ends: for a while, something that only waits.
const STOP: &[Act] = &[
    (
        "host",
        "bash -c 'printf \"#!/bin/sh\\nexec sleep 612\\n\" >/tmp/outgate; chmod +x /tmp/outgate'",
    ),
    ("host", "mount --bind /tmp/outgate /run/outgate/bin/outgate"),
    ("host", "pkill -KILL -f 'outgate server'"),
];
const START: &[Act] = &[
    ("host", "umount /run/outgate/bin/outgate"),
    ("host", "pkill -KILL -f 'sleep 612'"),
];

impl Clinic {
    /// Takes the source NAT address from the network, behind the server's back: it stays an ordinary address of it.
    pub fn unassign_source_nat(&self) {
        self.acts(STOP);
        wait_until(PATIENCE, "the server is replaced", || {
            let waits = self.lab.try_exec("host", &["pgrep", "-f", "sleep 612"]);
            waits.status.success()
        });
        let path = self.lab.directory().join("data/outgate.db");
        let work = async {
            let store = SqliteStore::open(&path).expect("the store");
            let prefix = format!("{DESIRED}{}/", PublicIp::KIND);
            let (_, entries) = store.range(&prefix).await.expect("addresses");
            let mut addresses = entries
                .iter()
                .map(|entry| serde_json::from_slice::<PublicIp>(&entry.value).expect("an address"));
            let address = addresses.find(|ip| ip.source_nat).expect("one for source NAT");
            let ordinary = PublicIp {
                source_nat: false,
                ..address
            };
            let put = Write::Put {
                key: ordinary.key(),
                value: serde_json::to_vec(&ordinary).expect("JSON"),
                lease: None,
            };
            let outcome = store.txn(Txn {
                conditions: Vec::new(),
                writes: vec![put],
            });
            let outcome = outcome.await.expect("it is written");
            assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
            store.close().await;
        };
        tokio::runtime::Runtime::new().expect("a runtime").block_on(work);
        self.acts(START);
        wait_until(PATIENCE, "the server answers again", || {
            self.lab.client.list("listNetworks", &[]).is_ok()
        });
    }
}
