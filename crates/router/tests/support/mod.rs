// SPDX-License-Identifier: Apache-2.0
//! A router's engine in a small world of network namespaces, with files of its own. Needs root.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

pub mod vpc;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use nix::sched::{CloneFlags, setns};
use outgate_model::id::{FirewallRuleId, NetworkId, PortForwardingRuleId, RouterId};
use outgate_model::router_spec::{
    Conntrack, ControlSide, Egress, EgressPolicy, FirewallRule, GuestNetwork, Lease, PortForward,
    PublicAddress, PublicSide, SPEC_VERSION, Ssh,
};
use outgate_model::stats::RouterStats;
use outgate_model::{MacAddr, Match, PortRange, Protocol, RouterSpec};
use outgate_router::cloud_log::CloudLog;
use outgate_router::{Engine, contain, insight};
use outgate_testkit::{Namespace, Topology, TopologySpec};
use tokio::runtime::Runtime;

type Work = Box<dyn FnOnce(&mut Engine) + Send>;

/// The world, and the router's engine on a thread inside it.
pub struct World {
    pub topology: Topology,
    pub runtime: Runtime,
    engine: EngineThread,
}

impl World {
    pub fn new() -> Self {
        let runtime = runtime();
        let topology = runtime.block_on(Topology::new(&TopologySpec::default())).unwrap();
        let engine = EngineThread::new(&topology.router);
        Self {
            topology,
            runtime,
            engine,
        }
    }
}

impl Deref for World {
    type Target = EngineThread;

    fn deref(&self) -> &EngineThread {
        &self.engine
    }
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// A router's engine on a thread of its own inside a network namespace.
pub struct EngineThread {
    pub woken: Receiver<()>,
    work: Option<Sender<Work>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl EngineThread {
    pub fn new(router: &Namespace) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (work, todo) = channel::<Work>();
        let (wake, woken) = channel();
        let network = router.as_fd().try_clone_to_owned().unwrap();
        let path = dir.path().to_owned();
        let (ready, is_ready) = channel();
        let thread = std::thread::spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET).unwrap();
            contain::own_namespaces().unwrap();
            contain::fill(&path, "r-1-VM").unwrap();
            let wake = std::sync::Mutex::new(wake);
            let log = CloudLog::new(path.join("cloud.log"));
            let wake = Arc::new(move || {
                let _ = wake.lock().unwrap().send(());
            });
            let mut engine = Engine::new(log, wake).unwrap();
            ready.send(()).unwrap();
            for work in todo {
                work(&mut engine);
            }
        });
        is_ready.recv().expect("the router starts");
        Self {
            woken,
            work: Some(work),
            thread: Some(thread),
            _dir: dir,
        }
    }

    /// Does something with the engine on its own thread, in the router's namespaces.
    pub fn router<T: Send + 'static>(&self, work: impl FnOnce(&mut Engine) -> T + Send + 'static) -> T {
        let (sender, receiver) = channel();
        let work: Work = Box::new(move |engine| drop(sender.send(work(engine))));
        self.work.as_ref().unwrap().send(work).unwrap();
        receiver.recv().expect("the router's thread lives")
    }

    /// Applies a spec that must be fine.
    pub fn apply(&self, spec: &RouterSpec) -> outgate_model::host::Applied {
        let spec = spec.clone();
        self.router(move |engine| engine.apply(&spec)).unwrap()
    }

    /// Runs a command in the router, which must succeed.
    pub fn run(&self, command: &str) -> String {
        let command = command.to_owned();
        self.router(move |_| run(&command))
    }

    /// What it knows of its traffic, the fast path's included.
    pub fn stats(&self) -> RouterStats {
        let read = |engine: &mut Engine| {
            let carried = engine.carried();
            insight::stats(engine.spec().unwrap(), 0, &carried)
        };
        self.router(read).unwrap()
    }

    /// What differs from the spec right now.
    pub fn differences(&self) -> Vec<String> {
        self.router(|engine| engine.differences()).unwrap()
    }

    /// Every table but that of the counters, which lives by itself.
    pub fn ruleset(&self) -> String {
        let all = self.run("nft -n -s list ruleset");
        let tables = all.split_inclusive("\n}\n");
        tables
            .filter(|table| !table.starts_with("table ip outgate_usage "))
            .collect()
    }
}

impl Drop for EngineThread {
    fn drop(&mut self) {
        drop(self.work.take());
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        if let (Some(Err(panic)), false) = (ended, std::thread::panicking()) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Runs a command, given as words with single spaces between, in the namespaces of the calling thread.
pub fn run(command: &str) -> String {
    let mut words = command.split(' ');
    let output = std::process::Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command}: {printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

/// One guest network 10.1.1.0/24 behind 203.0.113.10 with the guests of the world; everything may leave.
pub fn spec() -> RouterSpec {
    let [guest, control, public] = TopologySpec::default().macs;
    let lease = |n: u8| {
        let lease = Lease {
            address: [10, 1, 1, n].into(),
            hostname: format!("vm-{n}"),
            default_route: true,
        };
        (MacAddr([2, 0, 0, 0, 0, n]), lease)
    };
    RouterSpec {
        version: SPEC_VERSION,
        id: RouterId::new(),
        name: "r-1-VM".to_owned(),
        generation: 1,
        control: ControlSide {
            interface: "eth1".to_owned(),
            mac: control,
            address: "169.254.1.2/16".parse().unwrap(),
        },
        public: PublicSide {
            interface: "eth2".to_owned(),
            mac: public,
            mtu: 1_500,
            gateway: [203, 0, 113, 1].into(),
            addresses: vec![source_nat_address()],
        },
        vpc: None,
        guest_networks: vec![GuestNetwork {
            id: NetworkId::new(),
            interface: "eth0".to_owned(),
            mac: guest,
            mtu: 1_500,
            gateway: "10.1.1.1/24".parse().unwrap(),
            domain: "cs1cloud.internal".to_owned(),
            upstream_dns: vec![[198, 51, 100, 1].into()],
            egress: Egress {
                default: EgressPolicy::Allow,
                rules: Vec::new(),
            },
            acl: None,
            leases: BTreeMap::from([lease(11), lease(12)]),
        }],
        conntrack: Conntrack::default(),
        ssh: Ssh {
            port: 3922,
            authorized_keys: vec![public_key()],
        },
        limits: Default::default(),
        nat_log: None,
        jobs: Vec::new(),
        fastpath: outgate_model::router_spec::FastPathMode::Off,
        fastpath_settings: outgate_model::router_spec::FastPathSettings::default(),
    }
}

fn source_nat_address() -> PublicAddress {
    PublicAddress {
        address: "203.0.113.10/24".parse().unwrap(),
        source_nat: true,
        source_nat_pool: false,
        static_nat: None,
        firewall: Vec::new(),
        port_forwarding: Vec::new(),
        load_balancers: Vec::new(),
    }
}

fn public_key() -> String {
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJsGyPXIlzaJYxy8Ts0HbzUo4jzSdzSxUIIdHtVX1QUV root@lab".to_owned()
}

/// A forward of one TCP port of the source NAT address to the first guest, with the firewall rule that it needs.
pub fn add_forward(spec: &mut RouterSpec, public: u16, private: u16) {
    let address = &mut spec.public.addresses[0];
    let ports = PortRange::single(public).unwrap();
    address.port_forwarding.push(PortForward {
        id: PortForwardingRuleId::new(),
        protocol: Protocol::Tcp,
        public_ports: ports,
        guest: [10, 1, 1, 11].into(),
        private_ports: PortRange::single(private).unwrap(),
    });
}

/// Lets every TCP port of the source NAT address in, from everywhere.
pub fn open(spec: &mut RouterSpec) {
    spec.public.addresses[0].firewall.push(FirewallRule {
        id: FirewallRuleId::new(),
        matches: Match::Ports {
            protocol: Protocol::Tcp,
            ports: PortRange::ALL,
        },
        sources: vec!["0.0.0.0/0".parse().unwrap()],
    });
}

/// A spec with so many forwards.
pub fn with_forwards(count: u16) -> RouterSpec {
    let mut spec = spec();
    open(&mut spec);
    for port in 1..=count {
        add_forward(&mut spec, 10_000 + port, 10_000 + port);
    }
    spec
}

/// The file at `path` in the router's directory.
pub fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
