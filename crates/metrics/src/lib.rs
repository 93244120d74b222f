// SPDX-License-Identifier: Apache-2.0
//! Metrics: what there is to know and by which name ([`catalog`]), how it is counted ([`Counts`], [`Durations`]), and how
//! it is written for Prometheus ([`Page`]). Pure: who measures puts values in, who serves takes the text.

pub mod catalog;
mod family;
mod histogram;
mod page;
mod tally;

pub use family::{About, Family, Kind};
pub use histogram::{Bounds, Histogram};
pub use page::{Format, Page, Value};
pub use tally::{Counts, Durations};
