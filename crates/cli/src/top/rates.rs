// SPDX-License-Identifier: Apache-2.0
//! Rates from two readings of one router. Pure. What cannot be known is not told: a counter that fell began anew, and
//! after a restart of the router nothing compares with what was before.

use std::collections::BTreeMap;

use super::reading::{Carried, Reading};

/// Packets and bytes a second; `None` where it cannot be known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// Packets in.
    pub packets_in: Option<f64>,
    /// Bytes in.
    pub bytes_in: Option<f64>,
    /// Packets out.
    pub packets_out: Option<f64>,
    /// Bytes out.
    pub bytes_out: Option<f64>,
}

/// How things went between two readings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rates {
    /// By public address.
    pub addresses: BTreeMap<String, Rate>,
    /// By guest address.
    pub guests: BTreeMap<String, Rate>,
    /// Packets a second that limits refused, by guest address.
    pub refused: BTreeMap<String, Option<f64>>,
    /// Dropped packets a second, by reason.
    pub drops: BTreeMap<String, Option<f64>>,
    /// Which share of the packets the fast path carried, 0 to 1; `None` when it saw none.
    pub fast_share: Option<f64>,
}

/// The rates between two readings of the same router; `None` when they do not compare: it is the same moment, the clock
/// went back, or the router's counters began anew in between.
pub fn rates(before: &Reading, now: &Reading) -> Option<Rates> {
    let millis = now
        .millis
        .checked_sub(before.millis)
        .filter(|millis| *millis > 0)?;
    if now.router.is_none() || before.router != now.router || before.epoch != now.epoch {
        return None;
    }
    #[allow(clippy::cast_precision_loss, reason = "a rate is no exact number")]
    let seconds = millis as f64 / 1_000.0;
    let carried = |reading: &Reading| -> BTreeMap<String, Carried> {
        let each = reading.addresses.iter();
        each.map(|a| (a.address.clone(), a.carried)).collect()
    };
    Some(Rates {
        addresses: compare(&carried(before), &carried(now), |a, b| rate(*a, *b, seconds)),
        guests: compare(&before.guests, &now.guests, |a, b| {
            let each = compare(&a.carried, &b.carried, |a, b| rate(*a, *b, seconds));
            each.into_values().reduce(sum).unwrap_or_default()
        }),
        refused: compare(&before.guests, &now.guests, |a, b| {
            per_second(a.refused, b.refused, seconds)
        }),
        drops: compare(&before.drops, &now.drops, |a, b| per_second(*a, *b, seconds)),
        fast_share: fast_share(before, now),
    })
}

/// Of what is in both.
fn compare<T, R>(
    before: &BTreeMap<String, T>,
    now: &BTreeMap<String, T>,
    of: impl Fn(&T, &T) -> R,
) -> BTreeMap<String, R> {
    let both = now
        .iter()
        .filter_map(|(key, now)| Some((key, before.get(key)?, now)));
    both.map(|(key, before, now)| (key.clone(), of(before, now)))
        .collect()
}

fn rate(before: Carried, now: Carried, seconds: f64) -> Rate {
    let of = |before, now| per_second(before, now, seconds);
    Rate {
        packets_in: of(before.packets_in, now.packets_in),
        bytes_in: of(before.bytes_in, now.bytes_in),
        packets_out: of(before.packets_out, now.packets_out),
        bytes_out: of(before.bytes_out, now.bytes_out),
    }
}

/// How much a counter rose a second; `None` when it fell.
fn per_second(before: u64, now: u64, seconds: f64) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "a rate is no exact number")]
    now.checked_sub(before).map(|rose| rose as f64 / seconds)
}

/// Both together: what is known of one alone is told.
pub fn sum(a: Rate, b: Rate) -> Rate {
    let of = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (one, other) => one.or(other),
    };
    Rate {
        packets_in: of(a.packets_in, b.packets_in),
        bytes_in: of(a.bytes_in, b.bytes_in),
        packets_out: of(a.packets_out, b.packets_out),
        bytes_out: of(a.bytes_out, b.bytes_out),
    }
}

/// The programs may have been loaded anew in between: then their counters fell.
fn fast_share(before: &Reading, now: &Reading) -> Option<f64> {
    let (before, now) = before.fastpath.as_ref().zip(now.fastpath.as_ref())?;
    let hits = now.hits.checked_sub(before.hits)?;
    let all = now.misses.checked_sub(before.misses)?.checked_add(hits)?;
    #[allow(clippy::cast_precision_loss, reason = "a share is no exact number")]
    (all > 0).then(|| hits as f64 / all as f64)
}

impl Rates {
    /// All public addresses together.
    pub fn total(&self) -> Rate {
        self.addresses.values().copied().reduce(sum).unwrap_or_default()
    }

    /// Everything that was dropped; `None` while nothing is known.
    pub fn dropped(&self) -> Option<f64> {
        self.drops.values().flatten().copied().reduce(|a, b| a + b)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::top::reading::{Address, FastPath, Guest, Table, Target};

    /// A reading in which every counter has this value.
    fn reading(millis: u64, epoch: u64, count: u64) -> Reading {
        let carried = Carried {
            packets_in: count,
            bytes_in: count,
            packets_out: count,
            bytes_out: count,
        };
        let guest = Guest {
            carried: BTreeMap::from([("203.0.113.10".to_owned(), carried)]),
            ..Guest::default()
        };
        Reading {
            target: Target {
                name: "n".to_owned(),
                param: "networkid",
                id: "1".to_owned(),
            },
            router: Some("r".to_owned()),
            millis,
            epoch: Some(epoch),
            addresses: vec![Address {
                address: "203.0.113.10".to_owned(),
                carried,
                ..Address::default()
            }],
            guests: BTreeMap::from([("10.1.1.5".to_owned(), guest)]),
            drops: BTreeMap::from([("egress".to_owned(), count)]),
            table: Table::default(),
            fastpath: Some(FastPath {
                hits: count,
                misses: count,
                ..FastPath::default()
            }),
            silent: None,
        }
    }

    fn all(rates: &Rates) -> Vec<Option<f64>> {
        let of = |r: &Rate| [r.packets_in, r.bytes_in, r.packets_out, r.bytes_out];
        let carried = rates.addresses.values().chain(rates.guests.values()).flat_map(of);
        carried.chain(rates.drops.values().copied()).collect()
    }

    proptest! {
        #[test]
        fn a_rate_times_the_time_is_what_was_counted(
            start in 0_u64..1 << 40, rose in 0_u64..1 << 40, at in 0_u64..1 << 40, millis in 1_u64..100_000,
        ) {
            let rates = rates(&reading(at, 1, start), &reading(at + millis, 1, start + rose)).unwrap();
            #[allow(clippy::cast_precision_loss, reason = "compared with room")]
            for rate in all(&rates) {
                let counted = rate.unwrap() * millis as f64 / 1_000.0;
                prop_assert!((counted - rose as f64).abs() <= 1e-6 * rose as f64);
            }
            prop_assert_eq!(rates.fast_share, (rose > 0).then_some(0.5));
        }

        #[test]
        fn a_counter_that_began_anew_has_no_rate_and_never_a_huge_or_negative_one(
            start in 1_u64.., fell in 1_u64.., millis in 1_u64..100_000,
        ) {
            let now = start.saturating_sub(fell);
            let rates = rates(&reading(0, 1, start), &reading(millis, 1, now)).unwrap();
            prop_assert!(all(&rates).iter().all(Option::is_none), "{:?}", rates);
            prop_assert_eq!((rates.fast_share, rates.dropped(), rates.total()), (None, None, Rate::default()));
        }

        #[test]
        fn nothing_compares_with_what_was_before_a_restart(
            before: u64, now: u64, from in 0_u64..1 << 40, millis in 1_u64..100_000,
        ) {
            prop_assert_eq!(rates(&reading(from, 1, before), &reading(from + millis, 2, now)), None);
        }

        #[test]
        fn the_same_moment_and_a_clock_that_went_back_give_no_rates(count: u64, at: u64, back: u64) {
            prop_assert_eq!(rates(&reading(at, 1, count), &reading(at.saturating_sub(back), 1, count)), None);
        }
    }

    #[test]
    fn a_guest_that_was_not_there_before_has_no_rate_yet() {
        let mut before = reading(0, 1, 5);
        before.guests.clear();
        assert!(rates(&before, &reading(1_000, 1, 9)).unwrap().guests.is_empty());
    }
}
