// SPDX-License-Identifier: Apache-2.0
//! The maps' values as the programs have them: see bpf/fastpath.h.

use std::net::Ipv4Addr;

/// Bytes of `struct lease_set`.
pub(crate) const LEASE_SET: u32 = 256;
/// Leases of a set.
pub(crate) const WAYS: u32 = 8;
/// Paths that each CPU remembers.
pub(crate) const PATHS: u32 = 4096;
/// Notes of ICMP echo that each CPU has: `NOTES_BITS`.
pub(crate) const NOTES: u32 = 1 << 10;
/// At most so many accounts: `ACCOUNTS_MAX`.
pub(crate) const ACCOUNTS_MAX: u32 = 4096;
/// `PORT_PEER`.
pub(crate) const PORT_PEER: u8 = 1;
/// `PORT_PUBLIC`.
pub(crate) const PORT_PUBLIC: u8 = 2;

/// `struct config`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) enabled: u32,
    pub(crate) generation: u32,
    pub(crate) set_mask: u32,
    pub(crate) lease: u32,
    pub(crate) tcp_timeout: u32,
    pub(crate) udp_timeout: u32,
    pub(crate) alive_until: u64,
    pub(crate) seed: u64,
}

impl Config {
    pub(crate) fn to_bytes(self) -> [u8; 40] {
        let words = [
            self.enabled,
            self.generation,
            self.set_mask,
            self.lease,
            self.tcp_timeout,
            self.udp_timeout,
        ];
        let words = words.into_iter().flat_map(u32::to_ne_bytes);
        let longs = [self.alive_until, self.seed]
            .into_iter()
            .flat_map(u64::to_ne_bytes);
        let mut bytes = [0; 40];
        for (byte, value) in bytes.iter_mut().zip(words.chain(longs)) {
            *byte = value;
        }
        bytes
    }
}

/// `struct port`.
pub(crate) fn port(mac: [u8; 6], flags: u8) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac;
    [a, b, c, d, e, f, flags, 0]
}

/// `struct account`: an address as it lies in a packet, and an interface.
pub(crate) fn account(address: Ipv4Addr, interface: u32) -> [u8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (address.octets(), interface.to_ne_bytes());
    [a, b, c, d, e, f, g, h]
}

/// `struct traffic`: packets and bytes.
pub(crate) fn traffic(bytes: &[u8]) -> (u64, u64) {
    let number = |at: usize| {
        let found = bytes.get(at..at + 8).and_then(|b| b.try_into().ok());
        found.map_or(0, u64::from_ne_bytes)
    };
    (number(0), number(8))
}
