// SPDX-License-Identifier: Apache-2.0
//! Virtual routers: what is wanted of one, and what was last observed.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::MacAddr;
use crate::id::{AccountId, HostId, NetworkId, RouterId, ZoneId};
use crate::object::Power;

/// A virtual router as wanted. What it does follows from its network: see `RouterSpec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// Its id.
    pub id: RouterId,
    /// Its number: 12 in `r-12-VM`.
    pub number: u64,
    /// `r-12-VM`.
    pub name: String,
    /// Its network.
    pub network: NetworkId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner, the network's.
    pub account: AccountId,
    /// Where it runs.
    pub host: HostId,
    /// Whether it is meant to run.
    pub power: Power,
    /// Rises with each reboot that somebody asked for: a running router of a lower boot is replaced by a fresh one.
    pub boot: u64,
    /// Its address on the host's control network, unique there.
    pub link_local: Ipv4Addr,
    /// Ethernet addresses: guest (eth0), control (eth1), public (eth2).
    pub macs: [MacAddr; 3],
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// A router's state in CloudStack's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouterState {
    /// On its way up.
    Starting,
    /// Up, and configured.
    Running,
    /// On its way down.
    Stopping,
    /// Down.
    Stopped,
    /// Could not be brought up: the error says why.
    Error,
}

/// What was last observed of a router; stored under `observed/router/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterObserved {
    /// Its id.
    pub id: RouterId,
    /// Its state.
    pub state: RouterState,
    /// The boot that runs.
    pub boot: u64,
    /// The generation of the spec it has applied; 0 for none.
    pub generation: u64,
    /// Why it is not as wanted.
    pub error: Option<String>,
    /// The generation that the router refused for good (its spec or its rules cannot be used): trying again does not
    /// help, the change has to be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
    /// When this was observed.
    pub at: jiff::Timestamp,
}
