// SPDX-License-Identifier: Apache-2.0
//! What each router said last, for whoever scrapes metrics and whoever asks now. While nobody scrapes, sessions are
//! looked at one by one only where there are many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use outgate_model::id::RouterId;
use outgate_model::stats::RouterStats;

/// For so long after a scrape the next one is expected.
const WATCHED: Duration = Duration::from_secs(600);
/// A look at a router's sessions is given to whoever asks within so long: however many watch a router, it looks about
/// once a second.
const FRESH: Duration = Duration::from_millis(900);

/// What a router said, and when.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) at: Timestamp,
    pub(crate) stats: Arc<RouterStats>,
    taken: Instant,
}

/// Held by who has a router look, so that those who come meanwhile wait for what he finds.
pub(super) type Turn = Arc<tokio::sync::Mutex<()>>;

#[derive(Debug, Default)]
struct Place {
    last: Option<Reading>,
    turn: Turn,
}

#[derive(Debug, Default)]
struct Inside {
    of_router: BTreeMap<RouterId, Place>,
    scraped: Option<Instant>,
    /// Somebody has begun to look, and what there is was not read for him.
    hurry: bool,
}

/// The last look at each router. Bounded by the number of routers.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<Inside>);

impl Looks {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Whoever panicked left whole readings behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, router: RouterId, at: Timestamp, stats: Arc<RouterStats>) {
        let taken = Instant::now();
        self.lock().of_router.entry(router).or_default().last = Some(Reading { at, stats, taken });
    }

    pub(super) fn retain(&self, keep: impl Fn(RouterId) -> bool) {
        self.lock().of_router.retain(|router, _| keep(*router));
    }

    pub(super) fn turn(&self, router: RouterId) -> Turn {
        Arc::clone(&self.lock().of_router.entry(router).or_default().turn)
    }

    /// The router's last look at its sessions, if it is fresh.
    pub(super) fn fresh(&self, router: RouterId) -> Option<Arc<RouterStats>> {
        let inside = self.lock();
        let last = inside.of_router.get(&router)?.last.as_ref()?;
        let fine = last.taken.elapsed() < FRESH && last.stats.census.is_some();
        fine.then(|| Arc::clone(&last.stats))
    }

    /// Every router's, for a scrape. The first one in a while has all routers read anew.
    pub(crate) fn scrape(&self) -> BTreeMap<RouterId, Reading> {
        let mut inside = self.lock();
        inside.hurry |= !is_recent(inside.scraped);
        inside.scraped = Some(Instant::now());
        let each = inside.of_router.iter();
        each.filter_map(|(router, place)| Some((*router, place.last.clone()?)))
            .collect()
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
    use outgate_model::stats::Census;

    #[test]
    fn the_first_scrape_has_routers_read_anew_and_the_next_do_not() {
        let looks = Looks::default();
        assert!(!looks.are_watched() && !looks.take_hurry());
        looks.scrape();
        assert!(looks.are_watched() && looks.take_hurry());
        looks.scrape();
        assert!(looks.are_watched() && !looks.take_hurry());
    }

    #[test]
    fn whoever_asks_for_sessions_is_not_given_a_look_without_them_and_a_scrape_is() {
        let (looks, router) = (Looks::default(), RouterId::new());
        let said = |census| {
            Arc::new(RouterStats {
                census,
                ..RouterStats::default()
            })
        };
        looks.put(router, Timestamp::now(), said(None));
        assert_eq!((looks.fresh(router), looks.scrape().len()), (None, 1));
        let whole = said(Some(Census::default()));
        looks.put(router, Timestamp::now(), Arc::clone(&whole));
        assert_eq!(looks.fresh(router), Some(whole));
    }
}
