// SPDX-License-Identifier: Apache-2.0
//! Which rules can't stand beside each other. The only place that knows.
//!
//! Everything here is pure. What holds a port is found by port; of firewall rules, which may overlap when their CIDRs
//! differ, each of the address's is compared once. A caller that may use an address may know its rules: they belong to
//! the same account, so each refusal names the other rule. Outgate offers no remote access VPN: it reserves no ports (500,
//! 1701 and 4500 are as any others).

use std::fmt::Display;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::id::NicId;
use outgate_model::object::{FirewallRule, Guest, LoadBalancerRule, PortForwardingRule, PublicIp, StaticNat};
use outgate_model::{IcmpMatch, Match, PortRange, Protocol};

use crate::CommandError;
use crate::mirror::View;

/// Ports of a public address that a new rule asks for.
#[derive(Debug, Clone, Copy)]
pub struct WantedPorts {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Ports of the public address.
    pub ports: PortRange,
}

/// What holds something of a public address, or all of it.
struct Holder {
    other: String,
    holds: String,
}

impl Holder {
    fn refuses(self, wanted: String) -> CommandError {
        CommandError::Conflict {
            wanted,
            other: self.other,
            holds: self.holds,
        }
    }

    fn static_nat(ip: &PublicIp) -> Option<Self> {
        let static_nat = ip.static_nat?;
        Some(Self {
            other: format!(
                "static NAT of IpAddress {} to VirtualMachine {}",
                ip.id, static_nat.guest
            ),
            holds: format!("all of {}", ip.address),
        })
    }

    fn forward(ip: &PublicIp, rule: &PortForwardingRule) -> Self {
        Self {
            other: format!("port forwarding rule {}", rule.id),
            holds: format!("{} {} of {}", rule.protocol.name(), rule.public_ports, ip.address),
        }
    }

    fn balancer(ip: &PublicIp, rule: &LoadBalancerRule) -> Self {
        Self {
            other: format!("load balancer rule {}", rule.id),
            holds: format!("tcp {} of {}", rule.public_port, ip.address),
        }
    }
}

/// Refuses ports of an address for a new forward or load balancer rule, called `what`, that another forward, load balancer
/// rule or static NAT holds.
pub fn ports(view: &View<'_>, ip: &PublicIp, wanted: WantedPorts, what: &str) -> Result<(), CommandError> {
    let WantedPorts { protocol, ports } = wanted;
    let forward = || {
        view.forward_at(ip.id, protocol, ports)
            .map(|rule| Holder::forward(ip, rule))
    };
    let balancer = || {
        let mut of_ip = view.balancers_of_ip(ip.id);
        let clash = of_ip.find(|rule| protocol == Protocol::Tcp && ports.contains(rule.public_port));
        clash.map(|rule| Holder::balancer(ip, rule))
    };
    let holder = Holder::static_nat(ip).or_else(forward).or_else(balancer);
    holder.map_or(Ok(()), |holder| {
        let wanted = format!("{what} {} {ports} of {}", protocol.name(), ip.address);
        Err(holder.refuses(wanted))
    })
}

fn any_rule(view: &View<'_>, ip: &PublicIp) -> Option<Holder> {
    let forward = view
        .forwards_of_ip(ip.id)
        .next()
        .map(|rule| Holder::forward(ip, rule));
    forward.or_else(|| {
        let balancer = view.balancers_of_ip(ip.id).next();
        balancer.map(|rule| Holder::balancer(ip, rule))
    })
}

/// Refuses an address that has static NAT, port forwarding or load balancing as a source NAT address.
pub fn source_nat(view: &View<'_>, ip: &PublicIp) -> Result<(), CommandError> {
    let holder = Holder::static_nat(ip).or_else(|| any_rule(view, ip));
    holder.map_or(Ok(()), |holder| {
        Err(holder.refuses(format!("source NAT through {}", ip.address)))
    })
}

/// Refuses static NAT of an address that has another guest, port forwarding or load balancing, and a second address
/// for a guest's address.
pub fn static_nat(view: &View<'_>, ip: &PublicIp, wanted: StaticNat) -> Result<(), CommandError> {
    let second = || {
        let mut others = view.static_nat_of_guest(wanted.guest);
        let other = others.find(|other| {
            other
                .static_nat
                .is_some_and(|nat| nat.nic == wanted.nic && nat.address == wanted.address)
        })?;
        Some(Holder {
            other: format!(
                "static NAT of IpAddress {} to VirtualMachine {}",
                other.id, wanted.guest
            ),
            holds: format!("all of {} for {}", other.address, wanted.address),
        })
    };
    let holder = Holder::static_nat(ip)
        .or_else(second)
        .or_else(|| any_rule(view, ip));
    holder.map_or(Ok(()), |holder| {
        let text = format!("static NAT of {} to {}", ip.address, wanted.address);
        Err(holder.refuses(text))
    })
}

/// What leads to a guest's NIC: to `address` of it, or to any of its addresses.
pub fn user_of_nic(view: &View<'_>, guest: &Guest, nic: NicId, address: Option<Ipv4Addr>) -> Option<String> {
    let is = |other: NicId, to: Ipv4Addr| other == nic && address.is_none_or(|address| address == to);
    let static_nat = || {
        let mut owned = view.static_nat_of_guest(guest.id);
        let ip = owned.find(|ip| ip.static_nat.is_some_and(|nat| is(nat.nic, nat.address)))?;
        Some(format!("static NAT of IpAddress {} ({})", ip.id, ip.address))
    };
    let forward = || {
        let mut rules = view.forwards_of_guest(guest.id);
        let rule = rules.find(|rule| is(rule.nic, rule.guest_address))?;
        Some(format!("port forwarding rule {}", rule.id))
    };
    let balancer = || {
        let mut rules = view.balancers_of_guest(guest.id);
        let is_member = |rule: &&crate::Stored<LoadBalancerRule>| {
            rule.members
                .iter()
                .any(|m| m.guest == guest.id && is(m.nic, m.address))
        };
        Some(format!("load balancer rule {}", rules.find(is_member)?.id))
    };
    static_nat().or_else(forward).or_else(balancer)
}

/// Refuses an IP forwarding rule for ports that another one of its address has.
pub fn ip_forward(view: &View<'_>, ip: &PublicIp, wanted: WantedPorts) -> Result<(), CommandError> {
    let mut of_ip = view.ip_forwards_of_ip(ip.id);
    let clash = of_ip.find(|rule| rule.protocol == wanted.protocol && rule.ports.overlaps(wanted.ports));
    let Some(other) = clash else { return Ok(()) };
    Err(CommandError::Conflict {
        wanted: format!(
            "IP forwarding {} {} of {}",
            wanted.protocol.name(),
            wanted.ports,
            ip.address
        ),
        other: format!("IP forwarding rule {}", other.id),
        holds: format!("{} {} of {}", other.protocol.name(), other.ports, ip.address),
    })
}

/// What a new firewall or egress rule lets through.
#[derive(Debug, Clone, Copy)]
pub struct WantedPass<'a> {
    /// Which packets.
    pub matches: Match,
    /// From where.
    pub sources: &'a [Ipv4Net],
    /// To where; empty for ingress rules.
    pub destinations: &'a [Ipv4Net],
}

/// Refuses a firewall or egress rule that says again what one of `existing` (of the same address, or of the same
/// network for egress) says: overlapping packets, with a source CIDR and a destination CIDR in common. `whose` names
/// the address or network in the message.
pub fn pass_beside_passes<'a>(
    wanted: WantedPass<'_>,
    existing: impl IntoIterator<Item = &'a FirewallRule>,
    whose: impl Display,
) -> Result<(), CommandError> {
    let clash = existing.into_iter().find(|rule| {
        matches_overlap(rule.matches, wanted.matches)
            && share_one(&rule.sources, wanted.sources)
            && share_one(&rule.destinations, wanted.destinations)
    });
    let Some(other) = clash else { return Ok(()) };
    Err(CommandError::Conflict {
        wanted: format!("firewall rule {} of {whose}", match_text(wanted.matches)),
        other: format!("firewall rule {}", other.id),
        holds: pass_text(other),
    })
}

/// Whether `rule` already lets everything through that `wanted` asks for.
pub fn covers(rule: &FirewallRule, wanted: WantedPass<'_>) -> bool {
    let packets = match (rule.matches, wanted.matches) {
        (Match::All, _) => true,
        (
            Match::Ports {
                protocol: a,
                ports: p,
            },
            Match::Ports {
                protocol: b,
                ports: q,
            },
        ) => a == b && p.first() <= q.first() && q.last() <= p.last(),
        (a, b) => a == b,
    };
    packets
        && wanted
            .sources
            .iter()
            .all(|source| rule.sources.iter().any(|net| net.contains(source)))
}

fn matches_overlap(a: Match, b: Match) -> bool {
    match (a, b) {
        (
            Match::Ports {
                protocol: a,
                ports: p,
            },
            Match::Ports {
                protocol: b,
                ports: q,
            },
        ) => a == b && p.overlaps(q),
        (Match::Icmp { icmp: a }, Match::Icmp { icmp: b }) => icmp_overlap(a, b),
        (a, b) => a == b,
    }
}

fn icmp_overlap(a: IcmpMatch, b: IcmpMatch) -> bool {
    let same = |x: Option<u8>, y: Option<u8>| x.is_none() || y.is_none() || x == y;
    same(a.kind, b.kind) && same(a.code, b.code)
}

/// Whether both lists hold an equal CIDR, or both hold none.
fn share_one(a: &[Ipv4Net], b: &[Ipv4Net]) -> bool {
    (a.is_empty() && b.is_empty()) || a.iter().any(|net| b.contains(net))
}

fn pass_text(rule: &FirewallRule) -> String {
    let mut text = format!("{} from {}", match_text(rule.matches), join(&rule.sources));
    if !rule.destinations.is_empty() {
        text.push_str(" to ");
        text.push_str(&join(&rule.destinations));
    }
    text
}

/// A match in words: `tcp 80-90`, `icmp type 8`, `all`.
pub fn match_text(matches: Match) -> String {
    match matches {
        Match::Ports { protocol, ports } => format!("{} {ports}", protocol.name()),
        Match::Icmp {
            icmp:
                IcmpMatch {
                    kind: Some(kind),
                    code: Some(code),
                },
        } => format!("icmp type {kind} code {code}"),
        Match::Icmp {
            icmp: IcmpMatch {
                kind: Some(kind),
                code: None,
            },
        } => format!("icmp type {kind}"),
        Match::All | Match::Icmp { .. } | Match::Number { .. } => matches.protocol_name(),
    }
}

/// CIDRs or addresses as CloudStack writes them: joined by commas, in order.
pub fn join(nets: &[impl ToString]) -> String {
    nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(first: u16, last: u16) -> Match {
        Match::Ports {
            protocol: Protocol::Tcp,
            ports: PortRange::new(first, last).unwrap(),
        }
    }

    #[test]
    fn only_matches_of_one_protocol_overlap() {
        assert!(matches_overlap(tcp(80, 90), tcp(90, 95)));
        assert!(!matches_overlap(tcp(80, 90), tcp(91, 95)));
        let udp = Match::Ports {
            protocol: Protocol::Udp,
            ports: PortRange::single(80).unwrap(),
        };
        assert!(!matches_overlap(tcp(80, 90), udp));
        assert!(!matches_overlap(Match::All, tcp(80, 80)));
        assert!(matches_overlap(Match::All, Match::All));
    }

    #[test]
    fn an_icmp_match_of_any_type_overlaps_each_type() {
        let icmp = |kind, code| Match::Icmp {
            icmp: IcmpMatch { kind, code },
        };
        assert!(matches_overlap(icmp(None, None), icmp(Some(8), Some(0))));
        assert!(matches_overlap(icmp(Some(8), None), icmp(Some(8), Some(0))));
        assert!(!matches_overlap(icmp(Some(8), None), icmp(Some(0), None)));
    }

    #[test]
    fn lists_share_an_equal_cidr_or_both_are_empty() {
        let nets = |text: &[&str]| text.iter().map(|n| n.parse().unwrap()).collect::<Vec<Ipv4Net>>();
        assert!(share_one(
            &nets(&["10.0.0.0/8", "0.0.0.0/0"]),
            &nets(&["0.0.0.0/0"])
        ));
        assert!(!share_one(&nets(&["10.0.0.0/8"]), &nets(&["10.1.0.0/16"])));
        assert!(share_one(&[], &[]));
    }
}
