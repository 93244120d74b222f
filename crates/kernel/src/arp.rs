// SPDX-License-Identifier: Apache-2.0
//! Gratuitous ARP: tells the neighbours at once which interface has an address now (RFC 5227 section 3).
#![allow(unsafe_code, reason = "neither std nor nix can address a link-layer socket")]

use std::io;
use std::mem::size_of;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use outgate_model::MacAddr;

use crate::KernelError;

const ETHERNET: u16 = 1;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV4: u16 = 0x0800;
const REQUEST: u16 = 1;

/// Broadcasts that `address` is at `mac`, out of the interface with this index. The interface must be up.
///
/// # Errors
/// When the kernel refuses.
pub fn announce(index: u32, mac: MacAddr, address: Ipv4Addr) -> Result<(), KernelError> {
    send(index, &announcement(mac, address)).map_err(|e| KernelError::os(format!("announcing {address}"), &e))
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

fn send(index: u32, packet: &[u8]) -> io::Result<()> {
    // SAFETY: no pointers; the result is checked before it is used.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let to = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?,
        sll_protocol: ETHERTYPE_ARP.to_be(),
        sll_ifindex: i32::try_from(index).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
    };
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(io::Error::other)?;
    // SAFETY: both pointers are to values that outlive the call, with their own lengths.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            0,
            std::ptr::from_ref(&to).cast(),
            length,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
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
