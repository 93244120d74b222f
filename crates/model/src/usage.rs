// SPDX-License-Identifier: Apache-2.0
//! What the store keeps of usage, under `usage/`: bytes by router and month, and since when and until when each object
//! was held. Usage records are computed from these.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Realm;
use crate::id::{AccountId, NetworkId, NetworkOfferingId, RouterId, VpcId, ZoneId};

/// Bytes that came in and bytes that went out.
pub type InOut = [u64; 2];

/// The counters of a router as they were last added up: what is counted beyond them is new. Written in the same
/// transaction as the sum, so nothing is ever added twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The life of the counters that this was read from.
    pub epoch: u64,
    /// By public address.
    pub addresses: BTreeMap<Ipv4Addr, InOut>,
}

/// What one router carried in one month, by day and public address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthBytes {
    /// The router.
    pub router: RouterId,
    /// Its name.
    pub name: String,
    /// What it serves.
    pub realm: Realm,
    /// Its zone.
    pub zone: ZoneId,
    /// Its owner.
    pub account: AccountId,
    /// By day of the month (UTC) and address.
    pub days: BTreeMap<u8, BTreeMap<Ipv4Addr, InOut>>,
}

/// What is held, with CloudStack's number of its usage type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeldKind {
    /// A public address.
    Address,
    /// An isolated network or a tier.
    Network,
    /// A VPC.
    Vpc,
}

impl HeldKind {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Address, Self::Network, Self::Vpc];

    /// Its folder under `usage/held/`.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Network => "network",
            Self::Vpc => "vpc",
        }
    }
}

/// Since when and until when something was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What it is.
    pub kind: HeldKind,
    /// Its id.
    pub id: Uuid,
    /// Its name, or the address.
    pub name: String,
    /// Its owner.
    pub account: AccountId,
    /// Its zone.
    pub zone: ZoneId,
    /// Whether it is a source NAT address.
    #[serde(default)]
    pub source_nat: bool,
    /// The network that it is used for.
    #[serde(default)]
    pub network: Option<NetworkId>,
    /// The VPC that it belongs to.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// The network offering.
    #[serde(default)]
    pub offering: Option<NetworkOfferingId>,
    /// Since when.
    pub from: jiff::Timestamp,
    /// Until when; `None` while it is held.
    #[serde(default)]
    pub until: Option<jiff::Timestamp>,
}
