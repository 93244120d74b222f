// SPDX-License-Identifier: Apache-2.0
//! What is said of a metric once, whatever its series.

/// How a metric's values behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; begins at zero when whoever counts starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many observations were at most how large.
    Histogram,
}

impl Kind {
    /// The format's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric, whatever its labels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// `outgate_router_sessions`; of a counter with `_total`.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// What it means, in one line.
    pub help: &'static str,
    /// The names of what tells its series apart.
    pub labels: &'static [&'static str],
}

/// A metric whose series are told apart by `N` labels: a value cannot be put with more or fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family<const N: usize>(pub(crate) About);

impl<const N: usize> Family<N> {
    /// What is said of it once.
    pub fn about(&self) -> &About {
        &self.0
    }
}
