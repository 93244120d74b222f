// SPDX-License-Identifier: Apache-2.0
//! Packets as they are: made by hand with any source address, and seen as they pass.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Namespace;

/// `ETH_P_IP` in network byte order, as packet sockets take it.
const ETH_P_IP_BE: i32 = 0x0008;
/// The most packets that a [`Sniffer`] keeps.
const KEPT_MAX: usize = 1 << 20;

/// An IPv4 packet that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its source.
    pub source: Ipv4Addr,
    /// Its destination.
    pub destination: Ipv4Addr,
    /// Its protocol's number: 1 ICMP, 6 TCP, 17 UDP.
    pub protocol: u8,
    /// Its time to live: one less for each router on its way.
    pub ttl: u8,
    /// Everything behind the IPv4 header, at most 2,048 bytes.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Reads an IPv4 packet; `None` when it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let header = usize::from(bytes.first()? & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
        let address = |at: usize| -> Option<Ipv4Addr> {
            Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?))
        };
        Some(Self {
            source: address(12)?,
            destination: address(16)?,
            protocol: *bytes.get(9)?,
            ttl: *bytes.get(8)?,
            payload: bytes.get(header..total.min(bytes.len()))?.to_vec(),
        })
    }

    /// Source and destination port, of TCP and UDP.
    pub fn ports(&self) -> Option<(u16, u16)> {
        let port = |at: usize| {
            Some(u16::from_be_bytes([
                *self.payload.get(at)?,
                *self.payload.get(at + 1)?,
            ]))
        };
        matches!(self.protocol, 6 | 17).then_some(())?;
        Some((port(0)?, port(2)?))
    }
}

/// Sees every IPv4 packet that enters or leaves a namespace, on all of its interfaces. Ends when dropped.
#[derive(Debug)]
pub struct Sniffer {
    packets: Arc<Mutex<Vec<Packet>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sniffer {
    /// Starts to look. Packets are seen from the moment this returns.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn start(namespace: &Namespace) -> anyhow::Result<Self> {
        let mut socket = namespace.within(|| {
            let protocol = Protocol::from(ETH_P_IP_BE);
            Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))
        })??;
        // Best effort: more than net.core.rmem_max is cut to that.
        let _ = socket.set_recv_buffer_size(64 << 20);
        let _ = setsockopt(&socket, RcvBufForce, &(64 << 20));
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let (packets, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, stopping) = (Arc::clone(&packets), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 2_048];
            while !stopping.load(Ordering::Relaxed) {
                let Ok(count) = socket.read(&mut buffer) else {
                    continue;
                };
                let packet = buffer.get(..count).and_then(Packet::parse);
                if let (Some(packet), Ok(mut seen)) = (packet, seen.lock())
                    && seen.len() < KEPT_MAX
                {
                    seen.push(packet);
                }
            }
        });
        Ok(Self {
            packets,
            stop,
            thread: Some(thread),
        })
    }

    /// How many packets so far are like that.
    pub fn count(&self, like: impl Fn(&Packet) -> bool) -> usize {
        self.packets
            .lock()
            .map_or(0, |packets| packets.iter().filter(|p| like(p)).count())
    }

    /// Every packet since the last call.
    pub fn take(&self) -> Vec<Packet> {
        self.packets
            .lock()
            .map(|mut packets| std::mem::take(&mut *packets))
            .unwrap_or_default()
    }

    /// Every packet so far.
    pub fn packets(&self) -> Vec<Packet> {
        self.packets
            .lock()
            .map(|packets| packets.clone())
            .unwrap_or_default()
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Packets count against this until the first router on their way takes them. It is less than what fits between two
/// namespaces (`net.core.netdev_max_backlog`, 1,000 packets): who sends faster than the kernel carries waits, and loses none.
const UNDER_WAY: usize = 128 << 10;

/// A socket that sends IPv4 packets with the header as given.
pub(crate) fn raw_socket(namespace: &Namespace) -> anyhow::Result<Socket> {
    let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)));
    let socket = namespace.within(open)??;
    socket.set_send_buffer_size(UNDER_WAY)?;
    Ok(socket)
}

/// Sends many packets out of a namespace, each as it is.
#[derive(Debug)]
pub struct RawSender {
    socket: Socket,
}

impl RawSender {
    /// For packets out of this namespace.
    ///
    /// # Errors
    /// When it cannot be entered.
    pub fn new(namespace: &Namespace) -> anyhow::Result<Self> {
        let socket = raw_socket(namespace)?;
        Ok(Self { socket })
    }

    /// Sends an IPv4 packet; the namespace's routes for `to` choose the interface and the next hop.
    ///
    /// # Errors
    /// When there is no route or the kernel refuses.
    pub fn send(&self, packet: &[u8], to: Ipv4Addr) -> anyhow::Result<()> {
        let sent = self.socket.send_to(packet, &SocketAddrV4::new(to, 0).into());
        sent.map(drop).with_context(|| format!("sending to {to}"))
    }
}

/// Sends an IPv4 packet out of a namespace as it is; the namespace's routes for `to` choose the interface and the next
/// hop, whatever the packet itself says of its source.
///
/// # Errors
/// When there is no route or the kernel refuses.
pub fn send_packet(namespace: &Namespace, packet: &[u8], to: Ipv4Addr) -> anyhow::Result<()> {
    let mut socket = raw_socket(namespace)?;
    socket
        .connect(&SocketAddrV4::new(to, 0).into())
        .context("no route")?;
    Ok(socket.write_all(packet)?)
}

/// An IPv4 packet with any source address. The kernel fills in the header's checksum.
pub fn ipv4_packet(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// A UDP datagram in an IPv4 packet with any source address; its checksum is 0, which means none.
pub fn udp_packet(source: SocketAddrV4, destination: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let mut datagram = Vec::new();
    for word in [source.port(), destination.port(), length, 0] {
        datagram.extend(word.to_be_bytes());
    }
    datagram.extend(payload);
    ipv4_packet(*source.ip(), *destination.ip(), 17, &datagram)
}
