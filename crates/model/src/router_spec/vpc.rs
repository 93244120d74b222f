// SPDX-License-Identifier: Apache-2.0
//! What only a VPC's router has: network ACLs, private gateways, static routes.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::id::{NetworkAclItemId, NetworkAclListId, PhysicalNetworkId, PrivateGatewayId, StaticRouteId};
use crate::{MacAddr, Match};

/// The VPC's part of a router's spec. Its presence makes the router a VPC's: each guest network is a tier with an
/// ACL, the public addresses have no firewall rules (what is forwarded or static NAT passes to the tier's ACL, which
/// judges the translated packet), and tiers reach each other as their ACLs allow.
///
/// What the router lets through, beside packets of known sessions:
/// tier to outside (with the source NAT address or the guest's static NAT address), tier to another tier and to a
/// private gateway, private gateway to tier, and whatever was sent to a public address that leads to a guest, from
/// outside or from a tier (hairpin). Private gateways reach neither each other nor the outside nor the public
/// addresses. Each tier and private gateway on the way judges a new session by its ACL, the sender's side first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpcSide {
    /// The VPC's CIDR, which holds every tier's.
    pub cidr: Ipv4Net,
    /// Its private gateways.
    #[serde(default)]
    pub private_gateways: Vec<PrivateGateway>,
    /// Its static routes: through private gateways or next hops that its interfaces reach.
    #[serde(default)]
    pub static_routes: Vec<StaticRoute>,
}

/// A network ACL list as one tier or private gateway has it.
///
/// Items are judged by ascending number; the first that matches decides. A new session that no item matches is denied
/// on its way in, and on its way out it is allowed only if the list has no egress item at all (CloudStack's rule).
/// Packets of known sessions pass. Translation of destinations comes first: an item sees the guest that a public
/// address leads to, and the guest's port. Translation of sources comes last: an item sees the guest that sends.
///
/// A tier's ACL judges what the router carries into the tier and out of it, another guest of the same tier that is
/// reached by a public address included; not what the router itself answers (DHCP, DNS, ping of the gateway). What a
/// guest sends to a balanced port leaves its tier; whom the balancer's members serve, the balancer's sources say.
/// A private gateway's ACL judges what comes in through it (ingress) and what leaves through it (egress).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkAcl {
    /// The list's id, for messages.
    pub id: NetworkAclListId,
    /// The items by ascending number, each number once.
    pub items: Vec<AclItem>,
}

/// One item of a network ACL list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclItem {
    /// The item's id, for messages.
    pub id: NetworkAclItemId,
    /// Its place in the list, 1 to 65535.
    pub number: u16,
    /// Which way it looks.
    pub direction: AclDirection,
    /// What happens to a new session that it matches.
    pub action: AclAction,
    /// Which packets, by their destination port after translation.
    #[serde(rename = "match")]
    pub matches: Match,
    /// The other side's addresses: sources of an ingress item, destinations of an egress item; never empty.
    pub cidrs: Vec<Ipv4Net>,
}

/// Which way an ACL item looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AclDirection {
    /// Into the tier, from wherever; in through the private gateway.
    Ingress,
    /// Out of the tier, to wherever; out through the private gateway.
    Egress,
}

/// What an ACL item does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AclAction {
    /// The session may begin.
    Allow,
    /// It may not.
    Deny,
}

/// A private gateway: an interface of the router on a private VLAN, to a data centre or another VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateGateway {
    /// Its id.
    pub id: PrivateGatewayId,
    /// The physical network that carries its VLAN.
    pub physical_network: PhysicalNetworkId,
    /// The VLAN, 1 to 4094. Gateways of one physical network and VLAN are on one wire.
    pub vlan: u16,
    /// `eth4`.
    pub interface: String,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// MTU in bytes.
    pub mtu: u32,
    /// The router's address on it with its prefix length.
    pub address: Ipv4Net,
    /// The router on the other side: where static routes through this gateway lead.
    pub gateway: Ipv4Addr,
    /// Whether what leaves through it takes the router's address on it as its source.
    pub source_nat: bool,
    /// What may come in through it (to the tiers) and go out.
    pub acl: NetworkAcl,
}

/// A static route of a VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticRoute {
    /// Its id, for messages.
    pub id: StaticRouteId,
    /// Where to: outside the VPC's CIDR and every network that the router is connected to; one route each.
    pub to: Ipv4Net,
    /// Through which next hop, which an interface of the router reaches: a private gateway's other side, a guest in a
    /// tier (whose packets may then have sources in `to`), or a neighbour on the public network.
    pub via: Ipv4Addr,
}
