// SPDX-License-Identifier: Apache-2.0
//! What commands about NICs of guests are asked.

use std::net::Ipv4Addr;

use outgate_model::MacAddr;
use outgate_model::id::{GuestId, NetworkId, NicId, SecondaryIpId};

/// One NIC that a new guest gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedNic {
    /// One of `networkids` or `iptonetworklist[i].networkid`.
    pub network: NetworkId,
    /// `ipaddress` (of the first NIC) or `iptonetworklist[i].ip`; a free one when left out.
    pub address: Option<Ipv4Addr>,
    /// `macaddress` (of the first NIC) or `iptonetworklist[i].mac`; made up when left out.
    pub mac: Option<MacAddr>,
}

impl WantedNic {
    /// A NIC on this network with whatever is free.
    pub fn on(network: NetworkId) -> Self {
        Self {
            network,
            address: None,
            mac: None,
        }
    }

    /// The same with this address.
    #[must_use]
    pub fn at(self, address: Ipv4Addr) -> Self {
        Self {
            address: Some(address),
            ..self
        }
    }
}

/// `addNicToVirtualMachine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddNic {
    /// `virtualmachineid`.
    pub guest: GuestId,
    /// `networkid`, `ipaddress` and `macaddress`.
    pub nic: WantedNic,
}

/// `removeNicFromVirtualMachine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveNic {
    /// `virtualmachineid`.
    pub guest: GuestId,
    /// `nicid`.
    pub nic: NicId,
}

/// `updateDefaultNicForVirtualMachine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateDefaultNic {
    /// `virtualmachineid`.
    pub guest: GuestId,
    /// `nicid`.
    pub nic: NicId,
}

/// `updateVmNicIp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateNicIp {
    /// `nicid`.
    pub nic: NicId,
    /// `ipaddress`; a free one when left out.
    pub address: Option<Ipv4Addr>,
}

/// `addIpToNic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddIpToNic {
    /// `nicid`.
    pub nic: NicId,
    /// `ipaddress`; a free one when left out.
    pub address: Option<Ipv4Addr>,
}

/// `removeIpFromNic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveIpFromNic {
    /// `id`: of the secondary address.
    pub id: SecondaryIpId,
}
