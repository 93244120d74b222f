// SPDX-License-Identifier: Apache-2.0
//! What goes over a router's control socket: JSON lines, one request on each connection, one reply; `events` answers
//! with a line for each event until the connection ends.

use outgate_model::RouterSpec;
use outgate_model::host::{Applied, Check, HostEvent, LbStatistics, Run, RunOutput};
use outgate_model::id::RouterId;
use outgate_model::stats::{HealthCheck, RouterStats, SessionPage, SessionQuery};
use outgate_model::trace::{TraceQuery, Traced};
use serde::{Deserialize, Serialize};

use crate::RouterError;
use crate::fast_path::FastPathStatus;

/// The socket's name in the router's directory.
pub const SOCKET: &str = "control.sock";
/// No line is longer, in bytes.
pub const LINE_MAX: usize = 64 * 1024 * 1024;

/// What a router can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Become this. Answered by [`Reply::Applied`] once the kernel matches.
    Apply(Box<RouterSpec>),
    /// What are you? Answered by [`Reply::Status`].
    Observe,
    /// Run steps 3 to 6 of the reference text's seven. Answered by [`Reply::Checks`].
    Verify,
    /// What has haproxy balanced? Answered by [`Reply::Balanced`].
    Balanced,
    /// What have you carried, and how full are you? Sessions are looked at one by one when there are at least
    /// `census_from`. Answered by [`Reply::Stats`].
    Stats {
        /// From how many sessions on.
        census_from: u32,
    },
    /// Which sessions are there? Answered by [`Reply::Sessions`].
    Sessions(SessionQuery),
    /// Are you well? Answered by [`Reply::Health`].
    Health,
    /// Follow a packet. Answered by [`Reply::Traced`].
    Trace(TraceQuery),
    /// Run a command. Answered by [`Reply::Output`].
    Run(Run),
    /// Tell what you notice from now on: [`Reply::Listening`], then [`Reply::Event`] again and again.
    Events,
}

/// What a router answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The kernel matches the spec.
    Applied(Applied),
    /// What the router is.
    Status(Status),
    /// What the checks found.
    Checks(Vec<Check>),
    /// What haproxy has balanced.
    Balanced(Vec<LbStatistics>),
    /// Traffic and sessions.
    Stats(Box<RouterStats>),
    /// Some sessions.
    Sessions(SessionPage),
    /// What the health checks found.
    Health(Vec<HealthCheck>),
    /// The way of a packet.
    Traced(Box<Traced>),
    /// What the command printed.
    Output(RunOutput),
    /// Events follow; none from now on is missed.
    Listening,
    /// Something happened.
    Event(HostEvent),
    /// It could not be done.
    Failed(RouterError),
}

/// What a router is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its id.
    pub id: RouterId,
    /// Its name: `r-12-VM`.
    pub name: String,
    /// The boot it was started for.
    pub boot: u64,
    /// The generation that it has applied; `None` before the first.
    pub generation: Option<u64>,
    /// How the kernel and the services differ from the spec right now, one sentence each; empty when they do not.
    pub differences: Vec<String>,
    /// Why the last apply or repair failed; `None` when it did not.
    pub error: Option<String>,
    /// Whether the fast path works.
    #[serde(default)]
    pub fastpath: FastPathStatus,
}
