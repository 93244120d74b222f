// SPDX-License-Identifier: Apache-2.0
//! Which rules can't stand beside each other. The only place that knows.
//!
//! Everything here is pure. Port forwards are found by port (`View::forward_at`); of firewall rules, which may overlap
//! when their CIDRs differ, each of the address's is compared once.

use std::fmt::Display;

use ipnet::Ipv4Net;
use outgate_model::object::{FirewallRule, PortForwardingRule, PublicIp};
use outgate_model::{IcmpMatch, Match, PortRange, Protocol};

use crate::CommandError;

/// Ports of a public address that a new rule asks for.
#[derive(Debug, Clone, Copy)]
pub struct WantedPorts {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Ports of the public address.
    pub ports: PortRange,
}

/// Refuses a port forwarding whose ports another one of the same address, `existing`, already forwards.
pub fn forward_beside_forward(
    public_ip: &PublicIp,
    wanted: WantedPorts,
    existing: Option<&PortForwardingRule>,
) -> Result<(), CommandError> {
    let Some(other) = existing else { return Ok(()) };
    Err(CommandError::Conflict {
        wanted: forward_text(wanted, public_ip),
        other: format!("port forwarding rule {}", other.id),
        holds: format!(
            "{} {} of {}",
            other.protocol.name(),
            other.public_ports,
            public_ip.address
        ),
    })
}

/// Refuses a port forwarding on an address that belongs entirely to a guest.
pub fn forward_beside_static_nat(public_ip: &PublicIp, wanted: WantedPorts) -> Result<(), CommandError> {
    let Some(static_nat) = public_ip.static_nat else {
        return Ok(());
    };
    Err(CommandError::Conflict {
        wanted: forward_text(wanted, public_ip),
        other: format!(
            "static NAT of IpAddress {} to VirtualMachine {}",
            public_ip.id, static_nat.guest
        ),
        holds: format!("all of {}", public_ip.address),
    })
}

/// Refuses static NAT on an address that forwards ports.
pub fn static_nat_beside_forward(
    public_ip: &PublicIp,
    existing: Option<&PortForwardingRule>,
) -> Result<(), CommandError> {
    let Some(other) = existing else { return Ok(()) };
    Err(CommandError::Conflict {
        wanted: format!("static NAT of {}", public_ip.address),
        other: format!("port forwarding rule {}", other.id),
        holds: format!(
            "{} {} of {}",
            other.protocol.name(),
            other.public_ports,
            public_ip.address
        ),
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

fn forward_text(wanted: WantedPorts, public_ip: &PublicIp) -> String {
    format!(
        "port forwarding {} {} of {}",
        wanted.protocol.name(),
        wanted.ports,
        public_ip.address
    )
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

/// CIDRs as CloudStack writes them: joined by commas, in order.
pub fn join(nets: &[Ipv4Net]) -> String {
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
