// SPDX-License-Identifier: Apache-2.0
//! Events: what happened, for `listEvents`.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, EventId, JobId};

/// How grave an event is, in CloudStack's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// As wanted.
    Info,
    /// Needs a look: something differed and was repaired.
    Warn,
    /// Failed.
    Error,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// CloudStack's type such as `NETWORK.CREATE`; Outgate's own: `ROUTER.DRIFT`, `ROUTER.REPAIR`, `ORPHAN.REMOVE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How grave.
    pub level: Level,
    /// What happened, in one sentence.
    pub description: String,
    /// Whose object it is about.
    pub account: Option<AccountId>,
    /// The job it belongs to.
    pub job: Option<JobId>,
    /// The object it is about: kind and id, such as `Network`, `0a1b…`.
    pub resource: Option<(String, uuid::Uuid)>,
    /// When.
    pub created: jiff::Timestamp,
    /// Whether an administrator has put it away.
    #[serde(default)]
    pub archived: bool,
}
