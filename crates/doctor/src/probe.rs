// SPDX-License-Identifier: Apache-2.0
//! Which programs to run where: the reference text's own, and never a shell.

use std::net::Ipv4Addr;

use outgate_model::RouterSpec;
use outgate_model::host::Run;

use crate::read::files::sysctl_path;

/// How long an ordinary look may take, in milliseconds.
const LOOK: u64 = 3_000;
/// How long a capture lasts, in milliseconds.
pub const CAPTURE: u64 = 3_400;
/// How long after the captures' start the packets start, in milliseconds.
pub const HEAD_START: u64 = 400;
/// The payload of a small ping in bytes; unusual, so that it is told from everybody else's.
pub const SMALL: u32 = 61;
/// The IPv4 and ICMP headers of a ping in bytes.
pub const HEADERS: u32 = 28;
/// Sizes in bytes that are tried when packets as large as the MTU do not get through.
pub const SIZES: [u32; 6] = [1_480, 1_450, 1_400, 1_280, 1_000, 576];
/// The name that is asked for. It exists; whether a cloud's resolvers know it does not matter.
const NAME: &str = "www.example.com";

/// What kind of packets to follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// ICMP echo.
    #[default]
    Ping,
    /// A TCP connection.
    Tcp,
    /// UDP: judged by the rules only, since silence proves nothing.
    Udp,
}

/// The packets to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// What kind.
    pub kind: Kind,
    /// To where.
    pub target: Ipv4Addr,
    /// To which port; 0 for ping.
    pub port: u16,
    /// Whether somebody asked for exactly this.
    pub asked: bool,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            kind: Kind::Ping,
            target: Ipv4Addr::UNSPECIFIED,
            port: 0,
            asked: false,
        }
    }
}

impl std::fmt::Display for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::Ping => write!(f, "ping to {}", self.target),
            Kind::Tcp => write!(f, "TCP to {}:{}", self.target, self.port),
            Kind::Udp => write!(f, "UDP to {}:{}", self.target, self.port),
        }
    }
}

fn run(words: &[&str], timeout_millis: u64) -> Run {
    Run {
        argv: words.iter().map(ToString::to_string).collect(),
        timeout_millis,
    }
}

/// Interfaces and addresses.
pub fn links() -> Run {
    run(&["ip", "-j", "addr", "show"], LOOK)
}

/// Routes of the main table.
pub fn routes() -> Run {
    run(&["ip", "-j", "-4", "route", "show"], LOOK)
}

/// Policy routing rules.
pub fn policy() -> Run {
    run(&["ip", "-4", "rule", "show"], LOOK)
}

/// Neighbours.
pub fn neighbours() -> Run {
    run(&["ip", "-j", "-4", "neigh", "show"], LOOK)
}

/// Every rule.
pub fn listing() -> Run {
    run(&["nft", "-n", "-s", "list", "ruleset"], LOOK)
}

/// Step 4 of the reference text's seven.
pub fn postrouting() -> Run {
    run(&["iptables", "-w", "2", "-t", "nat", "-S", "POSTROUTING"], LOOK)
}

/// Who listens on which port.
pub fn sockets() -> Run {
    run(&["ss", "-Hlntu"], LOOK)
}

/// Who listens on which port, and which program that is.
pub fn listeners() -> Run {
    run(&["ss", "-Hlntup"], LOOK)
}

/// The router's sshd, asked without a key: it refuses, and names what it would take.
pub fn login(spec: &RouterSpec) -> Run {
    let (port, to) = (
        spec.ssh.port.to_string(),
        format!("root@{}", spec.control.address.addr()),
    );
    let words = [
        "ssh",
        "-F",
        "none",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "PreferredAuthentications=none",
        "-o",
        "ConnectTimeout=2",
        "-p",
        &port,
        &to,
        "true",
    ];
    run(&words, LOOK)
}

/// Whether connection tracking helpers are assigned by themselves, on kernels that still have that.
pub fn helpers() -> Run {
    run(
        &[
            "grep",
            "-s",
            "-H",
            "",
            "/proc/sys/net/netfilter/nf_conntrack_helper",
        ],
        LOOK,
    )
}

/// Every program.
pub fn programs() -> Run {
    run(&["ps", "-eo", "pid=,stat=,args="], LOOK)
}

/// Kernel parameters (step 5) and counters (step 6).
pub fn files(spec: &RouterSpec) -> Run {
    let plan = outgate_plan::plan(spec);
    let mut argv: Vec<String> = ["grep", "-s", "-H", ""].map(str::to_owned).to_vec();
    argv.extend(plan.sysctls.keys().map(|name| sysctl_path(name)));
    argv.extend(COUNTERS.map(str::to_owned));
    // More interfaces than arguments may have are those of a VPC with dozens of tiers: the first ones are looked at.
    argv.truncate(ARGUMENTS);
    Run {
        argv,
        timeout_millis: LOOK,
    }
}

const ARGUMENTS: usize = 1_000;
/// Sessions in the table.
pub const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
/// The table's limit.
pub const LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// Connection tracking's counters.
pub const CONNTRACK: &str = "/proc/net/stat/nf_conntrack";
/// The IP layer's counters.
pub const NETSTAT: &str = "/proc/net/netstat";
const COUNTERS: [&str; 4] = [COUNT, LIMIT, CONNTRACK, NETSTAT];

/// The counters alone.
pub fn counters() -> Run {
    let mut words = vec!["grep", "-s", "-H", ""];
    words.extend(COUNTERS);
    run(&words, LOOK)
}

/// Who has the upstream gateway's address.
pub fn upstream(spec: &RouterSpec) -> Run {
    arping(&["-c", "2"], spec, spec.public.gateway)
}

/// Who has the address of a next hop beside the upstream gateway.
pub fn next_hop(interface: &str, address: Ipv4Addr) -> Run {
    let address = address.to_string();
    run(
        &["arping", "-w", "2", "-I", interface, "-c", "2", &address],
        4_000,
    )
}

/// Who else has the source NAT address: duplicate address detection (RFC 5227), which no answer of ours disturbs.
pub fn rivals(spec: &RouterSpec, address: Ipv4Addr) -> Run {
    arping(&["-D", "-c", "2"], spec, address)
}

fn arping(options: &[&str], spec: &RouterSpec, address: Ipv4Addr) -> Run {
    let address = address.to_string();
    let mut words = vec!["arping", "-w", "2", "-I", &spec.public.interface];
    words.extend(options);
    words.push(&address);
    run(&words, 4_000)
}

/// Sessions of ESP and AH, and of IKE.
pub fn ipsec() -> Run {
    let pattern = r"^ipv4 +2 [a-z]+ +(50|51) | dport=(500|4500) ";
    run(
        &["grep", "-m", "64", "-E", pattern, "/proc/net/nf_conntrack"],
        LOOK,
    )
}

/// A resolver's answer.
pub fn resolve(server: Ipv4Addr) -> Run {
    run(&["busybox", "nslookup", NAME, &server.to_string()], 2_500)
}

/// A guest's resolvers.
pub fn resolv_conf() -> Run {
    run(&["cat", "/etc/resolv.conf"], LOOK)
}

/// A ping of a guest's gateway.
pub fn ping_gateway(gateway: Ipv4Addr) -> Run {
    let to = gateway.to_string();
    run(&["ping", "-n", "-c", "3", "-i", "0.25", "-W", "1", &to], LOOK)
}

/// The flow's small packets.
pub fn small(flow: &Flow) -> Option<Run> {
    let to = flow.target.to_string();
    match flow.kind {
        Kind::Ping => Some(ping(&to, SMALL, &["-c", "5"])),
        Kind::Tcp => Some(run(
            &["busybox", "nc", "-w", "2", &to, &flow.port.to_string()],
            LOOK,
        )),
        Kind::Udp => None,
    }
}

/// Packets of `size` bytes with their headers that nobody may fragment.
pub fn large(flow: &Flow, size: u32) -> Option<Run> {
    let to = flow.target.to_string();
    (flow.kind == Kind::Ping).then(|| ping(&to, size.saturating_sub(HEADERS), &["-M", "do", "-c", "3"]))
}

fn ping(to: &str, payload: u32, options: &[&str]) -> Run {
    let payload = payload.to_string();
    let mut words = vec!["ping", "-n", "-i", "0.25", "-W", "1", "-s", &payload];
    words.extend(options);
    words.push(to);
    run(&words, LOOK)
}

/// What passes an interface of the flow, and what ICMP says of packets that were too large.
pub fn capture(interface: &str, flow: &Flow) -> Run {
    let target = flow.target;
    let filter = match flow.kind {
        Kind::Ping => format!("icmp and (host {target} or icmp[0] == 3)"),
        Kind::Tcp | Kind::Udp => format!("(host {target} and port {}) or icmp[0] == 3", flow.port),
    };
    tcpdump(&["-i", interface, &filter])
}

/// VRRP adverts on every interface of the router, with their bytes.
pub fn adverts() -> Run {
    tcpdump(&["-i", "any", "-y", "LINUX_SLL2", "-xx", "ip proto 112"])
}

fn tcpdump(what: &[&str]) -> Run {
    let mut words = vec![
        "tcpdump",
        "-n",
        "-l",
        "--immediate-mode",
        "-Z",
        "root",
        "-c",
        "400",
    ];
    words.extend(what);
    run(&words, CAPTURE)
}
