// SPDX-License-Identifier: Apache-2.0
//! The whole desired state of one virtual router, as one document.
//!
//! Nothing is ever sent to a router as "add this rule": it gets a complete `RouterSpec` with a higher
//! `generation` and makes the kernel match.

mod fast_path;
mod limits;
pub mod load_balancer;
mod nat_log;
mod vpc;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::id::{FirewallRuleId, JobId, NetworkId, PortForwardingRuleId, RouterId};
use crate::{MacAddr, Match, PortRange, Protocol};

pub use fast_path::{FastPathHook, FastPathMode, FastPathSettings};
pub use limits::Limits;
pub use load_balancer::LoadBalancer;
pub use nat_log::NatLog;
pub use vpc::{AclAction, AclDirection, AclItem, NetworkAcl, PrivateGateway, StaticRoute, VpcSide};

/// The version of this document's shape that this build writes and reads.
pub const SPEC_VERSION: u32 = 1;
/// At most so many addresses make up a source NAT pool: more ports than a router can track sessions.
pub const POOL_MAX: usize = 16;

/// At most so many jobs are named in a spec.
pub const JOBS_NAMED: usize = 8;

/// Everything a router must be. Unknown fields are refused: a spec from a newer server is not half understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterSpec {
    /// [`SPEC_VERSION`].
    pub version: u32,
    /// The router's id.
    pub id: RouterId,
    /// The router's name and host name: `r-12-VM`.
    pub name: String,
    /// Rises with each change of the rest. A router refuses a generation lower than the one it has.
    pub generation: u64,
    /// The link-local side: eth1 of an isolated network's router, eth0 of a VPC's.
    pub control: ControlSide,
    /// The public side: eth2 of an isolated network's router, eth1 of a VPC's.
    pub public: PublicSide,
    /// The guest networks behind it. An isolated network's router has exactly one, on eth0; a VPC's has its tiers, on
    /// eth2 and up, and may have none.
    pub guest_networks: Vec<GuestNetwork>,
    /// What makes it a VPC's router; `None` for an isolated network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<VpcSide>,
    /// Connection tracking limits and timeouts.
    pub conntrack: Conntrack,
    /// How much one guest, or one address outside, may take.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// Who may log in over SSH, and on which port.
    pub ssh: Ssh,
    /// Records of translated sessions; `None` for no records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat_log: Option<NatLog>,
    /// Whether eBPF programs translate packets of established sessions.
    #[serde(default, skip_serializing_if = "FastPathMode::is_off")]
    pub fastpath: FastPathMode,
    /// The jobs that asked for what is new in this generation, for logs: at most [`JOBS_NAMED`]. No part of what the router
    /// must be: it forgets them once the spec is applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobId>,
    /// How they are made.
    #[serde(default, skip_serializing_if = "FastPathSettings::is_default")]
    pub fastpath_settings: FastPathSettings,
}

/// The management side of a router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlSide {
    /// `eth1`.
    pub interface: String,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// The link-local address with its prefix length: `169.254.12.34/16`.
    pub address: Ipv4Net,
}

/// The public side of a router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicSide {
    /// `eth2`.
    pub interface: String,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// MTU in bytes, 68 to 65535.
    pub mtu: u32,
    /// The upstream gateway, the router's default route.
    pub gateway: Ipv4Addr,
    /// The public addresses, the source NAT address first.
    pub addresses: Vec<PublicAddress>,
}

/// One public address on the router and what it is used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicAddress {
    /// The address with the prefix length of its range: `203.0.113.10/24`.
    pub address: Ipv4Net,
    /// Whether guests leave through this address. Exactly one address of a router has it: the default of its pool.
    pub source_nat: bool,
    /// Whether guests leave through this address too, once the ports of those before it run short: an additional address
    /// of the source NAT pool. Never together with `source_nat`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub source_nat_pool: bool,
    /// The guest address that owns this public address entirely (static NAT). Never together with source NAT
    /// or with port forwarding.
    pub static_nat: Option<Ipv4Addr>,
    /// What may come in to this address, before translation. Nothing else does. Empty on a VPC's router, where
    /// whatever has a target comes in and the target's tier judges it.
    pub firewall: Vec<FirewallRule>,
    /// Ports forwarded to guests. They pass only where `firewall` lets them.
    pub port_forwarding: Vec<PortForward>,
    /// Ports whose connections are spread over guests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancers: Vec<LoadBalancer>,
}

/// Lets new sessions in from the public side to one public address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirewallRule {
    /// The rule's id, for messages.
    pub id: FirewallRuleId,
    /// Which packets, by the public port they are sent to.
    #[serde(rename = "match")]
    pub matches: Match,
    /// Which sources; never empty.
    pub sources: Vec<Ipv4Net>,
}

/// Forwards ports of a public address to a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortForward {
    /// The rule's id, for messages.
    pub id: PortForwardingRuleId,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Ports of the public address.
    pub public_ports: PortRange,
    /// The guest's address.
    pub guest: Ipv4Addr,
    /// Ports of the guest: as many as `public_ports`, mapped in order.
    pub private_ports: PortRange,
}

/// One guest network behind the router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestNetwork {
    /// The network's id.
    pub id: NetworkId,
    /// `eth0`; of a tier `eth2` and up.
    pub interface: String,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// MTU in bytes, never above the public side's.
    pub mtu: u32,
    /// The router's address on it, which is the guests' gateway, with the network's prefix length: `10.1.1.1/24`.
    pub gateway: Ipv4Net,
    /// The domain that guests get by DHCP: `cs1cloud.internal`.
    pub domain: String,
    /// Resolvers that the router asks for its guests.
    pub upstream_dns: Vec<Ipv4Addr>,
    /// What guests may reach outside. In a tier, whose ACL decides, the default is allow and there is no rule.
    pub egress: Egress,
    /// A tier's ACL; `None` exactly when the router is an isolated network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<NetworkAcl>,
    /// The guests: one fixed DHCP lease each, keyed by the guest's MAC address.
    pub leases: BTreeMap<MacAddr, Lease>,
}

/// What may leave a guest network for the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// What happens to packets that no rule matches. Rules state the opposite: exceptions from the default.
    pub default: EgressPolicy,
    /// The exceptions.
    pub rules: Vec<EgressRule>,
}

/// The network offering's egress default policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EgressPolicy {
    /// Everything may leave but what a rule denies.
    Allow,
    /// Nothing may leave but what a rule allows.
    Deny,
}

/// An exception from the egress default policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressRule {
    /// The rule's id, for messages.
    pub id: FirewallRuleId,
    /// Which packets.
    #[serde(rename = "match")]
    pub matches: Match,
    /// Which guests; never empty.
    pub sources: Vec<Ipv4Net>,
    /// Which destinations; never empty.
    pub destinations: Vec<Ipv4Net>,
}

/// A guest's DHCP lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Its address, inside the network.
    pub address: Ipv4Addr,
    /// Its host name.
    pub hostname: String,
    /// Whether the guest leaves by this router and asks its resolver: only by that of its default NIC's network.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub default_route: bool,
}

fn yes() -> bool {
    true
}

/// Connection tracking limits and timeouts (the reference text's performance tuning).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conntrack {
    /// `nf_conntrack_max`: how many sessions may be tracked, 262,144 unless told otherwise.
    pub max: u32,
    /// `nf_conntrack_tcp_timeout_established`, in seconds.
    pub tcp_established_secs: u32,
    /// `nf_conntrack_udp_timeout`, in seconds (RFC 4787 REQ-5 asks for at least 120 for a mapping).
    pub udp_secs: u32,
    /// `nf_conntrack_udp_timeout_stream`, in seconds.
    pub udp_stream_secs: u32,
    /// `nf_conntrack_icmp_timeout`, in seconds (RFC 5508 REQ-1 asks for at least 60).
    pub icmp_secs: u32,
}

impl Default for Conntrack {
    fn default() -> Self {
        Self {
            max: 262_144,
            // RFC 5382 REQ-5: at least 2 h 4 min for an established TCP session.
            tcp_established_secs: 7_440,
            udp_secs: 120,
            udp_stream_secs: 300,
            icmp_secs: 60,
        }
    }
}

/// SSH access on the control side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// 3922, as in CloudStack.
    pub port: u16,
    /// Public keys in OpenSSH's `authorized_keys` form, one each.
    pub authorized_keys: Vec<String>,
}

/// Why a document is not a usable spec.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It is not JSON of the right shape: truncated, corrupt, or of another version.
    #[error("not a router spec: {0}")]
    Shape(#[from] serde_json::Error),
    /// It contradicts itself.
    #[error("{}", join(.0))]
    Fields(Vec<crate::FieldError>),
}

fn join(problems: &[crate::FieldError]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

impl RouterSpec {
    /// Reads a spec from JSON and validates it.
    ///
    /// # Errors
    /// A truncated, corrupt or contradictory document is refused with its reason, never read as an empty router.
    pub fn from_json(json: &[u8]) -> Result<Self, SpecError> {
        let spec: Self = serde_json::from_slice(json)?;
        spec.validate().map_err(SpecError::Fields)?;
        Ok(spec)
    }

    /// The private gateways of a VPC's router; an isolated network's has none.
    pub fn private_gateways(&self) -> &[PrivateGateway] {
        self.vpc.as_ref().map_or(&[], |vpc| &vpc.private_gateways)
    }

    /// The static routes of a VPC's router; an isolated network's has none.
    pub fn static_routes(&self) -> &[StaticRoute] {
        self.vpc.as_ref().map_or(&[], |vpc| &vpc.static_routes)
    }

    /// The address that guests leave through by default; a valid spec has exactly one.
    pub fn source_nat_address(&self) -> Option<&PublicAddress> {
        self.public.addresses.iter().find(|a| a.source_nat)
    }

    /// The addresses that guests leave through, in the order in which they are taken: the default, then the additional
    /// ones.
    pub fn source_nat_pool(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        let additional = self.public.addresses.iter().filter(|a| a.source_nat_pool);
        let pool = self.source_nat_address().into_iter().chain(additional);
        pool.map(|a| a.address.addr())
    }
}
