// SPDX-License-Identifier: Apache-2.0
//! A partial change of what an ACL item matches. Pure.

use outgate_model::{IcmpMatch, Match, PortRange};

use crate::CommandError;
use crate::command::request::{MatchChange, NamedProtocol};

/// `now` with the change. Refused is what means nothing for the protocol: ignored, it would open more than was asked for.
pub(super) fn changed(now: Match, change: MatchChange) -> Result<Match, CommandError> {
    let protocol = change.protocol.unwrap_or(match now {
        Match::All => NamedProtocol::All,
        Match::Ports { protocol, .. } => NamedProtocol::Ports(protocol),
        Match::Icmp { .. } => NamedProtocol::Icmp,
        Match::Number { number } => NamedProtocol::Number(number),
    });
    if !matches!(protocol, NamedProtocol::Ports(_)) {
        meaningless("startport", change.start, protocol)?;
        meaningless("endport", change.end, protocol)?;
    }
    if protocol != NamedProtocol::Icmp {
        meaningless("icmptype", change.icmp_type.flatten(), protocol)?;
        meaningless("icmpcode", change.icmp_code.flatten(), protocol)?;
    }
    Ok(match protocol {
        NamedProtocol::All => Match::All,
        NamedProtocol::Number(number) => Match::Number { number },
        NamedProtocol::Ports(protocol) => Match::Ports {
            protocol,
            ports: ports(now, change)?,
        },
        NamedProtocol::Icmp => {
            let before = match now {
                Match::Icmp { icmp } => icmp,
                _ => IcmpMatch::default(),
            };
            let kind = change.icmp_type.unwrap_or(before.kind);
            // The code of one type says nothing about another.
            let same = kind == before.kind;
            let code = change.icmp_code.unwrap_or(before.code.filter(|_| same));
            Match::Icmp {
                icmp: IcmpMatch { kind, code },
            }
        }
    })
}

fn ports(now: Match, change: MatchChange) -> Result<PortRange, CommandError> {
    let before = match now {
        Match::Ports { ports, .. } => Some(ports),
        _ => None,
    };
    let (first, last) = match (change.start, change.end, before) {
        (None, None, before) => return Ok(before.unwrap_or(PortRange::ALL)),
        (Some(first), Some(last), _) => (first, last),
        (Some(first), None, Some(before)) => (first, before.last()),
        (Some(first), None, None) => (first, first),
        (None, Some(last), Some(before)) => (before.first(), last),
        (None, Some(_), None) => return Err(CommandError::missing("startport")),
    };
    let expected = format!("a port not below startport {first}");
    PortRange::new(first, last).map_err(|_| CommandError::invalid("endport", last, expected))
}

fn meaningless<T: std::fmt::Display>(
    field: &str,
    value: Option<T>,
    protocol: NamedProtocol,
) -> Result<(), CommandError> {
    let name = match protocol {
        NamedProtocol::All => "all".to_owned(),
        NamedProtocol::Ports(protocol) => protocol.name().to_owned(),
        NamedProtocol::Icmp => "icmp".to_owned(),
        NamedProtocol::Number(number) => number.to_string(),
    };
    match value {
        Some(value) => {
            let expected = format!("nothing: it has no meaning for protocol {name}");
            Err(CommandError::invalid(field, value, expected))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use outgate_model::Protocol;

    use super::*;

    fn tcp(first: u16, last: u16) -> Match {
        Match::Ports {
            protocol: Protocol::Tcp,
            ports: PortRange::new(first, last).unwrap(),
        }
    }

    const NOTHING: MatchChange = MatchChange {
        protocol: None,
        start: None,
        end: None,
        icmp_type: None,
        icmp_code: None,
    };

    #[test]
    fn what_is_left_out_stays() {
        let last = MatchChange {
            end: Some(90),
            ..NOTHING
        };
        assert_eq!(changed(tcp(80, 81), NOTHING).unwrap(), tcp(80, 81));
        assert_eq!(changed(tcp(80, 81), last).unwrap(), tcp(80, 90));
        let udp = MatchChange {
            protocol: Some(NamedProtocol::Ports(Protocol::Udp)),
            ..NOTHING
        };
        let expected = Match::Ports {
            protocol: Protocol::Udp,
            ports: PortRange::new(80, 81).unwrap(),
        };
        assert_eq!(changed(tcp(80, 81), udp).unwrap(), expected);
    }

    #[test]
    fn a_whole_match_replaces_any_other() {
        let icmp = Match::Icmp {
            icmp: IcmpMatch {
                kind: Some(8),
                code: None,
            },
        };
        let all = [Match::All, Match::Number { number: 47 }, tcp(1, 2), icmp];
        for (before, after) in all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))) {
            assert_eq!(changed(before, after.into()).unwrap(), after);
        }
    }

    #[test]
    fn what_means_nothing_for_the_protocol_is_refused() {
        let port = MatchChange {
            start: Some(80),
            ..NOTHING
        };
        assert!(
            changed(Match::All, port)
                .unwrap_err()
                .to_string()
                .contains("startport")
        );
        let kind = MatchChange {
            icmp_type: Some(Some(8)),
            ..NOTHING
        };
        assert!(
            changed(tcp(1, 2), kind)
                .unwrap_err()
                .to_string()
                .contains("icmptype")
        );
        let below = MatchChange {
            end: Some(79),
            ..NOTHING
        };
        assert!(
            changed(tcp(80, 81), below)
                .unwrap_err()
                .to_string()
                .contains("endport")
        );
    }
}
