// SPDX-License-Identifier: Apache-2.0
//! Requests about addresses before and beside their use.

use std::net::Ipv4Addr;

use outgate_model::id::{AccountId, NetworkId, PublicIpId, VpcId};

/// `reserveIpAddress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReserveIp {
    /// `id`: a free address's.
    pub id: PublicIpId,
    /// `account` + `domainid`: for whom, the caller's account when left out.
    pub owner: Option<AccountId>,
    /// `fordisplay`.
    pub display: Option<bool>,
}

/// `releaseIpAddress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseIp {
    /// `id`.
    pub id: PublicIpId,
}

/// `updateIpAddress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateIp {
    /// `id`.
    pub id: PublicIpId,
    /// `fordisplay`; `None` stays.
    pub display: Option<bool>,
}

/// `addSourceNatAddress`. One of `network` and `vpc` is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddSourceNat {
    /// `networkid`: the isolated network.
    pub network: Option<NetworkId>,
    /// `vpcid`: the VPC.
    pub vpc: Option<VpcId>,
    /// Which address; any free one when left out.
    pub address: Option<WantedAddress>,
}

/// An address that a caller names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedAddress {
    /// `ipaddressid`: one that was acquired.
    Id(PublicIpId),
    /// `ipaddress`: one that was acquired, or a free one.
    Address(Ipv4Addr),
}

/// `removeSourceNatAddress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveSourceNat {
    /// `ipaddressid`.
    pub id: PublicIpId,
}
