// SPDX-License-Identifier: Apache-2.0
//! Another NAT program, given on the command line as `name=command`. It runs in the router's namespace, which has its
//! addresses and routes, and finds in its environment which interface is which.

use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;

use crate::world::{GATEWAY, PUBLIC, World};

/// How long a program may take until it translates.
const READY: Duration = Duration::from_secs(1);

/// What it is called and how it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name in the results.
    pub name: String,
    /// The program and its arguments, split at spaces.
    argv: Vec<String>,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?}: expected name=command, for example einat='einat -i eth2'");
        let (name, command) = text.split_once('=').ok_or_else(wrong)?;
        let argv: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if name.is_empty() || argv.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            name: name.to_owned(),
            argv,
        })
    }
}

/// It, at work. It is ended with this value.
#[derive(Debug)]
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which the packets will have told.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    /// Starts it in the world's router.
    pub fn start(&self, world: &World) -> anyhow::Result<Process> {
        let start = || {
            Command::new(&self.argv[0])
                .args(&self.argv[1..])
                .env("GUEST_INTERFACE", "eth0")
                .env("PUBLIC_INTERFACE", "eth2")
                .env("GATEWAY", GATEWAY)
                .env("PUBLIC", PUBLIC)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
        };
        let child = world.router.within(start)?;
        // It has no way to tell that it is ready.
        std::thread::sleep(READY);
        Ok(Process(
            child.with_context(|| format!("starting {}", self.argv[0]))?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_name_and_a_command() {
        let peer: Peer = "einat=einat -i eth2".parse().unwrap();
        assert_eq!((peer.name.as_str(), peer.argv.len()), ("einat", 3));
        for wrong in ["einat", "=x", "einat=", "einat= "] {
            assert!(wrong.parse::<Peer>().is_err(), "{wrong}");
        }
    }
}
