// SPDX-License-Identifier: Apache-2.0
//! Counts by key in bounded memory, for the largest of them.

use std::collections::HashMap;
use std::hash::Hash;

/// So many keys are told apart at a time.
const KEYS_MAX: usize = 65_536;

/// Counts by key. With more keys than it can hold it forgets the smallest (Misra and Gries): then each count is too low
/// by at most [`Ranking::uncertain`], and whatever is counted more often than that is still there.
#[derive(Debug)]
pub(super) struct Ranking<K> {
    counts: HashMap<K, u32>,
    room: usize,
    uncertain: u32,
}

impl<K> Default for Ranking<K> {
    fn default() -> Self {
        Self {
            counts: HashMap::new(),
            room: KEYS_MAX,
            uncertain: 0,
        }
    }
}

impl<K: Eq + Hash + Ord + Copy> Ranking<K> {
    /// Counts one more of this key.
    pub(super) fn add(&mut self, key: K) {
        if let Some(count) = self.counts.get_mut(&key) {
            *count = count.saturating_add(1);
        } else if self.counts.len() < self.room {
            self.counts.insert(key, 1);
        } else {
            self.uncertain = self.uncertain.saturating_add(1);
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// How often this key was counted, as far as it is known.
    pub(super) fn count(&self, key: K) -> u32 {
        self.counts.get(&key).copied().unwrap_or(0)
    }

    /// By how much a count may be too low.
    pub(super) fn uncertain(&self) -> u32 {
        self.uncertain
    }

    /// The largest, the largest first.
    pub(super) fn largest(&self, most: usize) -> Vec<(K, u32)> {
        let mut all: Vec<_> = self.counts.iter().map(|(key, count)| (*key, *count)).collect();
        let order = |a: &(K, u32), b: &(K, u32)| b.1.cmp(&a.1).then(a.0.cmp(&b.0));
        if all.len() > most {
            all.select_nth_unstable_by(most, order);
            all.truncate(most);
        }
        all.sort_unstable_by(order);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_equal_ones_in_order() {
        let mut ranking = Ranking::default();
        for key in [5, 3, 3, 9, 9, 9, 1] {
            ranking.add(key);
        }
        assert_eq!(ranking.largest(3), [(9, 3), (3, 2), (1, 1)]);
        assert_eq!(ranking.uncertain(), 0);
    }

    #[test]
    fn what_is_counted_often_survives_a_flood_of_single_keys() {
        let mut ranking = Ranking {
            room: 100,
            ..Ranking::default()
        };
        for n in 0..10_000_u32 {
            ranking.add(n + 10);
            if n % 4 == 0 {
                ranking.add(1);
            }
        }
        let (key, count) = ranking.largest(1)[0];
        assert_eq!(key, 1);
        assert!(
            count <= 2_500 && count + ranking.uncertain() >= 2_500,
            "{count} {}",
            ranking.uncertain()
        );
        assert!(ranking.counts.len() <= 100);
    }
}
