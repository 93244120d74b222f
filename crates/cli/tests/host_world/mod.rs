// SPDX-License-Identifier: Apache-2.0
//! A host of its own for each test: a network namespace with a public bridge, an internet behind it, and the driver. Needs
//! root, since only root may make namespaces. What a failed test leaves running is ended too.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shared by tests, which may panic; each uses a part"
)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use ipnet::Ipv4Net;
use outgate_host::{Host, NamespaceConfig, NamespaceHost};
use outgate_kernel::link::Links;
use outgate_model::MacAddr;
use outgate_model::guest_spec::{GuestNic, GuestSpec};
use outgate_model::host::{Inventory, Run, RunOutput};
use outgate_model::id::{GuestId, NetworkId, NicId, RouterId};
use outgate_model::router_spec::{
    Conntrack, ControlSide, Egress, EgressPolicy, GuestNetwork, Lease, PublicAddress, PublicSide, RouterSpec,
    SPEC_VERSION, Ssh,
};
use outgate_testkit::{Namespace, connect};

/// How long what will come is waited for, on a machine that does much else.
pub const LIMIT: Duration = Duration::from_secs(60);
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);

/// A host and what is around it.
pub struct World {
    pub host: NamespaceHost,
    pub config: NamespaceConfig,
    pub internet: Namespace,
    pub links: Links,
    public_key: String,
    _dir: tempfile::TempDir,
}

/// Runs a test in a world of its own, on a thread inside the host's network namespace.
pub fn in_world<F: Future<Output = ()> + 'static>(test: impl FnOnce(Rc<World>) -> F + Send) {
    let network = outgate_kernel::namespace::new_network().expect("tests with namespaces need root");
    let ran = outgate_kernel::namespace::within(std::os::fd::AsFd::as_fd(&network), || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let world = Rc::new(World::new().await);
            let outcome = tokio::task::spawn_local(test(Rc::clone(&world))).await;
            // Another driver than the test's, which may be in the middle of something.
            let cleaner = NamespaceHost::start(world.config.clone()).await.unwrap();
            cleaner.retain(&Inventory::default()).await.unwrap();
            outcome
        })
    });
    if let Err(error) = ran.unwrap() {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let links = Links::open().unwrap();
        links.set_up("lo").await.unwrap();
        links.add_bridge("public", 1_500).await.unwrap();
        let internet = Namespace::new().await.unwrap();
        let uplink = Namespace::open("/proc/thread-self/ns/net").unwrap();
        connect(
            (&uplink, "uplink", None),
            Some("public"),
            (&internet, "eth0", None),
            1_500,
        )
        .await
        .unwrap();
        internet
            .address("eth0", "203.0.113.1/24".parse().unwrap())
            .await
            .unwrap();
        internet.address("lo", Ipv4Net::from(OUTSIDE)).await.unwrap();
        let key = dir.path().join("id_rsa.cloud");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
        let config = NamespaceConfig {
            instance: "test".into(),
            run_dir: dir.path().join("run"),
            program: env!("CARGO_BIN_EXE_outgate").into(),
            public_bridge: "public".into(),
            control_bridge: "control".into(),
            control_address: "169.254.0.1/16".parse().unwrap(),
            ssh_key: key.clone(),
            environment: Vec::new(),
        };
        let public_key = std::fs::read_to_string(key.with_extension("cloud.pub"))
            .unwrap()
            .trim()
            .to_owned();
        let host = NamespaceHost::start(config.clone()).await.unwrap();
        Self {
            host,
            config,
            internet,
            links,
            public_key,
            _dir: dir,
        }
    }

    /// The spec of router `r-<number>-VM` with two guests' leases: its public address is 203.0.113.(10+number).
    pub fn router(&self, number: u8) -> RouterSpec {
        let lease = |guest| Lease {
            address: Ipv4Addr::new(10, 1, 1, 11 + guest),
            hostname: format!("vm-{number}-{guest}"),
            default_route: true,
        };
        let leases: BTreeMap<_, _> = [0, 1]
            .map(|guest| (guest_mac(number, guest), lease(guest)))
            .into();
        RouterSpec {
            version: SPEC_VERSION,
            id: RouterId::new(),
            name: format!("r-{number}-VM"),
            generation: 1,
            control: ControlSide {
                interface: "eth1".into(),
                mac: MacAddr([0x0e, 0, 0xa9, 0xfe, 1, number]),
                address: net(169, 254, 1, number, 16),
            },
            public: PublicSide {
                interface: "eth2".into(),
                mac: MacAddr([0x1e, 0, 0, 0, 2, number]),
                mtu: 1_500,
                gateway: Ipv4Addr::new(203, 0, 113, 1),
                addresses: vec![PublicAddress {
                    address: net(203, 0, 113, 10 + number, 24),
                    source_nat: true,
                    source_nat_pool: false,
                    static_nat: None,
                    firewall: Vec::new(),
                    port_forwarding: Vec::new(),
                    load_balancers: Vec::new(),
                }],
            },
            vpc: None,
            guest_networks: vec![GuestNetwork {
                id: NetworkId::new(),
                interface: "eth0".into(),
                mac: MacAddr([0x02, 0, 0, 0, 3, number]),
                mtu: 1_500,
                gateway: net(10, 1, 1, 1, 24),
                domain: "cs1cloud.internal".into(),
                upstream_dns: vec![OUTSIDE],
                egress: Egress {
                    default: EgressPolicy::Allow,
                    rules: Vec::new(),
                },
                acl: None,
                leases,
            }],
            conntrack: Conntrack::default(),
            ssh: Ssh {
                port: 3922,
                authorized_keys: vec![self.public_key.clone()],
            },
            limits: Default::default(),
            nat_log: None,
            jobs: Vec::new(),
            fastpath: outgate_model::router_spec::FastPathMode::Off,
            fastpath_settings: outgate_model::router_spec::FastPathSettings::default(),
        }
    }

    /// Guest 0 or 1 of a router made by [`World::router`] with this number.
    pub fn guest(&self, router: &RouterSpec, number: u8, guest: u8) -> GuestSpec {
        let mac = guest_mac(number, guest);
        let network = &router.guest_networks[0];
        GuestSpec {
            id: GuestId::new(),
            instance_name: format!("i-2-{number}{guest}-VM"),
            hostname: network.leases[&mac].hostname.clone(),
            nics: vec![GuestNic {
                id: NicId::new(),
                network: network.id,
                device: 0,
                mac,
                address: network.leases[&mac].address,
                mtu: network.mtu,
            }],
        }
    }

    /// Runs a program in a guest.
    pub async fn in_guest(&self, guest: &GuestSpec, argv: &[&str]) -> RunOutput {
        self.host.run_in_guest(guest.id, &run(argv)).await.unwrap()
    }

    /// Every interface of the host's that the driver made, but the control bridge.
    pub async fn devices(&self) -> Vec<String> {
        let all = self.links.list().await.unwrap();
        all.into_keys()
            .filter(|name| !["lo", "public", "uplink", "control"].contains(&name.as_str()))
            .collect()
    }

    /// Process ids of everything that was started for this world's routers and guests.
    pub fn processes(&self) -> Vec<i32> {
        let dir = self.config.run_dir.to_str().unwrap().as_bytes();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap() {
            let Ok(pid) = entry.unwrap().file_name().to_str().unwrap_or_default().parse() else {
                continue;
            };
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.windows(dir.len()).any(|part| part == dir) {
                found.push(pid);
            }
        }
        found
    }

    /// Process 1 of a router or guest, by its id, as this machine numbers it.
    pub fn process_1(&self, id: &str) -> i32 {
        let of_id = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let first = status
                .lines()
                .any(|l| l.starts_with("NSpid:") && l.ends_with("\t1"));
            first && String::from_utf8_lossy(&line).contains(id)
        };
        self.processes().into_iter().find(of_id).expect("it runs")
    }
}

/// A command with a minute's time.
pub fn run(argv: &[&str]) -> Run {
    Run {
        argv: argv.iter().map(|a| (*a).to_owned()).collect(),
        timeout_millis: 60_000,
    }
}

fn guest_mac(router: u8, guest: u8) -> MacAddr {
    MacAddr([0x02, 0, 0x0a, 0x01, router, guest])
}

fn net(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}
