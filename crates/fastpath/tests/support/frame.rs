// SPDX-License-Identifier: Apache-2.0
//! Frames by hand, byte by byte.

use std::net::Ipv4Addr;

use outgate_model::MacAddr;

pub const ACK: u8 = 0x10;
pub const SYN: u8 = 0x02;
pub const FIN: u8 = 0x01;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;

/// The one's complement sum of `bytes` in big-endian words, added to `start` and folded.
pub fn sum(start: u32, bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(*high) << 8 | u32::from(*low),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let mut sum = words.fold(u64::from(start), |sum, word| sum + u64::from(word));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// An IPv4 packet in an Ethernet frame, whose parts can be spoilt before it is made.
#[derive(Debug, Clone)]
pub struct Frame {
    pub to: MacAddr,
    pub from: MacAddr,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub protocol: u8,
    pub ttl: u8,
    pub tos: u8,
    pub id: u16,
    pub fragment: u16,
    pub options: Vec<u8>,
    pub body: Vec<u8>,
}

impl Frame {
    /// Its bytes, with a right header checksum.
    pub fn bytes(&self) -> Vec<u8> {
        let header = 20 + self.options.len();
        let total = u16::try_from(header + self.body.len()).unwrap();
        let mut bytes = Vec::with_capacity(14 + usize::from(total));
        bytes.extend(self.to.0);
        bytes.extend(self.from.0);
        bytes.extend([8, 0, 0x40 | u8::try_from(header / 4).unwrap(), self.tos]);
        bytes.extend(total.to_be_bytes());
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([self.ttl, self.protocol, 0, 0]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes.extend(&self.options);
        set_header_checksum(&mut bytes, header);
        bytes.extend(&self.body);
        bytes
    }
}

/// Makes the IPv4 header's checksum right.
pub fn set_header_checksum(frame: &mut [u8], header: usize) {
    frame[24..26].fill(0);
    let check = !sum(0, &frame[14..14 + header]);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
}

fn pseudo(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: usize) -> u32 {
    let mut bytes = Vec::with_capacity(12);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend([0, protocol]);
    bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
    u32::from(sum(0, &bytes))
}

/// A UDP datagram with its checksum.
pub fn udp(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len();
    let mut body = Vec::with_capacity(length);
    body.extend(source.1.to_be_bytes());
    body.extend(destination.1.to_be_bytes());
    body.extend(u16::try_from(length).unwrap().to_be_bytes());
    body.extend([0, 0]);
    body.extend(payload);
    let check = !sum(pseudo(source.0, destination.0, 17, length), &body);
    let check = if check == 0 { 0xffff } else { check };
    body[6..8].copy_from_slice(&check.to_be_bytes());
    body
}

/// A TCP segment with its checksum; `options` in multiples of four bytes.
pub fn tcp(
    source: (Ipv4Addr, u16),
    destination: (Ipv4Addr, u16),
    (seq, ack, flags): (u32, u32, u8),
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let header = 20 + options.len();
    let mut body = Vec::with_capacity(header + payload.len());
    body.extend(source.1.to_be_bytes());
    body.extend(destination.1.to_be_bytes());
    body.extend(seq.to_be_bytes());
    body.extend(ack.to_be_bytes());
    body.extend([
        u8::try_from(header / 4).unwrap() << 4,
        flags,
        0xff,
        0xff,
        0,
        0,
        0,
        0,
    ]);
    body.extend(options);
    body.extend(payload);
    let check = !sum(pseudo(source.0, destination.0, 6, body.len()), &body);
    body[16..18].copy_from_slice(&check.to_be_bytes());
    body
}

/// An ICMP message with its checksum.
pub fn icmp(kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut body = vec![kind, code, 0, 0];
    body.extend(rest);
    body.extend(payload);
    let check = !sum(0, &body);
    body[2..4].copy_from_slice(&check.to_be_bytes());
    body
}

/// Whether the transport's checksum is right, or not there (UDP).
pub fn transport_is_right(frame: &[u8]) -> bool {
    let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    let body = &frame[34..14 + total];
    let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&frame[at..at + 4]).unwrap());
    let protocol = frame[23];
    if protocol == 17 && body[6..8] == [0, 0] {
        return true;
    }
    sum(pseudo(address(26), address(30), protocol, body.len()), body) == 0xffff
}
