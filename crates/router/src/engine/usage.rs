// SPDX-License-Identifier: Apache-2.0
//! Keeps the table that counts traffic. It is no part of the plan: what it has counted must outlive every change.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use outgate_kernel::{link, nft};
use outgate_model::RouterSpec;
use outgate_plan::usage::{self, Counting, Due};

use super::Engine;
use super::observe::generation;

/// What the table must count for this spec now.
pub(super) fn counting(spec: &RouterSpec) -> Option<Counting> {
    Counting::of(spec, |name| link::number(name).is_some())
}

impl Engine {
    /// Makes the table of counters if it is not there or not whole: then they begin at zero, in a new epoch. Other rules
    /// leave what was counted. A router that cannot count does everything else, so this fails in the log only.
    pub(super) fn ensure_counters(&mut self, counting: Option<Counting>) {
        let Some(counting) = counting else { return };
        let current = generation().ok();
        if current.is_some() && self.known == current && self.counting.as_ref() == Some(&counting) {
            // Nobody has written a rule since it was found whole.
            return;
        }
        let listing = nft::list("ip", usage::TABLE);
        let due = listing.map(|listing| counting.due(listing.as_deref().unwrap_or_default()));
        let done = match due {
            Ok(Ok(Due::Nothing)) => Ok(()),
            Ok(Ok(Due::Rules(script))) => nft::load(&script),
            Ok(Ok(Due::Table) | Err(_)) | Err(_) => nft::load(&counting.script(epoch())).map(|()| {
                self.forget_carried();
                self.log.info("traffic is counted from now on");
            }),
        };
        self.counting = done.is_ok().then_some(counting);
        let trouble = done
            .err()
            .map(|error| format!("traffic cannot be counted: {error}"));
        if trouble != self.uncounted
            && let Some(trouble) = &trouble
        {
            self.log.error(trouble);
        }
        self.uncounted = trouble;
    }
}

/// A number that no earlier life of the counters had: the hasher's keys are random.
fn epoch() -> u32 {
    let number = RandomState::new().hash_one(std::time::Instant::now());
    u32::try_from(number >> 32).unwrap_or(1).max(1)
}
