// SPDX-License-Identifier: Apache-2.0
//! A manager on a real SQLite store with a host that is always content.

#![allow(dead_code, reason = "each test file uses a part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "all of this is for tests"
)]

mod fake_host;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use outgate_manager::bootstrap::{OFFERING_DENY, RangeConfig};
use outgate_manager::command::request::{
    AssociateIp, CreateFirewallRule, CreateNetwork, CreateNetworkOffering, CreatePortForwarding, DeployGuest,
    EnableStaticNat, WantedNic,
};
use outgate_manager::{
    BootstrapConfig, Caller, CommandError, CommitError, Drivers, Manager, ManagerConfig, Pace,
    RouterSettings, Started,
};
use outgate_model::id::{GuestId, JobId, NetworkId, NetworkOfferingId, PublicIpId, RouterId, UserId, ZoneId};
use outgate_model::job::JobState;
use outgate_model::object::{
    Account, Guest, Network, NetworkOffering, PublicIp, RoleType, Router, RouterState, Service,
    ServiceOffering, Template, User, Zone,
};
use outgate_model::{Ipv4Range, Match, PortRange, Protocol};
use outgate_store::{SqliteStore, Store};

pub use fake_host::FakeHost;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A manager with its store and host.
pub struct World {
    pub manager: Manager,
    pub admin: Caller,
    pub zone: ZoneId,
    pub host: Arc<FakeHost>,
    dir: tempfile::TempDir,
}

/// The first public address.
pub const FIRST_PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// `10.1.1.n` and the like.
pub fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

pub fn ports(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

pub fn tcp(first: u16, last: u16) -> Match {
    Match::Ports {
        protocol: Protocol::Tcp,
        ports: ports(first, last),
    }
}

pub fn config(dir: &std::path::Path, addresses: u32) -> ManagerConfig {
    let last = Ipv4Addr::from_bits(FIRST_PUBLIC.to_bits() + addresses - 1);
    let range = RangeConfig {
        gateway: "203.0.113.1/24".parse().unwrap(),
        range: Ipv4Range::new(FIRST_PUBLIC, last).unwrap(),
        vlan: "vlan://untagged".to_owned(),
    };
    ManagerConfig {
        bootstrap: BootstrapConfig {
            zone: "lab".to_owned(),
            dns: vec![ip("192.0.2.53")],
            guest_cidr: "10.1.1.0/24".parse().unwrap(),
            network_domain: "cs1cloud.internal".to_owned(),
            public_mtu: 1500,
            ranges: vec![range],
            hosts: vec!["host-1".to_owned()],
            hypervisor: "Simulator".to_owned(),
        },
        key_file: dir.join("key"),
        router: RouterSettings::default(),
        pace: Pace::default(),
    }
}

/// An enabled offering with these services beside Dhcp and SourceNat.
pub fn offering_with(name: &str, services: &[Service]) -> CreateNetworkOffering {
    let mut all: BTreeSet<_> = services.iter().copied().collect();
    all.extend([Service::Dhcp, Service::SourceNat]);
    CreateNetworkOffering {
        name: name.to_owned(),
        display_text: name.to_owned(),
        services: all,
        for_vpc: false,
        egress_allowed: true,
        persistent: false,
        conserve_mode: true,
        enable: true,
        specify_vlan: false,
        redundant: false,
        required: false,
        max_connections: None,
        network_rate: None,
        tags: String::new(),
        domains: Vec::new(),
        zones: Vec::new(),
        details: BTreeMap::new(),
    }
}

impl World {
    /// A fresh one with so many public addresses.
    pub async fn new(addresses: u32) -> Self {
        Self::of(|dir| config(dir, addresses)).await
    }

    /// A fresh one with what `config` makes for its folder.
    pub async fn of(config: impl FnOnce(&std::path::Path) -> ManagerConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&dir.path().join("outgate.db")).unwrap());
        let host = Arc::new(FakeHost::default());
        let mut drivers = Drivers::new();
        drivers.insert(
            "host-1".to_owned(),
            Arc::clone(&host) as Arc<dyn outgate_host::Host>,
        );
        let manager = Manager::start(store, drivers, config(dir.path())).await.unwrap();
        let (admin, zone) = {
            let view = manager.view();
            let user = view.all::<User>().next().unwrap();
            let account = view.get::<Account>(user.account).unwrap();
            let admin = Caller {
                user: user.id,
                account: account.id,
                domain: account.domain,
                role: RoleType::Admin,
            };
            (admin, view.all::<Zone>().next().unwrap().id)
        };
        Self {
            manager,
            admin,
            zone,
            host,
            dir,
        }
    }

    /// The same after the server was stopped and started again.
    pub async fn restarted(mut self) -> Self {
        self.manager.shutdown().await;
        let mut drivers = Drivers::new();
        drivers.insert(
            "host-1".to_owned(),
            Arc::clone(&self.host) as Arc<dyn outgate_host::Host>,
        );
        let store = Arc::clone(self.manager.store());
        self.manager = Manager::start(store, drivers, config(self.dir.path(), 1))
            .await
            .unwrap();
        self
    }

    /// A caller of another account, who is no admin.
    pub async fn tenant(&self, name: &str) -> Caller {
        let domain = self.admin.domain;
        self.manager
            .commit(|_, draft| {
                let account = Account::new(draft.number("account"), name, domain, RoleType::User);
                draft.create(&account);
                let caller = Caller {
                    user: UserId::new(),
                    account: account.id,
                    domain,
                    role: RoleType::User,
                };
                Ok::<_, CommitError>(caller)
            })
            .await
            .unwrap()
    }

    pub fn offering(&self, name: &str) -> NetworkOfferingId {
        self.manager
            .view()
            .all::<NetworkOffering>()
            .find(|offering| offering.name == name)
            .unwrap()
            .id
    }

    pub async fn make_offering(&self, request: CreateNetworkOffering) -> NetworkOfferingId {
        self.manager
            .create_network_offering(&self.admin, request)
            .await
            .unwrap()
    }

    pub fn create_network(&self, name: &str) -> CreateNetwork {
        CreateNetwork::new(name, self.offering(OFFERING_DENY), self.zone)
    }

    pub async fn network(&self, name: &str) -> NetworkId {
        self.manager
            .create_network(&self.admin, self.create_network(name))
            .await
            .unwrap()
    }

    pub fn deploy(&self, network: NetworkId, name: &str) -> DeployGuest {
        let view = self.manager.view();
        DeployGuest {
            zone: self.zone,
            service_offering: view
                .all::<ServiceOffering>()
                .find(|offering| !offering.system)
                .unwrap()
                .id,
            template: view.all::<Template>().next().unwrap().id,
            nics: vec![WantedNic::on(network)],
            name: Some(name.to_owned()),
            display_name: None,
            start: true,
            owner: None,
        }
    }

    pub async fn guest(&self, network: NetworkId, name: &str) -> GuestId {
        let started = self
            .manager
            .deploy_guest(&self.admin, self.deploy(network, name))
            .await
            .unwrap();
        GuestId(started.id.unwrap())
    }

    pub async fn try_associate(
        &self,
        network: NetworkId,
        address: Option<Ipv4Addr>,
    ) -> Result<Started, CommandError> {
        let request = AssociateIp {
            network: Some(network),
            zone: None,
            address,
            owner: None,
        };
        self.manager.associate_ip(&self.admin, request).await
    }

    pub async fn address(&self, network: NetworkId) -> PublicIpId {
        let started = self.try_associate(network, None).await.unwrap();
        PublicIpId(started.id.unwrap())
    }

    pub fn forward(
        &self,
        ip: PublicIpId,
        guest: GuestId,
        public: PortRange,
        private: PortRange,
    ) -> CreatePortForwarding {
        CreatePortForwarding {
            public_ip: ip,
            protocol: Protocol::Tcp,
            public_ports: public,
            private_ports: private,
            guest,
            guest_address: None,
            network: None,
            open_firewall: Some(true),
            sources: Vec::new(),
        }
    }

    pub fn open(&self, ip: PublicIpId, matches: Match) -> CreateFirewallRule {
        CreateFirewallRule {
            public_ip: ip,
            matches,
            sources: Vec::new(),
        }
    }

    /// Waits until a command's job has ended well, and returns what it made.
    pub async fn done(&self, started: Started) -> Option<uuid::Uuid> {
        match self.ended(started.job).await {
            JobState::Succeeded => started.id,
            other => panic!("job {}: {other:?}", started.job),
        }
    }

    /// Waits until a job has ended.
    pub async fn ended(&self, job: JobId) -> JobState {
        let state = self.when(|view| {
            view.job(job)
                .map(|job| job.state.clone())
                .filter(|state| *state != JobState::Pending)
        });
        tokio::time::timeout(DEADLINE, state)
            .await
            .unwrap_or_else(|_| panic!("job {job} does not end"))
    }

    /// Waits until `look` finds something.
    pub async fn when<T>(&self, mut look: impl FnMut(&outgate_manager::View<'_>) -> Option<T>) -> T {
        let mut revisions = self.manager.mirror().revisions();
        loop {
            revisions.mark_unchanged();
            let found = look(&self.manager.view());
            if let Some(found) = found {
                return found;
            }
            revisions.changed().await.unwrap();
        }
    }

    /// Waits until no job is pending.
    pub async fn quiet(&self) {
        let quiet = self.when(|view| view.pending_jobs().next().is_none().then_some(()));
        tokio::time::timeout(DEADLINE, quiet).await.expect("jobs end");
    }

    /// Gives an address to a guest; returns once that is decided.
    pub async fn static_nat(&self, public_ip: PublicIpId, guest: GuestId) -> Result<(), CommandError> {
        let request = EnableStaticNat {
            public_ip,
            guest,
            network: None,
            guest_address: None,
        };
        let stored = self.when(|view| {
            let nat = view.get::<PublicIp>(public_ip)?.static_nat?;
            (nat.guest == guest).then_some(())
        });
        tokio::select! {
            biased;
            result = self.manager.enable_static_nat(&self.admin, request) => result,
            () = stored => Ok(()),
        }
    }

    /// Everything that users want, hold and have started: what a refused command must not change.
    pub async fn written(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        for prefix in ["desired/", "claims/", "counters/"] {
            let (_, entries) = self.manager.store().range(prefix).await.unwrap();
            all.extend(entries.into_iter().map(|entry| (entry.key, entry.value)));
        }
        let (_, jobs) = self.manager.store().range("jobs/").await.unwrap();
        all.extend(jobs.into_iter().map(|entry| (entry.key, Vec::new())));
        all
    }

    /// The claims that are held on addresses.
    pub async fn claims(&self) -> Vec<String> {
        let (_, entries) = self.manager.store().range("claims/").await.unwrap();
        let keys = entries.into_iter().map(|entry| entry.key);
        keys.filter(|key| key.starts_with("claims/ip/") || key.starts_with("claims/link-local/"))
            .collect()
    }

    /// Asserts that `command` is refused with `code`, that its text holds each of `words`, and that it wrote nothing.
    /// What is under way ends first: it writes.
    pub async fn refused<T: std::fmt::Debug>(
        &self,
        code: u16,
        words: &[&str],
        command: impl Future<Output = Result<T, CommandError>>,
    ) {
        self.quiet().await;
        self.refused_meanwhile(code, words, command).await;
    }

    /// The same while jobs wait for something.
    pub async fn refused_meanwhile<T: std::fmt::Debug>(
        &self,
        code: u16,
        words: &[&str],
        command: impl Future<Output = Result<T, CommandError>>,
    ) {
        let before = self.written().await;
        let error = command.await.expect_err("it is refused");
        let text = error.text("someCommand");
        assert_eq!(error.code(), code, "{text}");
        for word in words {
            assert!(text.contains(word), "{text:?} does not say {word:?}");
        }
        assert!(
            self.written().await == before,
            "a refused command wrote something: {text}"
        );
    }

    pub fn public_ip(&self, id: PublicIpId) -> PublicIp {
        PublicIp::clone(self.manager.view().get::<PublicIp>(id).unwrap())
    }

    pub fn source_nat(&self, network: NetworkId) -> PublicIp {
        let view = self.manager.view();
        PublicIp::clone(
            view.public_ips_of_network(network)
                .find(|ip| ip.source_nat)
                .unwrap(),
        )
    }

    pub fn network_now(&self, id: NetworkId) -> Network {
        Network::clone(self.manager.view().get::<Network>(id).unwrap())
    }

    pub fn guest_now(&self, id: GuestId) -> Guest {
        Guest::clone(self.manager.view().get::<Guest>(id).unwrap())
    }

    pub fn router_of(&self, network: NetworkId) -> Option<Router> {
        self.manager
            .view()
            .router_of_network(network)
            .map(|router| Router::clone(router))
    }

    pub fn router_id(&self, network: NetworkId) -> RouterId {
        self.router_of(network).unwrap().id
    }

    /// The network's router, once it runs.
    pub async fn running_router(&self, network: NetworkId) -> RouterId {
        let router = self.router_id(network);
        let runs = |view: &outgate_manager::View<'_>| {
            let seen = view.router_observed(router)?;
            (seen.state == RouterState::Running).then_some(router)
        };
        self.when(runs).await
    }
}
