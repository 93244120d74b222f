// SPDX-License-Identifier: Apache-2.0
//! Isolated networks, VPC tiers and the public addresses they hold.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::Realm;
use crate::id::{
    AccountId, GuestId, NetworkId, NetworkOfferingId, NicId, PublicIpId, PublicIpRangeId, VpcId, ZoneId,
};
use crate::object::Tier;

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
    /// When it was made.
    pub created: jiff::Timestamp,
}

impl Network {
    /// The network's subnet: `10.1.1.0/24`.
    pub fn cidr(&self) -> Ipv4Net {
        self.gateway.trunc()
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
    /// Whether the guests of the network, or of all tiers, leave through it.
    pub source_nat: bool,
    /// The guest that owns it entirely.
    pub static_nat: Option<StaticNat>,
    /// When it was acquired.
    pub created: jiff::Timestamp,
}
