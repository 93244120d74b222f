// SPDX-License-Identifier: Apache-2.0
//! VPCs, their tiers' part, network ACLs, private gateways and static routes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{
    AccountId, DomainId, NetworkAclItemId, NetworkAclListId, PhysicalNetworkId, PrivateGatewayId, RouterId,
    StaticRouteId, VpcId, VpcOfferingId, ZoneId,
};
use crate::object::Service;
use crate::router_spec::{AclAction, AclDirection};
use crate::{MacAddr, Match};

/// How far a VPC is meant to exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VpcPhase {
    /// Defined, without a router (`start=false`).
    Inactive,
    /// With a router.
    Enabled,
    /// On its way out: router, addresses and rules go, then the object itself.
    Destroyed,
}

/// A VPC: several tiers behind one router and one source NAT address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// Its name.
    pub name: String,
    /// What users read.
    pub display_text: String,
    /// Its zone.
    pub zone: ZoneId,
    /// Its offering.
    pub offering: VpcOfferingId,
    /// Its owner.
    pub account: AccountId,
    /// What its tiers are cut from.
    pub cidr: Ipv4Net,
    /// The domain that guests get.
    pub domain: String,
    /// Resolvers for guests; empty for the zone's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Ipv4Addr>,
    /// MTU of the public side in bytes, at most the zone's; `None` for the zone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_mtu: Option<u32>,
    /// How far it is meant to exist.
    pub phase: VpcPhase,
    /// Rises by one with each change of anything that the router's spec is made of; see `Network::generation`. The
    /// generations of its tiers stay as they are.
    pub generation: u64,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// What a network has as a tier of a VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// The VPC.
    pub vpc: VpcId,
    /// What may come in and go out.
    pub acl: NetworkAclListId,
    /// N of the router's interface `ethN`, 2 and up, unique in the VPC together with its private gateways.
    pub device: u8,
    /// The Ethernet address of that interface.
    pub mac: MacAddr,
    /// The router of its time as an isolated network, until the VPC's router serves in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<RouterId>,
}

/// A network ACL list. The built-in ones, `default_allow` and `default_deny`, belong to no VPC and never change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAclList {
    /// Its id.
    pub id: NetworkAclListId,
    /// Its name.
    pub name: String,
    /// What users read.
    pub description: String,
    /// The VPC whose tiers may use it; `None` for the built-in ones.
    pub vpc: Option<VpcId>,
    /// Its owner, the VPC's; `None` for the built-in ones.
    pub account: Option<AccountId>,
    /// When it was made.
    pub created: jiff::Timestamp,
}

impl NetworkAclList {
    /// The id of the built-in list `default_allow`.
    pub const DEFAULT_ALLOW: NetworkAclListId =
        NetworkAclListId(Uuid::from_u128(0x6f75_7467_6174_4e61_8c6c_0000_0000_0001));
    /// The id of the built-in list `default_deny`.
    pub const DEFAULT_DENY: NetworkAclListId =
        NetworkAclListId(Uuid::from_u128(0x6f75_7467_6174_4e61_8c6c_0000_0000_0002));

    /// A built-in list with its two items: everything in, everything out.
    pub fn built_in(action: AclAction) -> (Self, [NetworkAclItem; 2]) {
        let (id, name, description) = match action {
            AclAction::Allow => (
                Self::DEFAULT_ALLOW,
                "default_allow",
                "Default Network ACL Allow All",
            ),
            AclAction::Deny => (Self::DEFAULT_DENY, "default_deny", "Default Network ACL Deny All"),
        };
        let item = |number: u16, direction| NetworkAclItem {
            id: NetworkAclItemId(Uuid::from_u128(id.0.as_u128() | (u128::from(number) << 16))),
            list: id,
            number,
            direction,
            action,
            matches: Match::All,
            cidrs: vec![Ipv4Net::default()],
            reason: String::new(),
            created: jiff::Timestamp::UNIX_EPOCH,
        };
        let list = Self {
            id,
            name: name.to_owned(),
            description: description.to_owned(),
            vpc: None,
            account: None,
            created: jiff::Timestamp::UNIX_EPOCH,
        };
        let items = [item(1, AclDirection::Ingress), item(2, AclDirection::Egress)];
        (list, items)
    }
}

/// One item of a network ACL list. Its meaning is that of `router_spec::AclItem`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAclItem {
    /// Its id.
    pub id: NetworkAclItemId,
    /// Its list.
    pub list: NetworkAclListId,
    /// Its place in the list, 1 to 65535, unique there.
    pub number: u16,
    /// Which way it looks.
    pub direction: AclDirection,
    /// What it does.
    pub action: AclAction,
    /// Which packets.
    #[serde(rename = "match")]
    pub matches: Match,
    /// The other side's CIDRs in the caller's order; never empty.
    pub cidrs: Vec<Ipv4Net>,
    /// Why it is there, in the user's words.
    pub reason: String,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// A static route of a VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticRoute {
    /// Its id.
    pub id: StaticRouteId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its owner, the VPC's.
    pub account: AccountId,
    /// The private gateway it leads through; `None` when it names a next hop.
    pub gateway: Option<PrivateGatewayId>,
    /// The next hop.
    pub next_hop: Ipv4Addr,
    /// Where to.
    pub cidr: Ipv4Net,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// A private gateway of a VPC. Its meaning is that of `router_spec::PrivateGateway`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateGateway {
    /// Its id.
    pub id: PrivateGatewayId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner, the VPC's.
    pub account: AccountId,
    /// The physical network that carries its VLAN.
    pub physical_network: PhysicalNetworkId,
    /// The VLAN, 1 to 4094.
    pub vlan: u16,
    /// The router's address with its prefix length.
    pub address: Ipv4Net,
    /// The router on the other side.
    pub gateway: Ipv4Addr,
    /// Whether what leaves through it is source NATed.
    pub source_nat: bool,
    /// What may come in and go out.
    pub acl: NetworkAclListId,
    /// N of the router's interface `ethN`; see [`Tier::device`].
    pub device: u8,
    /// The Ethernet address of that interface.
    pub mac: MacAddr,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// A VPC offering: what a VPC made from it can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcOffering {
    /// Its id.
    pub id: VpcOfferingId,
    /// Its name: `Default VPC offering`.
    pub name: String,
    /// What users read.
    pub display_text: String,
    /// Whether VPCs can be made from it.
    pub enabled: bool,
    /// Whether it is the built-in one.
    pub default: bool,
    /// What its VPCs can do.
    #[serde(default = "Service::of_tier")]
    pub services: BTreeSet<Service>,
    /// The domains whose accounts may use it; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainId>,
    /// The zones where it may be used; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<ZoneId>,
    /// When it was made.
    pub created: jiff::Timestamp,
}
