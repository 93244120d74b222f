// SPDX-License-Identifier: Apache-2.0
//! What is remembered about a lab's supervisor, and the lock that one `lab` command holds at a time.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::process::Process;
use super::state::Paths;

/// A started lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Its supervisor: pid 1 inside, this process outside.
    pub supervisor: Process,
    /// The API's port on 127.0.0.1.
    pub port: u16,
    /// The version of the program that started it.
    pub version: String,
}

impl Record {
    /// The lab's record; `None` when none was written.
    pub fn read(paths: &Paths) -> anyhow::Result<Option<Self>> {
        match std::fs::read(paths.record()) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| {
                format!(
                    "{} is damaged; `outgate lab down` removes this lab",
                    paths.record().display()
                )
            })?)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).with_context(|| paths.record().display().to_string()),
        }
    }

    /// The lab's record, if its supervisor runs.
    pub fn running(paths: &Paths) -> anyhow::Result<Option<Self>> {
        Ok(Self::read(paths)?.filter(|r| r.supervisor.alive()))
    }

    /// Writes the record, whole or not at all.
    pub fn write(&self, paths: &Paths) -> anyhow::Result<()> {
        let draft = paths.record().with_extension("new");
        std::fs::write(&draft, serde_json::to_vec_pretty(self)?)?;
        Ok(std::fs::rename(&draft, paths.record())?)
    }

    /// Where the API listens.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/client/api", self.port)
    }
}

/// Holds a lab for one command. The lock lies on the lab's folder itself, so nothing is left when it is removed.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] Flock<File>);

impl Lock {
    /// Takes the lock of a folder that exists; waits at most `limit` for another command to finish.
    pub fn take(paths: &Paths, limit: Duration) -> anyhow::Result<Self> {
        let deadline = Instant::now() + limit;
        loop {
            let folder = File::open(paths.dir()).with_context(|| paths.dir().display().to_string())?;
            match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Self(lock)),
                Err((_, nix::errno::Errno::EWOULDBLOCK)) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                    bail!(
                        "another `outgate lab` command is at work on {}; try again when it is done",
                        paths.dir().display()
                    )
                }
                Err((_, error)) => bail!("locking {}: {error}", paths.dir().display()),
            }
        }
    }
}
