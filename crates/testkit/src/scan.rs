// SPDX-License-Identifier: Apache-2.0
//! Port scans with packets made by hand: every port in about a second, whether the far side answers or keeps silent.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::namespace::Namespace;
use crate::packet::{Packet, Sniffer, ipv4_packet, raw_socket, udp_packet};

/// The scan is over when nothing has come in for so long.
const QUIET: Duration = Duration::from_secs(1);
/// A port of the namespace's that nothing else uses.
const SOURCE_PORT: u16 = 61_234;

/// What a scan found. Ports that are in neither set kept silent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// Ports that took the packet: TCP said SYN+ACK, UDP sent a datagram back.
    pub open: BTreeSet<u16>,
    /// Ports that said no: TCP said RST, UDP got an ICMP error.
    pub refused: BTreeSet<u16>,
}

/// Sends a SYN to every TCP port of `target` (`source` is the namespace's own address that it is sent from), twice.
///
/// # Errors
/// When there is no route to the target.
pub fn scan_tcp(namespace: &Namespace, source: Ipv4Addr, target: Ipv4Addr) -> anyhow::Result<Scan> {
    let packet = |port| syn(source, target, port);
    scan(namespace, target, packet, |packet, scan| {
        let (Some((from, _)), Some(flags)) = (packet.ports(), packet.payload.get(13)) else {
            return;
        };
        if packet.source != target || packet.protocol != 6 {
            return;
        }
        match flags & 0x16 {
            0x12 => scan.open.insert(from),
            0x14 | 0x04 => scan.refused.insert(from),
            _ => false,
        };
    })
}

/// Sends a datagram to every UDP port of `target`, twice.
///
/// # Errors
/// When there is no route to the target.
pub fn scan_udp(namespace: &Namespace, source: Ipv4Addr, target: Ipv4Addr) -> anyhow::Result<Scan> {
    let from = SocketAddrV4::new(source, SOURCE_PORT);
    let packet = |port| udp_packet(from, SocketAddrV4::new(target, port), b"scan");
    scan(namespace, target, packet, |packet, scan| {
        if packet.protocol == 17 && packet.source == target {
            scan.open.extend(packet.ports().map(|(from, _)| from));
        }
        // ICMP destination unreachable carries the datagram that it is about.
        if packet.protocol == 1 && packet.payload.first() == Some(&3) && packet.destination == source {
            let about = packet.payload.get(8..).and_then(Packet::parse);
            let about = about.filter(|about| about.destination == target);
            scan.refused
                .extend(about.and_then(|about| about.ports()).map(|(_, to)| to));
        }
    })
}

fn scan(
    namespace: &Namespace,
    target: Ipv4Addr,
    packet: impl Fn(u16) -> Vec<u8>,
    judge: impl Fn(&Packet, &mut Scan),
) -> anyhow::Result<Scan> {
    let sniffer = Sniffer::start(namespace)?;
    let mut socket = raw_socket(namespace)?;
    socket
        .connect(&SocketAddrV4::new(target, 0).into())
        .context("no route to the target")?;
    for _ in 0..2 {
        for port in 1..=u16::MAX {
            socket
                .write_all(&packet(port))
                .with_context(|| format!("sending to port {port}"))?;
        }
    }
    let (mut count, mut last) = (0, Instant::now());
    while last.elapsed() < QUIET {
        let now = sniffer.count(|_| true);
        if now != count {
            (count, last) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut found = Scan::default();
    for packet in sniffer.packets() {
        judge(&packet, &mut found);
    }
    Ok(found)
}

fn syn(source: Ipv4Addr, target: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20);
    segment.extend(SOURCE_PORT.to_be_bytes());
    segment.extend(port.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0x72, 0x10, 0, 0, 0, 0]);
    let mut pseudo = source.octets().to_vec();
    pseudo.extend(target.octets());
    pseudo.extend([0, 6, 0, 20]);
    pseudo.extend(&segment);
    let sum = checksum(&pseudo).to_be_bytes();
    if let Some(field) = segment.get_mut(16..18) {
        field.copy_from_slice(&sum);
    }
    ipv4_packet(source, target, 6, &segment)
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}
