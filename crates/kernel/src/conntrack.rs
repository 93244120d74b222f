// SPDX-License-Identifier: Apache-2.0
//! Connection tracking over ctnetlink: how many sessions, which, and away with one. The kernel's table is the one
//! truth about sessions.

mod events;

use std::net::Ipv4Addr;

pub use events::{Change, Events};

use crate::KernelError;
use crate::netlink::{self, Attributes, FLAG_ACK, FLAG_DUMP, Request, Socket, Until, be16, be32};

// linux/netfilter/nfnetlink_conntrack.h: subsystem 1.
const NEW: u16 = 1 << 8;
const GET: u16 = (1 << 8) | 1;
const DELETE: u16 = (1 << 8) | 2;
const GET_STATS: u16 = (1 << 8) | 5;
const FAMILY_IPV4: u8 = 2;
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const STATUS: u16 = 3;
const TIMEOUT: u16 = 7;
const MARK: u16 = 8;
const ID: u16 = 12;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const IP_SOURCE: u16 = 1;
const IP_DESTINATION: u16 = 2;
const PROTO_NUMBER: u16 = 1;
const PROTO_SOURCE: u16 = 2;
const PROTO_DESTINATION: u16 = 3;
const PROTO_ICMP_ID: u16 = 4;
const PROTO_ICMP_TYPE: u16 = 5;
const PROTO_ICMP_CODE: u16 = 6;
const STATS_ENTRIES: u16 = 1;
const STATS_MAX: u16 = 2;

/// `IPS_SRC_NAT`: the source address is translated.
pub const STATUS_SOURCE_NAT: u32 = 1 << 4;
/// `IPS_DST_NAT`: the destination address is translated.
pub const STATUS_DESTINATION_NAT: u32 = 1 << 5;

/// One direction of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Who sends.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
    /// The number in the IP header.
    pub protocol: u8,
    /// What the protocol tells sessions apart by.
    pub transport: Transport,
}

/// What a protocol tells sessions apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Ports, or GRE's keys.
    Ports {
        /// Of the sender.
        source: u16,
        /// Of the receiver.
        destination: u16,
    },
    /// ICMP queries.
    Icmp {
        /// The query's identifier.
        id: u16,
        /// The ICMP type.
        kind: u8,
        /// The ICMP code.
        code: u8,
    },
    /// Nothing.
    None,
}

/// A tracked session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The kernel's number for it; tells a session from a later one with the same addresses.
    pub id: Option<u32>,
    /// The direction of its first packet, as it was before translation.
    pub original: Tuple,
    /// The direction of answers, as they arrive.
    pub reply: Tuple,
    /// `IPS_*` bits, see [`STATUS_SOURCE_NAT`].
    pub status: u32,
    /// After how many seconds without a packet it is forgotten.
    pub timeout_secs: Option<u32>,
    /// The connection mark.
    pub mark: u32,
}

/// How full the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Sessions in this network namespace.
    pub entries: u32,
    /// At most this many are possible.
    pub max: u32,
}

/// How many sessions there are, and how many there may be.
///
/// # Errors
/// When the kernel refuses or its answer cannot be understood.
pub fn usage() -> Result<Usage, KernelError> {
    const DOING: &str = "counting sessions";
    let socket = Socket::open(netlink::NETFILTER)?;
    socket.send(Request::netfilter(GET_STATS, 0, 0), DOING)?;
    let mut usage = None;
    socket.receive(DOING, Until::First, |message| {
        let attributes = Attributes(message.attributes());
        let number = |kind| attributes.find(kind).and_then(be32);
        usage = number(STATS_ENTRIES).map(|entries| Usage {
            entries,
            max: number(STATS_MAX).unwrap_or(0),
        });
        Ok(())
    })?;
    usage.ok_or_else(|| KernelError::Garbled {
        doing: DOING.to_owned(),
        reason: "no number in it".to_owned(),
    })
}

/// Gives every IPv4 session to `each`, without holding more than one datagram's worth of them in memory. Sessions that
/// come and go meanwhile may be seen or not.
///
/// # Errors
/// When the kernel refuses, or `each`'s own.
pub fn dump(mut each: impl FnMut(Flow) -> Result<(), KernelError>) -> Result<(), KernelError> {
    const DOING: &str = "listing sessions";
    let socket = Socket::open(netlink::NETFILTER)?;
    socket.send(Request::netfilter(GET, FLAG_DUMP, FAMILY_IPV4), DOING)?;
    socket.receive(DOING, Until::End, |message| match decode(message.attributes()) {
        Some(flow) if message.kind == NEW => each(flow),
        _ => Ok(()),
    })?;
    Ok(())
}

/// Ends sessions: the next packet of each is a new session's first and must have a right of its own. Returns how many
/// were still there.
///
/// # Errors
/// When the kernel refuses; the sessions before that one are ended.
pub fn delete(flows: &[Flow]) -> Result<u64, KernelError> {
    const DOING: &str = "deleting a session";
    let socket = Socket::open(netlink::NETFILTER)?;
    let mut deleted = 0;
    for flow in flows {
        let mut request = Request::netfilter(DELETE, FLAG_ACK, FAMILY_IPV4);
        encode(&flow.original, ORIGINAL, &mut request);
        if let Some(id) = flow.id {
            request.attribute(ID, &id.to_be_bytes());
        }
        socket.send(request, DOING)?;
        match socket.receive(DOING, Until::End, |_| Ok(())) {
            Ok(_) => deleted += 1,
            Err(error) if error.errno() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(deleted)
}

/// `None` for what is no complete IPv4 session.
fn decode(bytes: &[u8]) -> Option<Flow> {
    let attributes = Attributes(bytes);
    Some(Flow {
        id: attributes.find(ID).and_then(be32),
        original: decode_tuple(attributes.find(ORIGINAL)?)?,
        reply: decode_tuple(attributes.find(REPLY)?)?,
        status: attributes.find(STATUS).and_then(be32).unwrap_or(0),
        timeout_secs: attributes.find(TIMEOUT).and_then(be32),
        mark: attributes.find(MARK).and_then(be32).unwrap_or(0),
    })
}

fn decode_tuple(bytes: &[u8]) -> Option<Tuple> {
    let ip = Attributes(Attributes(bytes).find(TUPLE_IP)?);
    let proto = Attributes(Attributes(bytes).find(TUPLE_PROTO)?);
    let address = |kind| ip.find(kind).and_then(be32).map(Ipv4Addr::from_bits);
    let short = |kind| proto.find(kind).and_then(be16);
    let byte = |kind| proto.find(kind).and_then(|v| v.first().copied());
    let transport = if let (Some(source), Some(destination)) = (short(PROTO_SOURCE), short(PROTO_DESTINATION))
    {
        Transport::Ports { source, destination }
    } else if let (Some(id), Some(kind), Some(code)) =
        (short(PROTO_ICMP_ID), byte(PROTO_ICMP_TYPE), byte(PROTO_ICMP_CODE))
    {
        Transport::Icmp { id, kind, code }
    } else {
        Transport::None
    };
    Some(Tuple {
        source: address(IP_SOURCE)?,
        destination: address(IP_DESTINATION)?,
        protocol: byte(PROTO_NUMBER)?,
        transport,
    })
}

fn encode(tuple: &Tuple, kind: u16, request: &mut Request) {
    request.nested(kind, |request| {
        request.nested(TUPLE_IP, |request| {
            request.attribute(IP_SOURCE, &tuple.source.octets());
            request.attribute(IP_DESTINATION, &tuple.destination.octets());
        });
        request.nested(TUPLE_PROTO, |request| {
            request.attribute(PROTO_NUMBER, &[tuple.protocol]);
            match tuple.transport {
                Transport::Ports { source, destination } => {
                    request.attribute(PROTO_SOURCE, &source.to_be_bytes());
                    request.attribute(PROTO_DESTINATION, &destination.to_be_bytes());
                }
                Transport::Icmp { id, kind, code } => {
                    request.attribute(PROTO_ICMP_ID, &id.to_be_bytes());
                    request.attribute(PROTO_ICMP_TYPE, &[kind]);
                    request.attribute(PROTO_ICMP_CODE, &[code]);
                }
                Transport::None => {}
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Messages;
    use proptest::prelude::*;

    fn tuples() -> impl Strategy<Value = Tuple> {
        let transport = prop_oneof![
            (any::<u16>(), any::<u16>())
                .prop_map(|(source, destination)| Transport::Ports { source, destination }),
            (any::<u16>(), any::<u8>(), any::<u8>()).prop_map(|(id, kind, code)| Transport::Icmp {
                id,
                kind,
                code
            }),
            Just(Transport::None),
        ];
        (any::<u32>(), any::<u32>(), any::<u8>(), transport).prop_map(
            |(source, destination, protocol, transport)| Tuple {
                source: source.into(),
                destination: destination.into(),
                protocol,
                transport,
            },
        )
    }

    fn bytes_of(flow: &Flow) -> Vec<u8> {
        let mut request = Request::netfilter(NEW, 0, FAMILY_IPV4);
        encode(&flow.original, ORIGINAL, &mut request);
        encode(&flow.reply, REPLY, &mut request);
        request.attribute(STATUS, &flow.status.to_be_bytes());
        request.attribute(MARK, &flow.mark.to_be_bytes());
        request.into_attributes()
    }

    proptest! {
        #[test]
        fn a_session_reads_as_it_was_written(original in tuples(), reply in tuples(), status: u32, mark: u32) {
            let flow = Flow { id: None, original, reply, status, timeout_secs: None, mark };
            prop_assert_eq!(decode(&bytes_of(&flow)), Some(flow));
        }

        #[test]
        fn no_bytes_at_all_can_upset_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode(&bytes);
            prop_assert!(Messages(&bytes).count() <= bytes.len());
        }

        #[test]
        fn a_damaged_message_cannot_upset_the_decoder(
            original in tuples(), at in 0_usize..200, with: u8, length in 0_usize..200,
        ) {
            let flow = Flow { id: None, original, reply: original, status: 0, timeout_secs: None, mark: 0 };
            let mut bytes = bytes_of(&flow);
            let at = at % bytes.len();
            bytes[at] = with;
            bytes.truncate(length);
            let _ = decode(&bytes);
        }
    }
}
