// SPDX-License-Identifier: Apache-2.0
//! The fast path: eBPF programs that translate packets of established sessions, and their loader.
//!
//! The programs (`bpf/fastpath.bpf.c`) translate what the kernel's conntrack says is established, and leave everything
//! else to the kernel, unchanged. What they remember of a session is a lease of at most a second, so that whatever
//! happens to conntrack, routes, neighbours or this process, they are right again a second later at the latest;
//! [`Control`] ends all leases at once.
//!
//! A [`FastPath`] belongs to the network namespace of the thread that loads and attaches it. When it is dropped, or its
//! process ends, the kernel detaches the programs, and every session goes on through the kernel.

mod control;
mod counters;
mod cpus;
mod echo;
mod error;
mod layout;
mod load;
mod sys;

pub use control::{Control, Timeouts};
pub use counters::{Counters, Reason};
pub use cpus::cpus;
pub use error::FastPathError;
pub use load::{Account, FastPath, Hook, Port, Settings, Traffic, TrafficCount};
