// SPDX-License-Identifier: Apache-2.0
//! Records as IPFIX messages (RFC 7011) with the information elements of NAT events (RFC 8158), over UDP.

use std::io;
use std::net::{SocketAddrV4, UdpSocket};

use jiff::Timestamp;

use super::record::{Record, What};

const VERSION: u16 = 10;
const TEMPLATE_SET: u16 = 2;
const OPTIONS_TEMPLATE_SET: u16 = 3;
/// The template of session records.
const SESSION: u16 = 256;
/// The options template of records that were lost.
const LOST: u16 = 257;
const MESSAGE_HEADER: usize = 16;
const SET_HEADER: usize = 4;
/// A message is no longer than what every path carries in one packet.
const MESSAGE_MAX: usize = 1_400;
/// Over UDP templates are sent again and again (RFC 7011, 8.4): a collector that starts later waits at most so long.
const TEMPLATES_EVERY_SECS: i64 = 30;

/// Information elements of a session record, in order, with their lengths in bytes (IANA's registry of IPFIX; those of
/// RFC 8158, 4.2 for the events NAT44 session create and delete).
const SESSION_FIELDS: [(u16, u16); 11] = [
    (323, 8), // observationTimeMilliseconds
    (230, 1), // natEvent
    (4, 1),   // protocolIdentifier
    (8, 4),   // sourceIPv4Address
    (7, 2),   // sourceTransportPort
    (225, 4), // postNATSourceIPv4Address
    (227, 2), // postNAPTSourceTransportPort
    (12, 4),  // destinationIPv4Address
    (11, 2),  // destinationTransportPort
    (226, 4), // postNATDestinationIPv4Address
    (228, 2), // postNAPTDestinationTransportPort
];
const SESSION_LENGTH: usize = 34;
/// Scope: observationDomainId; then notSentFlowTotalCount.
const LOST_FIELDS: [(u16, u16); 2] = [(149, 4), (167, 8)];

/// `natEvent` of RFC 8158, 4.3.
const NAT44_SESSION_CREATE: u8 = 4;
const NAT44_SESSION_DELETE: u8 = 5;

/// Makes messages. Knows nothing of sockets and clocks.
#[derive(Debug)]
pub struct Encoder {
    /// Which router speaks.
    domain: u32,
    /// Data records sent so far, modulo 2^32.
    sequence: u32,
    /// Records that wait for their message.
    waiting: Vec<u8>,
    templates_at: Option<i64>,
}

impl Encoder {
    /// An encoder for the router with this number.
    pub fn new(domain: u32) -> Self {
        Self {
            domain,
            sequence: 0,
            waiting: Vec::with_capacity(MESSAGE_MAX),
            templates_at: None,
        }
    }

    /// Adds a record. Returns a message when one is full.
    pub fn push(&mut self, record: &Record) -> Option<Vec<u8>> {
        encode(record, &mut self.waiting);
        let templates = templates().len();
        let full =
            MESSAGE_HEADER + templates + SET_HEADER + self.waiting.len() + SESSION_LENGTH > MESSAGE_MAX;
        full.then(|| self.finish(record.at)).flatten()
    }

    /// The message with the records that wait; `None` when there are none.
    pub fn finish(&mut self, now: Timestamp) -> Option<Vec<u8>> {
        if self.waiting.is_empty() {
            return None;
        }
        let records = u32::try_from(self.waiting.len() / SESSION_LENGTH).unwrap_or(u32::MAX);
        let mut sets = self.due_templates(now);
        set(SESSION, &self.waiting, &mut sets);
        self.waiting.clear();
        Some(self.message(&sets, records, now))
    }

    /// The message that so many records were lost in all.
    pub fn lost(&mut self, total: u64, now: Timestamp) -> Vec<u8> {
        let mut sets = self.due_templates(now);
        let mut record = self.domain.to_be_bytes().to_vec();
        record.extend(total.to_be_bytes());
        set(LOST, &record, &mut sets);
        self.message(&sets, 1, now)
    }

    fn due_templates(&mut self, now: Timestamp) -> Vec<u8> {
        let second = now.as_second();
        // A clock that was set back counts as due.
        let is_due = |at: i64| !(at..at + TEMPLATES_EVERY_SECS).contains(&second);
        if self.templates_at.is_none_or(is_due) {
            self.templates_at = Some(second);
            return templates();
        }
        Vec::new()
    }

    fn message(&mut self, sets: &[u8], records: u32, now: Timestamp) -> Vec<u8> {
        let mut message = Vec::with_capacity(MESSAGE_HEADER + sets.len());
        message.extend(VERSION.to_be_bytes());
        message.extend(short(MESSAGE_HEADER + sets.len()).to_be_bytes());
        // Seconds modulo 2^32, as the field's 32 bits want it.
        message.extend(&now.as_second().to_be_bytes()[4..]);
        message.extend(self.sequence.to_be_bytes());
        message.extend(self.domain.to_be_bytes());
        message.extend(sets);
        self.sequence = self.sequence.wrapping_add(records);
        message
    }
}

fn templates() -> Vec<u8> {
    let mut sets = Vec::new();
    let mut template = Vec::new();
    fields(SESSION, None, &SESSION_FIELDS, &mut template);
    set(TEMPLATE_SET, &template, &mut sets);
    template.clear();
    fields(LOST, Some(1), &LOST_FIELDS, &mut template);
    // Sets end on four bytes where that is easy for the reader (RFC 7011, 3.3.1).
    template.resize(template.len().next_multiple_of(4), 0);
    set(OPTIONS_TEMPLATE_SET, &template, &mut sets);
    sets
}

fn fields(id: u16, scopes: Option<u16>, fields: &[(u16, u16)], into: &mut Vec<u8>) {
    into.extend(id.to_be_bytes());
    into.extend(short(fields.len()).to_be_bytes());
    into.extend(scopes.into_iter().flat_map(u16::to_be_bytes));
    for (element, length) in fields {
        into.extend(element.to_be_bytes());
        into.extend(length.to_be_bytes());
    }
}

fn set(id: u16, content: &[u8], into: &mut Vec<u8>) {
    into.extend(id.to_be_bytes());
    into.extend(short(SET_HEADER + content.len()).to_be_bytes());
    into.extend(content);
}

/// A length; every message is far below what the field holds.
fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

fn encode(record: &Record, into: &mut Vec<u8>) {
    into.extend(record.at.as_millisecond().to_be_bytes());
    into.push(match record.what {
        What::Create | What::Active => NAT44_SESSION_CREATE,
        What::Delete => NAT44_SESSION_DELETE,
    });
    into.push(record.protocol);
    let (original, translated) = (record.original, record.translated);
    for end in [
        original.source,
        translated.source,
        original.destination,
        translated.destination,
    ] {
        into.extend(end.ip().octets());
        into.extend(end.port().to_be_bytes());
    }
}

/// Sends messages to a collector.
#[derive(Debug)]
pub struct Exporter {
    socket: UdpSocket,
    encoder: Encoder,
}

impl Exporter {
    /// Sends to this collector from now on.
    ///
    /// # Errors
    /// When there is no socket, or no way to the collector.
    pub fn new(collector: SocketAddrV4, domain: u32) -> io::Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(collector)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            encoder: Encoder::new(domain),
        })
    }

    /// Adds a record, and sends the message when one is full.
    ///
    /// # Errors
    /// When it could not be sent; its records are missing at the collector, whose sequence numbers tell so.
    pub fn push(&mut self, record: &Record) -> io::Result<()> {
        match self.encoder.push(record) {
            Some(message) => self.send(&message),
            None => Ok(()),
        }
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// See [`Exporter::push`].
    pub fn flush(&mut self, now: Timestamp) -> io::Result<()> {
        match self.encoder.finish(now) {
            Some(message) => self.send(&message),
            None => Ok(()),
        }
    }

    /// Says how many records were lost in all.
    ///
    /// # Errors
    /// See [`Exporter::push`].
    pub fn lost(&mut self, total: u64, now: Timestamp) -> io::Result<()> {
        let message = self.encoder.lost(total, now);
        self.send(&message)
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        self.socket.send(message).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::flow;
    use super::*;
    use outgate_kernel::conntrack::STATUS_SOURCE_NAT;

    const AT: &str = "2026-11-25T15:45:37.123Z";

    fn record(what: What) -> Record {
        Record::of(what, &flow(STATUS_SOURCE_NAT), AT.parse().unwrap()).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_message_is_the_bytes_of_rfc_7011_and_rfc_8158() {
        let mut encoder = Encoder::new(7);
        assert_eq!(encoder.push(&record(What::Create)), None);
        let message = encoder.finish(AT.parse().unwrap()).unwrap();
        let parts = [
            // Header: version, length, time, sequence, domain.
            "000a 007e 6b0702a1 00000000 00000007",
            // Template 256 with 11 fields.
            "0002 0034 0100 000b",
            "01430008 00e60001 00040001 00080004 00070002 00e10004 00e30002 000c0004 000b0002 00e20004 00e40002",
            // Options template 257 with 2 fields, one of them a scope.
            "0003 0014 0101 0002 0001 00950004 00a70008 0000",
            // Data: time, create, TCP; source, source as it left, destination, destination as it left.
            "0100 0026 000001a213624563 04 06 0a01010b 9c40 cb00710a 0400 c6336401 01bb c6336401 01bb",
        ];
        assert_eq!(hex(&message), parts.concat().replace(' ', ""));
    }

    #[test]
    fn the_fields_are_as_long_as_a_record() {
        let sum: u16 = SESSION_FIELDS.iter().map(|(_, length)| length).sum();
        let mut bytes = Vec::new();
        encode(&record(What::Delete), &mut bytes);
        assert_eq!((usize::from(sum), bytes.len()), (SESSION_LENGTH, SESSION_LENGTH));
    }

    #[test]
    fn messages_fit_into_a_packet_and_count_their_records() {
        let mut encoder = Encoder::new(7);
        let (mut records, mut messages) = (0_u32, 0);
        for _ in 0..1_000 {
            records += 1;
            if let Some(message) = encoder.push(&record(What::Create)) {
                assert!(message.len() <= MESSAGE_MAX, "{}", message.len());
                assert_eq!(encoder.sequence, records);
                messages += 1;
            }
        }
        assert!((25..40).contains(&messages), "{messages} messages");
    }

    #[test]
    fn templates_come_again_and_again() {
        let mut encoder = Encoder::new(7);
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let lengths = [0, 1, 29, 30, 31, 10].map(|second| encoder.lost(1, at(second)).len());
        let (with, without) = (lengths[0], lengths[1]);
        assert!(with > without);
        assert_eq!(lengths, [with, without, without, with, without, with]);
    }
}
