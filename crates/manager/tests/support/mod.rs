// SPDX-License-Identifier: Apache-2.0
//! A manager on a real store in a temporary folder, with a host that does what a test tells it to.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "shared by several test programs"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use outgate_host::{Host, HostError, HostEvents};
use outgate_manager::bootstrap::{OFFERING_ALLOW, OFFERING_DENY, OFFERING_PERSISTENT};
use outgate_manager::command::request::*;
use outgate_manager::{BootstrapConfig, Caller, Manager, ManagerConfig, Pace, RangeConfig, RouterSettings};
use outgate_model::host::{
    Applied, Check, GuestRunning, HostEvent, HostObserved, Inventory, RouterRunning, Run, RunOutput,
};
use outgate_model::id::{GuestId, JobId, NetworkId, PublicIpId, RouterId};
use outgate_model::job::JobState;
use outgate_model::object::{Account, NetworkOffering, Router, ServiceOffering, Template, User, Zone};
use outgate_model::{GuestSpec, Ipv4Range, Match, PortRange, Protocol, RouterSpec};
use outgate_store::{SqliteStore, Store};
use tokio::sync::{broadcast, watch};

/// Decides what becomes of an apply; `None` lets it pass.
pub type Verdict = Box<dyn FnMut(&RouterSpec) -> Option<HostError> + Send>;

#[derive(Default)]
pub struct Inside {
    pub routers: BTreeMap<RouterId, (u64, RouterSpec)>,
    pub guests: BTreeSet<GuestId>,
    /// Every apply that was asked for: router and generation.
    pub applies: Vec<(RouterId, u64)>,
    /// The newest boot that was asked for.
    pub boot: u64,
    /// How often it was observed.
    pub looks: usize,
    pub retained: Vec<Inventory>,
    pub orphans: Vec<String>,
    pub verdict: Option<Verdict>,
}

/// A scriptable host.
pub struct FakeHost {
    inside: Mutex<Inside>,
    events: broadcast::Sender<HostEvent>,
    /// While false, applies and removals of routers wait.
    gate: watch::Sender<bool>,
    /// While false, what was seen is not told.
    pub eyes: watch::Sender<bool>,
}

impl std::fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeHost")
    }
}

impl FakeHost {
    pub fn new() -> Arc<Self> {
        let (events, gate) = (broadcast::Sender::new(64), watch::Sender::new(true));
        Arc::new(Self {
            inside: Mutex::default(),
            events,
            gate,
            eyes: watch::Sender::new(true),
        })
    }

    pub fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn judge(&self, verdict: impl FnMut(&RouterSpec) -> Option<HostError> + Send + 'static) {
        self.inside().verdict = Some(Box::new(verdict));
    }

    pub fn gate(&self, open: bool) {
        self.gate.send_replace(open);
    }

    pub fn tell(&self, event: HostEvent) {
        self.events.send(event).unwrap();
    }
}

#[async_trait]
impl Host for FakeHost {
    async fn ensure_router(&self, spec: &RouterSpec, boot: u64) -> Result<Applied, HostError> {
        {
            let mut inside = self.inside();
            inside.applies.push((spec.id, spec.generation));
            inside.boot = boot;
        }
        self.gate.subscribe().wait_for(|open| *open).await.unwrap();
        let mut inside = self.inside();
        let verdict = inside.verdict.as_mut().and_then(|judge| judge(spec));
        if let Some(error) = verdict {
            return Err(error);
        }
        let before = inside.routers.insert(spec.id, (boot, spec.clone()));
        assert!(
            before.is_none_or(|(_, old)| old.generation <= spec.generation),
            "generations never fall"
        );
        Ok(Applied {
            generation: spec.generation,
            changes: vec![],
            sessions_cut: 0,
            micros: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    async fn remove_router(&self, id: RouterId) -> Result<(), HostError> {
        self.gate.subscribe().wait_for(|open| *open).await.unwrap();
        self.inside().routers.remove(&id);
        Ok(())
    }

    async fn ensure_guest(&self, spec: &GuestSpec) -> Result<(), HostError> {
        self.inside().guests.insert(spec.id);
        Ok(())
    }

    async fn remove_guest(&self, id: GuestId) -> Result<(), HostError> {
        self.inside().guests.remove(&id);
        Ok(())
    }

    async fn observe(&self) -> Result<HostObserved, HostError> {
        let seen = {
            let mut inside = self.inside();
            inside.looks += 1;
            let routers = inside.routers.iter();
            HostObserved {
                routers: routers
                    .map(|(id, (boot, spec))| RouterRunning {
                        id: *id,
                        boot: *boot,
                        generation: Some(spec.generation),
                    })
                    .collect(),
                guests: inside.guests.iter().map(|id| GuestRunning { id: *id }).collect(),
            }
        };
        self.eyes.subscribe().wait_for(|open| *open).await.unwrap();
        Ok(seen)
    }

    async fn retain(&self, keep: &Inventory) -> Result<Vec<String>, HostError> {
        let mut inside = self.inside();
        inside.retained.push(keep.clone());
        inside.routers.retain(|id, _| keep.routers.contains(id));
        inside.guests.retain(|id| keep.guests.contains(id));
        Ok(std::mem::take(&mut inside.orphans))
    }

    async fn verify_router(
        &self,
        _: RouterId,
        _: Option<GuestId>,
        _: Ipv4Addr,
    ) -> Result<Vec<Check>, HostError> {
        Ok(vec![])
    }

    async fn run_in_router(&self, id: RouterId, _: &Run) -> Result<RunOutput, HostError> {
        Err(HostError::NotRunning { what: id.to_string() })
    }

    async fn run_in_guest(&self, id: GuestId, _: &Run) -> Result<RunOutput, HostError> {
        Err(HostError::NotRunning { what: id.to_string() })
    }

    fn events(&self) -> HostEvents {
        self.events.subscribe()
    }
}

pub fn quick() -> Pace {
    Pace {
        full_pass: Duration::from_millis(100),
        retry_first: Duration::from_millis(10),
        retry_most: Duration::from_millis(50),
        ..Pace::default()
    }
}

pub fn config(dir: &Path, pace: Pace) -> ManagerConfig {
    let range = Ipv4Range::new("203.0.113.10".parse().unwrap(), "203.0.113.59".parse().unwrap()).unwrap();
    ManagerConfig {
        bootstrap: BootstrapConfig {
            zone: "zone1".to_owned(),
            dns: vec![Ipv4Addr::new(203, 0, 113, 1)],
            guest_cidr: "10.1.1.0/24".parse().unwrap(),
            network_domain: "cs1cloud.internal".to_owned(),
            public_mtu: 1500,
            ranges: vec![RangeConfig {
                gateway: "203.0.113.1/24".parse().unwrap(),
                range,
                vlan: "vlan://untagged".to_owned(),
            }],
            hosts: vec!["host1".to_owned()],
            hypervisor: "Simulator".to_owned(),
        },
        key_file: dir.join("secret.key"),
        router: RouterSettings::default(),
        pace,
    }
}

/// Where a world's files are; a temporary one goes with it.
pub struct Folder {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Folder {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A manager with everything around it.
pub struct World {
    pub dir: Folder,
    pub host: Arc<FakeHost>,
    pub store: Arc<SqliteStore>,
    pub manager: Manager,
    pub pace: Pace,
    pub caller: Caller,
}

/// Starts one more manager on a store.
pub async fn another(dir: &Path, store: &Arc<SqliteStore>, host: &Arc<FakeHost>, key_file: &str) -> Manager {
    let drivers = BTreeMap::from([("host1".to_owned(), Arc::clone(host) as Arc<dyn Host>)]);
    let shared: Arc<dyn Store> = store.clone();
    let config = ManagerConfig {
        key_file: dir.join(key_file),
        ..config(dir, quick())
    };
    Manager::start(shared, drivers, config).await.unwrap()
}

async fn begin(dir: &Path, host: &Arc<FakeHost>, pace: &Pace) -> (Arc<SqliteStore>, Manager) {
    let store = Arc::new(SqliteStore::open(&dir.join("store.db")).unwrap());
    let drivers = BTreeMap::from([("host1".to_owned(), Arc::clone(host) as Arc<dyn Host>)]);
    let shared: Arc<dyn Store> = store.clone();
    let manager = Manager::start(shared, drivers, config(dir, pace.clone()))
        .await
        .unwrap();
    (store, manager)
}

impl World {
    pub async fn new() -> Self {
        Self::with(quick()).await
    }

    pub async fn with(pace: Pace) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        Self::of(
            Folder {
                path,
                temporary: Some(dir),
            },
            pace,
        )
        .await
    }

    /// On files that outlive it, with a host where nothing runs.
    pub async fn at(path: &Path) -> Self {
        Self::of(
            Folder {
                path: path.to_owned(),
                temporary: None,
            },
            quick(),
        )
        .await
    }

    async fn of(dir: Folder, pace: Pace) -> Self {
        let host = FakeHost::new();
        let (store, manager) = begin(dir.path(), &host, &pace).await;
        let caller = {
            let view = manager.view();
            let user = view.all::<User>().next().unwrap();
            let domain = view.get::<Account>(user.account).unwrap().domain;
            Caller {
                user: user.id,
                account: user.account,
                domain,
                role: outgate_model::object::RoleType::Admin,
            }
        };
        Self {
            dir,
            host,
            store,
            manager,
            pace,
            caller,
        }
    }

    /// Ends the manager and the store, keeps the host and the files, and starts both again.
    pub async fn restart(mut self) -> Self {
        self.manager.shutdown().await;
        self.store.close().await;
        (self.store, self.manager) = begin(self.dir.path(), &self.host, &self.pace).await;
        self
    }

    pub async fn network(&self, name: &str, offering: &str) -> NetworkId {
        let request = {
            let view = self.manager.view();
            let offering = view
                .all::<NetworkOffering>()
                .find(|o| o.name == offering)
                .unwrap()
                .id;
            CreateNetwork::new(name, offering, view.all::<Zone>().next().unwrap().id)
        };
        self.manager.create_network(&self.caller, request).await.unwrap()
    }

    /// A network with a running router.
    pub async fn persistent(&self, name: &str) -> NetworkId {
        let id = self.network(name, OFFERING_PERSISTENT).await;
        self.until("the router runs", || self.generation_applied(id))
            .await;
        id
    }

    pub async fn isolated(&self, name: &str) -> NetworkId {
        self.network(
            name,
            if name.starts_with("deny") {
                OFFERING_DENY
            } else {
                OFFERING_ALLOW
            },
        )
        .await
    }

    pub fn deploy_request(&self, network: NetworkId, name: &str) -> DeployGuest {
        let view = self.manager.view();
        DeployGuest {
            zone: view.all::<Zone>().next().unwrap().id,
            service_offering: view.all::<ServiceOffering>().find(|o| !o.system).unwrap().id,
            template: view.all::<Template>().next().unwrap().id,
            nics: vec![WantedNic::on(network)],
            name: Some(name.to_owned()),
            display_name: None,
            start: true,
            owner: None,
        }
    }

    /// A running guest.
    pub async fn guest(&self, network: NetworkId, name: &str) -> GuestId {
        let request = self.deploy_request(network, name);
        let started = self.manager.deploy_guest(&self.caller, request).await.unwrap();
        assert_eq!(self.ended(started.job).await, JobState::Succeeded);
        GuestId(started.id.unwrap())
    }

    /// The network's source NAT address.
    pub fn source_nat(&self, network: NetworkId) -> PublicIpId {
        let view = self.manager.view();
        view.public_ips_of_network(network)
            .find(|ip| ip.source_nat)
            .unwrap()
            .id
    }

    pub fn router(&self, network: NetworkId) -> Arc<Router> {
        Arc::clone(&self.manager.view().router_of_network(network).unwrap().object)
    }

    pub fn forward(&self, public_ip: PublicIpId, guest: GuestId, port: u16) -> CreatePortForwarding {
        CreatePortForwarding {
            public_ip,
            protocol: Protocol::Tcp,
            public_ports: PortRange::single(port).unwrap(),
            private_ports: PortRange::single(port).unwrap(),
            guest,
            guest_address: None,
            network: None,
            open_firewall: Some(true),
            sources: vec![],
        }
    }

    pub fn firewall(&self, public_ip: PublicIpId, port: u16) -> CreateFirewallRule {
        let ports = PortRange::single(port).unwrap();
        CreateFirewallRule {
            public_ip,
            matches: Match::Ports {
                protocol: Protocol::Tcp,
                ports,
            },
            sources: vec![],
        }
    }

    pub fn generation_applied(&self, network: NetworkId) -> bool {
        let view = self.manager.view();
        let Some(router) = view.router_of_network(network) else {
            return false;
        };
        let wanted = view
            .get::<outgate_model::object::Network>(network)
            .unwrap()
            .generation;
        view.router_observed(router.id)
            .is_some_and(|s| s.generation == wanted && s.error.is_none())
    }

    /// How a job ended.
    pub async fn ended(&self, job: JobId) -> JobState {
        self.until("the job ends", || self.state(job) != JobState::Pending)
            .await;
        self.state(job)
    }

    pub fn state(&self, job: JobId) -> JobState {
        self.manager.view().job(job).unwrap().state.clone()
    }

    pub async fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let wait = async {
            while !done() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait)
            .await
            .unwrap_or_else(|_| panic!("in vain: {what}"));
    }

    /// Every event's type and text, the newest first.
    pub fn events(&self) -> Vec<(String, String)> {
        self.manager
            .view()
            .events()
            .map(|e| (e.kind.clone(), e.description.clone()))
            .collect()
    }

    pub fn has_event(&self, kind: &str, part: &str) -> bool {
        self.events()
            .iter()
            .any(|(k, text)| k == kind && text.contains(part))
    }

    pub async fn store_revision(&self) -> u64 {
        self.store.revision().await.unwrap()
    }

    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        self.store
            .range(prefix)
            .await
            .unwrap()
            .1
            .into_iter()
            .map(|e| e.key)
            .collect()
    }
}
