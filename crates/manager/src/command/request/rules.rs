// SPDX-License-Identifier: Apache-2.0
//! Updates of rules, and legacy IP forwarding rules.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::id::{FirewallRuleId, GuestId, IpForwardingRuleId, PortForwardingRuleId, PublicIpId};
use outgate_model::{PortRange, Protocol};

/// `updatePortForwardingRule`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatePortForwarding {
    /// `id`.
    pub id: PortForwardingRuleId,
    /// `privateport`: the ports keep their number unless `private_end` says another, which must fit.
    pub private_port: Option<u16>,
    /// `privateendport`.
    pub private_end: Option<u16>,
    /// `virtualmachineid`.
    pub guest: Option<GuestId>,
    /// `vmguestip`.
    pub guest_address: Option<Ipv4Addr>,
    /// `cidrlist`: sources of the firewall rule that was opened with it.
    pub sources: Option<Vec<Ipv4Net>>,
}

/// `updateFirewallRule`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateFirewallRule {
    /// `id`.
    pub id: FirewallRuleId,
    /// `cidrlist`, which CloudStack's command lacks.
    pub sources: Option<Vec<Ipv4Net>>,
}

/// `updateEgressFirewallRule`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateEgressRule {
    /// `id`.
    pub id: FirewallRuleId,
    /// `cidrlist`, which CloudStack's command lacks.
    pub sources: Option<Vec<Ipv4Net>>,
    /// `destcidrlist`, which CloudStack's command lacks.
    pub destinations: Option<Vec<Ipv4Net>>,
}

/// `createIpForwardingRule`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateIpForwarding {
    /// `ipaddressid`: an address with static NAT.
    pub public_ip: PublicIpId,
    /// `protocol`.
    pub protocol: Protocol,
    /// `startport` to `endport`.
    pub ports: PortRange,
    /// `openfirewall` (true when left out): whether a firewall rule for the ports is made too.
    pub open_firewall: bool,
    /// `cidrlist`: the sources of that firewall rule; empty for everywhere.
    pub sources: Vec<Ipv4Net>,
}

/// `deleteIpForwardingRule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteIpForwarding {
    /// `id`.
    pub id: IpForwardingRuleId,
}
