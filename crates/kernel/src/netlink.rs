// SPDX-License-Identifier: Apache-2.0
//! The little of netlink's wire format that nfnetlink needs: messages of attributes, in bounds whatever the bytes say.

use std::cell::Cell;
use std::os::fd::AsFd;

use netlink_sys::SocketAddr;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::KernelError;

/// `NETLINK_NETFILTER`.
pub(crate) const NETFILTER: isize = 12;

const HEADER: usize = 16;
/// `struct nfgenmsg`: family, version, resource id.
const NETFILTER_HEADER: usize = 4;
const ATTRIBUTE_HEADER: usize = 4;
const TYPE_ERROR: u16 = 2;
const TYPE_DONE: u16 = 3;
const FLAG_REQUEST: u16 = 0x1;
const FLAG_MULTI: u16 = 0x2;
/// The kernel tells when a dump was disturbed by changes.
const FLAG_DUMP_INTERRUPTED: u16 = 0x10;
pub(crate) const FLAG_ACK: u16 = 0x4;
pub(crate) const FLAG_DUMP: u16 = 0x300;
/// An attribute that holds attributes.
const NESTED: u16 = 0x8000;
/// The two highest bits of an attribute's type are flags.
const ATTRIBUTE_TYPE: u16 = 0x3fff;
/// More than the kernel puts into one datagram of a dump (32 KiB).
const DATAGRAM_MAX: usize = 128 * 1024;
/// The kernel answers at once; this only bounds the impossible.
const ANSWER_MILLIS: u16 = 10_000;

/// A message to the kernel while it is built.
#[derive(Debug)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// An nfnetlink message of this kind: subsystem in the high byte, message in the low one.
    pub(crate) fn netfilter(kind: u16, flags: u16, family: u8) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((FLAG_REQUEST | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend([family, 0, 0, 0]);
        Self(bytes)
    }

    /// Adds an attribute.
    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.close(start);
    }

    /// Adds an attribute that holds the attributes that `fill` adds.
    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend((kind | NESTED).to_ne_bytes());
        fill(self);
        self.close(start);
    }

    /// Writes the length of the attribute that began at `start` and pads it to four bytes.
    fn close(&mut self, start: usize) {
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[0..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }

    #[cfg(test)]
    pub(crate) fn into_attributes(self) -> Vec<u8> {
        self.0[HEADER + NETFILTER_HEADER..].to_vec()
    }
}

/// A message from the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    /// Subsystem and message.
    pub(crate) kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The family in the netfilter header; 0 without one.
    pub(crate) fn family(&self) -> u8 {
        self.payload.first().copied().unwrap_or_default()
    }

    /// The attributes behind the netfilter header.
    pub(crate) fn attributes(&self) -> &'a [u8] {
        self.payload.get(NETFILTER_HEADER..).unwrap_or_default()
    }
}

/// The messages of one datagram. Ends at the first that does not fit.
#[derive(Debug)]
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let bytes = self.0;
        let length = usize::try_from(u32::from_ne_bytes(array(bytes, 0)?)).ok()?;
        let payload = bytes.get(HEADER..length)?;
        self.0 = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes(array(bytes, 4)?),
            flags: u16::from_ne_bytes(array(bytes, 6)?),
            sequence: u32::from_ne_bytes(array(bytes, 8)?),
            payload,
        })
    }
}

/// A list of attributes: type and value. Ends at the first that does not fit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The value of the first attribute of this type.
    pub(crate) fn find(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find_map(|(k, value)| (k == kind).then_some(value))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let bytes = self.0;
        let length = usize::from(u16::from_ne_bytes(array(bytes, 0)?));
        let kind = u16::from_ne_bytes(array(bytes, 2)?) & ATTRIBUTE_TYPE;
        let value = bytes.get(ATTRIBUTE_HEADER..length)?;
        self.0 = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// A big-endian number of exactly two bytes.
pub(crate) fn be16(value: &[u8]) -> Option<u16> {
    value.try_into().ok().map(u16::from_be_bytes)
}

/// A big-endian number of exactly four bytes.
pub(crate) fn be32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// A big-endian number of exactly eight bytes.
pub(crate) fn be64(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

/// How much of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// One message; some of the kernel's single answers claim to be the first of many.
    First,
    /// The acknowledgement or the end of the dump.
    End,
}

/// A netlink socket of the calling thread's network namespace.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: netlink_sys::Socket,
    sequence: Cell<u32>,
}

impl Socket {
    pub(crate) fn open(protocol: isize) -> Result<Self, KernelError> {
        let mut socket = netlink_sys::Socket::new(protocol)
            .map_err(|e| KernelError::os("opening a netlink socket", &e))?;
        socket
            .bind_auto()
            .map_err(|e| KernelError::os("binding a netlink socket", &e))?;
        Ok(Self {
            socket,
            sequence: Cell::new(0),
        })
    }

    /// Joins a multicast group.
    pub(crate) fn join(&self, group: u32) -> Result<(), KernelError> {
        self.socket
            .add_membership(group)
            .map_err(|e| KernelError::os(format!("joining netlink group {group}"), &e))
    }

    /// For polling.
    pub(crate) fn raw(&self) -> &netlink_sys::Socket {
        &self.socket
    }

    pub(crate) fn send(&self, request: Request, doing: &str) -> Result<(), KernelError> {
        self.sequence.set(self.sequence.get().wrapping_add(1));
        let bytes = request.finish(self.sequence.get());
        let sent = self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0);
        sent.map(drop).map_err(|e| KernelError::os(doing, &e))
    }

    /// Gives each message of the answer to `each`: one, or all of a dump. Returns whether a dump was disturbed by
    /// changes and may lack something.
    pub(crate) fn receive(
        &self,
        doing: &str,
        until: Until,
        mut each: impl FnMut(Message<'_>) -> Result<(), KernelError>,
    ) -> Result<bool, KernelError> {
        let mut buffer = Vec::with_capacity(DATAGRAM_MAX);
        let mut disturbed = false;
        loop {
            self.wait(doing)?;
            buffer.clear();
            let size = self
                .socket
                .recv(&mut buffer, libc::MSG_TRUNC)
                .map_err(|e| KernelError::os(doing, &e))?;
            if size > buffer.len() {
                return Err(garbled(doing, "longer than any datagram the kernel sends"));
            }
            for message in Messages(&buffer) {
                if message.sequence != self.sequence.get() {
                    continue;
                }
                disturbed |= message.flags & FLAG_DUMP_INTERRUPTED != 0;
                match message.kind {
                    TYPE_DONE => return Ok(disturbed),
                    TYPE_ERROR => return status(&message, doing).map(|()| disturbed),
                    _ => each(message)?,
                }
                if until == Until::First || message.flags & FLAG_MULTI == 0 {
                    return Ok(disturbed);
                }
            }
        }
    }

    fn wait(&self, doing: &str) -> Result<(), KernelError> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(ANSWER_MILLIS)) {
            Ok(0) => Err(garbled(doing, "the kernel does not answer")),
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(KernelError::os(doing, &errno.into())),
        }
    }
}

/// `NLMSG_ERROR`: a negative errno, or 0 as acknowledgement.
fn status(message: &Message<'_>, doing: &str) -> Result<(), KernelError> {
    match array(message.payload, 0).map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(KernelError::os(
            doing,
            &std::io::Error::from_raw_os_error(code.saturating_abs()),
        )),
        None => Err(garbled(doing, "an error without a number")),
    }
}

fn garbled(doing: &str, reason: &str) -> KernelError {
    KernelError::Garbled {
        doing: doing.to_owned(),
        reason: reason.to_owned(),
    }
}
