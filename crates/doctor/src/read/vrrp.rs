// SPDX-License-Identifier: Apache-2.0
//! VRRP adverts (RFC 3768, 5798, 9568) as `tcpdump -i any -y LINUX_SLL2 -xx` shows them: who says that it is master of
//! which addresses. Anybody on a wire may send such bytes.

use std::net::Ipv4Addr;

use outgate_model::MacAddr;

/// An advert, which only a master sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// The router's interface that it was heard on.
    pub interface: String,
    /// Who sent it.
    pub sender: Ipv4Addr,
    /// The Ethernet address that it was sent from.
    pub mac: MacAddr,
    /// Whether it was sent here, not heard.
    pub ours: bool,
    /// VRRP's version, 2 or 3.
    pub version: u8,
    /// The virtual router id, 1 to 255.
    pub vrid: u8,
    /// The priority, 1 to 255; 0 when it gives up being master.
    pub priority: u8,
    /// The virtual addresses.
    pub addresses: Vec<Ipv4Addr>,
}

/// Adverts in the order in which they were heard. `None` when tcpdump never began to listen.
pub fn heard(stdout: &str, stderr: &str) -> Option<Vec<Advert>> {
    if !stderr.contains("listening on") {
        return None;
    }
    let frames = frames(stdout).into_iter();
    Some(
        frames
            .filter_map(|(interface, bytes)| advert(&interface, &bytes))
            .collect(),
    )
}

/// The interface and the bytes of each packet: a line `22:22:47.200456 eth0  M   IP ...`, and below it the bytes in
/// lines such as `\t0x0010:  c53b 0000 45c0`.
fn frames(stdout: &str) -> Vec<(String, Vec<u8>)> {
    let mut frames: Vec<(String, Vec<u8>)> = Vec::new();
    for line in stdout.lines() {
        if !line.starts_with('\t') {
            let interface = line.split_whitespace().nth(1).unwrap_or_default();
            frames.push((interface.to_owned(), Vec::new()));
        } else if let (Some((_, bytes)), Some((_, hex))) = (frames.last_mut(), line.split_once(":  ")) {
            bytes.extend(hex.split_whitespace().flat_map(octets));
        }
    }
    frames
}

/// `45c0`, or `45` at the end of an odd number of bytes.
fn octets(word: &str) -> Vec<u8> {
    let pairs = word.as_bytes().chunks(2);
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map_while(octet).collect()
}

/// The head that Linux puts in front of packets of any interface (LINKTYPE_LINUX_SLL2), in bytes.
const HEAD: usize = 20;
/// What is sent here.
const OUTGOING: u8 = 4;
/// IP protocol of VRRP.
const VRRP: u8 = 112;
/// Where adverts go to.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// Reads one packet with Linux' head in front. `None` for anything but an advert that a router would take: of type 1,
/// with TTL 255, whole, and with a right checksum.
pub fn advert(interface: &str, frame: &[u8]) -> Option<Advert> {
    let (head, packet) = frame.split_at_checked(HEAD)?;
    let is_ethernet = head.get(11) == Some(&6);
    let mac: [u8; 6] = head.get(12..18)?.try_into().ok()?;
    if !head.starts_with(&[0x08, 0x00]) || !is_ethernet {
        return None;
    }
    let (sender, message) = message(packet)?;
    let &[kind, vrid, priority, count, ..] = message else {
        return None;
    };
    let version = kind >> 4;
    let is_right = match version {
        2 => sum(message) == 0xffff,
        // Some leave the addresses out of version 3's sum.
        3 => sum(&with_addresses(sender, message)) == 0xffff || sum(message) == 0xffff,
        _ => false,
    };
    if kind & 0x0f != 1 || vrid == 0 || count == 0 || !is_right {
        return None;
    }
    let addresses = message.get(8..8 + 4 * usize::from(count))?;
    Some(Advert {
        interface: interface.to_owned(),
        sender,
        mac: MacAddr(mac),
        ours: head.get(10) == Some(&OUTGOING),
        version,
        vrid,
        priority,
        addresses: addresses.chunks_exact(4).filter_map(address).collect(),
    })
}

/// The sender and what an IPv4 packet of VRRP holds.
fn message(packet: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let begin = usize::from(packet.first()? & 0x0f) * 4;
    let end = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let header = packet.get(..begin.max(20))?;
    let is_whole = u16::from_be_bytes([*header.get(6)?, *header.get(7)?]) & 0x3fff == 0;
    let is_advert = packet.first()? >> 4 == 4 && begin >= 20 && header.get(8) == Some(&255) && is_whole;
    if !is_advert || header.get(9) != Some(&VRRP) || address(header.get(16..20)?) != Some(GROUP) {
        return None;
    }
    Some((address(header.get(12..16)?)?, packet.get(begin..end)?))
}

fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}

/// The message with the pseudo header of version 3's checksum in front.
fn with_addresses(sender: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut bytes = [sender.octets(), GROUP.octets()].concat();
    bytes.extend([0, VRRP]);
    bytes.extend(length);
    bytes.extend(message);
    bytes
}

/// The ones' complement sum, which is 0xffff where the checksum that it holds is right.
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        u16::from_be_bytes([
            pair.first().copied().unwrap_or(0),
            pair.get(1).copied().unwrap_or(0),
        ])
    });
    words.fold(0u16, |sum, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As keepalived 2.2.7 sends them.
    const SEEN: &str = "22:22:47.200456 eth0  M   IP 10.1.1.241 > 224.0.0.18: VRRPv2, Advertisement, vrid 51, prio 101, authtype none, intvl 1s, length 20\n\
        \t0x0000:  0800 0000 0000 0004 0001 0206 0632 42b8\n\
        \t0x0010:  c53b 0000 45c0 0028 0005 0000 ff70 ce9c\n\
        \t0x0020:  0a01 01f1 e000 0012 2133 6501 0001 6e65\n\
        \t0x0030:  0a01 0164 0000 0000 0000 0000\n\
        22:22:59.797731 eth2  Out IP 10.1.1.242 > 224.0.0.18: VRRPv3, Advertisement, vrid 51, prio 102, intvl 100cs, length 12\n\
        \t0x0000:  0800 0000 0000 0004 0001 0406 de33 c185\n\
        \t0x0010:  b0f2 0000 45c0 0020 0002 0000 ff70 cea6\n\
        \t0x0020:  0a01 01f2 e000 0012 3133 6601 0064 70e3\n\
        \t0x0030:  0a01 0101\n";

    fn frame() -> Vec<u8> {
        frames(SEEN).remove(0).1
    }

    #[test]
    fn adverts_of_both_versions_are_read_as_keepalived_sends_them() {
        let seen = heard(SEEN, "listening on any").unwrap();
        let first = Advert {
            interface: "eth0".to_owned(),
            sender: Ipv4Addr::new(10, 1, 1, 241),
            mac: "06:32:42:b8:c5:3b".parse().unwrap(),
            ours: false,
            version: 2,
            vrid: 51,
            priority: 101,
            addresses: vec![Ipv4Addr::new(10, 1, 1, 100)],
        };
        assert_eq!(seen[0], first);
        let second = &seen[1];
        assert_eq!((second.version, second.priority, second.ours), (3, 102, true));
        assert_eq!(second.addresses, [Ipv4Addr::new(10, 1, 1, 1)]);
        assert_eq!(second.interface, "eth2");
    }

    #[test]
    fn silence_is_no_advert_and_a_tcpdump_that_never_listened_no_silence() {
        assert_eq!(heard("", "listening on any"), Some(Vec::new()));
        assert_eq!(heard("", "tcpdump: any: You don't have permission"), None);
    }

    #[test]
    fn an_advert_that_came_through_a_router_or_was_cut_or_changed_is_none() {
        assert!(advert("eth0", &frame()).is_some());
        for (at, value) in [
            (28, 254),
            (29, 17),
            (26, 0x20),
            (39, 19),
            (40, 0x41),
            (41, 0),
            (43, 0),
            (43, 9),
        ] {
            let mut frame = frame();
            frame[at] = value;
            assert_eq!(advert("eth0", &frame), None, "byte {at} is {value}");
        }
        for length in 0..frame().len() {
            assert_eq!(advert("eth0", &frame()[..length]), None, "{length} bytes");
        }
    }
}
