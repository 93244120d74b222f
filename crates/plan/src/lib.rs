// SPDX-License-Identifier: Apache-2.0
//! Pure: what the kernel must hold for a `RouterSpec`, how that differs from what it holds, which sessions lose their
//! right, and a model of packets to test the rules against.
//!
//! Nothing here reads a clock, a file or the kernel. The engine reads first, calls [`diff()`], and carries out the steps.

mod area;
pub mod diff;
pub mod drops;
mod foreign;
pub mod packet;
pub mod parse;
pub mod plan;
pub mod pool;
pub mod refused;
mod rights;
pub mod router_plan;
pub mod ruleset;
pub mod sessions;
mod sides;
pub mod trace;
pub mod usage;

pub use diff::{Changes, ServiceAction, Step, diff, iptables_restore};
pub use foreign::{foreign_tables, is_own_table};
pub use parse::{ParseError, parse_ruleset};
pub use plan::{check, plan};
pub use router_plan::RouterPlan;
pub use ruleset::Ruleset;
pub use sessions::{Judge, Session, may_live, narrowed};
