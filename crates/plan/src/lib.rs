// SPDX-License-Identifier: Apache-2.0
//! Pure: what the kernel must hold for a `RouterSpec`, how that differs from what it holds, and a model of packets to
//! test the rules against.

pub mod router_plan;
pub mod ruleset;

pub use router_plan::RouterPlan;
pub use ruleset::Ruleset;
