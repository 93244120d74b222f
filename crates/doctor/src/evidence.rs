// SPDX-License-Identifier: Apache-2.0
//! What was found out before anybody judges it. What could not be found out is `None`, and judged by nobody.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use outgate_model::host::HostSeen;
use outgate_model::refusal::Refusal;
use outgate_model::{MacAddr, RouterSpec};

use crate::probe::{Flow, Kind};
use crate::read::dns::Resolved;
use crate::read::ip::{LinkSeen, RouteSeen};
use crate::read::ping::Pinged;
use crate::read::tcpdump::Captured;
use crate::read::vrrp::Advert;

/// Everything that is known of one router, its guests and one flow.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What the management server believes.
    pub books: Books,
    /// What the router should be; `None` when there is none that could be built.
    pub spec: Option<RouterSpec>,
    /// What was seen in the router; `None` when it does not run.
    pub router: Option<RouterSeen>,
    /// The guests that were looked at.
    pub guests: Vec<GuestSeen>,
    /// What became of the flow.
    pub flow: Option<FlowSeen>,
    /// What the host sees.
    pub host: Option<HostSeen>,
}

/// What the management server believes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// The router's name; `None` when the network has none.
    pub router: Option<String>,
    /// CloudStack's word for its state.
    pub state: String,
    /// Whether it is meant to run.
    pub wanted: bool,
    /// The generation that it should have applied.
    pub generation: u64,
    /// The generation that it has applied.
    pub applied: u64,
    /// Why it is not as wanted.
    pub error: Option<String>,
    /// The source NAT address that is assigned.
    pub source_nat: Option<Ipv4Addr>,
    /// Repairs of late, the newest first.
    pub repairs: Vec<Repaired>,
}

/// A repair that the router, its host or the management server made by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// How long ago, in milliseconds.
    pub ago_millis: u64,
    /// What differed.
    pub text: String,
}

/// What was seen in a router.
#[derive(Debug, Clone, Default)]
pub struct RouterSeen {
    /// Interfaces by name.
    pub links: Option<BTreeMap<String, LinkSeen>>,
    /// IPv4 routes of the main table.
    pub routes: Option<Vec<RouteSeen>>,
    /// Policy routing rules beyond the kernel's own three, as `ip rule` has them.
    pub policy: Option<Vec<String>>,
    /// `nft -n -s list ruleset`.
    pub listing: Option<String>,
    /// `iptables -t nat -S POSTROUTING`, the rules only.
    pub postrouting: Option<Vec<String>>,
    /// Files by path: kernel parameters and counters, at the beginning.
    pub before: BTreeMap<String, String>,
    /// The same at the end.
    pub after: BTreeMap<String, String>,
    /// `ss -Hlntu`: who listens.
    pub sockets: Option<String>,
    /// Programs that are not the router's own, as `ps` has them.
    pub strangers: Vec<String>,
    /// Who answered for the upstream gateway's address on the public side.
    pub gateway: Option<Vec<MacAddr>>,
    /// Who else answered for the source NAT address on the public side.
    pub rivals: Option<Vec<MacAddr>>,
    /// VRRP adverts on all of its interfaces, in order.
    pub adverts: Option<Vec<Advert>>,
    /// Lines of /proc/net/nf_conntrack of IPsec without NAT-T (ESP and AH), and of IKE.
    pub ipsec: Vec<String>,
    /// What the resolvers said to the router itself.
    pub upstream_dns: BTreeMap<Ipv4Addr, Resolved>,
    /// Whether the router counted its sessions in time: without that nothing is known of ports and of what limits refused.
    pub counted: bool,
    /// Ports in use by public address, protocol and destination.
    pub ports: Vec<PortsUsed>,
    /// What limits refused while looking: which limit, whose sessions, and how many packets. The address is the guest's, or
    /// the public one that was the target.
    pub refused: Vec<(Refusal, Ipv4Addr, u64)>,
}

/// How many ports of a public address, or of a source NAT pool, are in use towards one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortsUsed {
    /// The public address; of a pool its addresses, joined by `, `.
    pub address: String,
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// The destination with its port.
    pub destination: String,
    /// How many.
    pub used: u64,
    /// Of how many.
    pub of: u64,
    /// Who uses most of them, and how many.
    pub heaviest: Option<(Ipv4Addr, u64)>,
}

/// What was seen of and in a guest.
#[derive(Debug, Clone, Default)]
pub struct GuestSeen {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Whether it was asked for by name.
    pub asked: bool,
    /// Whether it runs.
    pub running: bool,
    /// Its NIC's Ethernet address.
    pub mac: Option<MacAddr>,
    /// The router's interface towards its network.
    pub interface: String,
    /// Interfaces by name.
    pub links: Option<BTreeMap<String, LinkSeen>>,
    /// IPv4 routes of the main table.
    pub routes: Option<Vec<RouteSeen>>,
    /// /etc/resolv.conf.
    pub resolv: Option<String>,
    /// A ping of its gateway.
    pub gateway: Option<Pinged>,
    /// Which Ethernet address it has its gateway at.
    pub gateway_mac: Option<MacAddr>,
}

impl GuestSeen {
    /// Its NIC on the network: the one with its Ethernet address.
    pub fn nic(&self) -> Option<(&str, &LinkSeen)> {
        let mut links = self.links.iter().flatten();
        links
            .find(|(_, link)| link.mac.is_some() && link.mac == self.mac)
            .map(|(name, link)| (name.as_str(), link))
    }
}

/// What became of a guest's packets to somewhere outside.
#[derive(Debug, Clone, Default)]
pub struct FlowSeen {
    /// Which of the guests sent them.
    pub guest: usize,
    /// What was sent.
    pub flow: Flow,
    /// Small packets: for ICMP what ping said, else whether there was any answer.
    pub small: Option<Pinged>,
    /// Packets as large as the guest's MTU, not to be fragmented.
    pub large: Option<Pinged>,
    /// The largest size in bytes that did get through, where large ones did not.
    pub fits: Option<u32>,
    /// The router's interface towards the destination: the public one, another tier's or a private gateway's.
    pub leaves_by: String,
    /// The next hop towards the destination beside the upstream gateway, and who answered for it.
    pub next_hop: Option<(Ipv4Addr, Vec<MacAddr>)>,
    /// What passed the router's guest side.
    pub inside: Option<Captured>,
    /// What passed the side towards the destination.
    pub outside: Option<Captured>,
    /// What the router's resolver said to the guest.
    pub dns: Option<Resolved>,
}

impl FlowSeen {
    /// Whether every small packet was answered.
    pub fn works(&self) -> Option<bool> {
        self.small.as_ref().map(|p| p.received > 0)
    }

    /// Whether it is a ping.
    pub fn is_ping(&self) -> bool {
        self.flow.kind == Kind::Ping
    }
}
