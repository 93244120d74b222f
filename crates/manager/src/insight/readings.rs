// SPDX-License-Identifier: Apache-2.0
//! What each router said last, for whoever scrapes metrics. While nobody does, sessions are looked at one by one only
//! where there are many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use outgate_model::id::RouterId;
use outgate_model::stats::RouterStats;

/// For so long after a scrape the next one is expected.
const WATCHED: Duration = Duration::from_secs(600);

/// What a router said, and when.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) at: Timestamp,
    pub(crate) stats: Arc<RouterStats>,
}

#[derive(Debug, Default)]
struct Inside {
    of_router: BTreeMap<RouterId, Reading>,
    scraped: Option<Instant>,
    /// Somebody has begun to look, and what there is was not read for him.
    hurry: bool,
}

/// The readings. Bounded by the number of routers.
#[derive(Debug, Default)]
pub(crate) struct Readings(Mutex<Inside>);

impl Readings {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Whoever panicked left whole readings behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, router: RouterId, at: Timestamp, stats: RouterStats) {
        let stats = Arc::new(stats);
        self.lock().of_router.insert(router, Reading { at, stats });
    }

    pub(super) fn retain(&self, keep: impl Fn(RouterId) -> bool) {
        self.lock().of_router.retain(|router, _| keep(*router));
    }

    /// Every router's, for a scrape. The first one in a while has all routers read anew.
    pub(crate) fn scrape(&self) -> BTreeMap<RouterId, Reading> {
        let mut inside = self.lock();
        inside.hurry |= !is_recent(inside.scraped);
        inside.scraped = Some(Instant::now());
        inside.of_router.clone()
    }

    /// Whether somebody scrapes.
    pub(super) fn are_watched(&self) -> bool {
        is_recent(self.lock().scraped)
    }

    /// Whether all routers are to be read now; it is said once.
    pub(super) fn take_hurry(&self) -> bool {
        std::mem::take(&mut self.lock().hurry)
    }
}

fn is_recent(scraped: Option<Instant>) -> bool {
    scraped.is_some_and(|at| at.elapsed() < WATCHED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_scrape_has_routers_read_anew_and_the_next_do_not() {
        let readings = Readings::default();
        assert!(!readings.are_watched() && !readings.take_hurry());
        readings.scrape();
        assert!(readings.are_watched() && readings.take_hurry());
        readings.scrape();
        assert!(readings.are_watched() && !readings.take_hurry());
    }
}
