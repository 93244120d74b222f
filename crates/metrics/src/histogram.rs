// SPDX-License-Identifier: Apache-2.0
//! How many observations were at most how large.

/// The upper ends of a histogram's buckets in seconds, rising. Beyond the last there is one more, without an end.
pub type Bounds = &'static [f64];

/// Observations by size.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bounds: Bounds,
    /// One for each bound: observations in that bucket alone.
    counts: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Histogram {
    /// One without observations.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len()],
            count: 0,
            sum: 0.0,
        }
    }

    /// Takes one in.
    pub fn observe(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Each bucket's upper end, and how many were at most that large.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            below += count;
            (*bound, below)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_counts_in_its_bucket_and_in_all_above() {
        let mut seen = Histogram::new(&[0.1, 1.0]);
        for value in [0.05, 0.1, 0.2, 7.0] {
            seen.observe(value);
        }
        assert_eq!(seen.buckets().collect::<Vec<_>>(), [(0.1, 2), (1.0, 3)]);
        assert_eq!(seen.count(), 4);
        assert!((seen.sum() - 7.35).abs() < 1e-9);
    }
}
