// SPDX-License-Identifier: Apache-2.0
//! Allocation, commands as transactions, jobs and reconciliation.

pub mod command;
pub mod error;

pub use command::{Caller, Started};
pub use error::CommandError;
