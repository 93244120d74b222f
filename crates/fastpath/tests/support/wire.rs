// SPDX-License-Identifier: Apache-2.0
//! Frames onto a cable's end and off it, as they are.

#![allow(unsafe_code, reason = "packet sockets")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use outgate_testkit::Namespace;

const ETH_P_ALL_BE: i32 = 0x0300;
const PACKET_IGNORE_OUTGOING: i32 = 23;

/// One end of a cable.
pub struct Wire {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Wire {
    /// Opens an interface of a namespace.
    pub fn open(namespace: &Namespace, interface: &str) -> Self {
        let name = std::ffi::CString::new(interface).unwrap();
        let socket = namespace.within(|| packet_socket(&name)).unwrap().unwrap();
        Self {
            socket,
            buffer: vec![0; 70_000],
        }
    }

    /// Sends a frame. One that is too long for the cable is not sent: the same in every world.
    pub fn send(&self, frame: &[u8]) {
        // SAFETY: the pointer and the length are those of a live slice.
        let send = || unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        while send() < 0 {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EMSGSIZE) => return,
                Some(libc::ENOBUFS) if frame.len() > 1_414 => return,
                // Its queue is full.
                Some(libc::ENOBUFS) => std::thread::yield_now(),
                _ => panic!("{error}"),
            }
        }
    }

    /// The next frame that has arrived.
    pub fn receive(&mut self) -> Option<&[u8]> {
        // SAFETY: the pointer and the length are those of the buffer.
        let length = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                self.buffer.as_mut_ptr().cast(),
                self.buffer.len(),
                libc::MSG_DONTWAIT,
            )
        };
        let length = usize::try_from(length).ok()?;
        self.buffer.get(..length)
    }
}

fn packet_socket(name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    let check = |result: i32| match result {
        -1 => Err(io::Error::last_os_error()),
        other => Ok(other),
    };
    // SAFETY: plain numbers.
    let fd = check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) })?;
    // SAFETY: a descriptor that was just made.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    for (level, option, value) in [
        (libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1),
        (libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 64 << 20),
        (libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, 64 << 20),
    ] {
        let value: i32 = value;
        // SAFETY: the pointer and the size are those of an i32 that lives through the call.
        check(unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), 4) })?;
    }
    // SAFETY: a string that ends with a zero byte.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    // SAFETY: integers only: all zeroes is a value of it.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
    address.sll_protocol = u16::try_from(ETH_P_ALL_BE).unwrap();
    address.sll_ifindex = i32::try_from(index).unwrap();
    let size = u32::try_from(size_of::<libc::sockaddr_ll>()).unwrap();
    // SAFETY: the pointer and the size are those of a sockaddr_ll that lives through the call.
    check(unsafe { libc::bind(fd, (&raw const address).cast(), size) })?;
    Ok(socket)
}
