// SPDX-License-Identifier: Apache-2.0
//! What is recorded of a translated session: both sides of it, as the inside and as the outside see them.

use std::fmt;
use std::net::SocketAddrV4;

use jiff::Timestamp;
use outgate_kernel::conntrack::{Flow, STATUS_DESTINATION_NAT, STATUS_SOURCE_NAT, Transport, Tuple};

/// What a record says of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It began.
    Create,
    /// It was there already when the record's writer came. One that began in the same moment has both records.
    Active,
    /// It ended.
    Delete,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Active => "active",
            Self::Delete => "delete",
        })
    }
}

/// Who speaks to whom. Where the protocol has no ports they are 0; an ICMP query's identifier is the source's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair {
    /// Who sends.
    pub source: SocketAddrV4,
    /// To whom.
    pub destination: SocketAddrV4,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.source, self.destination)
    }
}

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
    /// The number in the IP header.
    pub protocol: u8,
    /// The first packet as it came.
    pub original: Pair,
    /// The first packet as it left.
    pub translated: Pair,
}

impl Record {
    /// The record of a session; `None` for one that is not translated.
    pub fn of(what: What, flow: &Flow, at: Timestamp) -> Option<Self> {
        let is_translated = flow.status & (STATUS_SOURCE_NAT | STATUS_DESTINATION_NAT) != 0;
        is_translated.then(|| Self {
            at,
            what,
            protocol: flow.original.protocol,
            original: pair(&flow.original),
            // Answers come from where the first packet went, to whom it seemed to come from.
            translated: match (flow.reply.transport, pair(&flow.reply)) {
                (Transport::Icmp { .. }, reply) => Pair {
                    source: SocketAddrV4::new(*reply.destination.ip(), reply.source.port()),
                    destination: SocketAddrV4::new(*reply.source.ip(), 0),
                },
                (_, reply) => Pair {
                    source: reply.destination,
                    destination: reply.source,
                },
            },
        })
    }
}

fn pair(tuple: &Tuple) -> Pair {
    let (source, destination) = match tuple.transport {
        Transport::Ports { source, destination } => (source, destination),
        Transport::Icmp { id, .. } => (id, 0),
        Transport::None => (0, 0),
    };
    Pair {
        source: SocketAddrV4::new(tuple.source, source),
        destination: SocketAddrV4::new(tuple.destination, destination),
    }
}

/// The protocol's name as /etc/protocols has it; its number where it has none here.
#[derive(Debug, Clone, Copy)]
pub struct ProtocolName(pub u8);

impl fmt::Display for ProtocolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("icmp"),
            6 => f.write_str("tcp"),
            17 => f.write_str("udp"),
            47 => f.write_str("gre"),
            50 => f.write_str("esp"),
            132 => f.write_str("sctp"),
            number => number.fmt(f),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A guest's session through source NAT.
    pub(in super::super) fn flow(status: u32) -> Flow {
        let tuple = |source: [u8; 4], from, destination: [u8; 4], to| Tuple {
            source: source.into(),
            destination: destination.into(),
            protocol: 6,
            transport: Transport::Ports {
                source: from,
                destination: to,
            },
        };
        Flow {
            id: Some(7),
            original: tuple([10, 1, 1, 11], 40_000, [198, 51, 100, 1], 443),
            reply: tuple([198, 51, 100, 1], 443, [203, 0, 113, 10], 1_024),
            status,
            timeout_secs: None,
            mark: 0,
            carried: None,
            began_nanos: None,
            tcp_state: None,
        }
    }

    #[test]
    fn a_record_has_the_first_packet_as_it_came_and_as_it_left() {
        let record = Record::of(What::Create, &flow(STATUS_SOURCE_NAT), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(record.original.to_string(), "10.1.1.11:40000 > 198.51.100.1:443");
        assert_eq!(
            record.translated.to_string(),
            "203.0.113.10:1024 > 198.51.100.1:443"
        );
    }

    #[test]
    fn what_is_not_translated_is_not_recorded() {
        assert_eq!(Record::of(What::Create, &flow(0), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn of_icmp_the_identifier_is_the_sources_port() {
        let mut flow = flow(STATUS_SOURCE_NAT);
        let echo = |id, kind| Transport::Icmp { id, kind, code: 0 };
        (flow.original.protocol, flow.original.transport) = (1, echo(5, 8));
        (flow.reply.protocol, flow.reply.transport) = (1, echo(6, 0));
        let record = Record::of(What::Delete, &flow, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(record.original.to_string(), "10.1.1.11:5 > 198.51.100.1:0");
        assert_eq!(record.translated.to_string(), "203.0.113.10:6 > 198.51.100.1:0");
    }
}
