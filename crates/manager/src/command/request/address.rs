// SPDX-License-Identifier: Apache-2.0
//! Requests about addresses before and beside their use.

use outgate_model::id::{AccountId, PublicIpId};

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
