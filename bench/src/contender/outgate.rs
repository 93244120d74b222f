// SPDX-License-Identifier: Apache-2.0
//! Outgate's own router: its engine, on a thread inside the router's namespace, as `outgate router serve` runs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use nix::sched::{CloneFlags, setns};
use outgate_fastpath::Hook;
use outgate_model::RouterSpec;
use outgate_model::id::{NetworkId, RouterId};
use outgate_model::router_spec::{
    Conntrack, ControlSide, Egress, EgressPolicy, FastPathMode, FastPathSettings, GuestNetwork,
    PublicAddress, PublicSide, SPEC_VERSION, Ssh,
};
use outgate_router::cloud_log::CloudLog;
use outgate_router::{Engine, contain};

use crate::world::{GATEWAY, PUBLIC, ROUTER, UPSTREAM, World};

/// An engine that has applied its spec. It ends with this value.
#[derive(Debug)]
pub struct EngineThread {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Drop for EngineThread {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It has told what went wrong when it was started; afterwards it only waits.
            let _ = thread.join();
        }
    }
}

/// Starts an engine that gives all guests one public address.
pub fn start(world: &World, fast_path: Option<Hook>) -> anyhow::Result<EngineThread> {
    let dir = tempfile::tempdir()?;
    let network = world.router.as_fd().try_clone_to_owned()?;
    let (path, spec) = (dir.path().to_owned(), spec(fast_path)?);
    let (end, ended) = channel::<()>();
    let (ready, is_ready) = channel();
    let thread = std::thread::spawn(move || {
        let started = || -> anyhow::Result<Engine> {
            setns(network, CloneFlags::CLONE_NEWNET)?;
            contain::own_namespaces()?;
            contain::fill(&path, "r-1-VM")?;
            let mut engine = Engine::new(CloudLog::new("/var/log/cloud.log"), Arc::new(|| ()))?;
            if let Some(hook) = fast_path {
                engine = engine.with_fast_path_at(hook);
            }
            engine.apply(&spec)?;
            Ok(engine)
        };
        match started() {
            Ok(engine) => {
                let _ = ready.send(Ok(()));
                let mut engine = engine;
                // Until the other side hangs up. A fast path wants a sign of life.
                while ended.recv_timeout(Duration::from_secs(3)) == Err(RecvTimeoutError::Timeout) {
                    let _ = engine.heal();
                }
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
    let engine = EngineThread {
        end: Some(end),
        thread: Some(thread),
        _dir: dir,
    };
    is_ready
        .recv()
        .map_err(|_| anyhow!("the engine's thread has ended"))?
        .context("starting Outgate's engine")?;
    Ok(engine)
}

fn spec(fast_path: Option<Hook>) -> anyhow::Result<RouterSpec> {
    let [guest, control, public] = ROUTER;
    Ok(RouterSpec {
        version: SPEC_VERSION,
        id: RouterId::new(),
        name: "r-1-VM".to_owned(),
        generation: 1,
        control: ControlSide {
            interface: "eth1".to_owned(),
            mac: control,
            address: "169.254.1.2/16".parse()?,
        },
        public: PublicSide {
            interface: "eth2".to_owned(),
            mac: public,
            mtu: 1_500,
            gateway: UPSTREAM,
            addresses: vec![PublicAddress {
                address: PUBLIC.parse()?,
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
            interface: "eth0".to_owned(),
            mac: guest,
            mtu: 1_500,
            gateway: GATEWAY.parse()?,
            domain: "cs1cloud.internal".to_owned(),
            upstream_dns: vec![UPSTREAM],
            egress: Egress {
                default: EgressPolicy::Allow,
                rules: Vec::new(),
            },
            acl: None,
            leases: BTreeMap::new(),
        }],
        conntrack: Conntrack::default(),
        ssh: Ssh {
            port: 3922,
            authorized_keys: Vec::new(),
        },
        limits: Default::default(),
        nat_log: None,
        jobs: Vec::new(),
        fastpath: fast_path.map_or(FastPathMode::Off, |_| FastPathMode::Required),
        fastpath_settings: FastPathSettings::default(),
    })
}
