// SPDX-License-Identifier: Apache-2.0
//! Transport headers and payloads of packets made by hand.

use outgate_plan::packet::{Header, Packet};

/// Internet checksum, RFC 1071.
fn checksum(parts: &[&[u8]]) -> u16 {
    let bytes: Vec<u8> = parts.concat();
    let words = bytes
        .chunks(2)
        .map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// What is behind a packet's IPv4 header, with `tag` at its end and this source port (or ICMP id).
pub fn payload(packet: &Packet, port: u16, tag: &[u8]) -> Vec<u8> {
    let port = port.to_be_bytes();
    let (mut header, sum_at) = match packet.header {
        Header::Tcp { destination, .. } => {
            let mut syn = vec![0; 20];
            syn[2..4].copy_from_slice(&destination.to_be_bytes());
            syn[..2].copy_from_slice(&port);
            (syn[12], syn[13], syn[14]) = (0x50, 0x02, 0xff);
            (syn, Some(16))
        }
        // Without a checksum, as UDP may be.
        Header::Udp { destination, .. } => {
            let length = u16::try_from(8 + tag.len()).unwrap().to_be_bytes();
            ([port, destination.to_be_bytes(), length, [0, 0]].concat(), None)
        }
        Header::Icmp { kind, code } => ([[kind, code], [0, 0], port, [0, 1]].concat(), Some(2)),
        Header::Other(_) => (vec![0; 4], None),
    };
    if let Some(at) = sum_at {
        let length = u16::try_from(header.len() + tag.len()).unwrap().to_be_bytes();
        let pseudo = [
            &packet.source.octets()[..],
            &packet.destination.octets(),
            &[0, 6],
            &length,
        ]
        .concat();
        let pseudo = if packet.header.number() == 6 {
            pseudo
        } else {
            Vec::new()
        };
        let sum = checksum(&[&pseudo, &header, tag]);
        header[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    [header.as_slice(), tag].concat()
}
