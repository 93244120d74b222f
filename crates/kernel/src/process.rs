// SPDX-License-Identifier: Apache-2.0
//! Processes, held so that a reused process id can never be taken for them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

/// What tells a process from every other that has or had its id since the machine booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Its process id, as the PID namespace of this process numbers it.
    pub pid: i32,
    /// When it started, in clock ticks since boot: field 22 of /proc/PID/stat.
    pub start: u64,
}

impl Identity {
    /// The identity of the process that has this id now; `None` when there is none, or one that has ended and only
    /// waits for its parent to ask how.
    ///
    /// # Errors
    /// When /proc cannot be read or holds what is not understood.
    pub fn of(pid: i32) -> io::Result<Option<Self>> {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => {
                let strange = || io::Error::other(format!("/proc/{pid}/stat is not understood"));
                let (state, start) = parse_stat(&stat).ok_or_else(strange)?;
                Ok((!matches!(state, 'Z' | 'X')).then_some(Self { pid, start }))
            }
            // ESRCH: it ended between open and read.
            Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ESRCH) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// State and start time of a `/proc/PID/stat`. The name in parentheses may hold anything, parentheses too.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// A process, held by a pidfd: signals and waits reach this one or nobody.
#[derive(Debug)]
pub struct Process {
    identity: Identity,
    pidfd: AsyncFd<OwnedFd>,
}

impl Process {
    /// Takes hold of the process with this identity. `None` when it has ended. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the kernel refuses for another reason.
    pub fn open(identity: Identity) -> io::Result<Option<Self>> {
        let pidfd = match pidfd_open(identity.pid) {
            Ok(fd) => fd,
            Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL)) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // The pidfd names whoever had the id just now; only a look after it was opened tells whether that is the one.
        if Identity::of(identity.pid)? != Some(identity) {
            return Ok(None);
        }
        Ok(Some(Self {
            identity,
            pidfd: watch(pidfd)?,
        }))
    }

    /// What tells it from every other.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The pidfd, for `setns` and the like.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.get_ref().as_fd()
    }

    /// Sends a signal. One that has ended already is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.pidfd(), signal) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    }

    /// Returns once it has ended, and takes its exit status off the kernel's hands if it is a child of this process.
    ///
    /// # Errors
    /// When the pidfd cannot be polled.
    pub async fn ended(&self) -> io::Result<()> {
        let _ready = self.pidfd.readable().await?;
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        // ECHILD: somebody else's child, or reaped by an earlier call.
        let _ = waitid(Id::PIDFd(self.pidfd()), flags);
        Ok(())
    }

    /// Ends it with SIGKILL and waits until it is gone. For a PID namespace's first process that ends every process in there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn kill(&self) -> io::Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.ended().await
    }
}

/// A pidfd is readable once the process has ended, and for ever after.
#[allow(unsafe_code, reason = "tokio leaves the descriptor's validity to its caller")]
fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open as long as it lives, always gives the same number, and the AsyncFd owns it.
    let watched = unsafe { AsyncFd::register_with_interest(pidfd, tokio::io::Interest::READABLE) };
    watched.map_err(|error| io::Error::other(error.to_string()))
}

#[allow(unsafe_code, reason = "neither std nor nix opens a pidfd")]
fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[allow(unsafe_code, reason = "neither std nor nix signals through a pidfd")]
fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    let info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: the descriptor is open as long as the borrow lives; a null siginfo asks for that of kill(2).
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal as i32,
            info,
            0,
        )
    };
    if sent == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert_eq!(parse_stat(stat), Some(('S', 4242)));
        assert_eq!(parse_stat("7 (cut"), None);
    }

    #[tokio::test]
    #[allow(clippy::zombie_processes, reason = "Process::kill is what reaps it")]
    async fn a_killed_child_is_gone_and_not_a_zombie() {
        let child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = Identity::of(pid).unwrap().unwrap();
        let process = Process::open(identity).unwrap().unwrap();
        process.kill().await.unwrap();
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
        assert!(Process::open(identity).unwrap().is_none());
        process.signal(Signal::SIGTERM).unwrap();
    }

    #[tokio::test]
    async fn a_process_that_got_the_same_id_later_is_not_taken_for_the_old_one() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let mut identity = Identity::of(pid).unwrap().unwrap();
        identity.start += 1;
        assert!(Process::open(identity).unwrap().is_none());
    }
}
