// SPDX-License-Identifier: Apache-2.0
//! What a router says of its fast path, and the switch that the watch on the kernel holds.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use outgate_fastpath::Control;
use outgate_model::host::Check;
use outgate_model::router_spec::FastPathMode;
use serde::{Deserialize, Serialize};

/// Whether a router's fast path works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FastPathStatus {
    /// What the spec asks for.
    pub mode: FastPathMode,
    /// Where the programs see packets: `tcx`, `xdp`; `None` when they are not loaded.
    pub hook: Option<String>,
    /// Whether it translates right now.
    pub running: bool,
    /// Why it does not, though it should.
    pub reason: Option<String>,
    /// Packets by the way they went, since the programs were loaded.
    pub counters: BTreeMap<String, u64>,
}

impl FastPathStatus {
    /// As a line of `outgate verify`. A router that only prefers to have a fast path passes without.
    pub fn check(&self) -> Option<Check> {
        if self.mode.is_off() {
            return None;
        }
        let pass = self.running || self.mode == FastPathMode::Auto;
        let seen = match (&self.hook, &self.reason) {
            (Some(hook), None) => format!("on at {hook}: {}", self.counts()),
            (_, Some(reason)) => format!("the kernel does all of it: {reason}"),
            (None, None) => "the kernel does all of it".to_owned(),
        };
        let remedy = "the router needs a kernel with BTF and conntrack's kfuncs (6.6 or newer) and the right to load \
                      eBPF programs; or turn the fast path off";
        Some(Check {
            step: 6,
            title: "Fast path".to_owned(),
            command: "outgate verify".to_owned(),
            seen,
            pass,
            remedy: if pass { String::new() } else { remedy.to_owned() },
        })
    }

    fn counts(&self) -> String {
        let each = self.counters.iter().filter(|(_, count)| **count > 0);
        each.map(|(name, count)| format!("{count} {name}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// What the fast path carried for a public address and the guests' interface, across all of its lives.
pub type Carried = BTreeMap<(Ipv4Addr, String), outgate_fastpath::Traffic>;

/// Suspends the fast path from any thread. It has none to suspend until the engine has loaded one.
#[derive(Debug, Clone, Default)]
pub struct Brake(Arc<Mutex<Option<Control>>>);

impl Brake {
    /// Leaves every packet to the kernel until the engine has looked whether all is as it must be.
    pub fn pull(&self) {
        if let Some(control) = self.lock().as_ref()
            && let Err(error) = control.suspend()
        {
            tracing::error!(%error, "the fast path could not be suspended");
        }
    }

    pub(crate) fn hold(&self, control: Option<Control>) {
        *self.lock() = control;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Control>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
