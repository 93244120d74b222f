// SPDX-License-Identifier: Apache-2.0
//! Requests about network ACLs.

use ipnet::Ipv4Net;
use outgate_model::id::{NetworkAclItemId, NetworkAclListId, NetworkId, PrivateGatewayId, VpcId};
use outgate_model::router_spec::{AclAction, AclDirection};
use outgate_model::{Match, Protocol};

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

/// The protocol that a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedProtocol {
    /// `all`.
    All,
    /// `tcp` or `udp`.
    Ports(Protocol),
    /// `icmp`.
    Icmp,
    /// Another one, by its number.
    Number(u8),
}

/// What of an item's match is changed. What is `None` stays as it is; ports, or ICMP type and code, go when the new
/// protocol has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MatchChange {
    /// `protocol`.
    pub protocol: Option<NamedProtocol>,
    /// `startport`.
    pub start: Option<u16>,
    /// `endport`.
    pub end: Option<u16>,
    /// `icmptype`; the inner `None` for any.
    pub icmp_type: Option<Option<u8>>,
    /// `icmpcode`; the inner `None` for any.
    pub icmp_code: Option<Option<u8>>,
}

impl From<Match> for MatchChange {
    /// The change that makes every match this one.
    fn from(whole: Match) -> Self {
        match whole {
            Match::All => Self {
                protocol: Some(NamedProtocol::All),
                ..Self::default()
            },
            Match::Number { number } => Self {
                protocol: Some(NamedProtocol::Number(number)),
                ..Self::default()
            },
            Match::Ports { protocol, ports } => Self {
                protocol: Some(NamedProtocol::Ports(protocol)),
                start: Some(ports.first()),
                end: Some(ports.last()),
                ..Self::default()
            },
            Match::Icmp { icmp } => Self {
                protocol: Some(NamedProtocol::Icmp),
                icmp_type: Some(icmp.kind),
                icmp_code: Some(icmp.code),
                ..Self::default()
            },
        }
    }
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
    /// Which packets: what is left out stays as it is.
    pub matches: MatchChange,
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
