// SPDX-License-Identifier: Apache-2.0
//! How many packets went which way, and why.

use std::fmt;

/// Which way a packet went. Order: `enum counter` of bpf/fastpath.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Translated and sent on by the fast path. Everything else is the kernel's.
    Hit,
    /// Neither TCP, UDP nor ICMP echo over IPv4, not sent to this router's Ethernet address, or tagged.
    NotOurs,
    /// A fragment.
    Fragment,
    /// With IPv4 options.
    Options,
    /// Its time to live ends here.
    TtlEnds,
    /// SYN, FIN, RST, URG or no ACK: the kernel follows the connection's state.
    TcpFlags,
    /// Lengths or the header's checksum are wrong.
    Malformed,
    /// Larger than its route carries.
    OverMtu,
    /// The fast path is suspended.
    Suspended,
    /// Conntrack knows no such session. Of ICMP echo: or the kernel carried no packet of this direction for the length of a
    /// lease, as with each session's first packet in a second.
    NoSession,
    /// The session has not been answered yet, is being opened or ends.
    NotSettled,
    /// The session has a helper (FTP, SIP, PPTP, TFTP), adjusted sequence numbers, or timeouts of its own.
    Helped,
    /// To the router itself, or to nowhere.
    NoRoute,
    /// The next hop's Ethernet address is not known.
    NoNeighbour,
    /// Its source lies behind another interface.
    WrongSide,
    /// It leaves through an interface without fast path.
    NoPort,
    /// It crosses the public side and there is no room to count it.
    NoAccount,
    /// One packet for each next hop and lease, so that the kernel goes on checking the neighbour.
    NeighbourUse,
    /// The first of its direction: a lease is taken for the second, so that short sessions do not pay for one.
    First,
    /// Its set is full of leases, or its path's set of paths, that are in use.
    NoRoom,
    /// Known to be the kernel's for the length of a lease.
    KernelLease,
    /// No packet's way: how many leases were taken.
    Leased,
    /// No packet's way: how many leases went on after conntrack alone was asked again.
    Renewed,
}

impl Reason {
    /// All of them, in order.
    pub const ALL: [Self; 23] = [
        Self::Hit,
        Self::NotOurs,
        Self::Fragment,
        Self::Options,
        Self::TtlEnds,
        Self::TcpFlags,
        Self::Malformed,
        Self::OverMtu,
        Self::Suspended,
        Self::NoSession,
        Self::NotSettled,
        Self::Helped,
        Self::NoRoute,
        Self::NoNeighbour,
        Self::WrongSide,
        Self::NoPort,
        Self::NoAccount,
        Self::NeighbourUse,
        Self::First,
        Self::NoRoom,
        Self::KernelLease,
        Self::Leased,
        Self::Renewed,
    ];

    /// `no_session`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::NotOurs => "not_ours",
            Self::Fragment => "fragment",
            Self::Options => "options",
            Self::TtlEnds => "ttl_ends",
            Self::TcpFlags => "tcp_flags",
            Self::Malformed => "malformed",
            Self::OverMtu => "over_mtu",
            Self::Suspended => "suspended",
            Self::NoSession => "no_session",
            Self::NotSettled => "not_settled",
            Self::Helped => "helped",
            Self::NoRoute => "no_route",
            Self::NoNeighbour => "no_neighbour",
            Self::WrongSide => "wrong_side",
            Self::NoPort => "no_port",
            Self::NoAccount => "no_account",
            Self::NeighbourUse => "neighbour_use",
            Self::First => "first",
            Self::NoRoom => "no_room",
            Self::KernelLease => "kernel_lease",
            Self::Leased => "leased",
            Self::Renewed => "renewed",
        }
    }
}

/// Packets by the way they went, of all CPUs, since the programs were loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters([u64; Reason::ALL.len()]);

impl Counters {
    /// Adds one CPU's.
    pub(crate) fn add(&mut self, of_cpu: &[u8]) {
        for (sum, bytes) in self.0.iter_mut().zip(of_cpu.chunks_exact(8)) {
            *sum += bytes.try_into().map_or(0, u64::from_ne_bytes);
        }
    }

    /// How many went this way.
    pub fn get(&self, reason: Reason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or_default()
    }

    /// How many packets the programs have seen.
    pub fn packets(&self) -> u64 {
        self.0.iter().sum::<u64>() - self.get(Reason::Leased) - self.get(Reason::Renewed)
    }
}

/// `1000 packets: 990 hit, 10 no_session`.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets:", self.packets())?;
        let mut separator = " ";
        for reason in Reason::ALL {
            let count = self.get(reason);
            if count > 0 {
                write!(f, "{separator}{count} {}", reason.name())?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_where_the_programs_count_them() {
        let header = include_str!("../bpf/fastpath.h");
        let (_, list) = header.split_once("enum counter {").expect("the enum");
        let (list, _) = list.split_once("COUNTERS").expect("its end");
        let names: Vec<String> = list
            .lines()
            .filter_map(|line| line.trim().split_once(','))
            .map(|(name, _)| name.to_lowercase())
            .collect();
        assert_eq!(names, Reason::ALL.map(|r| r.name().to_owned()));
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }
}
