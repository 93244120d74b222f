// SPDX-License-Identifier: Apache-2.0
//! A spec to start from, and nft in a network namespace of its own.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod payload;
pub mod random;
pub mod show;
pub mod vpc;
pub mod world;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use outgate_model::router_spec::{
    Conntrack, ControlSide, Egress, EgressPolicy, GuestNetwork, Lease, PublicAddress, PublicSide, Ssh,
};
use outgate_model::{MacAddr, PortRange, RouterSpec};

/// One guest network 10.1.1.0/24 behind 203.0.113.10; two guests; everything may leave.
pub fn spec() -> RouterSpec {
    let id = |n: u8| format!("00000000-0000-4000-8000-0000000000{n:02x}");
    let json = |n| serde_json::from_value(serde_json::Value::String(id(n))).unwrap();
    let mac = |n| MacAddr([2, 0, 0, 0, 0, n]);
    let lease = |n: u8| {
        (
            mac(n),
            Lease {
                address: [10, 1, 1, n].into(),
                hostname: format!("vm-{n}"),
                default_route: true,
            },
        )
    };
    RouterSpec {
        version: outgate_model::router_spec::SPEC_VERSION,
        id: json(1),
        name: "r-1-VM".to_owned(),
        generation: 1,
        control: ControlSide {
            interface: "eth1".to_owned(),
            mac: mac(0xc1),
            address: "169.254.1.2/16".parse().unwrap(),
        },
        public: PublicSide {
            interface: "eth2".to_owned(),
            mac: mac(0xc2),
            mtu: 1500,
            gateway: [203, 0, 113, 1].into(),
            addresses: vec![PublicAddress {
                source_nat: true,
                ..public(10)
            }],
        },
        vpc: None,
        guest_networks: vec![GuestNetwork {
            id: serde_json::from_value(serde_json::Value::String(id(2))).unwrap(),
            interface: "eth0".to_owned(),
            mac: mac(0xc0),
            mtu: 1500,
            gateway: "10.1.1.1/24".parse().unwrap(),
            domain: "cs1cloud.internal".to_owned(),
            upstream_dns: vec![[198, 51, 100, 53].into()],
            egress: Egress {
                default: EgressPolicy::Allow,
                rules: Vec::new(),
            },
            acl: None,
            leases: BTreeMap::from([lease(5), lease(6)]),
        }],
        conntrack: Conntrack::default(),
        ssh: Ssh {
            port: 3922,
            authorized_keys: vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ root@lab".to_owned()],
        },
        limits: Default::default(),
        nat_log: None,
        jobs: Vec::new(),
        fastpath: outgate_model::router_spec::FastPathMode::Off,
        fastpath_settings: outgate_model::router_spec::FastPathSettings::default(),
    }
}

/// The public address 203.0.113.`n`, used for nothing.
pub fn public(n: u8) -> PublicAddress {
    PublicAddress {
        address: format!("203.0.113.{n}/24").parse().unwrap(),
        source_nat: false,
        source_nat_pool: false,
        static_nat: None,
        firewall: Vec::new(),
        port_forwarding: Vec::new(),
        load_balancers: Vec::new(),
    }
}

/// Ports `first..=last`.
pub fn ports(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

/// Runs nft scripts one after the other in one new network namespace that has the interfaces they name, and returns what
/// `nft -n -s list table ip outgate` prints after the last. Fails with nft's words.
pub fn nft(scripts: &[String]) -> Result<String, String> {
    let program = format!(
        "{WITH_LINKS}; while IFS= read -r -d '' script; do nft -f - <<<\"$script\" || exit 1; done; \
         nft -n -s list table ip outgate"
    );
    let input: Vec<_> = [links(scripts)].into_iter().chain(scripts.to_vec()).collect();
    in_namespaces(&program, &input)
}

/// A bash command that takes [`links`] as its first input.
pub const WITH_LINKS: &str = "IFS= read -r -d '' links; ip -batch - <<<\"$links\" || exit 1";

/// What makes the interfaces that scripts name: rules know them by number.
pub fn links(scripts: &[String]) -> String {
    let named = |name: &String| {
        let name = format!("\"{name}\"");
        scripts.iter().any(|script| script.contains(&name))
    };
    let names: Vec<String> = (0..64).map(|n| format!("eth{n}")).filter(named).collect();
    let cables = names.chunks(2).map(|ends| {
        let peer = ends.get(1).map_or("spare", String::as_str);
        format!("link add {} type veth peer name {peer}\n", ends[0])
    });
    cables.collect()
}

/// Runs a fixed bash program in network and mount namespaces of its own (that takes root, or user namespaces) and
/// returns what it prints, or its errors. It reads `input`, each part ended by a NUL.
pub fn in_namespaces(program: &str, input: &[String]) -> Result<String, String> {
    let flags = if is_root() { "-nm" } else { "-rnm" };
    let mut child = Command::new("unshare")
        .args([flags, "bash", "-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare(1) starts");
    let mut stdin = child.stdin.take().unwrap();
    let all: String = input.iter().flat_map(|part| [part.as_str(), "\0"]).collect();
    let writer = std::thread::spawn(move || stdin.write_all(all.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Err(text(&output.stdout) + &text(&output.stderr))
    }
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0"))
}
