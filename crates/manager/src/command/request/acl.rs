// SPDX-License-Identifier: Apache-2.0
//! Requests about network ACLs.

use ipnet::Ipv4Net;
use outgate_model::Match;
use outgate_model::id::{NetworkAclItemId, NetworkAclListId, NetworkId, PrivateGatewayId, VpcId};
use outgate_model::router_spec::{AclAction, AclDirection};

/// `createNetworkACLList`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAclList {
    /// `name`.
    pub name: String,
    /// `description`; the name when left out.
    pub description: Option<String>,
    /// `vpcid`.
    pub vpc: VpcId,
}

/// `updateNetworkACLList`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateAclList {
    /// `id`.
    pub id: NetworkAclListId,
    /// `name`.
    pub name: Option<String>,
    /// `description`.
    pub description: Option<String>,
}

/// `deleteNetworkACLList`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteAclList {
    /// `id`.
    pub id: NetworkAclListId,
}

/// What gets another ACL list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclUser {
    /// `networkid`: a tier.
    Tier(NetworkId),
    /// `gatewayid`: a private gateway.
    Gateway(PrivateGatewayId),
}

/// `replaceNetworkACLList`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplaceAclList {
    /// `aclid`.
    pub list: NetworkAclListId,
    /// `networkid` or `gatewayid`.
    pub user: AclUser,
}

/// `createNetworkACL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAclItem {
    /// `aclid`.
    pub list: Option<NetworkAclListId>,
    /// `networkid`: the tier whose list it is, when there is no `aclid`.
    pub network: Option<NetworkId>,
    /// `number`; one more than the highest when left out.
    pub number: Option<u16>,
    /// `traffictype`.
    pub direction: AclDirection,
    /// `action`.
    pub action: AclAction,
    /// `protocol` with ports or ICMP type and code.
    pub matches: Match,
    /// `cidrlist`; empty for everywhere.
    pub cidrs: Vec<Ipv4Net>,
    /// `reason`.
    pub reason: String,
}

/// `updateNetworkACLItem`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateAclItem {
    /// `id`.
    pub id: NetworkAclItemId,
    /// `number`.
    pub number: Option<u16>,
    /// `traffictype`.
    pub direction: Option<AclDirection>,
    /// `action`.
    pub action: Option<AclAction>,
    /// `protocol` with ports or ICMP type and code.
    pub matches: Option<Match>,
    /// `cidrlist`; an empty list is everywhere.
    pub cidrs: Option<Vec<Ipv4Net>>,
    /// `reason`.
    pub reason: Option<String>,
}

/// `moveNetworkAclItem`: between two neighbours, to the top (no `previous`) or to the end (no `next`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveAclItem {
    /// `id`.
    pub id: NetworkAclItemId,
    /// `previousaclruleid`.
    pub previous: Option<NetworkAclItemId>,
    /// `nextaclruleid`.
    pub next: Option<NetworkAclItemId>,
}

/// `deleteNetworkACL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteAclItem {
    /// `id`.
    pub id: NetworkAclItemId,
}
