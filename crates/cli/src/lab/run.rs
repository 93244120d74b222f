// SPDX-License-Identifier: Apache-2.0
//! `outgate lab run` (hidden): enters namespaces of its own and starts the lab's first process there.
//!
//! Standard input is the API's listening socket, bound before any namespace was entered. Standard output is a socket
//! to `lab up`, on which both sides write one line at a time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use nix::sched::{CloneFlags, unshare};

use super::state::Instance;

/// Enter the lab's namespaces.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Name of the lab
    #[arg(long)]
    pub instance: Instance,
    /// Its folder
    #[arg(long)]
    pub dir: std::path::PathBuf,
}

/// The socket to `lab up`.
#[derive(Debug)]
pub struct Parent(BufReader<UnixStream>);

impl Parent {
    /// Takes it from standard output.
    pub fn from_stdout() -> anyhow::Result<Self> {
        let socket = std::io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self(BufReader::new(UnixStream::from(socket))))
    }

    /// Tells it something.
    pub fn say(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.0.get_mut(), "{line}")?)
    }

    /// Waits until it says `word`. Errors when it says anything else or is gone: then nobody wants this lab.
    pub fn expect(&mut self, word: &str) -> anyhow::Result<()> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if line.trim_end() == word {
            Ok(())
        } else {
            bail!("expected {word:?} from lab up, got {line:?}")
        }
    }
}

/// Enters the namespaces, starts `lab init` as their first process and ends; the lab then has no parent.
pub fn run(args: &Run) -> anyhow::Result<()> {
    let mut parent = Parent::from_stdout()?;
    nix::unistd::setsid().context("starting a session of its own")?;
    if !nix::unistd::geteuid().is_root() {
        unshare(CloneFlags::CLONE_NEWUSER).context(
            "making a user namespace; the machine forbids it (see sysctl user.max_user_namespaces and \
             kernel.unprivileged_userns_clone), so start the lab as root",
        )?;
        parent.say("map")?;
        parent.expect("mapped")?;
    }
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWNET,
    )
    .context("making the lab's namespaces")?;
    let child = Command::new("/proc/self/exe")
        .arg0("outgate")
        .args(["lab", "init", "--instance", &args.instance.to_string(), "--dir"])
        .arg(&args.dir)
        .stdin(Stdio::from(std::io::stdin().as_fd().try_clone_to_owned()?))
        .stdout(Stdio::from(std::io::stdout().as_fd().try_clone_to_owned()?))
        .spawn()
        .context("starting the lab's first process")?;
    parent.say(&format!("pid {}", child.id()))
}
