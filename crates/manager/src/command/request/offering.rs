// SPDX-License-Identifier: Apache-2.0
//! Requests about network offerings.

use std::collections::{BTreeMap, BTreeSet};

use outgate_model::id::{DomainId, NetworkOfferingId, ZoneId};
use outgate_model::object::{OfferingState, Service};

/// `createNetworkOffering`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateNetworkOffering {
    /// `name`, unique among network offerings.
    pub name: String,
    /// `displaytext`.
    pub display_text: String,
    /// `supportedservices`.
    pub services: BTreeSet<Service>,
    /// `forvpc`.
    pub for_vpc: bool,
    /// `egressdefaultpolicy`: whether outbound packets pass that no egress rule matches.
    pub egress_allowed: bool,
    /// `ispersistent`.
    pub persistent: bool,
    /// `conservemode`.
    pub conserve_mode: bool,
    /// `enable`.
    pub enable: bool,
    /// `specifyvlan`.
    pub specify_vlan: bool,
    /// `servicecapabilitylist`: capability `RedundantRouter` of service `SourceNat`.
    pub redundant: bool,
    /// `availability`: whether it is Required.
    pub required: bool,
    /// `maxconnections`.
    pub max_connections: Option<u32>,
    /// `networkrate` in Mbit/s.
    pub network_rate: Option<u32>,
    /// `tags`.
    pub tags: String,
    /// `domainid`; empty for all.
    pub domains: Vec<DomainId>,
    /// `zoneid`; empty for all.
    pub zones: Vec<ZoneId>,
    /// `details`.
    pub details: BTreeMap<String, String>,
}

/// `updateNetworkOffering`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateNetworkOffering {
    /// `id`.
    pub id: NetworkOfferingId,
    /// `name`.
    pub name: Option<String>,
    /// `displaytext`.
    pub display_text: Option<String>,
    /// `state`.
    pub state: Option<OfferingState>,
    /// `availability`: whether it is Required.
    pub required: Option<bool>,
    /// `maxconnections`.
    pub max_connections: Option<u32>,
    /// `tags`.
    pub tags: Option<String>,
    /// `sortkey`.
    pub sort_key: Option<i32>,
    /// `domainid`; empty for all.
    pub domains: Option<Vec<DomainId>>,
    /// `zoneid`; empty for all.
    pub zones: Option<Vec<ZoneId>>,
}

impl UpdateNetworkOffering {
    /// An update that changes nothing yet.
    pub fn of(id: NetworkOfferingId) -> Self {
        Self {
            id,
            name: None,
            display_text: None,
            state: None,
            required: None,
            max_connections: None,
            tags: None,
            sort_key: None,
            domains: None,
            zones: None,
        }
    }
}

/// `deleteNetworkOffering`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteNetworkOffering {
    /// `id`.
    pub id: NetworkOfferingId,
}
