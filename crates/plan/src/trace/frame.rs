// SPDX-License-Identifier: Apache-2.0
//! The packet that a router sends itself.

use outgate_model::MacAddr;
use outgate_model::trace::TraceProtocol;

use super::Probe;

/// Locally administered, and nobody's.
const SENDER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0]);
const TTL: u8 = 64;
const IP_HEADER: u16 = 20;

/// An Ethernet frame to `to`, as a flow's first packet: a SYN with a maximum segment size, an empty UDP datagram or an
/// echo request. Its checksums are right.
pub fn frame(probe: &Probe, to: MacAddr) -> Vec<u8> {
    let mut transport = match probe.protocol {
        TraceProtocol::Tcp => tcp(probe),
        TraceProtocol::Udp => udp(probe),
        TraceProtocol::Icmp => icmp(probe),
    };
    let length = u16::try_from(transport.len()).unwrap_or(0);
    let number = probe.protocol.number();
    let at = match probe.protocol {
        TraceProtocol::Tcp => 16,
        TraceProtocol::Udp => 6,
        TraceProtocol::Icmp => 2,
    };
    let mut covered = Vec::new();
    if probe.protocol != TraceProtocol::Icmp {
        covered.extend(probe.source.octets());
        covered.extend(probe.destination.octets());
        covered.extend([0, number]);
        covered.extend(length.to_be_bytes());
    }
    covered.extend(&transport);
    put(&mut transport, at, checksum(&covered));

    let mut ip = vec![0x45, 0];
    ip.extend((IP_HEADER + length).to_be_bytes());
    // No identification; do not fragment.
    ip.extend([0, 0, 0x40, 0, TTL, number, 0, 0]);
    ip.extend(probe.source.octets());
    ip.extend(probe.destination.octets());
    let sum = checksum(&ip);
    put(&mut ip, 10, sum);

    [&to.0[..], &SENDER.0, &[0x08, 0x00], &ip, &transport].concat()
}

fn ports(probe: &Probe) -> Vec<u8> {
    let both = [probe.source_port, probe.destination_port];
    both.iter().flat_map(|port| port.to_be_bytes()).collect()
}

fn tcp(probe: &Probe) -> Vec<u8> {
    let mut bytes = ports(probe);
    // Sequence number, no acknowledgement, six words of header, SYN, window, checksum, urgent pointer.
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 6 << 4, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    // Maximum segment size 1460.
    bytes.extend([2, 4, 0x05, 0xb4]);
    bytes
}

fn udp(probe: &Probe) -> Vec<u8> {
    let mut bytes = ports(probe);
    bytes.extend([0, 8, 0, 0]);
    bytes
}

fn icmp(probe: &Probe) -> Vec<u8> {
    let mut bytes = vec![8, 0, 0, 0];
    bytes.extend(probe.source_port.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2);
    let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_come_out_as_zero_over_what_they_cover() {
        for protocol in [TraceProtocol::Tcp, TraceProtocol::Udp, TraceProtocol::Icmp] {
            let probe = Probe {
                protocol,
                source: [10, 1, 1, 5].into(),
                source_port: 40_000,
                destination: [198, 51, 100, 7].into(),
                destination_port: 443,
            };
            let frame = frame(&probe, MacAddr([2, 0, 0, 0, 0, 1]));
            let (ip, transport) = frame[14..].split_at(20);
            assert_eq!(checksum(ip), 0);
            assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), frame.len() - 14);
            let mut covered = transport.to_vec();
            if protocol != TraceProtocol::Icmp {
                covered.extend(&ip[12..20]);
                covered.extend([0, protocol.number(), 0, u8::try_from(transport.len()).unwrap()]);
            }
            assert_eq!(checksum(&covered), 0, "{protocol:?}");
        }
    }
}
