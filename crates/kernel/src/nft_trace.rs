// SPDX-License-Identifier: Apache-2.0
//! What nftables tells of packets whose `nftrace` flag is set: each rule that they matched and each policy, with the
//! packet as each base chain got it.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::KernelError;
use crate::netlink::{Attributes, Messages, NETFILTER, Socket, be16, be32, be64};

/// `NFNLGRP_NFTRACE` of linux/netfilter/nfnetlink.h.
const GROUP: u32 = 9;
// linux/netfilter/nf_tables.h: subsystem 10, NFT_MSG_TRACE, NFTA_TRACE_*, NFTA_VERDICT_*.
const TRACE: u16 = (10 << 8) | 17;
const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const TYPE: u16 = 4;
const VERDICT: u16 = 5;
const ID: u16 = 6;
const NETWORK_HEADER: u16 = 8;
const TRANSPORT_HEADER: u16 = 9;
const INPUT: u16 = 10;
const OUTPUT: u16 = 12;
const POLICY: u16 = 16;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const DOING: &str = "listening to nftables' trace";

/// What a packet met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// A rule, by its handle.
    Rule(u64),
    /// The end of a chain's rules: none of them, or no more of them, matched.
    End,
    /// The policy of a base chain.
    Policy,
}

/// What it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Away with it.
    Drop,
    /// On to the next chain.
    Accept,
    /// Somebody else has it now.
    Stolen,
    /// To a program.
    Queue,
    /// On to the next rule.
    Continue,
    /// Back to the chain that jumped here.
    Return,
    /// To this chain, and back.
    Jump(String),
    /// To this chain.
    Goto(String),
    /// Anything else, by its number.
    Other(i32),
}

/// A packet as a base chain got it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shown {
    /// The index of the interface it came in on.
    pub input: Option<u32>,
    /// The index of the interface it leaves by; known after routing.
    pub output: Option<u32>,
    /// Its source address.
    pub source: Option<Ipv4Addr>,
    /// Its destination address.
    pub destination: Option<Ipv4Addr>,
    /// Source and destination port of TCP and UDP.
    pub ports: Option<(u16, u16)>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The same for all messages of one packet.
    pub id: u32,
    /// The table's family: `ip`, `inet` ...
    pub family: &'static str,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// What the packet met.
    pub met: Met,
    /// What that said.
    pub verdict: Verdict,
    /// The packet; told once for each base chain.
    pub packet: Option<Shown>,
}

/// Listens to what nftables tells of the network namespace.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
}

impl Listener {
    /// Listens from now on, in the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open() -> Result<Self, KernelError> {
        let socket = Socket::open(NETFILTER)?;
        socket.join(GROUP)?;
        let set = socket.raw().set_non_blocking(true);
        set.map_err(|e| KernelError::os(DOING, &e))?;
        Ok(Self { socket })
    }

    /// Waits up to `limit` and returns what has arrived; empty when nothing has. What the kernel had to drop is missing.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn wait(&self, limit: Duration) -> Result<Vec<Event>, KernelError> {
        let millis = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.socket.raw().as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, millis) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(errno) => return Err(KernelError::os(DOING, &errno.into())),
        }
        let mut events = Vec::new();
        let mut buffer = Vec::with_capacity(8 * 1024);
        // Bounded, so that the caller gets its turn whatever is traced beside.
        for _ in 0..256 {
            buffer.clear();
            match self.socket.raw().recv(&mut buffer, 0) {
                Ok(_) => events.extend(decode(&buffer)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(KernelError::os(DOING, &error)),
            }
        }
        Ok(events)
    }
}

/// The messages of one datagram, whatever its bytes are; what is no whole message of a trace is left out.
pub fn decode(datagram: &[u8]) -> Vec<Event> {
    let messages = Messages(datagram).filter(|message| message.kind == TRACE);
    messages
        .filter_map(|message| event(family(message.family()), message.attributes()))
        .collect()
}

fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "unknown",
    }
}

fn event(family: &'static str, bytes: &[u8]) -> Option<Event> {
    let attributes = Attributes(bytes);
    let (met, verdict) = match attributes.find(TYPE).and_then(be32)? {
        1 => (Met::Policy, policy(attributes.find(POLICY).and_then(be32)?)),
        2 | 3 => {
            // The kernel tells of a chain's end as of a rule without a handle.
            let handle = attributes.find(RULE_HANDLE).and_then(be64);
            let verdict = attributes.find(VERDICT).and_then(verdict)?;
            (handle.map_or(Met::End, Met::Rule), verdict)
        }
        _ => return None,
    };
    Some(Event {
        id: attributes.find(ID).and_then(be32)?,
        family,
        table: text(attributes.find(TABLE)?),
        chain: text(attributes.find(CHAIN)?),
        met,
        verdict,
        packet: attributes.find(NETWORK_HEADER).map(|header| Shown {
            input: attributes.find(INPUT).and_then(be32),
            output: attributes.find(OUTPUT).and_then(be32),
            ..shown(header, attributes.find(TRANSPORT_HEADER))
        }),
    })
}

fn policy(number: u32) -> Verdict {
    match number {
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        other => Verdict::Other(i32::try_from(other).unwrap_or(i32::MAX)),
    }
}

fn verdict(bytes: &[u8]) -> Option<Verdict> {
    let attributes = Attributes(bytes);
    let code = attributes.find(VERDICT_CODE).and_then(be32)?.cast_signed();
    let chain = || attributes.find(VERDICT_CHAIN).map(text).unwrap_or_default();
    Some(match code {
        // The high half of a drop is the error for a local sender, that of a queue its number.
        0.. => match code & 0xffff {
            0 => Verdict::Drop,
            1 => Verdict::Accept,
            2 => Verdict::Stolen,
            3 => Verdict::Queue,
            other => Verdict::Other(other),
        },
        -1 | -2 => Verdict::Continue,
        -3 => Verdict::Jump(chain()),
        -4 => Verdict::Goto(chain()),
        -5 => Verdict::Return,
        other => Verdict::Other(other),
    })
}

/// Addresses and ports of an IPv4 packet; what is missing or no IPv4 is left out.
fn shown(network: &[u8], transport: Option<&[u8]>) -> Shown {
    let is_ipv4 = network.len() >= 20 && network.first().is_some_and(|first| first >> 4 == 4);
    let address = |at: usize| {
        let bytes: [u8; 4] = network.get(at..at + 4)?.try_into().ok()?;
        is_ipv4.then(|| Ipv4Addr::from(bytes))
    };
    let has_ports = is_ipv4 && network.get(9).is_some_and(|protocol| [6, 17].contains(protocol));
    let port = |at: usize| transport.and_then(|header| header.get(at..at + 2)).and_then(be16);
    Shown {
        input: None,
        output: None,
        source: address(12),
        destination: address(16),
        ports: port(0).zip(port(2)).filter(|_| has_ports),
    }
}

/// A name, up to its NUL.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a kernel 6.18 sent of one packet through chains of several tables: a datagram a line, in hexadecimal.
    const RECORDED: &str = include_str!("../tests/nft_trace/recorded.hex");

    fn recorded() -> Vec<u8> {
        let digits: Vec<u8> = RECORDED.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    #[test]
    fn a_recorded_trace_reads_as_nft_monitor_prints_it() {
        let lines: Vec<String> = decode(&recorded())
            .iter()
            .map(|event| {
                let Event {
                    family,
                    table,
                    chain,
                    met,
                    verdict,
                    packet,
                    ..
                } = event;
                let packet = packet.map_or_else(String::new, |p| {
                    let (from, to) = (p.source.unwrap(), p.destination.unwrap());
                    let (sport, dport) = p.ports.unwrap();
                    format!(
                        " {from}:{sport} {to}:{dport} {:?} {:?}",
                        p.input.is_some(),
                        p.output.is_some()
                    )
                });
                format!("{family} {table} {chain} {met:?} {verdict:?}{packet}")
            })
            .collect();
        let expected = include_str!("../tests/nft_trace/recorded.txt");
        assert_eq!(lines.join("\n"), expected.trim_end());
    }

    #[test]
    fn a_header_that_is_cut_off_or_no_ipv4_shows_nothing() {
        let ports = [0x9c, 0x40, 0x01, 0xbb];
        let mut header = [0_u8; 20];
        (header[0], header[9]) = (0x45, 6);
        assert_eq!(shown(&header, Some(&ports)).ports, Some((40_000, 443)));
        assert_eq!(shown(&header[..19], Some(&ports)), Shown::default());
        header[0] = 0x60;
        assert_eq!(shown(&header, Some(&ports)), Shown::default());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_left_out(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            decode(&bytes);
        }

        #[test]
        fn a_damaged_trace_gives_no_more_events_than_it_had(at in 0_usize..4_096, byte in any::<u8>()) {
            let mut damaged = recorded();
            let whole = decode(&damaged).len();
            let at = at % damaged.len();
            damaged[at] = byte;
            prop_assert!(decode(&damaged).len() <= whole);
        }
    }
}
