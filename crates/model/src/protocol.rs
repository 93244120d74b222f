// SPDX-License-Identifier: Apache-2.0
//! What a rule matches of a packet's transport header.

use serde::{Deserialize, Serialize};

use crate::PortRange;

/// An IP protocol as rules name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, protocol 6.
    Tcp,
    /// UDP, protocol 17.
    Udp,
}

impl Protocol {
    /// The number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// The name in CloudStack's API and in nftables: `tcp` or `udp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Which ICMP messages a rule matches; `None` stands for any (CloudStack writes -1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IcmpMatch {
    /// ICMP type, RFC 792; `None` for any.
    pub kind: Option<u8>,
    /// ICMP code; `None` for any. Only meaningful with a type.
    pub code: Option<u8>,
}

/// The transport part of a firewall or egress rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Match {
    /// Any protocol at all.
    All,
    /// TCP or UDP to some destination ports.
    Ports {
        /// TCP or UDP.
        protocol: Protocol,
        /// Destination ports.
        ports: PortRange,
    },
    /// ICMP.
    Icmp {
        /// Which messages.
        icmp: IcmpMatch,
    },
    /// Another protocol by its number (47 = GRE, 50 = ESP, 132 = SCTP ...).
    Number {
        /// The number in the IP header.
        number: u8,
    },
}

impl Match {
    /// The protocol as CloudStack's API names it: `all`, `tcp`, `udp`, `icmp` or a number.
    pub fn protocol_name(self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Ports { protocol, .. } => protocol.name().to_owned(),
            Self::Icmp { .. } => "icmp".to_owned(),
            Self::Number { number } => number.to_string(),
        }
    }
}

/// In an operator's words: `tcp 80-90`, `icmp type 8`, `everything`, `protocol 47`.
impl std::fmt::Display for Match {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Ports { protocol, ports } => write!(f, "{} {ports}", protocol.name()),
            Self::Number { number } => write!(f, "protocol {number}"),
            Self::Icmp { icmp } => {
                f.write_str("icmp")?;
                icmp.kind.map_or(Ok(()), |kind| write!(f, " type {kind}"))?;
                icmp.code.map_or(Ok(()), |code| write!(f, " code {code}"))
            }
        }
    }
}
