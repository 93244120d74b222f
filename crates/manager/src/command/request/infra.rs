// SPDX-License-Identifier: Apache-2.0
//! Requests about what a zone is built of. In updates, what is `None` stays as it is.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_model::id::{AlertId, EventId};
use outgate_model::id::{
    ClusterId, HostId, PhysicalNetworkId, PodId, PublicIpRangeId, ServiceProviderId, TrafficTypeId, ZoneId,
};
use outgate_model::object::{Dedicated, SettingScope, Traffic, VlanRange};

/// `createZone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateZone {
    /// `name`.
    pub name: String,
    /// `dns1`, `dns2`.
    pub dns: Vec<Ipv4Addr>,
    /// `internaldns1`, `internaldns2`.
    pub internal_dns: Vec<Ipv4Addr>,
    /// `domain`: the networks' when they name none; `cs1cloud.internal` when left out.
    pub domain: Option<String>,
    /// `guestcidraddress`; 10.1.1.0/24 when left out.
    pub guest_cidr: Option<Ipv4Net>,
    /// `allocationstate`: a zone starts disabled, as CloudStack's.
    pub enable: bool,
}

/// `updateZone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateZone {
    /// `id`.
    pub id: ZoneId,
    /// `name`.
    pub name: Option<String>,
    /// `dns1`, `dns2`.
    pub dns: [Option<Ipv4Addr>; 2],
    /// `internaldns1`, `internaldns2`.
    pub internal_dns: [Option<Ipv4Addr>; 2],
    /// `domain`.
    pub domain: Option<String>,
    /// `guestcidraddress`.
    pub guest_cidr: Option<Ipv4Net>,
    /// `allocationstate`: whether it is Enabled.
    pub enable: Option<bool>,
}

/// `deleteZone`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteZone {
    /// `id`.
    pub id: ZoneId,
}

/// A pod's management subnet as the parameters give it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PodSubnet {
    /// `gateway`.
    pub gateway: Option<Ipv4Addr>,
    /// `netmask`.
    pub netmask: Option<Ipv4Addr>,
    /// `startip`: the first address for system VMs.
    pub start: Option<Ipv4Addr>,
    /// `endip`: the last one.
    pub end: Option<Ipv4Addr>,
}

/// `createPod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatePod {
    /// `zoneid`.
    pub zone: ZoneId,
    /// `name`, unique in the zone.
    pub name: String,
    /// Its management subnet.
    pub subnet: PodSubnet,
    /// `allocationstate`: whether it is Enabled.
    pub enable: bool,
}

/// `updatePod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatePod {
    /// `id`.
    pub id: PodId,
    /// `name`.
    pub name: Option<String>,
    /// Its management subnet.
    pub subnet: PodSubnet,
    /// `allocationstate`: whether it is Enabled.
    pub enable: Option<bool>,
}

/// `deletePod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletePod {
    /// `id`.
    pub id: PodId,
}

/// `addCluster`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCluster {
    /// `zoneid`.
    pub zone: ZoneId,
    /// `podid`, of that zone.
    pub pod: PodId,
    /// `clustername`, unique in the pod.
    pub name: String,
    /// `hypervisor`, in CloudStack's spelling.
    pub hypervisor: String,
    /// `allocationstate`: whether it is Enabled.
    pub enable: bool,
}

/// `updateCluster`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateCluster {
    /// `id`.
    pub id: ClusterId,
    /// `clustername`.
    pub name: Option<String>,
    /// `allocationstate`: whether it is Enabled.
    pub enable: Option<bool>,
    /// `managedstate`: whether it is Managed.
    pub managed: Option<bool>,
}

/// `deleteCluster`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteCluster {
    /// `id`.
    pub id: ClusterId,
}

/// `updateHost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateHost {
    /// `id`.
    pub id: HostId,
    /// `allocationstate`: Enable or Disable.
    pub enable: Option<bool>,
}

/// `prepareHostForMaintenance` and `cancelHostMaintenance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaintainHost {
    /// `id`.
    pub id: HostId,
}

/// `createPhysicalNetwork`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatePhysicalNetwork {
    /// `zoneid`.
    pub zone: ZoneId,
    /// `name`, unique in the zone.
    pub name: String,
    /// `vlan`: in order and without overlaps.
    pub vlans: Vec<VlanRange>,
    /// `networkspeed`.
    pub speed: Option<String>,
    /// `tags`.
    pub tags: Vec<String>,
    /// `isolationmethods`.
    pub isolation: Option<String>,
}

/// `updatePhysicalNetwork`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatePhysicalNetwork {
    /// `id`.
    pub id: PhysicalNetworkId,
    /// `vlan`.
    pub vlans: Option<Vec<VlanRange>>,
    /// `networkspeed`.
    pub speed: Option<String>,
    /// `tags`.
    pub tags: Option<Vec<String>>,
    /// `state`: whether it is Enabled.
    pub enable: Option<bool>,
}

/// `deletePhysicalNetwork`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletePhysicalNetwork {
    /// `id`.
    pub id: PhysicalNetworkId,
}

/// `addTrafficType`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddTrafficType {
    /// `physicalnetworkid`.
    pub physical_network: PhysicalNetworkId,
    /// `traffictype`.
    pub traffic: Traffic,
    /// `kvmnetworklabel` and the like, by hypervisor.
    pub labels: Vec<(String, String)>,
}

/// `updateTrafficType`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateTrafficType {
    /// `id`.
    pub id: TrafficTypeId,
    /// Labels to set, by hypervisor.
    pub labels: Vec<(String, String)>,
}

/// `deleteTrafficType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteTrafficType {
    /// `id`.
    pub id: TrafficTypeId,
}

/// `addNetworkServiceProvider`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddProvider {
    /// `physicalnetworkid`.
    pub physical_network: PhysicalNetworkId,
    /// `name`, in CloudStack's spelling.
    pub name: String,
}

/// `updateNetworkServiceProvider`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateProvider {
    /// `id`.
    pub id: ServiceProviderId,
    /// `state`: whether it is Enabled.
    pub enable: Option<bool>,
}

/// `deleteNetworkServiceProvider`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteProvider {
    /// `id`.
    pub id: ServiceProviderId,
}

/// `configureVirtualRouterElement` and `configureInternalLoadBalancerElement`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigureElement {
    /// `id`: an element has its provider's.
    pub id: ServiceProviderId,
    /// `enabled`.
    pub enabled: bool,
    /// Whether the element balances load inside; else it is virtual routers.
    pub internal_lb: bool,
}

/// `createVlanIpRange`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRange {
    /// `zoneid`.
    pub zone: Option<ZoneId>,
    /// `physicalnetworkid`; the zone's that carries public traffic when left out.
    pub physical_network: Option<PhysicalNetworkId>,
    /// `gateway`.
    pub gateway: Ipv4Addr,
    /// `netmask`.
    pub netmask: Ipv4Addr,
    /// `startip`.
    pub start: Ipv4Addr,
    /// `endip`.
    pub end: Ipv4Addr,
    /// `vlan` in the form `vlan://untagged` or `vlan://100`.
    pub vlan: String,
    /// `account`, `projectid` or `domainid`: whom it is kept for.
    pub dedicated: Option<Dedicated>,
}

/// `updateVlanIpRange`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateRange {
    /// `id`.
    pub id: PublicIpRangeId,
    /// `gateway`.
    pub gateway: Option<Ipv4Addr>,
    /// `netmask`.
    pub netmask: Option<Ipv4Addr>,
    /// `startip`.
    pub start: Option<Ipv4Addr>,
    /// `endip`.
    pub end: Option<Ipv4Addr>,
}

/// `deleteVlanIpRange` and `releasePublicIpRange`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeId {
    /// `id`.
    pub id: PublicIpRangeId,
}

/// `dedicatePublicIpRange`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedicateRange {
    /// `id`.
    pub id: PublicIpRangeId,
    /// `account`, `projectid` or `domainid`.
    pub to: Dedicated,
}

/// `updateConfiguration` and `resetConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateSetting {
    /// `name`.
    pub name: String,
    /// `zoneid`, `domainid`, `accountid`, `networkofferingid`, `networkid`, `vpcofferingid` or `vpcid`; everywhere when none
    /// is given.
    pub scope: SettingScope,
    /// `value`; `None` takes it back.
    pub value: Option<String>,
}

/// `generateAlert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerateAlert {
    /// `type`.
    pub number: u16,
    /// `name`.
    pub name: String,
    /// `description`.
    pub description: String,
    /// `zoneid`.
    pub zone: Option<ZoneId>,
    /// `podid`.
    pub pod: Option<PodId>,
}

/// `archiveAlerts` and `deleteAlerts`: those that fit everything that is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertsChosen {
    /// `ids`; empty for any.
    pub ids: Vec<AlertId>,
    /// `type`.
    pub number: Option<u16>,
    /// `startdate`.
    pub start: Option<Timestamp>,
    /// `enddate`.
    pub end: Option<Timestamp>,
}

/// `archiveEvents` and `deleteEvents`: those that fit everything that is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsChosen {
    /// `ids`; empty for any.
    pub ids: Vec<EventId>,
    /// `type`.
    pub kind: Option<String>,
    /// `startdate`.
    pub start: Option<Timestamp>,
    /// `enddate`.
    pub end: Option<Timestamp>,
}
