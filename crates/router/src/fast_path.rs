// SPDX-License-Identifier: Apache-2.0
//! What a router says of its fast path, and the switch that the watch on the kernel holds.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use outgate_fastpath::Control;
use outgate_model::host::Check;
use outgate_model::router_spec::FastPathMode;
pub use outgate_model::stats::FastPathStatus;

/// The fast path as a line of `outgate verify`. A router that only prefers to have one passes without.
pub fn check(status: &FastPathStatus) -> Option<Check> {
    if status.mode.is_off() {
        return None;
    }
    let pass = status.running || status.mode == FastPathMode::Auto;
    let mut seen = match (&status.hook, &status.reason) {
        (Some(hook), None) => format!("on at {hook}: {}", counts(status)),
        (_, Some(reason)) => format!("the kernel does all of it: {reason}"),
        (None, None) => "the kernel does all of it".to_owned(),
    };
    if let (Some(reason), None) = (&status.without_echo, &status.reason) {
        seen = format!("{seen}; pings go through the kernel: {reason}");
    }
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

fn counts(status: &FastPathStatus) -> String {
    let each = status.counters.iter().filter(|(_, count)| **count > 0);
    each.map(|(name, count)| format!("{count} {name}"))
        .collect::<Vec<_>>()
        .join(", ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_pings_go_through_the_kernel_is_said_beside_what_is_carried() {
        let status = FastPathStatus {
            mode: FastPathMode::Auto,
            hook: Some("tcx".to_owned()),
            running: true,
            counters: [("hit".to_owned(), 90)].into(),
            ..FastPathStatus::default()
        };
        let seen = |status: &FastPathStatus| check(status).map(|check| (check.pass, check.seen));
        assert_eq!(seen(&status), Some((true, "on at tcx: 90 hit".to_owned())));
        let deaf = FastPathStatus {
            without_echo: Some("no place".to_owned()),
            ..status
        };
        let said = "on at tcx: 90 hit; pings go through the kernel: no place";
        assert_eq!(seen(&deaf), Some((true, said.to_owned())));
    }
}
