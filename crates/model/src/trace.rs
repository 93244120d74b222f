// SPDX-License-Identifier: Apache-2.0
//! What a router is asked about one flow, and what it answers: the way of a packet by the model of its spec and by its
//! kernel, and whether the two agree.

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::stats::{Endpoint, SessionEntry};

/// No real packet is waited for longer, in milliseconds.
pub const WAIT_MAX_MILLIS: u64 = 60_000;

/// What kind of packets a flow has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceProtocol {
    /// TCP; its first packet is a SYN.
    Tcp,
    /// UDP.
    Udp,
    /// An ICMP echo request; the identifier stands for the port.
    Icmp,
}

impl TraceProtocol {
    /// The number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmp => 1,
        }
    }

    /// `tcp`, `udp` or `icmp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }
}

/// Which flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceQuery {
    /// Its protocol.
    pub protocol: TraceProtocol,
    /// The router's interface that it comes in on; `None` for the one that its source lies behind.
    pub interface: Option<String>,
    /// Who sends.
    pub source: Ipv4Addr,
    /// From which port, or with which identifier; `None` for one that no session has.
    pub source_port: Option<u16>,
    /// To whom.
    pub destination: Ipv4Addr,
    /// To which port; needed for TCP and UDP, and only there.
    pub destination_port: Option<u16>,
    /// For how many milliseconds to wait for a real packet of the flow, at most [`WAIT_MAX_MILLIS`]. `None`: the router
    /// sends itself one, which never leaves it.
    pub wait_millis: Option<u64>,
}

/// What kind of rule decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// A firewall rule of a public address.
    Firewall,
    /// An egress rule of a network.
    Egress,
    /// A port forwarding rule.
    PortForwarding,
    /// A load balancer rule.
    LoadBalancer,
    /// An item of a network ACL.
    AclItem,
}

impl RuleKind {
    /// In words: `egress rule`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Firewall => "firewall rule",
            Self::Egress => "egress rule",
            Self::PortForwarding => "port forwarding rule",
            Self::LoadBalancer => "load balancer rule",
            Self::AclItem => "network ACL item",
        }
    }
}

/// A rule that somebody made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRule {
    /// Its kind.
    pub kind: RuleKind,
    /// Its id.
    pub id: Uuid,
}

/// One step of a packet's way by the spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceStep {
    /// Where in the router: `anti-spoofing`, `firewall`, `route` ...
    pub at: String,
    /// What happens there, in one sentence.
    pub says: String,
    /// The rule that decides, if somebody made one.
    pub rule: Option<TraceRule>,
    /// Whether the packet goes on from here.
    pub pass: bool,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum TraceVerdict {
    /// It leaves the router.
    Leaves {
        /// On which interface.
        interface: String,
        /// As whom. The port of a model is the sender's: the kernel takes another where that one is taken.
        from: Endpoint,
        /// To whom.
        to: Endpoint,
    },
    /// The router itself gets it.
    Delivered,
    /// It belongs to a session, and is translated as that is. Said by the model only.
    AsSession,
    /// It is dropped.
    Dropped {
        /// By what: a reason of the model, or the kernel's chain and rule.
        by: String,
        /// Whether that is a rule of somebody else's, in no table of Outgate's.
        foreign: bool,
    },
    /// It vanished, and no rule dropped it. Said of the kernel only.
    Vanished {
        /// Where it was seen last, and what is known of why.
        by: String,
    },
}

impl fmt::Display for TraceVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaves { interface, from, to } => write!(f, "leaves by {interface} as {from} to {to}"),
            Self::Delivered => f.write_str("goes to the router itself"),
            Self::AsSession => f.write_str("passes as its session does"),
            Self::Dropped { by, .. } => write!(f, "is dropped: {by}"),
            Self::Vanished { by } => write!(f, "vanishes: {by}"),
        }
    }
}

/// What the model of the spec says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelPath {
    /// The way, step by step, up to the one that ends it.
    pub steps: Vec<TraceStep>,
    /// What becomes of the packet.
    pub verdict: TraceVerdict,
    /// What to do about it, where it is dropped.
    pub remedy: Option<String>,
}

/// A rule or policy of the kernel's that the packet met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelStep {
    /// Family, table and chain: `ip outgate forward`.
    pub chain: String,
    /// The chain's hook: `forward`; `None` for chains that others jump to.
    pub hook: Option<String>,
    /// The rule as nft prints it; `None` for the chain's policy or end.
    pub rule: Option<String>,
    /// `accept`, `drop`, `continue`, `jump egress_eth0` ...
    pub verdict: String,
    /// The packet as the chain got it, where that is told: `10.1.1.11:40000 -> 198.51.100.7:443`.
    pub packet: Option<String>,
}

/// What the kernel did with a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelPath {
    /// The rules that it met, in order.
    pub steps: Vec<KernelStep>,
    /// What the kernel's routing says, in the words of `ip route get`.
    pub route: Option<String>,
    /// What became of it.
    pub verdict: TraceVerdict,
}

/// Whether the fast path carries packets of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FastPathSays {
    /// Whether it carries those of the session that there is now.
    pub carries: bool,
    /// Why, or why not.
    pub why: String,
}

/// A router's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// The interface that the packet comes in on.
    pub interface: String,
    /// Who sends it.
    pub from: Endpoint,
    /// To whom.
    pub to: Endpoint,
    /// The generation of the spec that the model read.
    pub generation: u64,
    /// What the model says.
    pub model: ModelPath,
    /// What the kernel did; `None` when no packet was followed.
    pub kernel: Option<KernelPath>,
    /// Why no packet was followed, and what else is worth knowing.
    pub notes: Vec<String>,
    /// The session that the flow has already.
    pub session: Option<SessionEntry>,
    /// What the fast path does with it.
    pub fastpath: FastPathSays,
    /// Whether model and kernel agree; `None` when there is nothing to compare.
    pub agree: Option<bool>,
    /// The comparison in one sentence.
    pub comparison: String,
}
