// SPDX-License-Identifier: Apache-2.0
//! How use went lately, and when it will have reached its limit if it goes on so. Pure, and bounded: samples are kept by
//! time, so that however often a router is looked at, they cover the same minutes.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use outgate_model::id::RouterId;
use outgate_model::stats::{AddressUse, PORTS, RouterStats};

use super::pool::Pool;

/// Two samples that are kept are at least so far apart; the newest one is kept besides.
const APART: SignedDuration = SignedDuration::from_secs(10);
/// How long a sample is kept.
const KEPT: SignedDuration = SignedDuration::from_secs(600);
/// A steep rise is told by the samples of so long, because those before would hide it.
const LATELY: SignedDuration = SignedDuration::from_secs(90);
/// A rise of so much of the limit within that time is steep: what merely varies is not.
const STEEP: f64 = 1.0 / 20.0;

/// What is watched of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Watched {
    /// All its sessions.
    Table,
    /// The ports of a public address towards its busiest destination.
    Address(Ipv4Addr),
    /// Those of its source NAT pool.
    Pool,
}

/// Use over time.
#[derive(Debug, Default)]
pub(super) struct Series(VecDeque<(Timestamp, u32)>);

impl Series {
    pub(super) fn push(&mut self, at: Timestamp, used: u32) {
        // A clock that was set back: what was before has no place in time any more.
        if self.0.back().is_some_and(|(last, _)| *last > at) {
            self.0.clear();
        }
        while self
            .0
            .front()
            .is_some_and(|(first, _)| at.duration_since(*first) > KEPT)
        {
            self.0.pop_front();
        }
        // The newest one stays only if it is far enough from the one before.
        let before = self.0.len().checked_sub(2).and_then(|place| self.0.get(place));
        if let (Some((before, _)), Some((last, _))) = (before, self.0.back())
            && last.duration_since(*before) < APART
        {
            self.0.pop_back();
        }
        self.0.push_back((at, used));
    }

    /// How many more a second since then, by the straight line that fits best. `None` without two moments.
    fn slope(&self, since: Timestamp) -> Option<f64> {
        let points: Vec<(f64, f64)> = self
            .0
            .iter()
            .filter(|(at, _)| *at >= since)
            .map(|(at, used)| (at.duration_since(since).as_secs_f64(), f64::from(*used)))
            .collect();
        let count = f64::from(u32::try_from(points.len()).ok()?);
        let mean = |values: fn(&(f64, f64)) -> f64| points.iter().map(values).sum::<f64>() / count;
        let (x, y) = (mean(|p| p.0), mean(|p| p.1));
        let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
        let together: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
        (spread > f64::EPSILON).then(|| together / spread)
    }

    /// How many more a second, if it goes on as lately.
    fn pace(&self, limit: u32) -> Option<f64> {
        let (first, _) = self.0.front()?;
        let (last, used) = self.0.back()?;
        let whole = self.slope(*first);
        let since = last.checked_sub(LATELY).unwrap_or(*first);
        let (_, before) = self.0.iter().find(|(at, _)| *at >= since)?;
        let is_steep = f64::from(used.saturating_sub(*before)) >= f64::from(limit) * STEEP;
        let lately = self.slope(since).filter(|_| is_steep);
        whole.into_iter().chain(lately).reduce(f64::max)
    }

    /// In how many seconds `limit` is reached. `None` when it is not under way there.
    pub(super) fn forecast(&self, limit: u32) -> Option<u64> {
        let (_, used) = self.0.back()?;
        if *used >= limit {
            return Some(0);
        }
        let pace = self.pace(limit).filter(|pace| *pace > 0.0)?;
        let seconds = f64::from(limit - used) / pace;
        // Beyond a year it is no forecast.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and below a year of seconds"
        )]
        (seconds < 31_536_000.0).then_some(seconds as u64)
    }
}

/// Every series.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<(RouterId, Watched), Series>);

impl Samples {
    /// Forgets routers that are no more.
    pub(super) fn retain(&mut self, keep: impl Fn(RouterId) -> bool) {
        self.0.retain(|(router, _), _| keep(*router));
    }

    /// Takes a reading in. Addresses that the router no longer has are forgotten.
    pub(super) fn take_in(&mut self, router: RouterId, at: Timestamp, stats: &RouterStats, pool: &Pool) {
        self.push(router, Watched::Table, at, stats.table.sessions);
        let Some(census) = &stats.census else { return };
        let there: Vec<_> = census.addresses.iter().map(|a| a.address).collect();
        self.0.retain(|(of, watched), _| match watched {
            Watched::Address(address) => *of != router || there.contains(address),
            Watched::Table | Watched::Pool => true,
        });
        for address in &census.addresses {
            self.push(router, Watched::Address(address.address), at, fullest(address));
        }
        self.push(router, Watched::Pool, at, pool.fullest(census));
    }

    fn push(&mut self, router: RouterId, watched: Watched, at: Timestamp, used: u32) {
        self.0.entry((router, watched)).or_default().push(at, used);
    }

    /// In how many seconds an address's ports towards its busiest destination run out.
    pub(crate) fn ports_last(&self, router: RouterId, address: Ipv4Addr) -> Option<u64> {
        self.0.get(&(router, Watched::Address(address)))?.forecast(PORTS)
    }

    /// In how many seconds those of all addresses of the source NAT pool together do: when its last address is full for
    /// that destination.
    pub(crate) fn pool_lasts(&self, router: RouterId, pool: &Pool) -> Option<u64> {
        self.0.get(&(router, Watched::Pool))?.forecast(pool.ports())
    }

    /// In how many seconds a router's table is full.
    pub(crate) fn sessions_last(&self, router: RouterId, limit: u32) -> Option<u64> {
        self.0.get(&(router, Watched::Table))?.forecast(limit)
    }
}

/// The ports in use towards the destination where they first run out.
pub(super) fn fullest(address: &AddressUse) -> u32 {
    let busiest = address.protocols.iter().flat_map(|p| p.busiest.first());
    busiest.map(|d| d.ports).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: impl IntoIterator<Item = (i64, u32)>) -> Series {
        let mut series = Series::default();
        for (second, used) in points {
            series.push(Timestamp::from_second(second).unwrap(), used);
        }
        series
    }

    #[test]
    fn a_steady_rise_is_forecast_to_the_second() {
        let rise = series([(0, 1_000), (60, 1_600), (120, 2_200)]);
        assert_eq!(rise.forecast(3_200), Some(100));
        assert_eq!(rise.forecast(2_200), Some(0));
    }

    #[test]
    fn what_falls_or_stands_or_was_seen_once_has_no_end() {
        assert_eq!(series([]).forecast(10), None);
        assert_eq!(series([(0, 5)]).forecast(10), None);
        assert_eq!(series([(0, 5), (60, 5)]).forecast(10), None);
        assert_eq!(series([(0, 9), (60, 5)]).forecast(10), None);
        assert_eq!(
            series([(0, 0), (500, 1)]).forecast(100_000),
            None,
            "beyond a year"
        );
    }

    #[test]
    fn samples_cover_ten_minutes_however_often_it_is_looked() {
        for step in [1, 7, 60] {
            let rise = series(
                (0..2_000)
                    .step_by(step)
                    .map(|second| (second, u32::try_from(second).unwrap())),
            );
            let first = rise.0[0].0.as_second();
            assert!((1_340..=1_460).contains(&first), "every {step} s: {first}");
            assert!(rise.0.len() <= 62, "{}", rise.0.len());
            let last = rise.0.back().unwrap().1;
            assert_eq!(rise.forecast(last + 500), Some(500), "every {step} s");
        }
    }

    #[test]
    fn the_newest_look_counts_at_once() {
        let first = series([(0, 10_000), (1, 60_000)]);
        assert_eq!(first.forecast(PORTS), Some(0));
        let idle = (0..600).step_by(10).map(|second| (second, 100));
        let steep = series(idle.chain([(600, 5_000), (610, 10_000), (620, 15_000)]));
        let told = steep.forecast(PORTS).unwrap();
        assert!(
            (100..600).contains(&told),
            "a steep rise is not hidden by ten quiet minutes: {told}"
        );
    }

    #[test]
    fn what_varies_about_the_same_is_not_about_to_end() {
        let varies = (0..600)
            .step_by(10)
            .map(|second| (second, 20_000 + u32::try_from(second * 7 % 900).unwrap()));
        let told = series(varies).forecast(PORTS);
        assert!(told.is_none_or(|seconds| seconds > 86_400), "{told:?}");
    }

    #[test]
    fn a_clock_that_was_set_back_begins_anew() {
        let series = series([(1_000, 5), (1_060, 9), (10, 5)]);
        assert_eq!((series.0.len(), series.forecast(100)), (1, None));
    }
}
