// SPDX-License-Identifier: Apache-2.0
//! The desired state of one guest (a VM with one NIC on each of its networks).

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::MacAddr;
use crate::id::{GuestId, NetworkId, NicId};

/// What a host must run for a guest. Its addresses come from the router by DHCP, not from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestSpec {
    /// The guest's id.
    pub id: GuestId,
    /// The instance name: `i-2-15-VM`.
    pub instance_name: String,
    /// The host name it asks for.
    pub hostname: String,
    /// Its NICs, eth0 first.
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
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// The address the router will lease to it, for messages.
    pub address: Ipv4Addr,
    /// MTU in bytes.
    pub mtu: u32,
}
