// SPDX-License-Identifier: Apache-2.0
//! Gratuitous ARP: tells the neighbours at once which interface has an address now (RFC 5227 section 3).

use std::net::Ipv4Addr;

use outgate_model::MacAddr;

use crate::KernelError;
use crate::frame::{self, Given};

const ETHERNET: u16 = 1;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV4: u16 = 0x0800;
const REQUEST: u16 = 1;

/// Broadcasts that `address` is at `mac`, out of the interface with this index. The interface must be up.
///
/// # Errors
/// When the kernel refuses.
pub fn announce(index: u32, mac: MacAddr, address: Ipv4Addr) -> Result<(), KernelError> {
    frame::send(index, ETHERTYPE_ARP, &announcement(mac, address), Given::Payload)
        .map_err(|e| KernelError::os(format!("announcing {address}"), &e))
}

/// An ARP request of an address for itself.
fn announcement(mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    let mut packet = Vec::with_capacity(28);
    packet.extend(ETHERNET.to_be_bytes());
    packet.extend(ETHERTYPE_IPV4.to_be_bytes());
    packet.extend([6, 4]);
    packet.extend(REQUEST.to_be_bytes());
    packet.extend(mac.0);
    packet.extend(address.octets());
    packet.extend([0; 6]);
    packet.extend(address.octets());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_a_request_of_an_address_for_itself() {
        let packet = announcement(MacAddr([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(203, 0, 113, 10));
        assert_eq!(packet.len(), 28);
        assert_eq!(packet[..8], [0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(packet[14..18], packet[24..28]);
    }
}
