// SPDX-License-Identifier: Apache-2.0
//! Network offerings: what a network made from one can do.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{DomainId, NetworkOfferingId, ZoneId};
use crate::router_spec::EgressPolicy;

/// What a virtual router does for a network, in CloudStack's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Service {
    /// Guests get their addresses from the router.
    Dhcp,
    /// Guests resolve names through the router.
    Dns,
    /// Firewall and egress rules.
    Firewall,
    /// Load balancing.
    Lb,
    /// Network ACLs; only tiers of VPCs have them.
    #[serde(rename = "NetworkACL")]
    NetworkAcl,
    /// Port forwarding.
    PortForwarding,
    /// Guests leave through a public address.
    SourceNat,
    /// Public addresses that belong entirely to a guest.
    StaticNat,
    /// User data of guests. An offering may list it, as CloudStack's do; Outgate's guests read none.
    UserData,
    /// Remote access. An offering may list it, as CloudStack's do; Outgate has no commands for it.
    Vpn,
}

impl Service {
    /// Every service, in the order of their names.
    pub const ALL: [Self; 10] = [
        Self::Dhcp,
        Self::Dns,
        Self::Firewall,
        Self::Lb,
        Self::NetworkAcl,
        Self::PortForwarding,
        Self::SourceNat,
        Self::StaticNat,
        Self::UserData,
        Self::Vpn,
    ];

    /// Its name in the API: `SourceNat`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dhcp => "Dhcp",
            Self::Dns => "Dns",
            Self::Firewall => "Firewall",
            Self::Lb => "Lb",
            Self::NetworkAcl => "NetworkACL",
            Self::PortForwarding => "PortForwarding",
            Self::SourceNat => "SourceNat",
            Self::StaticNat => "StaticNat",
            Self::UserData => "UserData",
            Self::Vpn => "Vpn",
        }
    }

    /// The service of this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        Self::ALL
            .into_iter()
            .find(|service| service.name().eq_ignore_ascii_case(name))
    }

    /// What the built-in offering of isolated networks has.
    pub fn of_isolated() -> BTreeSet<Self> {
        [
            Self::Dhcp,
            Self::Dns,
            Self::Firewall,
            Self::Lb,
            Self::PortForwarding,
            Self::SourceNat,
            Self::StaticNat,
        ]
        .into()
    }

    /// What the built-in offering of VPC tiers has.
    pub fn of_tier() -> BTreeSet<Self> {
        [
            Self::Dhcp,
            Self::Dns,
            Self::Lb,
            Self::NetworkAcl,
            Self::PortForwarding,
            Self::SourceNat,
            Self::StaticNat,
        ]
        .into()
    }
}

/// Whether networks can be made from an offering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OfferingState {
    /// They can.
    #[default]
    Enabled,
    /// They cannot; those there are go on.
    Disabled,
    /// As `Disabled`: what CloudStack calls an offering that is being retired.
    Inactive,
}

impl OfferingState {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::Inactive => "Inactive",
        }
    }
}

/// A network offering: what a network made from it can do. Every one is of guest type Isolated: a Shared network has
/// no virtual router that could do source NAT for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkOffering {
    /// Its id.
    pub id: NetworkOfferingId,
    /// Its name: `DefaultIsolatedNetworkOfferingWithSourceNatService`.
    pub name: String,
    /// What users read.
    pub display_text: String,
    /// What happens to outbound packets that no egress rule matches. Tiers have ACLs instead.
    pub egress_default: EgressPolicy,
    /// Whether networks of it are implemented at once and keep their router without guests.
    pub persistent: bool,
    /// Whether one public address may serve several purposes.
    pub conserve_mode: bool,
    /// Whether it is CloudStack's default one, which cannot be deleted.
    pub default: bool,
    /// Whether networks can be made from it.
    #[serde(default)]
    pub state: OfferingState,
    /// What its networks can do.
    #[serde(default = "Service::of_isolated")]
    pub services: BTreeSet<Service>,
    /// Whether its networks are tiers of VPCs.
    #[serde(default)]
    pub for_vpc: bool,
    /// Whether its networks have two routers.
    #[serde(default)]
    pub redundant: bool,
    /// Whether whoever makes a network may name its VLAN.
    #[serde(default)]
    pub specify_vlan: bool,
    /// Whether its `availability` is Required; `None`, as in stores of version 0.1: exactly when it is `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Most connections at once that load balancing of its networks takes. Written down and shown: a router takes 8,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Mbit/s of a network; `None` for no limit. Written down and shown, not enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_rate: Option<u32>,
    /// Tags of physical networks, joined by commas; empty for any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tags: String,
    /// The domains whose accounts may use it; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainId>,
    /// The zones where it may be used; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<ZoneId>,
    /// Its place in lists, lowest first; offerings of one place in the order in which they were made.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sort_key: i32,
    /// `details`, as they were given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    /// When it was made.
    pub created: jiff::Timestamp,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde gives what is to be skipped by reference"
)]
fn is_zero(value: &i32) -> bool {
    *value == 0
}

impl NetworkOffering {
    /// Whether its networks have `service`.
    pub fn has(&self, service: Service) -> bool {
        self.services.contains(&service)
    }

    /// Whether its `availability` is Required.
    pub fn is_required(&self) -> bool {
        self.required.unwrap_or(self.default)
    }

    /// Who provides its services: `VirtualRouter`, or `VpcVirtualRouter` for tiers.
    pub fn provider(&self) -> &'static str {
        if self.for_vpc {
            "VpcVirtualRouter"
        } else {
            "VirtualRouter"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_the_names_that_the_api_uses() {
        for service in Service::ALL {
            assert_eq!(Service::parse(&service.name().to_uppercase()), Some(service));
            let text = serde_json::to_string(&service).unwrap();
            assert_eq!(text, format!("\"{}\"", service.name()));
        }
        assert_eq!(Service::parse("SecurityGroup"), None);
    }

    #[test]
    fn an_offering_of_the_last_version_is_an_enabled_one_for_isolated_networks() {
        let old = r#"{"id":"5b0a9c4e-6ad5-4cd9-93b6-1d2f3c4b5a69","name":"a","display_text":"a","egress_default":"deny",
            "persistent":false,"conserve_mode":true,"default":true,"created":"2026-01-01T00:00:00Z"}"#;
        let offering: NetworkOffering = serde_json::from_str(old).unwrap();
        assert_eq!(offering.services, Service::of_isolated());
        assert!(offering.is_required() && !offering.for_vpc);
        assert_eq!(offering.state, OfferingState::Enabled);
    }
}
