// SPDX-License-Identifier: Apache-2.0
//! What the operator provides: zones, address ranges, hosts, offerings and templates.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::Ipv4Range;
use crate::id::{
    AccountId, ClusterId, HostId, PhysicalNetworkId, PublicIpId, PublicIpRangeId, ServiceOfferingId,
    TemplateId, ZoneId,
};
use crate::object::{Dedicated, VlanRange};

/// A zone: a data centre with its public addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its id.
    pub id: ZoneId,
    /// Its name.
    pub name: String,
    /// Resolvers for guests.
    pub dns: Vec<Ipv4Addr>,
    /// Resolvers for the system itself.
    pub internal_dns: Vec<Ipv4Addr>,
    /// The CIDR of isolated networks that name none: `10.1.1.0/24`.
    pub guest_cidr: Ipv4Net,
    /// The domain of networks that name none: `cs1cloud.internal`.
    pub network_domain: String,
    /// MTU of the public side in bytes; no guest network's may be larger.
    pub public_mtu: u32,
    /// Whether only root admins may make networks and guests in it.
    #[serde(default)]
    pub disabled: bool,
}

/// A physical network: which of a host's bridges carry what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhysicalNetwork {
    /// Its id.
    pub id: PhysicalNetworkId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its name.
    pub name: String,
    /// VLANs for guest networks, in order and without overlaps; none means that networks are told apart by their number.
    #[serde(default)]
    pub vlans: Vec<VlanRange>,
    /// Whether no network may be made on it.
    #[serde(default)]
    pub disabled: bool,
    /// What operators call its speed: `10G`.
    #[serde(default)]
    pub speed: Option<String>,
    /// Network offerings with one of these tags use it.
    #[serde(default)]
    pub tags: Vec<String>,
    /// How networks on it are kept apart: `VLAN`.
    #[serde(default)]
    pub isolation: Option<String>,
}

/// A range of public addresses (CloudStack: VLAN IP range).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicIpRange {
    /// Its id.
    pub id: PublicIpRangeId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its physical network.
    pub physical_network: PhysicalNetworkId,
    /// `vlan://untagged` or `vlan://100`.
    pub vlan: String,
    /// The upstream gateway with the subnet's prefix length: `203.0.113.1/24`.
    pub gateway: Ipv4Net,
    /// The addresses that may be handed out.
    pub range: Ipv4Range,
    /// Whom it is kept for; nobody else is given an address from it.
    #[serde(default)]
    pub dedicated: Option<Dedicated>,
}

impl PublicIpRange {
    /// The id of an address of the range while nobody holds it: always the same, a v4 UUID like all others, made from the
    /// range's id and the address.
    pub fn free_id(&self, address: Ipv4Addr) -> PublicIpId {
        let mut bytes = *self.id.0.as_bytes();
        for (to, from) in bytes.iter_mut().skip(12).zip(address.octets()) {
            *to = from;
        }
        PublicIpId(uuid::Uuid::from_bytes(bytes))
    }

    /// The address of the range whose [`Self::free_id`] this is.
    pub fn address_of(&self, id: PublicIpId) -> Option<Ipv4Addr> {
        let [.., a, b, c, d] = *id.0.as_bytes();
        let address = Ipv4Addr::new(a, b, c, d);
        (self.range.contains(address) && self.free_id(address) == id).then_some(address)
    }
}

/// A host that runs routers and guests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its name.
    pub name: String,
    /// CloudStack's hypervisor name for it; the namespace host calls itself `Simulator`.
    pub hypervisor: String,
    /// Its cluster, which says the pod.
    #[serde(default)]
    pub cluster: Option<ClusterId>,
    /// Whether nothing new is placed on it.
    #[serde(default)]
    pub disabled: bool,
    /// Whether it is in maintenance: nothing runs on it, and nothing is started on it.
    #[serde(default)]
    pub maintenance: bool,
    /// When it was added.
    pub created: jiff::Timestamp,
}

/// A service offering: the size of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceOffering {
    /// Its id.
    pub id: ServiceOfferingId,
    /// Its name.
    pub name: String,
    /// What users read.
    pub display_text: String,
    /// Number of CPUs.
    pub cpu_number: u32,
    /// CPU speed in MHz.
    pub cpu_speed_mhz: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Whether it is for system VMs (routers).
    pub system: bool,
    /// Whether it was deleted while guests still had it: they keep it, no new guest gets it.
    #[serde(default)]
    pub removed: bool,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// A template: what a guest runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its id.
    pub id: TemplateId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its name.
    pub name: String,
    /// What users read.
    pub display_text: String,
    /// Its hypervisor.
    pub hypervisor: String,
    /// Its OS's name.
    pub os_type: String,
    /// Who registered it, and how; `None` for a built-in one, which is everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Registered>,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// What a user said of a template. Outgate fetches nothing: it is an entry that guests refer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Whose it is.
    pub account: AccountId,
    /// `QCOW2`, `RAW` ...
    pub format: String,
    /// Where it is said to be.
    pub url: String,
    /// Whether everybody may use it.
    pub public: bool,
    /// Whether it is shown first.
    pub featured: bool,
    /// Whether it was deleted while guests still had it: they keep it, no new guest gets it.
    #[serde(default)]
    pub removed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_address_is_found_by_its_id_and_in_its_own_range_only() {
        let range = |first: &str, last: &str| PublicIpRange {
            id: PublicIpRangeId::new(),
            zone: ZoneId::new(),
            physical_network: PhysicalNetworkId::new(),
            vlan: "vlan://untagged".to_owned(),
            gateway: "203.0.113.1/24".parse().unwrap(),
            range: Ipv4Range::new(first.parse().unwrap(), last.parse().unwrap()).unwrap(),
            dedicated: None,
        };
        let (range, other) = (
            range("203.0.113.10", "203.0.113.20"),
            range("203.0.113.10", "203.0.113.20"),
        );
        for address in range.range.iter() {
            let id = range.free_id(address);
            assert_eq!(
                (range.address_of(id), other.address_of(id)),
                (Some(address), None)
            );
            assert_eq!(id.0.get_version_num(), 4);
        }
        assert_eq!(
            range.address_of(range.free_id("203.0.113.21".parse().unwrap())),
            None
        );
    }
}
