// SPDX-License-Identifier: Apache-2.0
//! `tcpdump -n`: the packets of one flow at one interface.

use std::net::Ipv4Addr;

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// ICMP echo request of so many bytes, with its header.
    Request(u32),
    /// ICMP echo reply of so many bytes, with its header.
    Reply(u32),
    /// ICMP "fragmentation needed", with the MTU that it tells.
    TooLarge(u32),
    /// TCP or UDP with these ports.
    Ports(u16, u16),
    /// Something else.
    Other,
}

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// To whom.
    pub destination: Ipv4Addr,
    /// What it is.
    pub what: What,
}

/// What one interface saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// In order.
    pub packets: Vec<Packet>,
}

impl Captured {
    /// How many packets are like this.
    pub fn count(&self, like: impl Fn(&Packet) -> bool) -> usize {
        self.packets.iter().filter(|p| like(p)).count()
    }
}

/// Reads what tcpdump printed. `None` when it never began to listen.
pub fn captured(stdout: &str, stderr: &str) -> Option<Captured> {
    if !stderr.contains("listening on") {
        return None;
    }
    Some(Captured {
        packets: stdout.lines().filter_map(packet).collect(),
    })
}

/// `15:50:56.289760 IP 203.0.113.10 > 198.51.100.53: ICMP echo request, id 11, seq 2, length 69`.
fn packet(line: &str) -> Option<Packet> {
    let (_, rest) = line.split_once(" IP ")?;
    let (from, rest) = rest.split_once(" > ")?;
    let (to, rest) = rest.split_once(": ")?;
    let (source, source_port) = endpoint(from)?;
    let (destination, destination_port) = endpoint(to)?;
    let length = || number_after(rest, "length ").unwrap_or(0);
    let what = if rest.starts_with("ICMP echo request") {
        What::Request(length())
    } else if rest.starts_with("ICMP echo reply") {
        What::Reply(length())
    } else if rest.contains("need to frag") {
        What::TooLarge(number_after(rest, "mtu ").unwrap_or(0))
    } else if let (Some(from), Some(to)) = (source_port, destination_port) {
        What::Ports(from, to)
    } else {
        What::Other
    };
    Some(Packet {
        source,
        destination,
        what,
    })
}

/// `198.51.100.53` or `198.51.100.53.443`.
fn endpoint(text: &str) -> Option<(Ipv4Addr, Option<u16>)> {
    if let Ok(address) = text.parse() {
        return Some((address, None));
    }
    let (address, port) = text.rsplit_once('.')?;
    Some((address.parse().ok()?, port.parse().ok()))
}

fn number_after(text: &str, words: &str) -> Option<u32> {
    let (_, rest) = text.rsplit_once(words)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_as_tcpdump_prints_them() {
        let text = "15:50:56.289760 IP 203.0.113.10 > 198.51.100.53: ICMP echo request, id 11, seq 2, length 69\n\
            15:50:56.289801 IP 198.51.100.53 > 203.0.113.10: ICMP echo reply, id 11, seq 2, length 69\n\
            15:50:56.30 IP 203.0.113.1 > 203.0.113.10: ICMP 198.51.100.53 unreachable - need to frag (mtu 1300), length 556\n\
            15:50:56.31 IP 10.1.1.2.4711 > 198.51.100.10.443: Flags [S], seq 1, win 64240, length 0\n\
            15:50:56.32 ARP, Request who-has 10.1.1.1 tell 10.1.1.2, length 28\n";
        let seen = captured(text, "listening on eth2").unwrap().packets;
        let what: Vec<What> = seen.iter().map(|p| p.what).collect();
        assert_eq!(
            what,
            [
                What::Request(69),
                What::Reply(69),
                What::TooLarge(1300),
                What::Ports(4711, 443)
            ]
        );
        assert_eq!(seen[3].destination, Ipv4Addr::new(198, 51, 100, 10));
        assert_eq!(captured("", "tcpdump: eth2: No such device exists"), None);
    }
}
