// SPDX-License-Identifier: Apache-2.0
//! A process that is still the same one: its id alone may be given to another after it ends.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outgate_kernel::process::Identity;
use serde::{Deserialize, Serialize};

/// A process of the machine, in the boot it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id and start time, as the machine sees it.
    pub identity: Identity,
    /// The machine's boot id.
    pub boot: String,
}

impl Process {
    /// The process that has this id now; `None` when there is none or it has ended.
    pub fn of(pid: i32) -> Option<Self> {
        let identity = Identity::of(pid).ok().flatten()?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(Self {
            identity,
            boot: boot.trim().to_owned(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.identity.pid
    }

    /// Whether it still runs.
    pub fn alive(&self) -> bool {
        Self::of(self.pid()).as_ref() == Some(self)
    }

    /// Sends it a signal, if it still runs.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        if !self.alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid()), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => anyhow::bail!("sending {signal} to process {}: {error}", self.pid()),
        }
    }

    /// Waits until it has ended, at most this long. Returns whether it has.
    pub fn ended_within(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.alive() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_same_id_is_not_taken_for_it() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let me = Process::of(pid).unwrap();
        assert!(me.alive());
        assert!(
            !Process {
                identity: Identity {
                    start: me.identity.start + 1,
                    pid
                },
                ..me.clone()
            }
            .alive()
        );
        assert!(
            !Process {
                boot: "other".into(),
                ..me
            }
            .alive()
        );
    }

    #[test]
    fn a_process_that_ended_but_was_not_waited_for_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while Process::of(pid).is_some() {
            assert!(Instant::now() < deadline, "`true` did not end");
        }
        child.wait().unwrap();
    }
}
