// SPDX-License-Identifier: Apache-2.0
//! What the server tells the manager.

use std::path::PathBuf;
use std::time::Duration;

use crate::bootstrap::BootstrapConfig;
use crate::spec::RouterSettings;

/// The manager's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagerConfig {
    /// What the first start makes.
    pub bootstrap: BootstrapConfig,
    /// The file with the key that seals secrets; made at the first start.
    pub key_file: PathBuf,
    /// What every router has in common.
    pub router: RouterSettings,
    /// How fast, how often, how much.
    pub pace: Pace,
}

/// How fast, how often, how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// After how long a job that is not done fails.
    pub job_deadline: Duration,
    /// How often every network is looked at although nothing changed.
    pub full_pass: Duration,
    /// How many networks are worked on side by side.
    pub parallel: usize,
    /// After how long a host that does not answer counts as failed.
    pub host_answer: Duration,
    /// The first wait after a failure; doubled with each further one.
    pub retry_first: Duration,
    /// The longest wait after a failure.
    pub retry_most: Duration,
    /// How many events are kept; the oldest go first.
    pub events_kept: usize,
    /// How many finished jobs are kept; the oldest go first.
    pub jobs_kept: usize,
    /// How long finished jobs are kept.
    pub jobs_age: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            job_deadline: Duration::from_secs(300),
            full_pass: Duration::from_secs(60),
            parallel: 32,
            host_answer: Duration::from_secs(60),
            retry_first: Duration::from_millis(200),
            retry_most: Duration::from_secs(30),
            events_kept: 10_000,
            jobs_kept: 10_000,
            jobs_age: Duration::from_secs(24 * 3600),
        }
    }
}
