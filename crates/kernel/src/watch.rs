// SPDX-License-Identifier: Apache-2.0
//! A signal that something changed in this network namespace: the ruleset, a link, an address, a route, or the
//! forwarding and reverse-path settings. What changed is for the listener to look up: level-triggered. Of rules the
//! kernel says the generation, so that a listener knows those again that it has written itself.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::KernelError;
use crate::netlink::{Attributes, Messages, NETFILTER, Socket, be32};
use crate::nft::{GENERATION_ID, NEW_GENERATION};

const ROUTE: isize = 0;
/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV4_NETCONF` of linux/rtnetlink.h.
const ROUTE_GROUPS: [u32; 4] = [1, 5, 7, 24];
/// `NFNLGRP_NFTABLES` of linux/netfilter/nfnetlink.h.
const RULES_GROUP: u32 = 7;

/// More than a notification of rules takes.
const DATAGRAM_MAX: usize = 64 << 10;

/// What the kernel told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Rules: their newest generation, as [`crate::nft::generation`] says it.
    pub rules: Option<u32>,
    /// Anything else, or what was lost because the queue overflowed: it may have been anything.
    pub rest: bool,
}

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

    /// Waits up to `limit` for a change and takes everything that has arrived. `None`: nothing has.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn wait(&self, limit: Duration) -> Result<Option<Heard>, KernelError> {
        let millis = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let mut fds =
            [&self.rules, &self.routes].map(|socket| PollFd::new(socket.raw().as_fd(), PollFlags::POLLIN));
        match poll(&mut fds, millis) {
            Ok(0) | Err(Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(errno) => return Err(KernelError::os("waiting for changes", &errno.into())),
        }
        let mut heard = Heard::default();
        let any = take(&self.rules, DATAGRAM_MAX, &mut heard, hear_rules)?
            | take(&self.routes, 1, &mut heard, |heard, _| heard.rest = true)?;
        Ok(any.then_some(heard))
    }
}

/// A transaction's last message says its generation; those before it need not be read.
fn hear_rules(heard: &mut Heard, datagram: &[u8]) {
    let news = Messages(datagram).filter(|message| message.kind == NEW_GENERATION);
    for message in news {
        match Attributes(message.attributes())
            .find(GENERATION_ID)
            .and_then(be32)
        {
            Some(generation) => heard.rules = Some(generation),
            None => heard.rest = true,
        }
    }
}

/// Takes what has arrived; returns whether there was anything. Of each datagram `size` bytes are read.
fn take(
    socket: &Socket,
    size: usize,
    heard: &mut Heard,
    hear: impl Fn(&mut Heard, &[u8]),
) -> Result<bool, KernelError> {
    let mut any = false;
    let mut buffer = Vec::with_capacity(size);
    loop {
        buffer.clear();
        match socket.raw().recv(&mut buffer, libc::MSG_TRUNC) {
            Ok(length) => {
                any = true;
                heard.rest |= length > size;
                hear(heard, &buffer);
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                any = true;
                heard.rest = true;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(any),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(KernelError::os("reading a notification", &error)),
        }
    }
}
