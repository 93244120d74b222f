// SPDX-License-Identifier: Apache-2.0
//! The calls of libbpf that libbpf-rs does not wrap.

#![allow(unsafe_code, reason = "libbpf's C functions")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libbpf_rs::libbpf_sys as c;

/// Where a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the driver's receive path.
    Xdp,
    /// At the start of traffic control, on ingress.
    TcxIngress,
}

/// Attaches a program to an interface of the calling thread's network namespace. It is detached when the descriptor is
/// closed.
pub(crate) fn attach(program: BorrowedFd<'_>, interface: i32, place: Place) -> io::Result<OwnedFd> {
    let (kind, flags) = match place {
        Place::Xdp => (c::BPF_XDP, c::XDP_FLAGS_DRV_MODE),
        Place::TcxIngress => (c::BPF_TCX_INGRESS, 0),
    };
    // SAFETY: the struct consists of integers, a union of integers and pointers; all zeroes is its empty value.
    let mut options: c::bpf_link_create_opts = unsafe { std::mem::zeroed() };
    options.sz = size_of::<c::bpf_link_create_opts>() as c::size_t;
    options.flags = flags;
    // SAFETY: the program's descriptor is open for the call, `options` lives through it, and its size is set.
    let fd = unsafe { c::bpf_link_create(program.as_raw_fd(), interface, kind, &raw const options) };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: a descriptor that was just made and that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether an interface's driver can hand packets on to another interface from XDP, and take such packets.
pub(crate) fn xdp_features(interface: i32) -> io::Result<(bool, bool)> {
    const REDIRECT: u64 = 1 << 1;
    const TRANSMIT: u64 = 1 << 2;
    // SAFETY: the struct consists of integers; all zeroes is its empty value.
    let mut options: c::bpf_xdp_query_opts = unsafe { std::mem::zeroed() };
    options.sz = size_of::<c::bpf_xdp_query_opts>() as c::size_t;
    // SAFETY: `options` lives through the call and its size is set.
    let result = unsafe { c::bpf_xdp_query(interface, 0, &raw mut options) };
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    let features = options.feature_flags;
    Ok((features & REDIRECT != 0, features & TRANSMIT != 0))
}
