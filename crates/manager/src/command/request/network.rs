// SPDX-License-Identifier: Apache-2.0
//! Requests about networks.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::id::{AccountId, NetworkId, NetworkOfferingId, PhysicalNetworkId, ZoneId};

/// What `createNetwork` and `updateNetwork` may choose beside the subnet. What is `None` is the zone's, or stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChosenSettings {
    /// `dns1`.
    pub dns1: Option<Ipv4Addr>,
    /// `dns2`; needs a first one.
    pub dns2: Option<Ipv4Addr>,
    /// `publicmtu`.
    pub public_mtu: Option<u32>,
    /// `privatemtu`.
    pub private_mtu: Option<u32>,
    /// `displaynetwork`.
    pub display: Option<bool>,
}

/// `createNetwork`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateNetwork {
    /// `name`.
    pub name: String,
    /// `displaytext`; the name when left out.
    pub display_text: Option<String>,
    /// `networkofferingid`.
    pub offering: NetworkOfferingId,
    /// `zoneid`.
    pub zone: ZoneId,
    /// `gateway`: the router's address. Without it and `netmask` the zone's guest CIDR is taken.
    pub gateway: Option<Ipv4Addr>,
    /// `netmask`: given exactly when `gateway` is.
    pub netmask: Option<Ipv4Addr>,
    /// `networkdomain`; the zone's when left out.
    pub domain: Option<String>,
    /// `startip`: the first address that guests get.
    pub start_ip: Option<Ipv4Addr>,
    /// `endip`: the last address that guests get; `startip` when left out.
    pub end_ip: Option<Ipv4Addr>,
    /// `sourcenatipaddress`: a free public address that becomes the network's source NAT address.
    pub source_nat_address: Option<Ipv4Addr>,
    /// `account` + `domainid`: for whom, the caller's account when left out. Only admins may name another one.
    pub owner: Option<AccountId>,
    /// `physicalnetworkid`; one that the offering's tags allow when left out.
    pub physical_network: Option<PhysicalNetworkId>,
    /// `vlan`: given exactly when the offering wants it named (`specifyvlan`).
    pub vlan: Option<u16>,
    /// `bypassvlanoverlapcheck`: whether `vlan` may be one of those that networks are given without being asked.
    pub any_vlan: bool,
    /// `subdomainaccess`.
    pub subdomain_access: bool,
    /// MTUs, resolvers and the like.
    pub settings: ChosenSettings,
}

impl CreateNetwork {
    /// A network with nothing chosen.
    pub fn new(name: impl Into<String>, offering: NetworkOfferingId, zone: ZoneId) -> Self {
        Self {
            name: name.into(),
            display_text: None,
            offering,
            zone,
            gateway: None,
            netmask: None,
            domain: None,
            start_ip: None,
            end_ip: None,
            source_nat_address: None,
            owner: None,
            physical_network: None,
            vlan: None,
            any_vlan: false,
            subdomain_access: false,
            settings: ChosenSettings::default(),
        }
    }
}

/// `updateNetwork`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateNetwork {
    /// `id`.
    pub id: NetworkId,
    /// `name`.
    pub name: Option<String>,
    /// `displaytext`.
    pub display_text: Option<String>,
    /// `networkdomain`.
    pub domain: Option<String>,
    /// `sourcenatipaddress`: an address of this network without static NAT and rules, or a free one of its zone.
    pub source_nat_address: Option<Ipv4Addr>,
    /// `networkofferingid`: the network changes to it while it runs.
    pub offering: Option<NetworkOfferingId>,
    /// `forced`: whether rules go that the new offering has no service for.
    pub forced: bool,
    /// `guestvmcidr`: guests get addresses of this part of the network only; all of the network lifts that.
    pub guest_cidr: Option<Ipv4Net>,
    /// MTUs, resolvers and the like.
    pub settings: ChosenSettings,
}

impl UpdateNetwork {
    /// An update that changes nothing yet.
    pub fn of(id: NetworkId) -> Self {
        Self {
            id,
            name: None,
            display_text: None,
            domain: None,
            source_nat_address: None,
            offering: None,
            forced: false,
            guest_cidr: None,
            settings: ChosenSettings::default(),
        }
    }
}

/// `hardenNetwork`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HardenNetwork {
    /// `id`.
    pub id: NetworkId,
    /// `networkofferingid`: what the network changes to if its own allows egress by default; the default one when left
    /// out.
    pub offering: Option<NetworkOfferingId>,
}

/// `restartNetwork`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartNetwork {
    /// `id`.
    pub id: NetworkId,
    /// `cleanup`: whether the router is replaced by a fresh one.
    pub cleanup: bool,
}

/// `deleteNetwork`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteNetwork {
    /// `id`.
    pub id: NetworkId,
    /// `forced`: whether guests that are still on it are destroyed too.
    pub forced: bool,
}
