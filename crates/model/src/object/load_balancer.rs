// SPDX-License-Identifier: Apache-2.0
//! Load balancer rules with their members and policies, and legacy IP forwarding rules.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::id::{
    AccountId, FirewallRuleId, GuestId, HealthCheckPolicyId, IpForwardingRuleId, LoadBalancerRuleId,
    NetworkId, NicId, PublicIpId, StickinessPolicyId,
};
use crate::router_spec::load_balancer::{HealthCheck, LbAlgorithm, LbProtocol, Stickiness};
use crate::{PortRange, Protocol};

/// A load balancer rule: connections to a port of a public address are spread over guests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancerRule {
    /// Its id.
    pub id: LoadBalancerRuleId,
    /// Its name.
    pub name: String,
    /// What users read; empty for none.
    pub description: String,
    /// The isolated network or the tier that its members are on.
    pub network: NetworkId,
    /// Its owner.
    pub account: AccountId,
    /// The public address.
    pub public_ip: PublicIpId,
    /// The port of the public address.
    pub public_port: u16,
    /// The members' port.
    pub private_port: u16,
    /// How a member is chosen.
    pub algorithm: LbAlgorithm,
    /// What members are spoken to in.
    pub protocol: LbProtocol,
    /// Which sources may connect, in the caller's order; never empty.
    pub sources: Vec<Ipv4Net>,
    /// The guests, in the order they were assigned; each address once.
    pub members: Vec<LbMember>,
    /// How a client stays with its member.
    pub stickiness: Option<StickinessPolicy>,
    /// How it is found out whether a member serves.
    pub health_check: Option<HealthCheckPolicy>,
    /// The firewall rule that `openfirewall` made for it, removed together with it.
    pub opened: Option<FirewallRuleId>,
    /// Bumped together with the network's: the generation that brought it.
    pub since: u64,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// A guest of a load balancer rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LbMember {
    /// The guest.
    pub guest: GuestId,
    /// Its NIC.
    pub nic: NicId,
    /// The NIC's address, or one of its secondary ones.
    pub address: Ipv4Addr,
}

/// How a client stays with its member. A rule has at most one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickinessPolicy {
    /// Its id.
    pub id: StickinessPolicyId,
    /// Its name.
    pub name: String,
    /// What users read; empty for none.
    pub description: String,
    /// The parameters as they were given.
    pub params: BTreeMap<String, String>,
    /// What they mean.
    pub method: Stickiness,
}

/// How it is found out whether a member serves. A rule has at most one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheckPolicy {
    /// Its id.
    pub id: HealthCheckPolicyId,
    /// What users read; empty for none.
    pub description: String,
    /// What it does.
    pub check: HealthCheck,
}

/// A legacy IP forwarding rule: lets ports of a static NAT address through to its guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpForwardingRule {
    /// Its id.
    pub id: IpForwardingRuleId,
    /// Its network.
    pub network: NetworkId,
    /// Its owner.
    pub account: AccountId,
    /// The address, which has static NAT.
    pub public_ip: PublicIpId,
    /// The guest that owns the address.
    pub guest: GuestId,
    /// The guest's address.
    pub guest_address: Ipv4Addr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The ports, the same outside and inside.
    pub ports: PortRange,
    /// The firewall rule that `openfirewall` made for it, removed together with it.
    pub opened: Option<FirewallRuleId>,
    /// Bumped together with the network's: the generation that brought it.
    pub since: u64,
    /// When it was made.
    pub created: jiff::Timestamp,
}
