// SPDX-License-Identifier: Apache-2.0
//! What a router knows of its traffic, its sessions and its health: the documents that it hands to its host and the
//! manager. Each is bounded in size, however many sessions there are.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::id::NetworkId;
use crate::refusal::Refused;
use crate::router_spec::FastPathMode;

/// The ports of a public address that source NAT gives out for each protocol and destination: 1024 to 65535.
pub const PORTS: u32 = 64_512;
/// The lowest of them.
pub const FIRST_PORT: u16 = 1_024;
/// At most so many entries of each ranking are reported: the busiest.
pub const RANKED: usize = 20;
/// At most so many sessions are listed at once.
pub const SESSIONS_MAX: u32 = 500;

/// What one public address or guest network has carried since the counters began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets from outside that were let in.
    pub packets_in: u64,
    /// Their bytes, IP headers among them.
    pub bytes_in: u64,
    /// Packets that left for the outside.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
}

/// A public address's traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressTraffic {
    /// The address, which the router may have given back since.
    pub address: Ipv4Addr,
    /// What it has carried.
    pub traffic: Traffic,
}

/// A guest network's traffic with the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkTraffic {
    /// The network or tier.
    pub network: NetworkId,
    /// What was forwarded for it. What the router balances is not among it: only the address's traffic holds that.
    pub traffic: Traffic,
}

/// How full the connection tracking table is and what went wrong in it since the router started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableUse {
    /// Sessions, of whatever kind.
    pub sessions: u32,
    /// How many there may be.
    pub limit: u32,
    /// Packets that belong to no session and can begin none.
    pub invalid: u64,
    /// Sessions that could not be entered, because their ports were taken.
    pub insert_failed: u64,
    /// Packets dropped because the table was full.
    pub dropped: u64,
    /// Sessions without an answer that made room for others.
    pub early_dropped: u64,
}

/// A destination and how many ports of a public address are in use towards it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationUse {
    /// The destination.
    pub address: Ipv4Addr,
    /// Its port; 0 where the protocol has none.
    pub port: u16,
    /// Ports in use: each session has one of its own there.
    pub ports: u32,
}

/// How one protocol uses a public address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolUse {
    /// The protocol's number.
    pub protocol: u8,
    /// Sessions whose source is translated to the address.
    pub sessions: u32,
    /// Different ports from [`FIRST_PORT`] on among them. One port may serve sessions to several destinations.
    pub ports: u32,
    /// The destinations with the most ports: where they first run out.
    pub busiest: Vec<DestinationUse>,
}

/// A guest and what it uses of a public address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestUse {
    /// The guest's address.
    pub address: Ipv4Addr,
    /// Its sessions.
    pub sessions: u32,
    /// The address's ports from [`FIRST_PORT`] on that its sessions use; one that several guests share counts for one of
    /// them.
    #[serde(default)]
    pub ports: u32,
    /// What its sessions have carried through the kernel since the router is looked at again and again: it grows while
    /// looks come and the guest has a session, and begins anew otherwise. `None` while the kernel does not count by
    /// session. What the fast path carried is not among it.
    #[serde(default)]
    pub traffic: Option<Traffic>,
}

/// How a public address is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressUse {
    /// The address.
    pub address: Ipv4Addr,
    /// Sessions that leave through it, come in to it, or end at it.
    pub sessions: u32,
    /// What source NAT uses of it, by protocol.
    pub protocols: Vec<ProtocolUse>,
    /// The guests with the most sessions through it, and those that carried the most since the last look: at most
    /// [`RANKED`] of each, those with the most sessions first.
    pub guests: Vec<GuestUse>,
}

/// What the guests of a network or tier use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkUse {
    /// The network or tier.
    pub network: NetworkId,
    /// Sessions with one of its guests inside: of one between two tiers the sender's.
    pub sessions: u32,
}

/// What a look at every session found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// The router's public addresses.
    pub addresses: Vec<AddressUse>,
    /// The router's guest networks.
    #[serde(default)]
    pub networks: Vec<NetworkUse>,
    /// By how much a ranked count may be too low: 0 unless there are more destinations than are told apart.
    pub uncertain: u32,
}

impl Census {
    /// How many ports of these addresses together are in use towards one destination.
    pub fn ports_towards(&self, pool: &[Ipv4Addr], protocol: u8, to: &DestinationUse) -> u32 {
        let of_pool = self.addresses.iter().filter(|a| pool.contains(&a.address));
        let protocols = of_pool.flat_map(|a| &a.protocols);
        let busiest = protocols
            .filter(|p| p.protocol == protocol)
            .flat_map(|p| &p.busiest);
        let same = busiest.filter(|d| (d.address, d.port) == (to.address, to.port));
        same.map(|d| d.ports).sum()
    }
}

/// What the NAT log did since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatLogUse {
    /// Records that were written.
    pub written: u64,
    /// Records that were lost.
    pub lost: u64,
}

/// Why a router drops a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DropReason {
    /// Its source cannot be where it comes from.
    Spoofed,
    /// It belongs to no session and can begin none.
    Invalid,
    /// Nobody inside asked for it, and no firewall rule, static NAT or forwarding lets it in.
    Unsolicited,
    /// A limit on new sessions or pings; which one, and of whom, `RouterStats::refused` says.
    Limit,
    /// The network's egress policy or a rule of it.
    Egress,
    /// A network ACL.
    Acl,
    /// There is no way between the sides that it came from and goes to.
    Noway,
    /// It is for the router itself, which does not answer there.
    Router,
}

impl DropReason {
    /// All of them, in the order that a packet meets them.
    pub const ALL: [Self; 8] = [
        Self::Spoofed,
        Self::Invalid,
        Self::Unsolicited,
        Self::Limit,
        Self::Egress,
        Self::Acl,
        Self::Noway,
        Self::Router,
    ];

    /// `unsolicited`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spoofed => "spoofed",
            Self::Invalid => "invalid",
            Self::Unsolicited => "unsolicited",
            Self::Limit => "limit",
            Self::Egress => "egress",
            Self::Acl => "acl",
            Self::Noway => "noway",
            Self::Router => "router",
        }
    }
}

/// Packets that rules dropped for one reason, since the router's table of rules was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Why.
    pub reason: DropReason,
    /// How many.
    pub packets: u64,
    /// Their bytes, IP headers among them.
    pub bytes: u64,
}

/// Whether a router's fast path works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FastPathStatus {
    /// What the spec asks for.
    pub mode: FastPathMode,
    /// Where the programs see packets: `tcx`, `xdp`; `None` when they are not loaded.
    pub hook: Option<String>,
    /// Whether it translates right now.
    pub running: bool,
    /// Why it does not, though it should.
    pub reason: Option<String>,
    /// Why it leaves ICMP echo to the kernel, though it carries all else.
    #[serde(default)]
    pub without_echo: Option<String>,
    /// Packets by the way they went, since the programs were loaded; `leased` and `renewed` count leases.
    pub counters: BTreeMap<String, u64>,
}

impl FastPathStatus {
    /// Packets by the way they went, each once: what counts leases is left out.
    pub fn packets(&self) -> impl Iterator<Item = (&str, u64)> {
        let all = self.counters.iter().map(|(way, count)| (way.as_str(), *count));
        all.filter(|(way, _)| !matches!(*way, "leased" | "renewed"))
    }
}

/// Packets that an interface dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceDrops {
    /// The interface: `eth2`.
    pub interface: String,
    /// Received ones.
    pub received: u64,
    /// Those that were to be sent.
    pub sent: u64,
}

/// What a router has done since its process began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterWork {
    /// Specs applied.
    pub applies: u64,
    /// Differences found and repaired, counted by the look that found them.
    pub repairs: u64,
    /// Tries to repair that failed.
    pub repair_failures: u64,
    /// The NAT log.
    pub nat_log: NatLogUse,
    /// The fast path; `None` where it is off.
    pub fast_path: Option<FastPathStatus>,
}

/// What a router knows of its traffic and sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterStats {
    /// The version of the router's program.
    pub version: String,
    /// The life of the traffic counters: with another number they have begun at zero anew. `None` while the router
    /// cannot count.
    pub epoch: Option<u64>,
    /// Traffic by public address, past ones among them.
    pub addresses: Vec<AddressTraffic>,
    /// Traffic by guest network.
    pub networks: Vec<NetworkTraffic>,
    /// The connection tracking table.
    pub table: TableUse,
    /// What the sessions are; `None` when there were fewer than asked for.
    pub census: Option<Census>,
    /// What its interfaces dropped.
    #[serde(default)]
    pub drops: Vec<InterfaceDrops>,
    /// What it has done.
    #[serde(default)]
    pub work: RouterWork,
    /// When all this was read, in milliseconds since 1970 by the router's clock: rates come from two readings.
    #[serde(default)]
    pub read_millis: u64,
    /// What rules have dropped, by reason.
    #[serde(default)]
    pub dropped: Vec<Dropped>,
    /// What the limits have refused; one entry for each limit that there is.
    #[serde(default)]
    pub refused: Vec<Refused>,
    /// The addresses outside that the limit on these refused most lately, at most [`RANKED`]. Anybody may invent addresses.
    #[serde(default)]
    pub refused_sources: Vec<(Ipv4Addr, u64)>,
}

/// Which way a session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From a guest through a public address (source NAT, or static NAT outwards).
    Outbound,
    /// To a guest through a public address (port forwarding, static NAT).
    Inbound,
    /// To or from the router itself: load balancing, DNS, its own.
    Local,
    /// Without translation: between tiers, over private gateways.
    Routed,
}

/// An address with a port; of ICMP the query's identifier, of protocols without ports 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// The address.
    pub address: Ipv4Addr,
    /// The port.
    pub port: u16,
}

/// `198.51.100.7:443`; the address alone without a port.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            0 => write!(f, "{}", self.address),
            port => write!(f, "{}:{port}", self.address),
        }
    }
}

/// A session, as a router sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEntry {
    /// Which way it goes.
    pub way: Way,
    /// The protocol's number.
    pub protocol: u8,
    /// The guest's side; of a local session the router's.
    pub inside: Endpoint,
    /// The public side of the translation; `None` without one.
    pub public: Option<Endpoint>,
    /// The other end.
    pub destination: Endpoint,
    /// The TCP state: `ESTABLISHED`.
    pub state: Option<String>,
    /// Whether both sides have sent packets.
    pub answered: bool,
    /// Since how many seconds it is.
    pub age_secs: Option<u64>,
    /// After how many seconds without a packet it is forgotten.
    pub timeout_secs: Option<u32>,
    /// What it has carried: `out` is what the inside sent.
    pub traffic: Option<Traffic>,
}

/// Which sessions to list. What is not given matches anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionQuery {
    /// Only with this inside address.
    pub inside: Option<Ipv4Addr>,
    /// Only with an inside address in one of these networks; empty for any.
    #[serde(default)]
    pub inside_nets: Vec<ipnet::Ipv4Net>,
    /// Only through this public address.
    pub public: Option<Ipv4Addr>,
    /// Only to or from this address outside.
    pub destination: Option<Ipv4Addr>,
    /// Only of this protocol.
    pub protocol: Option<u8>,
    /// Only with this port at any end.
    pub port: Option<u16>,
    /// How many matches to pass over.
    pub skip: u32,
    /// How many to list, at most [`SESSIONS_MAX`].
    pub take: u32,
}

/// Some of a router's sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPage {
    /// How many match, listed or not.
    pub matching: u32,
    /// Those asked for, in the table's order: a session keeps its place while it lives.
    pub sessions: Vec<SessionEntry>,
}

/// CloudStack's two kinds of health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthKind {
    /// Whether it lives.
    Basic,
    /// Whether it does its work.
    Advanced,
}

/// One health check of a router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// CloudStack's name: `dns_check.py`.
    pub name: String,
    /// Its kind.
    pub kind: HealthKind,
    /// Whether it passed.
    pub success: bool,
    /// What was seen.
    pub details: String,
}
