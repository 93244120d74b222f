// SPDX-License-Identifier: Apache-2.0
//! What a router says of its fast path, and the switch that the watch on the kernel holds.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use outgate_fastpath::{Control, FastPathError, Timeouts};
use outgate_kernel::watch::Heard;
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
///
/// The engine's own rules suspend nothing once it has seen that they are what they must be: the kernel numbers each
/// change of rules, and the engine says up to which one it has judged them.
#[derive(Debug, Clone, Default)]
pub struct Brake(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    control: Option<Control>,
    /// The generation up to which the engine knows the rules to be right.
    judged: Option<u32>,
    /// The newest generation that the kernel told of.
    heard: Option<u32>,
}

impl Brake {
    /// Leaves every packet to the kernel until the engine has looked whether all is as it must be.
    pub fn pull(&self) {
        self.held().stop(Control::suspend);
    }

    /// The kernel tells of a change: the same, but for rules that the engine knows.
    pub fn hear(&self, news: Heard) {
        let mut held = self.held();
        if news.rest {
            held.stop(Control::suspend);
        }
        if let Some(generation) = news.rules {
            held.heard = Some(generation);
            if is_beyond(held.heard, held.judged) {
                held.stop(Control::pause);
            }
        }
    }

    /// Leaves every packet to the kernel until [`Brake::release`]: the engine is about to change something.
    pub(crate) fn pause(&self) {
        self.held().stop(Control::pause);
    }

    /// The rules of this generation are the engine's, and right.
    pub(crate) fn expect(&self, generation: Option<u32>) {
        self.held().judged = generation;
    }

    /// Lets packets be translated: the rules up to `generation` are right, and so was everything else when the fast path
    /// had been suspended `seen` times. Not if the kernel has told of anything later; then the engine looks again.
    pub(crate) fn release(
        &self,
        seen: u64,
        generation: Option<u32>,
        timeouts: Timeouts,
    ) -> Result<(), FastPathError> {
        let mut held = self.held();
        held.judged = generation;
        if is_beyond(held.heard, generation) {
            return Ok(());
        }
        match &held.control {
            Some(control) => control.resume(seen, timeouts).map(drop),
            None => Ok(()),
        }
    }

    pub(crate) fn hold(&self, control: Option<Control>) {
        self.held().control = control;
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn stop(&self, how: impl FnOnce(&Control) -> Result<(), FastPathError>) {
        if let Some(Err(error)) = self.control.as_ref().map(how) {
            tracing::error!(%error, "the fast path could not be suspended");
        }
    }
}

/// Whether a generation of rules is newer than another one; they go round at 2^32.
fn is_beyond(heard: Option<u32>, judged: Option<u32>) -> bool {
    match (heard, judged) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(heard), Some(judged)) => (1..1 << 31).contains(&heard.wrapping_sub(judged)),
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

    #[test]
    fn generations_go_round() {
        assert!(is_beyond(Some(3), Some(2)) && is_beyond(Some(1), Some(u32::MAX)));
        assert!(!is_beyond(Some(2), Some(2)) && !is_beyond(Some(u32::MAX), Some(1)));
        assert!(!is_beyond(None, None) && is_beyond(Some(1), None));
    }
}
