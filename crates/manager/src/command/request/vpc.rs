// SPDX-License-Identifier: Apache-2.0
//! Requests about VPCs, their offerings, private gateways and static routes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::id::{
    AccountId, DomainId, NetworkAclListId, NetworkId, NetworkOfferingId, PhysicalNetworkId, PrivateGatewayId,
    StaticRouteId, VpcId, VpcOfferingId, ZoneId,
};
use outgate_model::object::Service;

use super::CreateNetwork;

/// `createVPCOffering`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateVpcOffering {
    /// `name`, unique among VPC offerings.
    pub name: String,
    /// `displaytext`.
    pub display_text: String,
    /// `supportedservices`; empty for all that a VPC can have.
    pub services: BTreeSet<Service>,
    /// `enable`.
    pub enable: bool,
    /// `domainid`; empty for all.
    pub domains: Vec<DomainId>,
    /// `zoneid`; empty for all.
    pub zones: Vec<ZoneId>,
}

/// `updateVPCOffering`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateVpcOffering {
    /// `id`.
    pub id: VpcOfferingId,
    /// `name`.
    pub name: Option<String>,
    /// `displaytext`.
    pub display_text: Option<String>,
    /// `state`: whether VPCs can be made from it.
    pub enabled: Option<bool>,
    /// `domainid`; empty for all.
    pub domains: Option<Vec<DomainId>>,
    /// `zoneid`; empty for all.
    pub zones: Option<Vec<ZoneId>>,
}

/// `deleteVPCOffering`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteVpcOffering {
    /// `id`.
    pub id: VpcOfferingId,
}

/// `createVPC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateVpc {
    /// `name`.
    pub name: String,
    /// `displaytext`; the name when left out.
    pub display_text: Option<String>,
    /// `vpcofferingid`.
    pub offering: VpcOfferingId,
    /// `zoneid`.
    pub zone: ZoneId,
    /// `cidr`.
    pub cidr: Ipv4Net,
    /// `networkdomain`; the zone's when left out.
    pub domain: Option<String>,
    /// `dns1` and `dns2`; empty for the zone's.
    pub dns: Vec<Ipv4Addr>,
    /// `publicmtu`; the zone's when left out.
    pub public_mtu: Option<u32>,
    /// `sourcenatipaddress`: a free public address that becomes the source NAT address.
    pub source_nat_address: Option<Ipv4Addr>,
    /// `start`: whether it gets its router at once.
    pub start: bool,
    /// `account` + `domainid`, or `projectid`: for whom.
    pub owner: Option<AccountId>,
}

/// `updateVPC`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateVpc {
    /// `id`.
    pub id: VpcId,
    /// `name`.
    pub name: Option<String>,
    /// `displaytext`.
    pub display_text: Option<String>,
    /// `publicmtu`.
    pub public_mtu: Option<u32>,
    /// `sourcenatipaddress`.
    pub source_nat_address: Option<Ipv4Addr>,
}

/// `restartVPC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartVpc {
    /// `id`.
    pub id: VpcId,
    /// `cleanup`: by a fresh router.
    pub cleanup: bool,
}

/// `deleteVPC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteVpc {
    /// `id`.
    pub id: VpcId,
}

/// `createNetwork` with `vpcid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTier {
    /// `vpcid`.
    pub vpc: VpcId,
    /// `aclid`; `default_deny` when left out.
    pub acl: Option<NetworkAclListId>,
    /// What every network is asked for.
    pub network: CreateNetwork,
}

/// `migrateNetwork` with `vpcid`: an isolated network becomes a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrateNetwork {
    /// `networkid`.
    pub network: NetworkId,
    /// `networkofferingid`: an offering for tiers.
    pub offering: NetworkOfferingId,
    /// `vpcid`.
    pub vpc: VpcId,
    /// `aclid`; one made from the firewall and egress rules when left out.
    pub acl: Option<NetworkAclListId>,
}

/// `associateIpAddress` with `vpcid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssociateIpToVpc {
    /// `vpcid`.
    pub vpc: VpcId,
    /// `ipaddress`: this one and no other.
    pub address: Option<Ipv4Addr>,
}

/// `createPrivateGateway`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreatePrivateGateway {
    /// `vpcid`.
    pub vpc: VpcId,
    /// `physicalnetworkid`; the zone's only one when left out.
    pub physical_network: Option<PhysicalNetworkId>,
    /// `vlan`.
    pub vlan: u16,
    /// `ipaddress`: the router's address.
    pub address: Ipv4Addr,
    /// `netmask`.
    pub netmask: Ipv4Addr,
    /// `gateway`: the router on the other side.
    pub gateway: Ipv4Addr,
    /// `sourcenatsupported`.
    pub source_nat: bool,
    /// `aclid`; `default_deny` when left out.
    pub acl: Option<NetworkAclListId>,
}

/// `deletePrivateGateway`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletePrivateGateway {
    /// `id`.
    pub id: PrivateGatewayId,
}

/// `createStaticRoute`: through a private gateway, or to a next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateStaticRoute {
    /// `gatewayid`.
    pub gateway: Option<PrivateGatewayId>,
    /// `vpcid`, with `nexthop`.
    pub vpc: Option<VpcId>,
    /// `nexthop`.
    pub next_hop: Option<Ipv4Addr>,
    /// `cidr`.
    pub cidr: Ipv4Net,
}

/// `deleteStaticRoute`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteStaticRoute {
    /// `id`.
    pub id: StaticRouteId,
}
