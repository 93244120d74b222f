// SPDX-License-Identifier: Apache-2.0
//! Guests and their NICs.

use std::net::Ipv4Addr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::MacAddr;
use crate::id::{
    AccountId, GuestId, HostId, NetworkId, NicId, SecondaryIpId, ServiceOfferingId, TemplateId, ZoneId,
};

/// Whether something is meant to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// It runs.
    On,
    /// It is stopped, and kept.
    Off,
    /// It goes away for good.
    Gone,
}

/// A guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Its id.
    pub id: GuestId,
    /// Its number: 15 in `i-2-15-VM`.
    pub number: u64,
    /// `i-2-15-VM`.
    pub instance_name: String,
    /// Its name, also its host name.
    pub name: String,
    /// What users read.
    pub display_name: String,
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner.
    pub account: AccountId,
    /// Its size.
    pub service_offering: ServiceOfferingId,
    /// What it runs.
    pub template: TemplateId,
    /// Where it runs.
    pub host: HostId,
    /// Whether it is meant to run.
    pub power: Power,
    /// Its NICs, the default one first.
    #[serde(deserialize_with = "nics_by_place")]
    pub nics: Vec<Nic>,
    /// Rises by one with each change of its NICs, so that it can be observed whether its host has made it so.
    #[serde(default)]
    pub generation: u64,
    /// When it was destroyed without being expunged: it is kept, off, until it is recovered or its time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed: Option<jiff::Timestamp>,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// A guest's NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nic {
    /// Its id.
    pub id: NicId,
    /// Its network.
    pub network: NetworkId,
    /// Its address, unique in the network.
    pub address: Ipv4Addr,
    /// Its Ethernet address, unique in the network.
    pub mac: MacAddr,
    /// N of its `ethN` in the guest, which stays while the NIC is there.
    pub device: u8,
    /// Further addresses that the guest may give itself; rules may lead to them.
    pub secondary: Vec<SecondaryIp>,
}

impl Nic {
    /// Its own address and its secondary ones.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        std::iter::once(self.address).chain(self.secondary.iter().map(|ip| ip.address))
    }
}

/// A secondary address of a NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondaryIp {
    /// Its id.
    pub id: SecondaryIpId,
    /// The address, unique in the network.
    pub address: Ipv4Addr,
}

/// A NIC as it is stored. Before NICs could come and go, a NIC's place in the list was its device's number.
#[derive(Deserialize)]
struct StoredNic {
    id: NicId,
    network: NetworkId,
    address: Ipv4Addr,
    mac: MacAddr,
    #[serde(default)]
    device: Option<u8>,
    #[serde(default)]
    secondary: Vec<SecondaryIp>,
}

fn nics_by_place<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Nic>, D::Error> {
    let stored = Vec::<StoredNic>::deserialize(deserializer)?;
    let each = stored.into_iter().enumerate().map(|(place, nic)| Nic {
        id: nic.id,
        network: nic.network,
        address: nic.address,
        mac: nic.mac,
        device: nic.device.or(u8::try_from(place).ok()).unwrap_or(u8::MAX),
        secondary: nic.secondary,
    });
    Ok(each.collect())
}

/// What was last observed of a guest; stored under `observed/guest/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestObserved {
    /// Its id.
    pub id: GuestId,
    /// Whether it runs.
    pub running: bool,
    /// The newest [`Guest::generation`] that its host has made so.
    #[serde(default)]
    pub generation: u64,
    /// Why it is not as wanted.
    pub error: Option<String>,
    /// When this was observed.
    pub at: jiff::Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_stored_before_nics_could_come_and_go_has_its_devices_by_place() {
        let id = "5b0a1c2d-0000-4000-8000-000000000001";
        let nic = |last: u8| {
            format!(
                r#"{{"id":"{id}","network":"{id}","address":"10.1.1.{last}","mac":"02:00:00:00:00:0{last}"}}"#
            )
        };
        let old = format!(
            r#"{{"id":"{id}","number":15,"instance_name":"i-2-15-VM","name":"web","display_name":"web","zone":"{id}",
            "account":"{id}","service_offering":"{id}","template":"{id}","host":"{id}","power":"on",
            "nics":[{},{}],"created":"2026-01-01T00:00:00Z"}}"#,
            nic(2),
            nic(3)
        );
        let guest: Guest = serde_json::from_str(&old).unwrap();
        assert_eq!(
            guest.nics.iter().map(|nic| nic.device).collect::<Vec<_>>(),
            [0, 1]
        );
        assert_eq!((guest.generation, guest.destroyed), (0, None));
        let mut swapped = guest;
        swapped.nics.reverse();
        let again: Guest = serde_json::from_str(&serde_json::to_string(&swapped).unwrap()).unwrap();
        assert_eq!(again, swapped, "from then on the device stays the NIC's");
    }
}
