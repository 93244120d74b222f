// SPDX-License-Identifier: Apache-2.0
//! The kernel's notifications of sessions that begin and end, and the exact number of those it could not deliver.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{DELETE, Flow, NEW, decode};
use crate::KernelError;
use crate::netlink::{Messages, NETFILTER, Socket};

/// `NFNLGRP_CONNTRACK_NEW` and `NFNLGRP_CONNTRACK_DESTROY` of linux/netfilter/nfnetlink_compat.h.
const GROUPS: [u32; 2] = [1, 3];
/// More than a notification is long.
const DATAGRAM: usize = 8 * 1024;
/// At most so many notifications are taken at once, so that the caller gets its turn under load too.
pub const EVENTS_AT_ONCE: usize = 4_096;
const DOING: &str = "listening to sessions";

/// What happened to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its first packet was let through.
    Begins,
    /// It was forgotten: closed, timed out or deleted.
    Ends,
}

/// Listens to the sessions of a network namespace.
#[derive(Debug)]
pub struct Events {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Events {
    /// Listens from now on, in the calling thread's network namespace; it may be used from another thread. The kernel
    /// keeps up to `receive_buffer` bytes of notifications for a listener that is slow, or what it allows a caller
    /// without rights over the whole machine.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open(receive_buffer: usize) -> Result<Self, KernelError> {
        let socket = Socket::open(NETFILTER)?;
        set_receive_buffer(&socket, receive_buffer)?;
        for group in GROUPS {
            socket.join(group)?;
        }
        socket
            .raw()
            .set_non_blocking(true)
            .map_err(|e| KernelError::os(DOING, &e))?;
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    /// Waits up to `limit` for notifications and gives those that have arrived to `each`, at most some thousand. Returns
    /// how many there were.
    ///
    /// # Errors
    /// When the kernel refuses. What it could not deliver is no error: see [`Events::lost`].
    pub fn wait(
        &mut self,
        limit: Duration,
        mut each: impl FnMut(Change, &Flow),
    ) -> Result<usize, KernelError> {
        let millis = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.socket.raw().as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, millis) {
            Ok(0) | Err(Errno::EINTR) => return Ok(0),
            Ok(_) => {}
            Err(errno) => return Err(KernelError::os(DOING, &errno.into())),
        }
        for taken in 0..EVENTS_AT_ONCE {
            self.buffer.clear();
            match self.socket.raw().recv(&mut self.buffer, 0) {
                Ok(_) => give(&self.buffer, &mut each),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(taken),
                // The kernel says that it had to drop some; it counts how many.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(KernelError::os(DOING, &error)),
            }
        }
        Ok(EVENTS_AT_ONCE)
    }

    /// How many notifications the kernel had to drop since this listens, each of one session that began or ended.
    /// Counts up to 2^32 and begins anew.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn lost(&self) -> Result<u32, KernelError> {
        /// `SK_MEMINFO_DROPS` of linux/sock_diag.h, in an array of nine numbers.
        const DROPS: usize = 8;
        let mut numbers = [0_u32; DROPS + 1];
        let mut length = libc::socklen_t::try_from(size_of_val(&numbers)).unwrap_or_default();
        get_option(&self.socket, libc::SO_MEMINFO, &mut numbers, &mut length)?;
        Ok(numbers[DROPS])
    }
}

fn give(datagram: &[u8], each: &mut impl FnMut(Change, &Flow)) {
    for message in Messages(datagram) {
        let change = match message.kind {
            NEW => Change::Begins,
            DELETE => Change::Ends,
            _ => continue,
        };
        // Only IPv4 is translated; what else there is does not decode.
        if let Some(flow) = decode(message.attributes()) {
            each(change, &flow);
        }
    }
}

/// As large as asked for where the caller may, else as large as everybody may.
fn set_receive_buffer(socket: &Socket, bytes: usize) -> Result<(), KernelError> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    if set_option(socket, libc::SO_RCVBUFFORCE, bytes).is_ok() {
        return Ok(());
    }
    set_option(socket, libc::SO_RCVBUF, bytes)
}

#[allow(
    unsafe_code,
    reason = "nix has no SO_RCVBUFFORCE for netlink sockets of another crate"
)]
fn set_option(socket: &Socket, option: libc::c_int, value: libc::c_int) -> Result<(), KernelError> {
    let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or_default();
    // SAFETY: the pointer and the length are those of `value`, which lives until the call has returned; the kernel only
    // reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.raw().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            length,
        )
    };
    checked(result)
}

#[allow(unsafe_code, reason = "no crate reads SO_MEMINFO")]
fn get_option(
    socket: &Socket,
    option: libc::c_int,
    into: &mut [u32],
    length: &mut libc::socklen_t,
) -> Result<(), KernelError> {
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `into`; any bits are a valid u32.
    let result = unsafe {
        libc::getsockopt(
            socket.raw().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            into.as_mut_ptr().cast(),
            length,
        )
    };
    checked(result)
}

fn checked(result: libc::c_int) -> Result<(), KernelError> {
    if result == 0 {
        return Ok(());
    }
    Err(KernelError::os(DOING, &std::io::Error::last_os_error()))
}
