// SPDX-License-Identifier: Apache-2.0
//! All readings of a run, and what follows from them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::stats::{median, spread};
use crate::workload::{Better, Reading};

/// All values of one reading of one contender.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// Whether more is better.
    pub more_is_better: bool,
    /// Of whom.
    pub contender: String,
    /// One value a round.
    pub values: Vec<f64>,
}

impl Row {
    /// The median.
    pub fn median(&self) -> f64 {
        median(&self.values)
    }

    /// The smallest and the largest.
    pub fn spread(&self) -> (f64, f64) {
        spread(&self.values)
    }
}

/// The readings so far, in the order of their first appearance.
#[derive(Debug, Clone, Default)]
pub struct Results {
    rows: Vec<Row>,
    places: BTreeMap<(String, String), usize>,
}

impl Results {
    /// Adds a reading of a contender.
    pub fn add(&mut self, contender: &str, reading: Reading) {
        let key = (reading.name.clone(), contender.to_owned());
        let place = *self.places.entry(key).or_insert_with(|| {
            self.rows.push(Row {
                name: reading.name,
                unit: reading.unit,
                more_is_better: reading.better == Better::Higher,
                contender: contender.to_owned(),
                values: Vec::new(),
            });
            self.rows.len() - 1
        });
        self.rows[place].values.push(reading.value);
    }

    /// Every row.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What was measured, each once, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !names.contains(&row.name.as_str()) {
                names.push(&row.name);
            }
        }
        names
    }

    /// One contender's values of one reading.
    pub fn row(&self, name: &str, contender: &str) -> Option<&Row> {
        let place = self.places.get(&(name.to_owned(), contender.to_owned()))?;
        self.rows.get(*place)
    }

    /// How much the first contender's median is of the second's.
    pub fn ratio(&self, name: &str, of: &str, to: &str) -> Option<f64> {
        let (of, to) = (self.row(name, of)?.median(), self.row(name, to)?.median());
        (to > 0.0).then_some(of / to)
    }
}

/// A figure that Outgate is to reach.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What is measured.
    pub name: &'static str,
    /// Whose median ...
    pub of: &'static str,
    /// ... in relation to whose.
    pub to: &'static str,
    /// The bound.
    pub bound: f64,
    /// Whether the ratio must be at least the bound, or at most.
    pub at_least: bool,
}

/// What a target came to.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// In words.
    pub what: String,
    /// The ratio; none when one side was not measured.
    pub ratio: Option<f64>,
    /// The bound in words.
    pub wanted: String,
    /// Whether it was reached.
    pub reached: Option<bool>,
}

const fn target(
    name: &'static str,
    of: &'static str,
    to: &'static str,
    bound: f64,
    at_least: bool,
) -> Target {
    Target {
        name,
        of,
        to,
        bound,
        at_least,
    }
}

/// The figures of the project's issue on the fast path.
pub const TARGETS: [Target; 9] = [
    target("udp64 h16-p63-s1008", "outgate-xdp", "cloudstack", 4.5, true),
    target("udp64 h252-p256-s64512", "outgate-xdp", "cloudstack", 3.5, true),
    target("udp64 h252-p256-s64512", "outgate-xdp", "nftables", 2.5, true),
    target("udp64 h16-p63-s1008", "outgate-xdp", "redirect", 0.80, true),
    target("tcp-up-4", "outgate-tc", "forward", 0.95, true),
    target("tcp-up-4", "outgate-tc", "nftables", 1.4, true),
    target("new-tcp", "outgate-tc", "nftables", 1.0, true),
    target("latency: p99", "outgate-tc", "nftables", 0.9, false),
    target("udp64 h252-p256-s64512", "outgate-kernel", "nftables", 0.95, true),
];

impl Target {
    /// What it came to.
    pub fn judge(&self, results: &Results) -> Outcome {
        let ratio = results.ratio(self.name, self.of, self.to);
        let reached = |ratio: f64| {
            if self.at_least {
                ratio >= self.bound
            } else {
                ratio <= self.bound
            }
        };
        let side = if self.at_least { "at least" } else { "at most" };
        Outcome {
            what: format!("{}: {} / {}", self.name, self.of, self.to),
            ratio,
            wanted: format!("{side} {}", self.bound),
            reached: ratio.map(reached),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let mut results = Results::default();
        for (contender, values) in [("a", [4.0, 6.0, 5.0]), ("b", [2.0, 2.5, 9.0])] {
            for value in values {
                let reading = Reading {
                    name: "udp".to_owned(),
                    unit: "Mpps",
                    better: Better::Higher,
                    value,
                };
                results.add(contender, reading);
            }
        }
        results
    }

    #[test]
    fn a_ratio_is_of_medians() {
        assert_eq!(results().ratio("udp", "a", "b"), Some(2.0));
        assert_eq!(results().ratio("udp", "a", "c"), None);
    }

    #[test]
    fn a_target_is_reached_or_not_or_not_known() {
        let judged = |of, bound, at_least| target("udp", of, "b", bound, at_least).judge(&results()).reached;
        assert_eq!(judged("a", 2.0, true), Some(true));
        assert_eq!(judged("a", 2.1, true), Some(false));
        assert_eq!(judged("a", 1.9, false), Some(false));
        assert_eq!(judged("c", 1.0, true), None);
    }
}
