// SPDX-License-Identifier: Apache-2.0
//! How use went lately, and when it will have reached its limit if it goes on so. Pure, and bounded.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use jiff::Timestamp;
use outgate_model::id::RouterId;
use outgate_model::stats::{AddressUse, PORTS, RouterStats};

/// So many samples of each series are kept: an hour's, a minute apart.
const KEPT: usize = 60;

/// What is watched of a router: a public address's ports, or the sessions of the whole router.
type Watched = Option<Ipv4Addr>;

/// Use over time.
#[derive(Debug, Default)]
pub(super) struct Series(VecDeque<(Timestamp, u32)>);

impl Series {
    pub(super) fn push(&mut self, at: Timestamp, used: u32) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back((at, used));
    }

    /// How many more a second, by the straight line that fits best. `None` without two moments.
    fn slope(&self) -> Option<f64> {
        let (start, _) = self.0.front()?;
        let points: Vec<(f64, f64)> = self
            .0
            .iter()
            .map(|(at, used)| (at.duration_since(*start).as_secs_f64(), f64::from(*used)))
            .collect();
        let count = f64::from(u32::try_from(points.len()).ok()?);
        let mean = |values: fn(&(f64, f64)) -> f64| points.iter().map(values).sum::<f64>() / count;
        let (x, y) = (mean(|p| p.0), mean(|p| p.1));
        let spread: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
        let together: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
        (spread > f64::EPSILON).then(|| together / spread)
    }

    /// In how many seconds `limit` is reached. `None` when it is not under way there.
    pub(super) fn forecast(&self, limit: u32) -> Option<u64> {
        let (_, used) = self.0.back()?;
        if *used >= limit {
            return Some(0);
        }
        let slope = self.slope().filter(|slope| *slope > 0.0)?;
        let seconds = f64::from(limit - used) / slope;
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
    pub(super) fn take_in(&mut self, router: RouterId, at: Timestamp, stats: &RouterStats) {
        self.push(router, None, at, stats.table.sessions);
        let Some(census) = &stats.census else { return };
        let there: Vec<_> = census.addresses.iter().map(|a| a.address).collect();
        self.0.retain(|(of, watched), _| {
            *of != router || watched.is_none_or(|address| there.contains(&address))
        });
        for address in &census.addresses {
            self.push(router, Some(address.address), at, fullest(address));
        }
    }

    fn push(&mut self, router: RouterId, watched: Watched, at: Timestamp, used: u32) {
        self.0.entry((router, watched)).or_default().push(at, used);
    }

    /// In how many seconds an address's ports towards its busiest destination run out.
    pub(crate) fn ports_last(&self, router: RouterId, address: Ipv4Addr) -> Option<u64> {
        self.0.get(&(router, Some(address)))?.forecast(PORTS)
    }

    /// In how many seconds a router's table is full.
    pub(crate) fn sessions_last(&self, router: RouterId, limit: u32) -> Option<u64> {
        self.0.get(&(router, None))?.forecast(limit)
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

    fn series(points: &[(i64, u32)]) -> Series {
        let mut series = Series::default();
        for (second, used) in points {
            series.push(Timestamp::from_second(*second).unwrap(), *used);
        }
        series
    }

    #[test]
    fn a_steady_rise_is_forecast_to_the_second() {
        let rise = series(&[(0, 1_000), (60, 1_600), (120, 2_200)]);
        assert_eq!(rise.forecast(3_200), Some(100));
        assert_eq!(rise.forecast(2_200), Some(0));
    }

    #[test]
    fn what_falls_or_stands_or_was_seen_once_has_no_end() {
        assert_eq!(series(&[]).forecast(10), None);
        assert_eq!(series(&[(0, 5)]).forecast(10), None);
        assert_eq!(series(&[(0, 5), (60, 5)]).forecast(10), None);
        assert_eq!(series(&[(0, 9), (60, 5)]).forecast(10), None);
        assert_eq!(
            series(&[(0, 0), (86_400, 1)]).forecast(100_000),
            None,
            "beyond a year"
        );
    }

    #[test]
    fn only_the_last_hour_counts() {
        let mut series = Series::default();
        for minute in 0..200_i64 {
            let used = if minute < 100 {
                50_000
            } else {
                u32::try_from(minute).unwrap()
            };
            series.push(Timestamp::from_second(minute * 60).unwrap(), used);
        }
        assert_eq!(series.0.len(), KEPT);
        assert_eq!(series.forecast(200), Some(60));
    }
}
