// SPDX-License-Identifier: Apache-2.0
//! The only door to Linux: namespaces, processes, rtnetlink, nftables, conntrack, sysctl. No policy lives here.
//!
//! Everything acts in the namespaces of the calling thread.

pub mod arp;
pub mod conntrack;
pub mod error;
mod frame;
pub mod inject;
pub mod iptables;
pub mod link;
pub mod mount;
pub mod namespace;
mod netlink;
pub mod nft;
pub mod nft_trace;
pub mod process;
mod program;
pub mod sysctl;
pub mod watch;

pub use error::KernelError;
