// SPDX-License-Identifier: Apache-2.0
//! The desired state of one guest (a VM with one NIC on each of its networks).

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::MacAddr;
use crate::id::{GuestId, NetworkId, NicId};

/// What a host must run for a guest. Its addresses come from the router by DHCP, not from here. NICs come to and go
/// from a running guest without its being restarted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestSpec {
    /// The guest's id.
    pub id: GuestId,
    /// The instance name: `i-2-15-VM`.
    pub instance_name: String,
    /// The host name it asks for.
    pub hostname: String,
    /// Its NICs, the default one first: its router is the guest's default gateway and resolver.
    pub nics: Vec<GuestNic>,
}

/// One NIC of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestNic {
    /// The NIC's id.
    pub id: NicId,
    /// Which network it is plugged into.
    pub network: NetworkId,
    /// N of its `ethN`.
    pub device: u8,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// The address that the router will lease to it, so that the host knows when it has it.
    pub address: Ipv4Addr,
    /// MTU in bytes.
    pub mtu: u32,
}

impl GuestNic {
    /// Its interface's name in the guest: `eth0`.
    pub fn interface(&self) -> String {
        format!("eth{}", self.device)
    }

    /// Whether a running guest can go on with this one's cable and lease where `other` is wanted. The MTU follows by
    /// itself.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.id, self.network, self.device, self.mac, self.address)
            == (other.id, other.network, other.device, other.mac, other.address)
    }
}
