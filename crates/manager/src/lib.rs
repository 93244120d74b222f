// SPDX-License-Identifier: Apache-2.0
//! Allocation, commands as transactions, jobs and reconciliation.

pub mod access;
pub mod alerts;
pub mod audit;
pub mod bootstrap;
pub mod capacity;
pub mod collect;
pub mod command;
pub mod config;
pub mod diagnose;
pub mod draft;
pub mod error;
pub mod insight;
mod jobs;
mod lead;
mod leaving;
pub mod limits;
pub mod manager;
mod metrics;
pub mod mirror;
pub mod password;
mod prune;
pub mod read;
pub mod realm;
mod reconcile;
pub mod runs;
pub mod secret;
pub mod settings;
pub mod spec;
mod supervise;
mod turns;

pub use bootstrap::{BootstrapConfig, Credentials, RangeConfig};
pub use command::{Caller, Started};
pub use config::{ManagerConfig, Pace};
pub use draft::{Draft, Instance};
pub use error::CommandError;
pub use manager::{CommitError, Drivers, Manager, StartError};
pub use mirror::{Mirror, NetworkState, Row, Stored, View};
pub use read::GuestState;
pub use spec::RouterSettings;
