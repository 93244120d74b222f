// SPDX-License-Identifier: Apache-2.0
//! A signal that something changed in this network namespace: the ruleset, a link, an address, a route, or the
//! forwarding and reverse-path settings. What changed is for the listener to look up: level-triggered.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::KernelError;
use crate::netlink::{NETFILTER, Socket};

const ROUTE: isize = 0;
/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV4_NETCONF` of linux/rtnetlink.h.
const ROUTE_GROUPS: [u32; 4] = [1, 5, 7, 24];
/// `NFNLGRP_NFTABLES` of linux/netfilter/nfnetlink.h.
const RULES_GROUP: u32 = 7;

/// Listens to the kernel's notifications.
#[derive(Debug)]
pub struct Watch {
    rules: Socket,
    routes: Socket,
}

impl Watch {
    /// Listens from now on, in the calling thread's network namespace; it may be used from another thread.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open() -> Result<Self, KernelError> {
        let watch = Self {
            rules: Socket::open(NETFILTER)?,
            routes: Socket::open(ROUTE)?,
        };
        watch.rules.join(RULES_GROUP)?;
        for group in ROUTE_GROUPS {
            watch.routes.join(group)?;
        }
        for socket in [&watch.rules, &watch.routes] {
            socket
                .raw()
                .set_non_blocking(true)
                .map_err(|e| KernelError::os("opening a watch", &e))?;
        }
        Ok(watch)
    }

    /// Waits up to `limit` for a change and takes everything that has arrived. Returns whether something changed;
    /// a queue that overflowed counts as a change.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn wait(&self, limit: Duration) -> Result<bool, KernelError> {
        let millis = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let mut fds =
            [&self.rules, &self.routes].map(|socket| PollFd::new(socket.raw().as_fd(), PollFlags::POLLIN));
        match poll(&mut fds, millis) {
            Ok(0) | Err(Errno::EINTR) => return Ok(false),
            Ok(_) => {}
            Err(errno) => return Err(KernelError::os("waiting for changes", &errno.into())),
        }
        Ok(drain(&self.rules)? | drain(&self.routes)?)
    }
}

/// Throws away what has arrived; returns whether there was anything.
fn drain(socket: &Socket) -> Result<bool, KernelError> {
    let mut any = false;
    let mut buffer = Vec::with_capacity(1);
    loop {
        buffer.clear();
        match socket.raw().recv(&mut buffer, libc::MSG_TRUNC) {
            Ok(_) => any = true,
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(any),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(KernelError::os("reading a notification", &error)),
        }
    }
}
