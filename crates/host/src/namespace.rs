// SPDX-License-Identifier: Apache-2.0
//! The embedded driver: routers and guests are processes in namespaces of their own on this machine, plugged into
//! bridges by veth pairs.
//!
//! The kernel is the only record of what runs: processes are found by their command lines, interfaces by their aliases.
//! So there is no file that could say something else after a crash.

mod bridges;
mod events;
mod guests;
mod hand_over;
mod insight;
mod inspect;
mod machines;
mod names;
mod patrol;
mod plug;
mod retain;
mod routers;
mod scan;
mod verify;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ipnet::Ipv4Net;
use outgate_kernel::link::Links;
use outgate_model::host::{
    Applied, Check, HostEvent, HostObserved, HostSeen, Inventory, LbStatistics, Run, RunOutput,
};
use outgate_model::id::{GuestId, RouterId};
use outgate_model::stats::{HealthCheck, RouterStats, SessionPage, SessionQuery};
use outgate_model::trace::{TraceQuery, Traced};
use outgate_model::{GuestSpec, RouterSpec};
use tokio::sync::{RwLock, broadcast};

use crate::{Host, HostError, HostEvents};
use machines::Machine;
use names::{Names, Owner};

/// How many events a slow listener may fall behind before it misses some.
const EVENTS_MAX: usize = 1_024;

/// What the driver needs to know.
#[derive(Debug, Clone)]
pub struct NamespaceConfig {
    /// The instance's name: part of every interface's name (as a tag of 4 hexadecimal digits) and alias.
    pub instance: String,
    /// Where routers and guests have their directories: `/run/outgate/<instance>`.
    pub run_dir: PathBuf,
    /// The `outgate` program, which is started as `router serve` and `guest serve`.
    pub program: PathBuf,
    /// The bridge of the public segment. It must be there.
    pub public_bridge: String,
    /// The bridge of the control network. It is made when it is missing.
    pub control_bridge: String,
    /// This host's address on the control network: `169.254.0.1/16`.
    pub control_address: Ipv4Net,
    /// The private key that opens routers' sshd.
    pub ssh_key: PathBuf,
    /// What routers and guests have in their environment besides the least: how they log.
    pub environment: Vec<(&'static str, String)>,
}

/// The driver, for the network namespace that the process runs in.
#[derive(Debug, Clone)]
pub struct NamespaceHost {
    shared: Arc<Shared>,
}

/// What all of the driver's parts share.
#[derive(Debug)]
struct Shared {
    config: NamespaceConfig,
    names: Names,
    links: Links,
    machines: Mutex<HashMap<Owner, Arc<Machine>>>,
    /// One change at a time for each router and guest.
    locks: Mutex<HashMap<Owner, Arc<tokio::sync::Mutex<()>>>>,
    /// Read while something is plugged, written while devices that seem to belong to nobody are removed.
    devices: RwLock<()>,
    events: broadcast::Sender<HostEvent>,
}

impl NamespaceHost {
    /// Takes charge: makes the control bridge, finds the routers and guests that an earlier driver of this instance
    /// left running, and watches them. Must be called inside a tokio runtime; at most one driver may be in charge of an
    /// instance.
    ///
    /// # Errors
    /// When the public bridge is missing, or the run directory or the control bridge cannot be made.
    pub async fn start(mut config: NamespaceConfig) -> Result<Self, HostError> {
        for folder in ["routers", "guests"] {
            let path = config.run_dir.join(folder);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|error| failed(format!("making {}", path.display()), error))?;
        }
        // Processes are found by it: it must be written the same way each time.
        let run_dir = fs::canonicalize(&config.run_dir);
        config.run_dir =
            run_dir.map_err(|error| failed(format!("finding {}", config.run_dir.display()), error))?;
        let links = Links::open().map_err(|error| failed("opening the host's network", error))?;
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let shared = Arc::new(Shared {
            names: Names::new(&config.instance),
            config,
            links,
            machines: Mutex::default(),
            locks: Mutex::default(),
            devices: RwLock::default(),
            events,
        });
        shared.prepare_bridges().await?;
        shared.adopt_all().await?;
        patrol::start(&shared);
        Ok(Self { shared })
    }
}

#[async_trait]
impl Host for NamespaceHost {
    async fn ensure_router(&self, spec: &RouterSpec, boot: u64) -> Result<Applied, HostError> {
        let (shared, spec) = (Arc::clone(&self.shared), spec.clone());
        finish(async move { shared.ensure_router(&spec, boot).await }).await
    }

    async fn remove_router(&self, id: RouterId) -> Result<(), HostError> {
        let shared = Arc::clone(&self.shared);
        finish(async move { shared.remove(Owner::Router(id)).await }).await
    }

    async fn hand_over_sessions(&self, from: RouterId, to: RouterId) -> Result<u64, HostError> {
        self.shared.hand_over(from, to).await
    }

    async fn ensure_guest(&self, spec: &GuestSpec) -> Result<(), HostError> {
        let (shared, spec) = (Arc::clone(&self.shared), spec.clone());
        finish(async move { shared.ensure_guest(&spec).await }).await
    }

    async fn remove_guest(&self, id: GuestId) -> Result<(), HostError> {
        let shared = Arc::clone(&self.shared);
        finish(async move { shared.remove(Owner::Guest(id)).await }).await
    }

    async fn observe(&self) -> Result<HostObserved, HostError> {
        Ok(self.shared.observe().await)
    }

    async fn retain(&self, keep: &Inventory) -> Result<Vec<String>, HostError> {
        self.shared.retain(keep).await
    }

    async fn verify_router(
        &self,
        id: RouterId,
        guest: Option<GuestId>,
        ping: std::net::Ipv4Addr,
    ) -> Result<Vec<Check>, HostError> {
        self.shared.verify(id, guest, ping).await
    }

    async fn load_balancer_statistics(&self, id: RouterId) -> Result<Vec<LbStatistics>, HostError> {
        self.shared.balanced(id).await
    }

    async fn router_stats(&self, id: RouterId, census_from: u32) -> Result<RouterStats, HostError> {
        self.shared.stats(id, census_from).await
    }

    async fn router_sessions(&self, id: RouterId, query: &SessionQuery) -> Result<SessionPage, HostError> {
        self.shared.sessions(id, query).await
    }

    async fn trace_flow(&self, id: RouterId, query: &TraceQuery) -> Result<Traced, HostError> {
        self.shared.trace_flow(id, query).await
    }

    async fn router_health(&self, id: RouterId) -> Result<Vec<HealthCheck>, HostError> {
        self.shared.health(id).await
    }

    async fn run_in_router(&self, id: RouterId, run: &Run) -> Result<RunOutput, HostError> {
        self.shared.run_in(Owner::Router(id), run).await
    }

    async fn run_in_guest(&self, id: GuestId, run: &Run) -> Result<RunOutput, HostError> {
        self.shared.run_in(Owner::Guest(id), run).await
    }

    async fn inspect(
        &self,
        id: RouterId,
        guests: &[GuestId],
        window: std::time::Duration,
    ) -> Result<HostSeen, HostError> {
        Ok(self.shared.inspect(id, guests, window).await)
    }

    async fn renew_lease(&self, id: GuestId) -> Result<(), HostError> {
        self.shared.renew_lease(id).await
    }

    fn events(&self) -> HostEvents {
        self.shared.events.subscribe()
    }
}

impl Shared {
    fn machines(&self) -> MutexGuard<'_, HashMap<Owner, Arc<Machine>>> {
        // A holder that panicked left a whole map behind: every change of it is one insert or one remove.
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody else changes this router or guest.
    async fn lock(&self, owner: Owner) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for are forgotten here, so that the map does not grow for ever.
            locks.retain(|other, lock| *other == owner || Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(owner).or_default())
        };
        lock.lock_owned().await
    }
}

/// Does something to its end, even if whoever asked for it no longer waits: a process that is being started must not be
/// lost between its start and the moment from which it is watched.
async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T, HostError>> + Send + 'static,
) -> Result<T, HostError> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(|error| Err(failed("the host's work", error)))
}

/// `doing` failed for this reason.
fn failed(doing: impl Into<String>, reason: impl ToString) -> HostError {
    HostError::Failed {
        doing: doing.into(),
        reason: reason.to_string(),
    }
}
