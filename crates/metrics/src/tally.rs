// SPDX-License-Identifier: Apache-2.0
//! Counts and durations by key, from any thread. How many keys there can be is for the caller to bound: they are words of
//! the program (commands, event types, reasons), never of users.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::histogram::{Bounds, Histogram};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked left a count behind that is at most one too low.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often something happened, by key.
#[derive(Debug)]
pub struct Counts<K>(Mutex<BTreeMap<K, u64>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone> Counts<K> {
    /// Counts one.
    pub fn add(&self, key: K) {
        *lock(&self.0).entry(key).or_default() += 1;
    }

    /// Every key with its count.
    pub fn all(&self) -> BTreeMap<K, u64> {
        lock(&self.0).clone()
    }
}

/// How long something took, by key.
#[derive(Debug)]
pub struct Durations<K> {
    bounds: Bounds,
    seen: Mutex<BTreeMap<K, Histogram>>,
}

impl<K: Ord + Clone> Durations<K> {
    /// None so far, in buckets of these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            seen: Mutex::default(),
        }
    }

    /// Takes one in.
    pub fn observe(&self, key: K, took: Duration) {
        let mut seen = lock(&self.seen);
        let histogram = seen.entry(key).or_insert_with(|| Histogram::new(self.bounds));
        histogram.observe(took.as_secs_f64());
    }

    /// Every key with its histogram.
    pub fn all(&self) -> BTreeMap<K, Histogram> {
        lock(&self.seen).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_apart() {
        let counts = Counts::default();
        ["a", "b", "a"].into_iter().for_each(|key| counts.add(key));
        assert_eq!(counts.all(), BTreeMap::from([("a", 2), ("b", 1)]));
        let took = Durations::new(&[0.1]);
        took.observe("a", Duration::from_millis(5));
        assert_eq!(took.all()["a"].count(), 1);
    }
}
