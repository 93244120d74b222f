// SPDX-License-Identifier: Apache-2.0
//! What the fast path carried in its former lives: of programs that were unloaded, of accounts that were forgotten, and of
//! an engine whose process ended. The sums never fall while the router lives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use outgate_fastpath::{Account, FastPath, FastPathError, Traffic, TrafficCount};

use crate::fast_path::Carried;

/// The sums of former lives, and the interfaces' names.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    sums: Carried,
    names: BTreeMap<u32, String>,
}

impl Past {
    /// Reads what an earlier process of this router left; nothing if it left nothing.
    pub(super) fn load() -> Self {
        let read = || {
            let rows: Vec<(Ipv4Addr, String, [u64; 4])> =
                serde_json::from_slice(&fs::read(path()).ok()?).ok()?;
            let rows = rows.into_iter();
            Some(
                rows.map(|(address, name, counts)| ((address, name), traffic(counts)))
                    .collect(),
            )
        };
        Self {
            sums: read().unwrap_or_default(),
            names: BTreeMap::new(),
        }
    }

    /// Keeps what was counted for accounts that are about to be forgotten: all but `accounts`.
    pub(super) fn keep(
        &mut self,
        fast: &FastPath,
        accounts: &BTreeSet<Account>,
        names: &BTreeMap<u32, String>,
    ) -> Result<(), FastPathError> {
        if fast.accounts().any(|account| !accounts.contains(account)) {
            let mut gone = fast.traffic()?;
            gone.retain(|account, _| !accounts.contains(account));
            self.sums = self.sum(gone);
        }
        self.names.clone_from(names);
        Ok(())
    }

    /// Adds what the programs have carried, which are about to be unloaded.
    pub(super) fn add(&mut self, fast: &FastPath) {
        self.sums = self.sum(fast.traffic().unwrap_or_default());
    }

    /// The sum of the former lives and this one; kept for the next one.
    pub(super) fn with(&mut self, fast: Option<&FastPath>) -> Carried {
        let sum = self.sum(fast.and_then(|fast| fast.traffic().ok()).unwrap_or_default());
        write(&sum);
        sum
    }

    pub(super) fn save(&self) {
        write(&self.sums);
    }

    fn sum(&self, now: BTreeMap<Account, Traffic>) -> Carried {
        let mut sum = self.sums.clone();
        for ((address, interface), traffic) in now {
            let name = self.names.get(&interface).cloned().unwrap_or_default();
            let entry = sum.entry((address, name)).or_default();
            add(&mut entry.inward, traffic.inward);
            add(&mut entry.outward, traffic.outward);
        }
        sum
    }
}

fn add(sum: &mut TrafficCount, more: TrafficCount) {
    sum.packets += more.packets;
    sum.bytes += more.bytes;
}

fn traffic([packets_in, bytes_in, packets_out, bytes_out]: [u64; 4]) -> Traffic {
    let count = |packets, bytes| TrafficCount { packets, bytes };
    Traffic {
        inward: count(packets_in, bytes_in),
        outward: count(packets_out, bytes_out),
    }
}

fn path() -> PathBuf {
    PathBuf::from(outgate_plan::plan::RUN_DIR).join("fastpath.json")
}

fn write(sum: &Carried) {
    let rows: Vec<_> = sum
        .iter()
        .filter(|(_, t)| **t != Traffic::default())
        .map(|((address, name), t)| {
            let counts = [
                t.inward.packets,
                t.inward.bytes,
                t.outward.packets,
                t.outward.bytes,
            ];
            (address, name, counts)
        })
        .collect();
    let new = path().with_extension("new");
    let written = serde_json::to_vec(&rows)
        .map_err(std::io::Error::from)
        .and_then(|bytes| fs::write(&new, bytes))
        .and_then(|()| fs::rename(&new, path()));
    if let Err(error) = written {
        tracing::warn!(%error, "what the fast path carried could not be kept");
    }
}
