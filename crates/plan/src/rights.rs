// SPDX-License-Identifier: Apache-2.0
//! What a spec allows, read from its rules one by one: the plain meaning that the ruleset must have. Simple on purpose;
//! packets and sessions are judged by it.

use std::net::Ipv4Addr;

use outgate_model::router_spec::{
    Egress, EgressPolicy, EgressRule, FirewallRule, GuestNetwork, LoadBalancer, PortForward, PublicAddress,
};
use outgate_model::{Match, Protocol, RouterSpec};

use crate::packet::Header;

/// Where a public address and port lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) guest: Ipv4Addr,
    /// `None`: the port stays as it is.
    pub(crate) port: Option<u16>,
}

pub(crate) fn public_address(spec: &RouterSpec, address: Ipv4Addr) -> Option<&PublicAddress> {
    spec.public.addresses.iter().find(|a| a.address.addr() == address)
}

/// The guest network whose CIDR holds `address`.
pub(crate) fn network_of(spec: &RouterSpec, address: Ipv4Addr) -> Option<&GuestNetwork> {
    spec.guest_networks.iter().find(|n| n.gateway.contains(&address))
}

/// Whether `address` is one of the router's own.
pub(crate) fn is_own(spec: &RouterSpec, address: Ipv4Addr) -> bool {
    spec.control.address.addr() == address
        || spec
            .private_gateways()
            .iter()
            .any(|g| g.address.addr() == address)
        || spec.guest_networks.iter().any(|n| n.gateway.addr() == address)
        || public_address(spec, address).is_some()
}

/// Whether a firewall rule of the public address lets a new session in.
pub(crate) fn lets_in(public: &PublicAddress, header: Header, source: Ipv4Addr) -> bool {
    public.firewall.iter().any(|rule| opens(rule, header, source))
}

/// Whether this firewall rule does.
pub(crate) fn opens(rule: &FirewallRule, header: Header, source: Ipv4Addr) -> bool {
    matches(rule.matches, header) && rule.sources.iter().any(|s| s.contains(&source))
}

/// Whether the network's egress policy lets a new session out.
pub(crate) fn lets_out(egress: &Egress, header: Header, source: Ipv4Addr, destination: Ipv4Addr) -> bool {
    let exception = egress
        .rules
        .iter()
        .any(|rule| egress_matches(rule, header, source, destination));
    exception != (egress.default == EgressPolicy::Allow)
}

/// Whether an egress rule is about such a packet.
pub(crate) fn egress_matches(
    rule: &EgressRule,
    header: Header,
    source: Ipv4Addr,
    destination: Ipv4Addr,
) -> bool {
    matches(rule.matches, header)
        && rule.sources.iter().any(|s| s.contains(&source))
        && rule.destinations.iter().any(|d| d.contains(&destination))
}

/// The guest that a packet to a public address is for, if any.
pub(crate) fn target(public: &PublicAddress, header: Header) -> Option<Target> {
    if let Some(guest) = public.static_nat {
        return Some(Target { guest, port: None });
    }
    public
        .port_forwarding
        .iter()
        .find_map(|forward| forwarded(forward, header))
}

/// Where this forward sends a packet to its public address, if it is for it.
pub(crate) fn forwarded(forward: &PortForward, header: Header) -> Option<Target> {
    let (protocol, port) = header.ports()?;
    let ours = forward.protocol == protocol && forward.public_ports.contains(port);
    let private = || forward.private_ports.first() + (port - forward.public_ports.first());
    ours.then(|| Target {
        guest: forward.guest,
        port: Some(private()),
    })
}

/// The load balancer that a packet to a public address is for, if its sources may reach one.
pub(crate) fn balanced(public: &PublicAddress, header: Header, source: Ipv4Addr) -> Option<&LoadBalancer> {
    let (protocol, port) = header.ports()?;
    public.load_balancers.iter().find(|balancer| {
        protocol == Protocol::Tcp
            && balancer.public_port == port
            && balancer.sources.iter().any(|s| s.contains(&source))
    })
}

/// The address with which a guest leaves: its static NAT address, or the source NAT address. Of a pool the default: with
/// which other one a session leaves that finds no port there, only the kernel knows.
pub(crate) fn external(spec: &RouterSpec, guest: Ipv4Addr) -> Option<Ipv4Addr> {
    let own = spec.public.addresses.iter().find(|a| a.static_nat == Some(guest));
    own.or_else(|| spec.source_nat_address())
        .map(|a| a.address.addr())
}

/// Whether a rule is about packets with this header.
pub(crate) fn matches(rule: Match, header: Header) -> bool {
    match (rule, header) {
        (Match::All, _) => true,
        (Match::Number { number }, _) => number == header.number(),
        (Match::Icmp { icmp }, Header::Icmp { kind, code }) => {
            icmp.kind.is_none_or(|k| k == kind) && icmp.code.is_none_or(|c| c == code)
        }
        (
            Match::Ports {
                protocol: Protocol::Tcp,
                ports,
            },
            Header::Tcp { destination, .. },
        )
        | (
            Match::Ports {
                protocol: Protocol::Udp,
                ports,
            },
            Header::Udp { destination, .. },
        ) => ports.contains(destination),
        (Match::Icmp { .. } | Match::Ports { .. }, _) => false,
    }
}
