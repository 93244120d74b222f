// SPDX-License-Identifier: Apache-2.0
//! Guests and their NICs.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::MacAddr;
use crate::id::{AccountId, GuestId, HostId, NetworkId, NicId, ServiceOfferingId, TemplateId, ZoneId};

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
    pub nics: Vec<Nic>,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// A guest's NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Its id.
    pub id: NicId,
    /// Its network.
    pub network: NetworkId,
    /// Its address, unique in the network.
    pub address: Ipv4Addr,
    /// Its Ethernet address.
    pub mac: MacAddr,
}

/// What was last observed of a guest; stored under `observed/guest/<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestObserved {
    /// Its id.
    pub id: GuestId,
    /// Whether it runs.
    pub running: bool,
    /// Why it is not as wanted.
    pub error: Option<String>,
    /// When this was observed.
    pub at: jiff::Timestamp,
}
