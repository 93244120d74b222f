// SPDX-License-Identifier: Apache-2.0
//! Virtual routers: what is wanted of one, and what was last observed.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, HostId, RouterId, ServiceOfferingId, ZoneId};
use crate::object::Power;
use crate::stats::HealthCheck;
use crate::{MacAddr, Realm};

/// A virtual router as wanted. What it does follows from its realm: see `RouterSpec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Router {
    /// Its id.
    pub id: RouterId,
    /// Its number: 12 in `r-12-VM`.
    pub number: u64,
    /// `r-12-VM`.
    pub name: String,
    /// What it serves.
    #[serde(alias = "network", deserialize_with = "crate::realm::realm_or_network")]
    pub realm: Realm,
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner, the realm's.
    pub account: AccountId,
    /// Where it runs.
    pub host: HostId,
    /// Whether it is meant to run.
    pub power: Power,
    /// Rises with each reboot that somebody asked for: a running router of a lower boot is replaced by a fresh one.
    pub boot: u64,
    /// Its address on the host's control network, unique there.
    pub link_local: Ipv4Addr,
    /// Its size; `None` for the default one of system VMs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_offering: Option<ServiceOfferingId>,
    /// Ethernet addresses: guest, control, public. An isolated network's router has them on eth0, eth1 and eth2. A
    /// VPC's has control on eth0 and public on eth1; its tiers have addresses of their own.
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

impl RouterState {
    /// Each of them.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Stopped,
        Self::Error,
    ];

    /// CloudStack's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::Error => "Error",
        }
    }
}

/// Which of a pair of redundant routers serves, in CloudStack's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedundantState {
    /// It serves.
    Primary,
    /// It waits.
    Backup,
    /// It cannot serve.
    Fault,
    /// It is not one of a pair, or nobody knows.
    Unknown,
}

impl RedundantState {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Primary, Self::Backup, Self::Fault, Self::Unknown];

    /// CloudStack's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "PRIMARY",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Unknown => "UNKNOWN",
        }
    }
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
    /// The version of Outgate that it runs; `None` for one that is too old to say so, or that does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why it is not as wanted.
    pub error: Option<String>,
    /// The generation that the router refused for good (its spec or its rules cannot be used): trying again does not
    /// help, the change has to be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
    /// When this was observed.
    pub at: jiff::Timestamp,
}

/// What a router's health checks last found; stored under `observed/router-health/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterHealth {
    /// The router.
    pub id: RouterId,
    /// The checks.
    pub checks: Vec<HealthCheck>,
    /// When they were run.
    pub at: jiff::Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{NetworkId, VpcId};

    fn router(realm: Realm) -> Router {
        Router {
            id: RouterId::new(),
            number: 12,
            name: "r-12-VM".to_owned(),
            realm,
            zone: ZoneId::new(),
            account: AccountId::new(),
            host: HostId::new(),
            power: Power::On,
            boot: 1,
            service_offering: None,
            link_local: Ipv4Addr::new(169, 254, 1, 12),
            macs: [MacAddr([2, 0, 0, 0, 0, 12]); 3],
            created: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_router_reads_what_it_wrote() {
        for realm in [Realm::Network(NetworkId::new()), Realm::Vpc(VpcId::new())] {
            let json = serde_json::to_string(&router(realm)).unwrap();
            assert_eq!(serde_json::from_str::<Router>(&json).unwrap().realm, realm);
        }
    }

    #[test]
    fn a_router_stored_before_there_were_vpcs_serves_its_network() {
        let network = NetworkId::new();
        let mut json = serde_json::to_value(router(Realm::Network(network))).unwrap();
        let object = json.as_object_mut().unwrap();
        object.remove("realm");
        object.insert("network".to_owned(), network.to_string().into());
        let read: Router = serde_json::from_value(json).unwrap();
        assert_eq!(read.realm, Realm::Network(network));
    }
}
