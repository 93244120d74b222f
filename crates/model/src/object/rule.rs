// SPDX-License-Identifier: Apache-2.0
//! Firewall, egress and port forwarding rules.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::id::{AccountId, FirewallRuleId, GuestId, NetworkId, NicId, PortForwardingRuleId, PublicIpId};
use crate::{Match, PortRange, Protocol};

/// What users see of a rule's progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleState {
    /// In the kernel. Also said of a rule whose change is on its way: its job tells.
    Active,
    /// Not yet in the kernel.
    Add,
}

/// Which way a firewall rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "direction")]
pub enum Direction {
    /// From outside to this public address.
    Ingress {
        /// The address.
        public_ip: PublicIpId,
    },
    /// From the network's guests to the outside.
    Egress,
}

/// A firewall rule (ingress) or an egress rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// Its id.
    pub id: FirewallRuleId,
    /// Its network.
    pub network: NetworkId,
    /// Its owner.
    pub account: AccountId,
    /// Which way it looks.
    #[serde(flatten)]
    pub direction: Direction,
    /// Which packets.
    #[serde(rename = "match")]
    pub matches: Match,
    /// Source CIDRs in the caller's order; never empty.
    pub sources: Vec<Ipv4Net>,
    /// Destination CIDRs in the caller's order; only egress rules have any.
    pub destinations: Vec<Ipv4Net>,
    /// Bumped together with the network's: the generation that brought it.
    pub since: u64,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// A port forwarding rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortForwardingRule {
    /// Its id.
    pub id: PortForwardingRuleId,
    /// Its network.
    pub network: NetworkId,
    /// Its owner.
    pub account: AccountId,
    /// The public address.
    pub public_ip: PublicIpId,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Ports of the public address.
    pub public_ports: PortRange,
    /// Ports of the guest, as many.
    pub private_ports: PortRange,
    /// The guest.
    pub guest: GuestId,
    /// Its NIC.
    pub nic: NicId,
    /// The NIC's address.
    pub guest_address: Ipv4Addr,
    /// The firewall rule that `openfirewall` made for it, removed together with it.
    pub opened: Option<FirewallRuleId>,
    /// Bumped together with the network's: the generation that brought it.
    pub since: u64,
    /// When it was made.
    pub created: jiff::Timestamp,
}
