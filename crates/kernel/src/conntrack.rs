// SPDX-License-Identifier: Apache-2.0
//! Connection tracking over ctnetlink: how many sessions, which, and away with one. The kernel's table is the one
//! truth about sessions.

mod events;
mod hand_over;

use std::net::Ipv4Addr;

pub use events::{Change, EVENTS_AT_ONCE, Events};
pub use hand_over::{Translated, adopt, translated};

use crate::KernelError;
use crate::netlink::{self, Attributes, FLAG_ACK, FLAG_DUMP, Request, Socket, Until, be16, be32, be64};

// linux/netfilter/nfnetlink_conntrack.h: subsystem 1.
const NEW: u16 = 1 << 8;
const GET: u16 = (1 << 8) | 1;
const DELETE: u16 = (1 << 8) | 2;
const GET_STATS_CPU: u16 = (1 << 8) | 4;
const GET_STATS: u16 = (1 << 8) | 5;
const FAMILY_IPV4: u8 = 2;
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const STATUS: u16 = 3;
const PROTOCOL_INFO: u16 = 4;
const TIMEOUT: u16 = 7;
const MARK: u16 = 8;
const COUNTERS_ORIGINAL: u16 = 9;
const COUNTERS_REPLY: u16 = 10;
const ID: u16 = 12;
const TIMESTAMP: u16 = 20;
const PROTOCOL_INFO_TCP: u16 = 1;
const TCP_STATE: u16 = 1;
const COUNTER_PACKETS: u16 = 1;
const COUNTER_BYTES: u16 = 2;
const TIMESTAMP_START: u16 = 1;
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
const CPU_INVALID: u16 = 4;
const CPU_INSERT_FAILED: u16 = 9;
const CPU_DROP: u16 = 10;
const CPU_EARLY_DROP: u16 = 11;

/// `IPS_SEEN_REPLY`: both sides have sent packets.
pub const STATUS_SEEN_REPLY: u32 = 1 << 1;
/// `IPS_ASSURED`: it has sent enough not to make room for others when the table is full.
pub const STATUS_ASSURED: u32 = 1 << 2;
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
    /// What was carried from the first sender and back to it; `None` while `nf_conntrack_acct` is off.
    pub carried: Option<[Carried; 2]>,
    /// When it began, in nanoseconds since 1970; `None` while `nf_conntrack_timestamp` is off.
    pub began_nanos: Option<u64>,
    /// The kernel's number of the TCP state, see [`tcp_state_name`].
    pub tcp_state: Option<u8>,
}

/// What one direction of a session has carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Packets.
    pub packets: u64,
    /// Bytes, IP headers among them.
    pub bytes: u64,
}

/// The name of a TCP state, as `conntrack -L` prints it.
pub fn tcp_state_name(state: u8) -> Option<&'static str> {
    // linux/netfilter/nf_conntrack_tcp.h
    const NAMES: [&str; 10] = [
        "NONE",
        "SYN_SENT",
        "SYN_RECV",
        "ESTABLISHED",
        "FIN_WAIT",
        "CLOSE_WAIT",
        "LAST_ACK",
        "TIME_WAIT",
        "CLOSE",
        "SYN_SENT2",
    ];
    NAMES.get(usize::from(state)).copied()
}

/// What went wrong in the table since the network namespace was made, all processors together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Packets that belong to no session and can begin none.
    pub invalid: u64,
    /// Sessions that could not be entered.
    pub insert_failed: u64,
    /// Packets dropped because the table was full, or no memory was left.
    pub dropped: u64,
    /// Sessions without an answer that made room for others.
    pub early_dropped: u64,
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

/// What went wrong so far.
///
/// # Errors
/// When the kernel refuses.
pub fn troubles() -> Result<Troubles, KernelError> {
    const DOING: &str = "reading the connection tracking statistics";
    let socket = Socket::open(netlink::NETFILTER)?;
    socket.send(Request::netfilter(GET_STATS_CPU, FLAG_DUMP, 0), DOING)?;
    let mut sum = Troubles::default();
    socket.receive(DOING, Until::End, |message| {
        let attributes = Attributes(message.attributes());
        let number = |kind| attributes.find(kind).and_then(be32).map_or(0, u64::from);
        sum.invalid += number(CPU_INVALID);
        sum.insert_failed += number(CPU_INSERT_FAILED);
        sum.dropped += number(CPU_DROP);
        sum.early_dropped += number(CPU_EARLY_DROP);
        Ok(())
    })?;
    Ok(sum)
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

/// A session's attributes by kind, found in one pass: a dump may hold hundreds of thousands of sessions.
struct Parts<'a>([Option<&'a [u8]>; PARTS]);

/// One more than the highest kind that is read.
const PARTS: usize = TIMESTAMP as usize + 1;

impl<'a> Parts<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let mut parts = [None; PARTS];
        for (kind, value) in Attributes(bytes) {
            if let Some(part) = parts.get_mut(usize::from(kind)) {
                *part = part.or(Some(value));
            }
        }
        Self(parts)
    }

    fn find(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.get(usize::from(kind)).copied().flatten()
    }

    fn carried(&self, kind: u16) -> Option<Carried> {
        let counters = Attributes(self.find(kind)?);
        Some(Carried {
            packets: counters.find(COUNTER_PACKETS).and_then(be64)?,
            bytes: counters.find(COUNTER_BYTES).and_then(be64)?,
        })
    }
}

/// `None` for what is no complete IPv4 session.
fn decode(bytes: &[u8]) -> Option<Flow> {
    let parts = Parts::of(bytes);
    let number = |kind| parts.find(kind).and_then(be32);
    let carried = parts
        .carried(COUNTERS_ORIGINAL)
        .zip(parts.carried(COUNTERS_REPLY));
    let tcp = || Attributes(parts.find(PROTOCOL_INFO)?).find(PROTOCOL_INFO_TCP);
    let began = || Attributes(parts.find(TIMESTAMP)?).find(TIMESTAMP_START);
    Some(Flow {
        id: number(ID),
        original: decode_tuple(parts.find(ORIGINAL)?)?,
        reply: decode_tuple(parts.find(REPLY)?)?,
        status: number(STATUS).unwrap_or(0),
        timeout_secs: number(TIMEOUT),
        mark: number(MARK).unwrap_or(0),
        carried: carried.map(|(there, back)| [there, back]),
        began_nanos: began().and_then(be64),
        tcp_state: tcp().and_then(|tcp| Attributes(tcp).find(TCP_STATE)?.first().copied()),
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

    fn flow(original: Tuple, reply: Tuple, status: u32, mark: u32) -> Flow {
        Flow {
            id: None,
            original,
            reply,
            status,
            timeout_secs: None,
            mark,
            carried: None,
            began_nanos: None,
            tcp_state: None,
        }
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
            let flow = flow(original, reply, status, mark);
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
            let flow = flow(original, original, 0, 0);
            let mut bytes = bytes_of(&flow);
            let at = at % bytes.len();
            bytes[at] = with;
            bytes.truncate(length);
            let _ = decode(&bytes);
        }
    }
}
