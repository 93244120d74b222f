// SPDX-License-Identifier: Apache-2.0
//! Hosts: what makes routers and guests exist. The manager knows only the [`Host`] trait.

mod file;
pub mod guest;
mod health;
pub mod namespace;

pub use namespace::{NamespaceConfig, NamespaceHost};

use std::fmt::Debug;

use async_trait::async_trait;
use outgate_model::host::{
    Applied, Check, HostEvent, HostObserved, HostSeen, Inventory, LbStatistics, Run, RunOutput,
};
use outgate_model::id::{GuestId, RouterId};
use outgate_model::stats::{HealthCheck, RouterStats, SessionPage, SessionQuery};
use outgate_model::trace::{TraceQuery, Traced};
use outgate_model::{GuestSpec, RouterSpec};
use serde::{Deserialize, Serialize};

/// Why a host could not do what it was asked. The texts are what job results and /var/log/cloud.log say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "error")]
pub enum HostError {
    /// The spec itself cannot be used; trying again does not help.
    #[error("the router spec is not usable: {reason}")]
    BadSpec {
        /// Every problem, separated by `; `.
        reason: String,
    },
    /// The kernel refused the ruleset; the router runs on with the rules it had.
    #[error("Failed to apply nat rules: {reason}")]
    Rules {
        /// What nftables said.
        reason: String,
    },
    /// An interface is missing in the router.
    #[error("Interface {interface} not found")]
    NoInterface {
        /// `eth2`.
        interface: String,
    },
    /// The router or guest does not run here.
    #[error("{what} is not running on this host")]
    NotRunning {
        /// Which.
        what: String,
    },
    /// Anything else.
    #[error("{doing} failed: {reason}")]
    Failed {
        /// What was being done: `starting router r-12-VM`.
        doing: String,
        /// Why it failed.
        reason: String,
    },
}

/// A subscription to what a host notices by itself.
pub type HostEvents = tokio::sync::broadcast::Receiver<HostEvent>;

/// A host. Every method is idempotent and may be called again after any failure; nothing is left half-made that the
/// next call, or [`Host::retain`], does not heal. Calls for different routers run side by side.
#[async_trait]
pub trait Host: Send + Sync + Debug {
    /// Makes the router run with this boot and this spec: starts it if it is not there, replaces it if its boot is
    /// lower than `boot`, applies the spec, and returns once the kernel matches.
    async fn ensure_router(&self, spec: &RouterSpec, boot: u64) -> Result<Applied, HostError>;

    /// Makes the router not run. Its sessions end, as a VM's that is switched off.
    async fn remove_router(&self, id: RouterId) -> Result<(), HostError>;

    /// Hands the translated sessions that live in router `from` over to router `to`, which has their addresses by now:
    /// they go on there, translated as they were. Returns how many; 0 where one of the two does not run.
    async fn hand_over_sessions(&self, from: RouterId, to: RouterId) -> Result<u64, HostError> {
        tracing::debug!(%from, %to, "this kind of host hands no sessions over");
        Ok(0)
    }

    /// Makes the guest run and plugs it into its networks; it asks for its addresses by DHCP.
    async fn ensure_guest(&self, spec: &GuestSpec) -> Result<(), HostError>;

    /// Makes the guest not run.
    async fn remove_guest(&self, id: GuestId) -> Result<(), HostError>;

    /// What runs here, wanted or not.
    async fn observe(&self) -> Result<HostObserved, HostError>;

    /// Removes every router, guest and network device of this instance that `keep` does not name. Returns one
    /// sentence for each orphan removed.
    async fn retain(&self, keep: &Inventory) -> Result<Vec<String>, HostError>;

    /// The reference text's seven steps on a router. Step 1 (what the management server believes) is the manager's.
    /// `guest` is where step 7's ping starts; `ping` is its target.
    async fn verify_router(
        &self,
        id: RouterId,
        guest: Option<GuestId>,
        ping: std::net::Ipv4Addr,
    ) -> Result<Vec<Check>, HostError>;

    /// What the load balancer rules of a router have done.
    async fn load_balancer_statistics(&self, id: RouterId) -> Result<Vec<LbStatistics>, HostError> {
        Err(none_here(format!(
            "reading the load balancer statistics of router {id}"
        )))
    }

    /// A router's traffic and sessions. These are looked at one by one when there are at least `census_from`: that takes
    /// time by their number.
    async fn router_stats(&self, id: RouterId, census_from: u32) -> Result<RouterStats, HostError> {
        let _ = census_from;
        Err(none_here(format!("reading the statistics of router {id}")))
    }

    /// Some of a router's sessions.
    async fn router_sessions(&self, id: RouterId, query: &SessionQuery) -> Result<SessionPage, HostError> {
        let _ = query;
        Err(none_here(format!("listing the sessions of router {id}")))
    }

    /// A router's health checks, run now.
    async fn router_health(&self, id: RouterId) -> Result<Vec<HealthCheck>, HostError> {
        Err(none_here(format!("checking the health of router {id}")))
    }

    /// The way of a packet through a router, by the model of its spec and by its kernel.
    async fn trace_flow(&self, id: RouterId, query: &TraceQuery) -> Result<Traced, HostError> {
        let _ = query;
        Err(none_here(format!("following a packet through router {id}")))
    }

    /// Runs a program in a router's namespaces.
    async fn run_in_router(&self, id: RouterId, run: &Run) -> Result<RunOutput, HostError>;

    /// Runs a program in a guest's namespaces.
    async fn run_in_guest(&self, id: GuestId, run: &Run) -> Result<RunOutput, HostError>;

    /// What the host sees of a router and of some guests' cables from the outside: login, engine, cables, hardware.
    /// Counters are watched for as long as `window` says.
    async fn inspect(
        &self,
        id: RouterId,
        guests: &[GuestId],
        window: std::time::Duration,
    ) -> Result<HostSeen, HostError> {
        let _ = (guests, window);
        Err(HostError::Failed {
            doing: format!("looking at router {id} from outside"),
            reason: "this kind of host cannot".to_owned(),
        })
    }

    /// Has a guest ask for its address, gateway, DNS and MTU again.
    async fn renew_lease(&self, id: GuestId) -> Result<(), HostError> {
        Err(HostError::Failed {
            doing: format!("renewing the lease of guest {id}"),
            reason: "this kind of host cannot; reboot the guest".to_owned(),
        })
    }

    /// What the host notices from now on.
    fn events(&self) -> HostEvents;
}

fn none_here(doing: String) -> HostError {
    HostError::Failed {
        doing,
        reason: "this kind of host has none".to_owned(),
    }
}
