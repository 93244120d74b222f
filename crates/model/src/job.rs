// SPDX-License-Identifier: Apache-2.0
//! Async jobs: objects in the store, claimed by lease, idempotent, resumed after a crash.

use serde::{Deserialize, Serialize};

use crate::Realm;
use crate::id::{AccountId, JobId, UserId};

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum JobState {
    /// Not finished; `jobstatus` 0.
    Pending,
    /// Done; `jobstatus` 1.
    Succeeded,
    /// Failed; `jobstatus` 2. What it changed has been rolled back or will be retried as a whole: the text says which.
    Failed {
        /// CloudStack's error code, 530 unless something more exact is known.
        code: u16,
        /// What failed, in the words of the troubleshooting matrix.
        text: String,
    },
}

/// An async job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The API command that started it: `createPortForwardingRule`.
    pub command: String,
    /// Who started it.
    pub user: UserId,
    /// For which account.
    pub account: AccountId,
    /// What it works on, CloudStack's `jobinstancetype`: `Network`, `IpAddress`, `FirewallRule` ...
    pub instance_type: String,
    /// The id of what it works on.
    pub instance_id: uuid::Uuid,
    /// When the job is done.
    pub until: Goal,
    /// What takes its change back when the router refuses it for good; empty when nothing can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<Undo>,
    /// Claims that are given back once the router has let go of what they stand for, which may be after the job has
    /// failed. The job is kept until then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then_release: Vec<String>,
    /// What it found out, as JSON; of jobs with [`Goal::Reported`] that are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Where it stands.
    #[serde(flatten)]
    pub state: JobState,
    /// When it was started.
    pub created: jiff::Timestamp,
    /// When it ended.
    pub completed: Option<jiff::Timestamp>,
}

/// One step that takes a job's change back, valid while the key was not written again since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "undo")]
pub enum Undo {
    /// The job's transaction made this key: remove it.
    Remove {
        /// The key.
        key: String,
    },
    /// The job's transaction changed this key: write what it held before.
    Restore {
        /// The key.
        key: String,
        /// The JSON it held.
        value: String,
    },
}

/// What must be observed for a job to be done. Level-triggered: whoever looks, whenever, sees the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "goal")]
pub enum Goal {
    /// Nothing more: the transaction that started the job was all of it.
    Stored,
    /// Whoever works on it ends it, with a report. It changes nothing, so it is not resumed after a crash: it fails.
    Reported,
    /// The realm's router has applied this generation or a later one (or needs no router).
    #[serde(alias = "network_applied")]
    Applied {
        /// The isolated network or the VPC.
        #[serde(alias = "network", deserialize_with = "crate::realm::realm_or_network")]
        realm: Realm,
        /// The generation.
        generation: u64,
    },
    /// The VPC and all that belongs to it are gone.
    VpcGone {
        /// The VPC.
        vpc: crate::id::VpcId,
    },
    /// The VPC's router serves a network that was an isolated one, and that one's router is gone.
    NetworkMoved {
        /// The network.
        network: crate::id::NetworkId,
        /// The VPC.
        vpc: crate::id::VpcId,
        /// The VPC's generation that brought it.
        generation: u64,
    },
    /// The network or tier and all that belongs to it are gone.
    NetworkGone {
        /// The network.
        network: crate::id::NetworkId,
    },
    /// The account and all that it owns are gone.
    AccountGone {
        /// The account.
        account: AccountId,
    },
    /// The project and all that it owns are gone.
    ProjectGone {
        /// The project.
        project: crate::id::ProjectId,
    },
    /// The domain, the domains below it and all that is in them are gone.
    DomainGone {
        /// The domain.
        domain: crate::id::DomainId,
    },
    /// The account's guests that are to be off are off.
    GuestsDown {
        /// The account.
        account: AccountId,
    },
    /// The guest is in the wanted power state and its realm's router knows it.
    GuestSettled {
        /// The guest.
        guest: crate::id::GuestId,
        /// A running guest's host has made at least this generation so; see `object::Guest::generation`.
        #[serde(default)]
        generation: u64,
    },
    /// The router is in the wanted power state (running: with its realm's rules, and at least this boot).
    RouterSettled {
        /// The router.
        router: crate::id::RouterId,
        /// The boot that was asked for; see `object::Router::boot`.
        boot: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NetworkId;

    #[test]
    fn a_goal_stored_before_there_were_vpcs_is_its_networks() {
        let network = NetworkId::new();
        let old = format!(r#"{{"goal":"network_applied","network":"{network}","generation":7}}"#);
        let realm = Realm::Network(network);
        let goal = Goal::Applied { realm, generation: 7 };
        assert_eq!(serde_json::from_str::<Goal>(&old).unwrap(), goal);
        let json = serde_json::to_string(&goal).unwrap();
        assert_eq!(serde_json::from_str::<Goal>(&json).unwrap(), goal);
    }
}
