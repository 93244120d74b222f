// SPDX-License-Identifier: Apache-2.0
//! Isolated networks, VPC tiers and the public addresses they hold.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::id::{
    AccountId, GuestId, NetworkId, NetworkOfferingId, NicId, PhysicalNetworkId, PublicIpId, PublicIpRangeId,
    VpcId, ZoneId,
};
use crate::object::Tier;
use crate::{Ipv4Range, Realm};

/// How far a network is meant to exist. `Implementing` and `Shutdown` are what users see while the observed state
/// is still on its way to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkPhase {
    /// Defined, without a router.
    Allocated,
    /// With a router.
    Implemented,
    /// On its way out: router, guests' NICs, addresses and rules go, then the object itself.
    Destroyed,
}

/// The part of a network's subnet from which guests get addresses; the rest is the owner's to give to what Outgate does
/// not know, such as machines beside the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestPart {
    /// CloudStack's IP reservation: the hosts of this smaller subnet (`guestvmcidr`).
    Cidr(Ipv4Net),
    /// These addresses (`startip`, `endip`).
    Range(Ipv4Range),
}

/// What may be chosen for a network beside its subnet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSettings {
    /// The part of the subnet from which guests get addresses; `None` for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guests: Option<GuestPart>,
    /// Resolvers for guests, at most two; empty for the zone's. A tier has its VPC's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Ipv4Addr>,
    /// MTU of the public side in bytes, never above the zone's; `None` for the zone's. A tier has its VPC's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_mtu: Option<u32>,
    /// The physical network that carries it; `None`, as in stores of version 0.1, for the zone's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical_network: Option<PhysicalNetworkId>,
    /// The VLAN that an admin named; its claim is `key::guest_vlan_claim`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Whether clients that ask for what is to be displayed do not see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// `subdomainaccess`, as it was given: written down and shown, every network is its account's alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub subdomain_access: bool,
}

/// An isolated network or a VPC tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its id.
    pub id: NetworkId,
    /// Its number, for names of devices.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// What users read.
    pub display_text: String,
    /// Its zone.
    pub zone: ZoneId,
    /// Its offering.
    pub offering: NetworkOfferingId,
    /// Its owner.
    pub account: AccountId,
    /// The router's address with the network's prefix length: `10.1.1.1/24`.
    pub gateway: Ipv4Net,
    /// The domain that guests get.
    pub domain: String,
    /// MTU of the guest side in bytes.
    pub mtu: u32,
    /// How far it is meant to exist.
    pub phase: NetworkPhase,
    /// Rises by one with each change of anything that the router's spec is made of. Every transaction that changes
    /// such a thing writes the network too, so two of them can never pass each other unseen. A tier's stays: its
    /// VPC's rises.
    pub generation: u64,
    /// What it is as a tier of a VPC; `None` for an isolated network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// What may be chosen beside its subnet.
    #[serde(default)]
    pub settings: NetworkSettings,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// The hosts of a subnet: all but its first and its last address.
fn hosts(net: Ipv4Net) -> (Ipv4Addr, Ipv4Addr) {
    let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
    (
        Ipv4Addr::from_bits(first.saturating_add(1).min(last)),
        Ipv4Addr::from_bits(last.saturating_sub(1).max(first)),
    )
}

impl Network {
    /// The network's subnet: `10.1.1.0/24`.
    pub fn cidr(&self) -> Ipv4Net {
        self.gateway.trunc()
    }

    /// The subnet of which every host can be a guest: the reserved one (`guestvmcidr`) if there is one.
    pub fn guest_cidr(&self) -> Ipv4Net {
        match self.settings.guests {
            Some(GuestPart::Cidr(cidr)) => cidr,
            Some(GuestPart::Range(_)) | None => self.cidr(),
        }
    }

    /// The first and the last address that a guest can have. The router's own may lie between them.
    pub fn guest_addresses(&self) -> (Ipv4Addr, Ipv4Addr) {
        match self.settings.guests {
            Some(GuestPart::Range(range)) => (range.first(), range.last()),
            Some(GuestPart::Cidr(_)) | None => hosts(self.guest_cidr()),
        }
    }

    /// Whether a guest can have this address.
    pub fn is_for_guests(&self, address: Ipv4Addr) -> bool {
        let (first, last) = self.guest_addresses();
        (first..=last).contains(&address) && address != self.gateway.addr()
    }

    /// The parts of the subnet that guests never get, as (first address, last address); none while all of it is theirs.
    pub fn reserved(&self) -> Vec<(Ipv4Addr, Ipv4Addr)> {
        let ((first, last), (lowest, highest)) = (self.guest_addresses(), hosts(self.cidr()));
        let below =
            (lowest < first).then(|| (lowest, Ipv4Addr::from_bits(first.to_bits().saturating_sub(1))));
        let above =
            (last < highest).then(|| (Ipv4Addr::from_bits(last.to_bits().saturating_add(1)), highest));
        below.into_iter().chain(above).collect()
    }

    /// Whose router serves it.
    pub fn realm(&self) -> Realm {
        self.tier
            .as_ref()
            .map_or(Realm::Network(self.id), |tier| Realm::Vpc(tier.vpc))
    }
}

/// Static NAT of a public address to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticNat {
    /// The guest.
    pub guest: GuestId,
    /// Its NIC.
    pub nic: NicId,
    /// The NIC's address.
    pub address: Ipv4Addr,
}

/// An acquired public address. Its claim (`key::ip_claim`) is written and removed in the same transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicIp {
    /// Its id.
    pub id: PublicIpId,
    /// The address.
    pub address: Ipv4Addr,
    /// The range it is from.
    pub range: PublicIpRangeId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner.
    pub account: AccountId,
    /// The isolated network or the tier that uses it.
    pub network: Option<NetworkId>,
    /// The VPC whose router holds it; `network` is set too once a rule leads to a tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<VpcId>,
    /// Whether the guests of the network, or of all tiers, leave through it by default.
    pub source_nat: bool,
    /// Whether they leave through it too, once the ports of the others run short: an additional address of the source NAT
    /// pool. Never together with `source_nat`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub source_nat_pool: bool,
    /// The guest that owns it entirely.
    pub static_nat: Option<StaticNat>,
    /// Whether its account only keeps it (`reserveIpAddress`) and has not acquired it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reserved: bool,
    /// Whether clients that ask for what is to be displayed do not see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// When it was acquired.
    pub created: jiff::Timestamp,
}

impl PublicIp {
    /// Whether guests leave through it, by default or once the others' ports run short.
    pub fn is_source_nat(&self) -> bool {
        self.source_nat || self.source_nat_pool
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(guests: Option<GuestPart>) -> Network {
        let old = r#"{"id":"5b0a9c4e-6ad5-4cd9-93b6-1d2f3c4b5a69","number":1,"name":"a","display_text":"a",
            "zone":"5b0a9c4e-6ad5-4cd9-93b6-1d2f3c4b5a69","offering":"5b0a9c4e-6ad5-4cd9-93b6-1d2f3c4b5a69",
            "account":"5b0a9c4e-6ad5-4cd9-93b6-1d2f3c4b5a69","gateway":"10.1.1.1/24","domain":"a.internal","mtu":1500,
            "phase":"allocated","generation":1,"created":"2026-01-01T00:00:00Z"}"#;
        let mut network: Network = serde_json::from_str(old).unwrap();
        network.settings.guests = guests;
        network
    }

    fn texts(parts: Vec<(Ipv4Addr, Ipv4Addr)>) -> Vec<String> {
        parts
            .iter()
            .map(|(first, last)| format!("{first}-{last}"))
            .collect()
    }

    #[test]
    fn a_network_stored_before_there_were_settings_gives_guests_all_of_its_subnet() {
        let network = network(None);
        assert_eq!(network.settings, NetworkSettings::default());
        assert!(network.is_for_guests("10.1.1.2".parse().unwrap()));
        assert!(network.is_for_guests("10.1.1.254".parse().unwrap()));
        for never in ["10.1.1.0", "10.1.1.1", "10.1.1.255", "10.1.2.2"] {
            assert!(!network.is_for_guests(never.parse().unwrap()), "{never}");
        }
        assert!(network.reserved().is_empty());
    }

    #[test]
    fn what_is_not_for_guests_is_reserved() {
        let cidr = network(Some(GuestPart::Cidr("10.1.1.64/26".parse().unwrap())));
        assert_eq!(cidr.guest_cidr().to_string(), "10.1.1.64/26");
        assert_eq!(
            texts(cidr.reserved()),
            ["10.1.1.1-10.1.1.64", "10.1.1.127-10.1.1.254"]
        );
        let range = Ipv4Range::new("10.1.1.1".parse().unwrap(), "10.1.1.20".parse().unwrap()).unwrap();
        let range = network(Some(GuestPart::Range(range)));
        assert_eq!(texts(range.reserved()), ["10.1.1.21-10.1.1.254"]);
        assert!(range.is_for_guests("10.1.1.20".parse().unwrap()));
        assert!(
            !range.is_for_guests("10.1.1.1".parse().unwrap()),
            "the router's own"
        );
    }
}
