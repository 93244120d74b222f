// SPDX-License-Identifier: Apache-2.0
//! Keeps the table that counts traffic. It is no part of the plan: what it has counted must outlive every change.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use outgate_kernel::nft;
use outgate_plan::usage;

use super::Engine;
use super::observe::generation;

impl Engine {
    /// Makes the table of counters if it is not there or not whole: then they begin at zero, in a new epoch. A router
    /// that cannot count does everything else, so this fails in the log only.
    pub(super) fn ensure_counters(&mut self, public: &str) {
        let current = generation().ok();
        if current.is_some() && self.known == current {
            // Nobody has written a rule since it was found whole.
            return;
        }
        let listing = nft::list("ip", usage::TABLE);
        let whole = listing
            .as_ref()
            .is_ok_and(|listing| usage::is_whole(listing.as_deref().unwrap_or_default(), public) == Ok(true));
        if whole {
            return;
        }
        match nft::load(&usage::script(public, epoch())) {
            Ok(()) => {
                self.forget_carried();
                self.log.info("traffic is counted from now on");
            }
            Err(error) => self.log.error(&format!("traffic cannot be counted: {error}")),
        }
    }
}

/// A number that no earlier life of the counters had: the hasher's keys are random.
fn epoch() -> u32 {
    let number = RandomState::new().hash_one(std::time::Instant::now());
    u32::try_from(number >> 32).unwrap_or(1).max(1)
}
