// SPDX-License-Identifier: Apache-2.0
//! Leases of guests that are gone. dnsmasq keeps a lease until it expires, and while it does, it refuses the address to
//! the guest that has it now. So each lease that the spec no longer names is given back in the name of the guest that
//! had it, with the message that the guest would have sent itself: DHCPRELEASE (RFC 2131, section 4.4.6).

use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt::BindToDevice};
use outgate_model::router_spec::GuestNetwork;
use outgate_model::{MacAddr, RouterSpec};
use outgate_plan::plan::DNSMASQ_LEASES;

use super::Engine;

/// Far above 65,536 leases of at most some hundred bytes each would be a file that dnsmasq did not write.
const FILE_MAX: u64 = 16 << 20;
/// DHCP's server port.
const SERVER_PORT: u16 = 67;

/// A lease as dnsmasq's file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    mac: MacAddr,
    address: Ipv4Addr,
    /// The client's own identifier, empty when it sent none.
    client_id: Vec<u8>,
}

impl Engine {
    /// Gives back the leases of guests that the spec no longer names, and looks again later until there are none.
    pub(super) fn release_leases(&mut self) {
        if !self.doubts_leases {
            return;
        }
        let Some(spec) = self.spec() else { return };
        let stale = stale(&read_file(), spec);
        for (network, lease) in &stale {
            if let Err(error) = release(network, lease) {
                let (address, mac) = (lease.address, lease.mac);
                self.log.warn(&format!(
                    "the lease of {address} to {mac} is not given back yet: {error}"
                ));
            }
        }
        self.doubts_leases = !stale.is_empty();
    }
}

/// An unreadable file is as none: dnsmasq has not written it yet.
fn read_file() -> String {
    let mut text = String::new();
    let file = std::fs::File::open(DNSMASQ_LEASES);
    match file.and_then(|file| file.take(FILE_MAX).read_to_string(&mut text)) {
        Ok(_) => text,
        Err(_) => String::new(),
    }
}

/// The leases in dnsmasq's file that no guest of the spec has, with the network that each belongs to.
fn stale<'a>(file: &str, spec: &'a RouterSpec) -> Vec<(&'a GuestNetwork, Held)> {
    let of = |lease: &Held| {
        spec.guest_networks
            .iter()
            .find(|n| n.gateway.contains(&lease.address))
    };
    let known = |network: &GuestNetwork, lease: &Held| {
        network
            .leases
            .get(&lease.mac)
            .is_some_and(|l| l.address == lease.address)
    };
    let held = file.lines().filter_map(held);
    held.filter_map(|lease| of(&lease).filter(|n| !known(n, &lease)).map(|n| (n, lease)))
        .collect()
}

/// One line: expiry, MAC address, address, name, client identifier or `*`.
fn held(line: &str) -> Option<Held> {
    let mut words = line.split(' ').skip(1);
    let (mac, address) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let client_id = match words.nth(1)? {
        "*" => Vec::new(),
        id => id
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16).ok())
            .collect::<Option<_>>()?,
    };
    let fits = client_id.len() <= usize::from(u8::MAX);
    fits.then_some(Held {
        mac,
        address,
        client_id,
    })
}

fn release(network: &GuestNetwork, lease: &Held) -> std::io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // dnsmasq wants it to have come in by the guests' interface.
    setsockopt(&socket, BindToDevice, &network.interface.clone().into())?;
    let server = network.gateway.addr();
    socket.send_to(&message(server, lease), (server, SERVER_PORT))?;
    Ok(())
}

/// The DHCPRELEASE (RFC 2131, figure 1 and table 5).
fn message(server: Ipv4Addr, lease: &Held) -> Vec<u8> {
    const REQUEST: u8 = 1;
    const ETHERNET: u8 = 1;
    const RELEASE: u8 = 7;
    let mut packet = vec![REQUEST, ETHERNET, 6, 0];
    // The transaction's number (any: nobody answers), seconds, flags.
    packet.extend([0; 8]);
    packet.extend(lease.address.octets());
    // yiaddr, siaddr, giaddr.
    packet.extend([0; 12]);
    packet.extend(lease.mac.0);
    // The rest of chaddr, sname, file.
    packet.extend([0; 10 + 64 + 128]);
    packet.extend([0x63, 0x82, 0x53, 0x63]);
    packet.extend([53, 1, RELEASE, 54, 4]);
    packet.extend(server.octets());
    if let Some(length) = u8::try_from(lease.client_id.len()).ok().filter(|l| *l > 0) {
        packet.extend([61, length]);
        packet.extend(&lease.client_id);
    }
    packet.push(255);
    // RFC 1542, section 2.1: no message is shorter.
    packet.resize(packet.len().max(300), 0);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "1795531246 02:00:00:00:00:05 10.1.1.4 x2 01:02:00:00:00:00:05";

    #[test]
    fn a_line_of_the_lease_file_is_read_and_a_damaged_one_is_passed_over() {
        let lease = held(LINE).expect("a lease");
        assert_eq!(lease.address, Ipv4Addr::new(10, 1, 1, 4));
        assert_eq!(lease.client_id, [1, 2, 0, 0, 0, 0, 5]);
        let nameless = held("0 02:00:00:00:00:05 10.1.1.4 * *").expect("a lease");
        assert!(nameless.client_id.is_empty());
        for damaged in [
            "",
            "1795531246",
            "1 2 3 4 5",
            "duid 00:01:00",
            &LINE[..40],
            "0 02:00:00:00:00:05 10.1.1.4 * zz",
        ] {
            assert_eq!(held(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn the_release_names_the_lease_and_the_server() {
        let packet = message(Ipv4Addr::new(10, 1, 1, 1), &held(LINE).expect("a lease"));
        assert_eq!(packet.len(), 300);
        assert_eq!(packet[12..16], [10, 1, 1, 4]);
        assert_eq!(packet[28..34], [2, 0, 0, 0, 0, 5]);
        assert_eq!(
            packet[236..249],
            [0x63, 0x82, 0x53, 0x63, 53, 1, 7, 54, 4, 10, 1, 1, 1]
        );
        assert_eq!(packet[249..258], [61, 7, 1, 2, 0, 0, 0, 0, 5]);
    }
}
