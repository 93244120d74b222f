// SPDX-License-Identifier: Apache-2.0
//! What a zone is built of besides hosts: pods, clusters, traffic types, service providers; settings and alerts.

use std::fmt;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::Ipv4Range;
use crate::id::{
    AccountId, AlertId, ClusterId, DomainId, NetworkId, NetworkOfferingId, PhysicalNetworkId, PodId,
    ServiceProviderId, SettingId, TrafficTypeId, VpcId, VpcOfferingId, ZoneId,
};

/// A pod: a part of a zone with a management subnet of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its id.
    pub id: PodId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its name.
    pub name: String,
    /// The gateway of its management subnet with the prefix length.
    pub gateway: Ipv4Net,
    /// Management addresses that system VMs may be given.
    pub range: Option<Ipv4Range>,
    /// Whether nothing new is placed in it.
    #[serde(default)]
    pub disabled: bool,
}

/// A cluster: hosts of one hypervisor in a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its pod.
    pub pod: PodId,
    /// Its name.
    pub name: String,
    /// CloudStack's name of its hypervisor.
    pub hypervisor: String,
    /// Whether nothing new is placed in it.
    #[serde(default)]
    pub disabled: bool,
    /// Whether its hosts are left alone.
    #[serde(default)]
    pub unmanaged: bool,
}

/// What a physical network carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Traffic {
    /// Between guests and their routers.
    Guest,
    /// Between routers and the outside.
    Public,
    /// Between the management server, hosts and system VMs.
    Management,
    /// Of secondary storage.
    Storage,
}

impl Traffic {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Guest, Self::Public, Self::Management, Self::Storage];

    /// CloudStack's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Guest => "Guest",
            Self::Public => "Public",
            Self::Management => "Management",
            Self::Storage => "Storage",
        }
    }
}

/// That a physical network carries a kind of traffic, and by which device label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficType {
    /// Its id.
    pub id: TrafficTypeId,
    /// The physical network.
    pub physical_network: PhysicalNetworkId,
    /// What it carries.
    pub traffic: Traffic,
    /// The host's device that carries it (CloudStack's network label), by hypervisor: `kvm`, `xen`, `vmware` ...
    #[serde(default)]
    pub labels: Vec<(String, String)>,
}

/// A network service provider of a physical network: who does the networks' services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceProvider {
    /// Its id.
    pub id: ServiceProviderId,
    /// The physical network.
    pub physical_network: PhysicalNetworkId,
    /// Its name: `VirtualRouter` or `VpcVirtualRouter`.
    pub name: String,
    /// Whether networks may be made that need it.
    pub enabled: bool,
    /// Whether its element, the virtual routers themselves, is switched on.
    pub element_enabled: bool,
}

/// How far a setting's value reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "scope", content = "of")]
pub enum SettingScope {
    /// Everything.
    Global,
    /// One zone.
    Zone(ZoneId),
    /// One domain.
    Domain(DomainId),
    /// One account.
    Account(AccountId),
    /// Every network of one offering.
    Offering(NetworkOfferingId),
    /// One isolated network.
    Network(NetworkId),
    /// Every VPC of one offering.
    VpcOffering(VpcOfferingId),
    /// One VPC.
    Vpc(VpcId),
}

impl fmt::Display for SettingScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Zone(id) => write!(f, "zone {id}"),
            Self::Domain(id) => write!(f, "domain {id}"),
            Self::Account(id) => write!(f, "account {id}"),
            Self::Offering(id) => write!(f, "network offering {id}"),
            Self::Network(id) => write!(f, "network {id}"),
            Self::VpcOffering(id) => write!(f, "VPC offering {id}"),
            Self::Vpc(id) => write!(f, "VPC {id}"),
        }
    }
}

/// The value that somebody gave to a setting (CloudStack: configuration). What nobody changed is not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Follows from scope and name, see [`SettingId::of`]: a setting has one value in a scope.
    pub id: SettingId,
    /// Its name: `network.gc.wait`.
    pub name: String,
    /// How far the value reaches.
    pub scope: SettingScope,
    /// The value as text, checked when it was set.
    pub value: String,
}

impl SettingId {
    /// The id of the value of setting `name` in `scope`.
    pub fn of(scope: SettingScope, name: &str) -> Self {
        Self(named(&format!("{scope}/{name}")))
    }
}

impl AlertId {
    /// The id of the alert about this cause: there is one at a time.
    pub fn of(about: &str) -> Self {
        Self(named(about))
    }
}

/// The same id for the same text, for good.
fn named(text: &str) -> uuid::Uuid {
    // FNV-1a with 128 bits: it keeps no secret.
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in text.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    uuid::Builder::from_random_bytes(hash.to_be_bytes()).into_uuid()
}

/// What an alert is about, with CloudStack's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertKind {
    /// Public addresses run out.
    PublicIp,
    /// VLANs run out.
    Vlan,
    /// A host does not answer.
    Host,
    /// A guest was lost.
    Guest,
    /// A router was lost, or is not as wanted.
    Router,
    /// The ports of a public address, or a router's sessions, run out.
    Ports,
    /// A limit on sessions or pings refuses traffic.
    Limit,
    /// Said by an administrator (`generateAlert`), with CloudStack's number.
    Other(u16),
}

impl AlertKind {
    /// CloudStack's number; `Ports` and `Limit` are Outgate's own.
    pub fn number(self) -> u16 {
        match self {
            Self::PublicIp => 4,
            Self::Host => 7,
            Self::Guest => 8,
            Self::Router => 9,
            Self::Vlan => 18,
            Self::Ports => 1001,
            Self::Limit => 1002,
            Self::Other(number) => number,
        }
    }

    /// CloudStack's name of its number, if it has one.
    pub fn known_name(self) -> Option<&'static str> {
        let mut types = ALERT_TYPES.iter();
        types
            .find(|(number, _)| *number == self.number())
            .map(|(_, name)| *name)
    }

    /// The same; `ALERT.MISC` for a number without a name.
    pub fn name(self) -> &'static str {
        self.known_name().unwrap_or("ALERT.MISC")
    }
}

/// The types of alerts by CloudStack's numbers, as far as they can be about this cloud; those from 1001 on are Outgate's
/// own.
pub const ALERT_TYPES: &[(u16, &str)] = &[
    (0, "ALERT.MEMORY"),
    (1, "ALERT.CPU"),
    (4, "ALERT.NETWORK.PUBLICIP"),
    (5, "ALERT.NETWORK.PRIVATEIP"),
    (7, "ALERT.COMPUTE.HOST"),
    (8, "ALERT.USERVM"),
    (9, "ALERT.SERVICE.DOMAINROUTER"),
    (11, "ALERT.NETWORK.ROUTING"),
    (13, "ALERT.USAGE"),
    (14, "ALERT.MANAGEMENT"),
    (18, "ALERT.NETWORK.VLAN"),
    (22, "ALERT.RESOURCE.COUNT"),
    (26, "ALERT.RESOURCE.EXCEED"),
    (1001, "ALERT.NETWORK.PORTS"),
    (1002, "ALERT.NETWORK.LIMIT"),
];

/// Something that an administrator should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// What it is about.
    pub kind: AlertKind,
    /// The name that an administrator gave it (`generateAlert`); the kind's when there is none.
    #[serde(default)]
    pub name: Option<String>,
    /// In one sentence.
    pub description: String,
    /// The zone.
    #[serde(default)]
    pub zone: Option<ZoneId>,
    /// The pod.
    #[serde(default)]
    pub pod: Option<PodId>,
    /// What it is about exactly, so that the same one is not raised again and again. Empty when an administrator said it.
    pub about: String,
    /// Whether an administrator has dealt with it.
    #[serde(default)]
    pub archived: bool,
    /// When it was raised.
    pub created: jiff::Timestamp,
}

/// A range of VLANs of a physical network, 1 to 4094, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VlanRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl VlanRange {
    /// Reads `100-200` or `100`.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        ((1..=last).contains(&first) && last <= 4094).then_some(Self { first, last })
    }

    /// How many VLANs it holds.
    pub fn count(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }
}

impl fmt::Display for VlanRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Whom a range of public addresses is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "for", content = "of")]
pub enum Dedicated {
    /// One account, or a project's.
    Account(AccountId),
    /// The accounts of a domain and of the domains below it.
    Domain(DomainId),
}
