// SPDX-License-Identifier: Apache-2.0
//! How long a router takes to apply 10, 100, 1,000 and 10,000 port forwards, the same again, one more, and one less.
//! One JSON line for each number. Needs root: it works in a network namespace of its own, without services.
//!
//! Each figure is the median of several runs, in milliseconds, of what a router does between having read a spec and
//! answering: validation, plan, observation, difference, transaction, confirmation. `spec_json` is the reading.

use std::error::Error;
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use nix::sched::{CloneFlags, unshare};
use outgate_kernel::link::{Links, Veth, VethEnd};
use outgate_model::id::{FirewallRuleId, NetworkId, PortForwardingRuleId, RouterId};
use outgate_model::router_spec::{
    Conntrack, ControlSide, Egress, EgressPolicy, FirewallRule, GuestNetwork, PortForward, PublicAddress,
    PublicSide, SPEC_VERSION, Ssh,
};
use outgate_model::{MacAddr, Match, PortRange, Protocol, RouterSpec};
use outgate_router::cloud_log::CloudLog;
use outgate_router::{Engine, contain};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const MACS: [MacAddr; 3] = [
    MacAddr([2, 0, 0, 0, 0, 1]),
    MacAddr([2, 0, 0, 0, 0, 2]),
    MacAddr([2, 0, 0, 0, 0, 3]),
];
const RUNS: usize = 9;

fn main() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    contain::own_namespaces()?;
    let dir = std::env::temp_dir().join(format!("outgate-apply-time-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    // The namespaces and all mounts end with the process.
    contain::fill(&dir, "r-1-VM")?;
    std::fs::remove_dir_all(contain::CONTROL_DIR)
        .or_else(|_| std::fs::remove_dir_all(&dir))
        .ok();
    plug()?;
    let mut engine = Engine::new(CloudLog::new("/var/log/cloud.log"), Arc::new(|| ()))?;
    let mut generation = 0;
    for count in [10, 100, 1_000, 10_000] {
        let line = measure(&mut engine, count, &mut generation)?;
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}

fn plug() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let links = Links::open()?;
        for (n, mac) in MACS.into_iter().enumerate() {
            let (near, far) = (format!("eth{n}"), format!("far{n}"));
            let veth = Veth {
                near: VethEnd {
                    name: &near,
                    mac: Some(mac),
                },
                master: None,
                far: VethEnd {
                    name: &far,
                    mac: None,
                },
                namespace: None,
                mtu: 1_500,
            };
            links.add_veth(&veth).await?;
            links.set_up(&far).await?;
        }
        Ok(())
    })
}

fn measure(engine: &mut Engine, count: u16, generation: &mut u64) -> Result<serde_json::Value> {
    let mut timed = |spec: &mut RouterSpec| -> Result<f64> {
        *generation += 1;
        spec.generation = *generation;
        let started = Instant::now();
        engine.apply(spec)?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    let id = RouterId::new();
    let mut first = Vec::new();
    for _ in 0..3 {
        timed(&mut spec(id, 0)?)?;
        first.push(timed(&mut spec(id, count)?)?);
    }
    let mut whole = spec(id, count)?;
    timed(&mut whole)?;
    let mut more = whole.clone();
    more.public.addresses[0].port_forwarding.push(forward(9_999)?);
    let (mut again, mut add, mut remove, mut json) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        again.push(timed(&mut whole)?);
        add.push(timed(&mut more)?);
        remove.push(timed(&mut whole)?);
        let text = serde_json::to_vec(&whole)?;
        let started = Instant::now();
        serde_json::from_slice::<RouterSpec>(&text)?;
        json.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(serde_json::json!({
        "forwards": count,
        "first_ms": median(first),
        "again_ms": median(again),
        "add_one_ms": median(add),
        "remove_one_ms": median(remove),
        "spec_json_ms": median(json),
    }))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len() / 2).copied().unwrap_or_default();
    (middle * 1e3).round() / 1e3
}

fn forward(port: u16) -> Result<PortForward> {
    Ok(PortForward {
        id: PortForwardingRuleId::new(),
        protocol: Protocol::Tcp,
        public_ports: PortRange::single(port)?,
        guest: Ipv4Addr::new(10, 1, 1, 11),
        private_ports: PortRange::single(80)?,
    })
}

/// The one guest network.
fn network(mac: MacAddr) -> Result<GuestNetwork> {
    Ok(GuestNetwork {
        id: NetworkId::new(),
        interface: "eth0".to_owned(),
        mac,
        mtu: 1_500,
        gateway: "10.1.1.1/24".parse()?,
        domain: "cs1cloud.internal".to_owned(),
        upstream_dns: Vec::new(),
        egress: Egress {
            default: EgressPolicy::Allow,
            rules: Vec::new(),
        },
        acl: None,
        leases: std::collections::BTreeMap::new(),
    })
}

/// `count` port forwards and as many firewall rules, as CloudStack's router was measured with.
fn spec(id: RouterId, count: u16) -> Result<RouterSpec> {
    let [guest, control, public] = MACS;
    let ports = || (10_001..).take(usize::from(count));
    let port_forwarding = ports().map(forward).collect::<Result<_>>()?;
    let firewall = ports().map(|port| {
        let ports = PortRange::single(port)?;
        let matches = Match::Ports {
            protocol: Protocol::Tcp,
            ports,
        };
        Ok(FirewallRule {
            id: FirewallRuleId::new(),
            matches,
            sources: vec!["0.0.0.0/0".parse()?],
        })
    });
    let address = PublicAddress {
        address: "203.0.113.10/24".parse()?,
        source_nat: true,
        source_nat_pool: false,
        static_nat: None,
        firewall: firewall.collect::<Result<_>>()?,
        port_forwarding,
        load_balancers: Vec::new(),
    };
    Ok(RouterSpec {
        version: SPEC_VERSION,
        id,
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
            gateway: Ipv4Addr::new(203, 0, 113, 1),
            addresses: vec![address],
        },
        guest_networks: vec![network(guest)?],
        vpc: None,
        conntrack: Conntrack::default(),
        ssh: Ssh {
            port: 3922,
            authorized_keys: Vec::new(),
        },
        limits: Default::default(),
        nat_log: None,
        jobs: Vec::new(),
        fastpath: outgate_model::router_spec::FastPathMode::Off,
        fastpath_settings: outgate_model::router_spec::FastPathSettings::default(),
    })
}
