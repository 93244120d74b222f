// SPDX-License-Identifier: Apache-2.0
//! Why a router could not do what it was asked, in the words of the reference text's troubleshooting matrix.

use outgate_kernel::KernelError;
use outgate_model::FieldError;
use serde::{Deserialize, Serialize};

/// Why a router could not do what it was asked. It crosses the control socket as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "error")]
pub enum RouterError {
    /// The spec itself cannot be used; trying again does not help.
    #[error("the router spec is not usable: {reason}")]
    BadSpec {
        /// Every problem, separated by `; `.
        reason: String,
    },
    /// The spec is older than the one the router has.
    #[error("the router has generation {has} and refuses the older generation {generation}")]
    Stale {
        /// The generation that was sent.
        generation: u64,
        /// The generation that the router has.
        has: u64,
    },
    /// The kernel refused the ruleset; the router runs on with the rules it had.
    #[error("Failed to apply nat rules: {reason}")]
    Rules {
        /// What nftables or iptables said.
        reason: String,
    },
    /// An interface is missing in the router.
    #[error("Interface {interface} not found")]
    NoInterface {
        /// `eth2`.
        interface: String,
    },
    /// The router's process does not answer.
    #[error("the router does not answer: {reason}")]
    Unreachable {
        /// What happened on its socket.
        reason: String,
    },
    /// Anything else.
    #[error("{doing} failed: {reason}")]
    Failed {
        /// What was being done: `starting dnsmasq`.
        doing: String,
        /// Why it failed.
        reason: String,
    },
}

impl RouterError {
    /// `doing` failed for this reason.
    pub fn failed(doing: impl Into<String>, reason: impl ToString) -> Self {
        Self::Failed {
            doing: doing.into(),
            reason: reason.to_string(),
        }
    }

    /// The ruleset was refused.
    pub fn rules(error: &KernelError) -> Self {
        let reason = match error {
            KernelError::Refused { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        Self::Rules { reason }
    }

    /// A spec with these problems.
    pub fn bad_spec(problems: &[FieldError]) -> Self {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Self::BadSpec {
            reason: problems.join("; "),
        }
    }
}
