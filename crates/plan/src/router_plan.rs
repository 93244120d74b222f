// SPDX-License-Identifier: Apache-2.0
//! Everything a router's kernel and services must hold, as values.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::MacAddr;

use crate::Ruleset;

/// What a router must hold. The observed state has the same shape, so that `diff` compares like with like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouterPlan {
    /// Interfaces by name. Others in the router are left alone.
    pub links: BTreeMap<String, Link>,
    /// IPv4 routes of the main table beside those that the kernel makes for addresses.
    pub routes: BTreeSet<Route>,
    /// Kernel parameters by dotted name: `net.ipv4.ip_forward`.
    pub sysctls: BTreeMap<String, Sysctl>,
    /// The native table `ip outgate`. Empty in an observation: the kernel has no such table.
    pub ruleset: Ruleset,
    /// Rules of `iptables -t nat`, chain POSTROUTING, as `iptables -S` prints them, in order. They repeat, for the
    /// operator's eyes and as a safety net behind the native table, what that table does.
    /// [`crate::iptables_restore`] writes them.
    pub iptables_postrouting: Vec<String>,
    /// The programs that run in the router, by name: `dnsmasq`, `sshd`. In an observation: those that run.
    pub services: BTreeMap<String, Service>,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// MTU in bytes.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Its IPv4 addresses.
    pub addresses: BTreeSet<Ipv4Net>,
}

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where to; 0.0.0.0/0 is the default route.
    pub to: Ipv4Net,
    /// Through which router.
    pub via: Ipv4Addr,
    /// Out of which interface.
    pub interface: String,
    /// The source address that the router's own packets prefer on it.
    pub source: Option<Ipv4Addr>,
}

/// A kernel parameter's wanted value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// The value, as /proc/sys shows it.
    pub value: String,
    /// Whether a router works without it. A namespace may not change every limit (`nf_conntrack_max` belongs to the
    /// machine): then a difference is reported once and is no failure.
    pub required: bool,
}

/// A program that must run in the router, with the files it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Program and arguments; it stays in the foreground.
    pub argv: Vec<String>,
    /// Its files: absolute path in the router's own mount namespace to content.
    pub files: BTreeMap<String, File>,
    /// A program with arguments that must find the files good before the service gets them; empty for none. `diff` does
    /// not look at it.
    pub check: Vec<String>,
    /// The socket on which its master process tells whether it has taken its files over; `None` for a service that
    /// does not tell. `diff` does not look at it.
    pub control: Option<String>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What it holds.
    pub content: String,
    /// Its permission bits, such as 0o600.
    pub mode: u32,
    /// What its service needs when it changes. An observation may carry anything here: `diff` heeds the plan's.
    pub on_change: OnChange,
}

/// How a service takes over a changed file. Ordered by how much it disturbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnChange {
    /// It reads the file whenever it needs it.
    Nothing,
    /// It gets SIGHUP and reads the file again.
    Hangup,
    /// It is started anew.
    Restart,
}

/// As `ip route` writes it.
impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.to.prefix_len() == 0 {
            write!(f, "default via {} dev {}", self.via, self.interface)?;
        } else {
            write!(f, "{} via {} dev {}", self.to, self.via, self.interface)?;
        }
        self.source.map_or(Ok(()), |source| write!(f, " src {source}"))
    }
}
