// SPDX-License-Identifier: Apache-2.0
//! A model of what a router does with one packet, straight from its spec: to test the ruleset against, and to explain
//! to an operator what happens to a packet.

mod explain;
mod remedy;
mod vpc;

use std::net::Ipv4Addr;

use outgate_model::router_spec::{Egress, EgressRule};
use outgate_model::{Protocol, RouterSpec};

use crate::rights::{self, Target};

pub use explain::{comes_in_on, explain};

/// The transport header of a packet, as far as rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Header {
    /// TCP.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// UDP.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// ICMP.
    Icmp {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// Another protocol, by its number.
    Other(u8),
}

impl Header {
    /// The protocol number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp { .. } => Protocol::Tcp.number(),
            Self::Udp { .. } => Protocol::Udp.number(),
            Self::Icmp { .. } => 1,
            Self::Other(number) => number,
        }
    }

    /// The header after its destination port was rewritten.
    pub(crate) fn to_port(self, port: Option<u16>) -> Self {
        match (self, port) {
            (Self::Tcp { source, .. }, Some(destination)) => Self::Tcp { source, destination },
            (Self::Udp { source, .. }, Some(destination)) => Self::Udp { source, destination },
            (other, _) => other,
        }
    }

    /// The sender's port, for TCP and UDP.
    pub fn source_port(self) -> Option<u16> {
        match self {
            Self::Tcp { source, .. } | Self::Udp { source, .. } => Some(source),
            Self::Icmp { .. } | Self::Other(_) => None,
        }
    }

    /// Protocol and destination port, for TCP and UDP.
    pub fn ports(self) -> Option<(Protocol, u16)> {
        match self {
            Self::Tcp { destination, .. } => Some((Protocol::Tcp, destination)),
            Self::Udp { destination, .. } => Some((Protocol::Udp, destination)),
            Self::Icmp { .. } | Self::Other(_) => None,
        }
    }
}

/// By what it is sent to: `tcp 443`, `icmp type 8 code 0`, `protocol 47`.
impl std::fmt::Display for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { destination, .. } => write!(f, "tcp {destination}"),
            Self::Udp { destination, .. } => write!(f, "udp {destination}"),
            Self::Icmp { kind, code } => write!(f, "icmp type {kind} code {code}"),
            Self::Other(number) => write!(f, "protocol {number}"),
        }
    }
}

/// What connection tracking says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It would open a session.
    New,
    /// It belongs to a session that is known, or is an ICMP error about one.
    Known,
    /// Neither: a TCP segment out of the blue, an ICMP reply without a request.
    Invalid,
}

/// A packet that reaches the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The interface that it comes in on.
    pub interface: String,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Transport header.
    pub header: Header,
    /// What connection tracking says of it.
    pub state: State,
}

/// Why a packet is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Spoofing protection.
    #[error("its source address cannot come in on this interface (chain spoofing, rp_filter)")]
    Spoofed,
    /// Connection tracking.
    #[error("it belongs to no session and cannot open one (ct state invalid)")]
    Invalid,
    /// The gate.
    #[error("no firewall rule of the public address lets it in (chain gate)")]
    NoFirewallRule,
    /// The egress chain.
    #[error("the network's egress policy does not let it out (chain egress_*)")]
    Egress,
    /// The gate of a VPC.
    #[error("nothing behind the public address is meant by it (chain gate)")]
    NoTarget,
    /// A network ACL.
    #[error("a network ACL on its way denies it (chains acl_in_*, acl_out_*)")]
    Acl,
    /// The input chain.
    #[error("nothing listens there on the router (chain input)")]
    NothingListens,
    /// The forward chain, or no route.
    #[error("the router does not forward between these sides (chain forward)")]
    NotForwarded,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is dropped.
    Drop {
        /// Why.
        why: Reason,
    },
    /// The router itself gets it.
    Deliver,
    /// It passes and is translated as its session has been.
    AsSession,
    /// It opens a session and leaves.
    Forward {
        /// On which interface.
        out: String,
        /// With which source address; of a source NAT pool the default, where it has a port left for the destination and the
        /// guest was not moved. The source port stays, if it is free.
        source: Ipv4Addr,
        /// To which address.
        destination: Ipv4Addr,
        /// To which port, for TCP and UDP.
        destination_port: Option<u16>,
    },
}

/// The egress rule that is about such a packet, if any: the exception from the default that decides.
pub fn egress_rule(
    egress: &Egress,
    header: Header,
    source: Ipv4Addr,
    destination: Ipv4Addr,
) -> Option<&EgressRule> {
    egress
        .rules
        .iter()
        .find(|rule| rights::egress_matches(rule, header, source, destination))
}

/// What a router with this spec does with a packet.
pub fn verdict(spec: &RouterSpec, packet: &Packet) -> Verdict {
    judge(spec, packet).unwrap_or_else(|why| Verdict::Drop { why })
}

fn judge(spec: &RouterSpec, packet: &Packet) -> Result<Verdict, Reason> {
    if is_dhcp_request(spec, packet) {
        return Ok(Verdict::Deliver);
    }
    if is_spoofed(spec, packet) {
        return Err(Reason::Spoofed);
    }
    match packet.state {
        State::Known => Ok(Verdict::AsSession),
        State::Invalid => Err(Reason::Invalid),
        State::New if !can_open(packet.header) => Err(Reason::Invalid),
        State::New => new_session(spec, packet),
    }
}

fn is_dhcp_request(spec: &RouterSpec, packet: &Packet) -> bool {
    spec.guest_networks
        .iter()
        .any(|n| n.interface == packet.interface)
        && (packet.source, packet.destination) == (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST)
        && packet.header
            == Header::Udp {
                source: 68,
                destination: 67,
            }
}

fn is_spoofed(
    spec: &RouterSpec,
    Packet {
        interface, source, ..
    }: &Packet,
) -> bool {
    if rights::is_own(spec, *source) {
        return true;
    }
    if let Some(vpc) = &spec.vpc {
        return vpc::is_spoofed(spec, vpc, interface, *source);
    }
    if let Some(network) = spec.guest_networks.iter().find(|n| n.interface == *interface) {
        let cidr = network.gateway;
        return !cidr.contains(source) || *source == cidr.network() || *source == cidr.broadcast();
    }
    if spec.control.interface == *interface {
        return !spec.control.address.contains(source);
    }
    rights::network_of(spec, *source).is_some()
        || spec.control.address.contains(source)
        || is_martian(*source)
}

/// Sources that no packet from outside can have.
fn is_martian(source: Ipv4Addr) -> bool {
    source.is_loopback() || source.is_link_local() || source.octets()[0] == 0 || source.octets()[0] >= 224
}

/// ICMP opens a session only with a request: echo, timestamp, information, address mask.
fn can_open(header: Header) -> bool {
    !matches!(header, Header::Icmp { kind, .. } if !matches!(kind, 8 | 13 | 15 | 17))
}

fn new_session(spec: &RouterSpec, packet: &Packet) -> Result<Verdict, Reason> {
    if packet.interface == spec.control.interface {
        return control_side(spec, packet);
    }
    if let Some(vpc) = &spec.vpc {
        return vpc::new_session(spec, vpc, packet);
    }
    let public = rights::public_address(spec, packet.destination);
    match public {
        Some(public) if !rights::lets_in(public, packet.header, packet.source) => Err(Reason::NoFirewallRule),
        Some(public) => match rights::target(public, packet.header) {
            Some(target) => inbound(spec, packet, target),
            None if is_ping(packet.header) => Ok(Verdict::Deliver),
            None if rights::balanced(public, packet.header, packet.source).is_some() => Ok(Verdict::Deliver),
            None => Err(Reason::NothingListens),
        },
        None if packet.interface == spec.public.interface => Err(Reason::NoFirewallRule),
        None => from_guest(spec, packet),
    }
}

fn is_ping(header: Header) -> bool {
    matches!(header, Header::Icmp { kind: 8, .. })
}

fn control_side(spec: &RouterSpec, packet: &Packet) -> Result<Verdict, Reason> {
    let ssh = matches!(packet.header, Header::Tcp { destination, .. } if destination == spec.ssh.port);
    if packet.destination != spec.control.address.addr() {
        Err(Reason::NotForwarded)
    } else if ssh || is_ping(packet.header) {
        Ok(Verdict::Deliver)
    } else {
        Err(Reason::NothingListens)
    }
}

/// To a guest, from outside or from another guest (hairpin).
fn inbound(spec: &RouterSpec, packet: &Packet, target: Target) -> Result<Verdict, Reason> {
    let network = rights::network_of(spec, target.guest).ok_or(Reason::NotForwarded)?;
    let hairpin = rights::network_of(spec, packet.source).is_some();
    let external = if hairpin {
        rights::external(spec, packet.source)
    } else {
        None
    };
    Ok(Verdict::Forward {
        out: network.interface.clone(),
        source: external.unwrap_or(packet.source),
        destination: target.guest,
        destination_port: target.port.or(packet.header.ports().map(|(_, port)| port)),
    })
}

/// From a guest to anything but a public address of the router.
fn from_guest(spec: &RouterSpec, packet: &Packet) -> Result<Verdict, Reason> {
    let network = rights::network_of(spec, packet.source).ok_or(Reason::Spoofed)?;
    let Packet {
        destination, header, ..
    } = packet;
    if *destination == network.gateway.addr() {
        return to_gateway(*header);
    }
    if rights::is_own(spec, *destination)
        || destination.is_broadcast()
        || *destination == network.gateway.broadcast()
    {
        return Err(Reason::NothingListens);
    }
    let inside =
        rights::network_of(spec, *destination).is_some() || spec.control.address.contains(destination);
    if inside || is_nowhere(*destination) {
        return Err(Reason::NotForwarded);
    }
    if !rights::lets_out(&network.egress, *header, packet.source, *destination) {
        return Err(Reason::Egress);
    }
    Ok(Verdict::Forward {
        out: spec.public.interface.clone(),
        source: rights::external(spec, packet.source).ok_or(Reason::NotForwarded)?,
        destination: *destination,
        destination_port: header.ports().map(|(_, port)| port),
    })
}

/// What a guest may have of its gateway: DHCP, DNS and an answer to its ping.
fn to_gateway(header: Header) -> Result<Verdict, Reason> {
    let service = matches!(header.ports(), Some((_, 53) | (Protocol::Udp, 67)));
    if service || is_ping(header) {
        Ok(Verdict::Deliver)
    } else {
        Err(Reason::NothingListens)
    }
}

/// Destinations that are never routed.
fn is_nowhere(destination: Ipv4Addr) -> bool {
    destination.is_loopback() || destination.is_multicast() || destination.octets()[0] == 0
}
