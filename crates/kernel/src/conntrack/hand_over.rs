// SPDX-License-Identifier: Apache-2.0
//! Translated sessions leave one network namespace's table and live on in another's: what conntrackd does between two
//! machines, done between two routers of one.

use std::net::Ipv4Addr;

use super::{
    FAMILY_IPV4, Flow, GET, MARK, NEW, ORIGINAL, REPLY, STATUS, STATUS_DESTINATION_NAT, STATUS_SOURCE_NAT,
    TIMEOUT, Transport, Tuple, decode, encode,
};
use crate::KernelError;
use crate::netlink::{self, Attributes, FLAG_ACK, FLAG_DUMP, Request, Socket, Until};

// linux/netfilter/nfnetlink_conntrack.h
const PROTOCOL_INFO: u16 = 4;
const NAT_SOURCE: u16 = 6;
const NAT_DESTINATION: u16 = 13;
const INFO_TCP: u16 = 1;
const TCP_STATE: u16 = 1;
const TCP_FLAGS_ORIGINAL: u16 = 4;
const TCP_FLAGS_REPLY: u16 = 5;
const NAT_MIN_ADDRESS: u16 = 1;
const NAT_MAX_ADDRESS: u16 = 2;
const NAT_PORTS: u16 = 3;
const NAT_MIN_PORT: u16 = 1;
const NAT_MAX_PORT: u16 = 2;
/// `NLM_F_EXCL | NLM_F_CREATE`.
const FLAG_NEW: u16 = 0x200 | 0x400;
/// `TCP_CONNTRACK_ESTABLISHED`.
const ESTABLISHED: u8 = 3;
/// `IP_CT_TCP_FLAG_BE_LIBERAL`: the windows that the other router saw are not known here.
const LIBERAL: u8 = 0x08;
/// `IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED`: what may be said of a new entry.
const KEPT_STATUS: u32 = 0x02 | 0x04 | 0x08;
const TCP: u8 = 6;
/// Most sessions that are handed over: the largest table a router has by default.
const MOST: usize = 262_144;

/// A translated session, with what it takes to go on elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    flow: Flow,
}

/// The translated sessions of this namespace that are worth to go on: of TCP the established ones. At most 262,144.
///
/// # Errors
/// When the kernel refuses.
pub fn translated() -> Result<Vec<Translated>, KernelError> {
    const DOING: &str = "listing sessions";
    let socket = Socket::open(netlink::NETFILTER)?;
    socket.send(Request::netfilter(GET, FLAG_DUMP, FAMILY_IPV4), DOING)?;
    let mut found = Vec::new();
    socket.receive(DOING, Until::End, |message| {
        let bytes = message.attributes();
        if message.kind == NEW
            && found.len() < MOST
            && let Some(flow) = decode(bytes)
            && flow.status & (STATUS_SOURCE_NAT | STATUS_DESTINATION_NAT) != 0
            && (flow.original.protocol != TCP || tcp_state(bytes) == Some(ESTABLISHED))
        {
            found.push(Translated { flow });
        }
        Ok(())
    })?;
    Ok(found)
}

fn tcp_state(bytes: &[u8]) -> Option<u8> {
    let info = Attributes(bytes).find(PROTOCOL_INFO)?;
    let tcp = Attributes(info).find(INFO_TCP)?;
    Attributes(tcp).find(TCP_STATE)?.first().copied()
}

/// Takes sessions into this namespace's table, translated as they were; those that are there already stay as they are.
/// Returns how many were taken.
///
/// # Errors
/// When the kernel refuses one for another reason; those before it are taken.
pub fn adopt(sessions: &[Translated]) -> Result<u64, KernelError> {
    const DOING: &str = "taking over a session";
    let socket = Socket::open(netlink::NETFILTER)?;
    let mut taken = 0;
    for session in sessions {
        socket.send(request(&session.flow), DOING)?;
        match socket.receive(DOING, Until::End, |_| Ok(())) {
            Ok(_) => taken += 1,
            Err(error) if error.errno() == Some(libc::EEXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

/// The kernel works the translation out from the untranslated answer's tuple and the addresses to translate to.
fn request(flow: &Flow) -> Request {
    let (original, reply) = (flow.original, flow.reply);
    let mut request = Request::netfilter(NEW, FLAG_ACK | FLAG_NEW, FAMILY_IPV4);
    encode(&original, ORIGINAL, &mut request);
    encode(&answered(original), REPLY, &mut request);
    request.attribute(STATUS, &(flow.status & KEPT_STATUS).to_be_bytes());
    request.attribute(TIMEOUT, &flow.timeout_secs.unwrap_or(1).to_be_bytes());
    request.attribute(MARK, &flow.mark.to_be_bytes());
    if original.protocol == TCP {
        request.nested(PROTOCOL_INFO, |request| {
            request.nested(INFO_TCP, |request| {
                request.attribute(TCP_STATE, &[ESTABLISHED]);
                request.attribute(TCP_FLAGS_ORIGINAL, &[LIBERAL, LIBERAL]);
                request.attribute(TCP_FLAGS_REPLY, &[LIBERAL, LIBERAL]);
            });
        });
    }
    if flow.status & STATUS_SOURCE_NAT != 0 {
        translation(
            &mut request,
            NAT_SOURCE,
            reply.destination,
            to_port(reply.transport),
        );
    }
    if flow.status & STATUS_DESTINATION_NAT != 0 {
        translation(
            &mut request,
            NAT_DESTINATION,
            reply.source,
            from_port(reply.transport),
        );
    }
    request
}

fn translation(request: &mut Request, kind: u16, address: Ipv4Addr, port: Option<u16>) {
    request.nested(kind, |request| {
        request.attribute(NAT_MIN_ADDRESS, &address.octets());
        request.attribute(NAT_MAX_ADDRESS, &address.octets());
        if let Some(port) = port {
            request.nested(NAT_PORTS, |request| {
                request.attribute(NAT_MIN_PORT, &port.to_be_bytes());
                request.attribute(NAT_MAX_PORT, &port.to_be_bytes());
            });
        }
    });
}

/// What an answer looks like when nothing is translated.
fn answered(tuple: Tuple) -> Tuple {
    let transport = match tuple.transport {
        Transport::Ports { source, destination } => Transport::Ports {
            source: destination,
            destination: source,
        },
        // RFC 792: an echo, 8, is answered by 0; a timestamp, 13, by 14.
        Transport::Icmp { id, kind, code } => Transport::Icmp {
            id,
            kind: match kind {
                8 => 0,
                0 => 8,
                13 => 14,
                14 => 13,
                15 => 16,
                16 => 15,
                17 => 18,
                18 => 17,
                other => other,
            },
            code,
        },
        Transport::None => Transport::None,
    };
    Tuple {
        source: tuple.destination,
        destination: tuple.source,
        protocol: tuple.protocol,
        transport,
    }
}

/// The port, or the ICMP query's id, to which an answer goes.
fn to_port(transport: Transport) -> Option<u16> {
    match transport {
        Transport::Ports { destination, .. } => Some(destination),
        Transport::Icmp { id, .. } => Some(id),
        Transport::None => None,
    }
}

/// The port from which an answer comes.
fn from_port(transport: Transport) -> Option<u16> {
    match transport {
        Transport::Ports { source, .. } => Some(source),
        Transport::Icmp { .. } | Transport::None => None,
    }
}
