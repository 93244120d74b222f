// SPDX-License-Identifier: Apache-2.0
//! Load balancer rules, their members and policies.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::id::{
    GuestId, HealthCheckPolicyId, LoadBalancerRuleId, NetworkId, PublicIpId, StickinessPolicyId,
};
use outgate_model::router_spec::load_balancer::{LbAlgorithm, LbProtocol};

/// `createLoadBalancerRule`. One of `public_ip` and `network` is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateLoadBalancer {
    /// `name`.
    pub name: String,
    /// `description`.
    pub description: String,
    /// `publicipid`; the network's source NAT address when left out.
    pub public_ip: Option<PublicIpId>,
    /// `networkid`: for an address that has no network yet; otherwise it must be the address's.
    pub network: Option<NetworkId>,
    /// `publicport`.
    pub public_port: u16,
    /// `privateport`.
    pub private_port: u16,
    /// `algorithm`.
    pub algorithm: LbAlgorithm,
    /// `protocol`, tcp when left out.
    pub protocol: LbProtocol,
    /// `cidrlist`: sources that may connect; empty for everywhere.
    pub sources: Vec<Ipv4Net>,
    /// `openfirewall` (true when left out, outside a VPC): whether a firewall rule for the port is made too.
    pub open_firewall: Option<bool>,
}

/// `updateLoadBalancerRule`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateLoadBalancer {
    /// `id`.
    pub id: LoadBalancerRuleId,
    /// `name`.
    pub name: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `algorithm`.
    pub algorithm: Option<LbAlgorithm>,
    /// `protocol`.
    pub protocol: Option<LbProtocol>,
    /// `cidrlist`.
    pub sources: Option<Vec<Ipv4Net>>,
}

/// `deleteLoadBalancerRule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteLoadBalancer {
    /// `id`.
    pub id: LoadBalancerRuleId,
}

/// `assignToLoadBalancerRule` and `removeFromLoadBalancerRule`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeMembers {
    /// `id`.
    pub id: LoadBalancerRuleId,
    /// `virtualmachineids` (without an address: the guest's own, or all of its members) and `vmidipmap`.
    pub members: Vec<(GuestId, Option<Ipv4Addr>)>,
}

/// `createLBStickinessPolicy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateStickiness {
    /// `lbruleid`.
    pub rule: LoadBalancerRuleId,
    /// `name`.
    pub name: String,
    /// `description`.
    pub description: String,
    /// `methodname`: LbCookie, AppCookie or SourceBased, in any case.
    pub method: String,
    /// `param`: values by names.
    pub params: BTreeMap<String, String>,
}

/// `updateLBStickinessPolicy`: CloudStack lets nothing be changed but `customid` and `fordisplay`, which mean nothing
/// here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateStickiness {
    /// `id`.
    pub id: StickinessPolicyId,
}

/// `deleteLBStickinessPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteStickiness {
    /// `id`.
    pub id: StickinessPolicyId,
}

/// `createLBHealthCheckPolicy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateHealthCheck {
    /// `lbruleid`.
    pub rule: LoadBalancerRuleId,
    /// `description`.
    pub description: String,
    /// `pingpath`, `/` when left out.
    pub ping_path: Option<String>,
    /// `intervaltime` in seconds, 5 when left out.
    pub interval_secs: Option<u32>,
    /// `responsetimeout` in seconds, 2 when left out.
    pub timeout_secs: Option<u32>,
    /// `healthythreshold`, 2 when left out.
    pub healthy: Option<u8>,
    /// `unhealthythreshold`, 2 when left out.
    pub unhealthy: Option<u8>,
}

/// `updateLBHealthCheckPolicy`: CloudStack lets nothing be changed but `customid` and `fordisplay`, which mean nothing
/// here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateHealthCheck {
    /// `id`.
    pub id: HealthCheckPolicyId,
}

/// `deleteLBHealthCheckPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteHealthCheck {
    /// `id`.
    pub id: HealthCheckPolicyId,
}
