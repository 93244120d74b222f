// SPDX-License-Identifier: Apache-2.0
//! Starts a lab's supervisor and sees it through until its network stands.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::preflight::{IdMap, PATH, SubIds};
use super::process::Process;
use super::record::Record;
use super::state::{Instance, Paths};

/// How long the supervisor may take for one step.
const STEP: Duration = Duration::from_secs(30);

/// Starts the lab in namespaces of its own. The listening socket goes with it.
pub fn launch(
    instance: &Instance,
    paths: &Paths,
    listener: &TcpListener,
    ids: Option<IdMap>,
) -> anyhow::Result<Record> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(STEP))?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(paths.log())?;
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command
        .args(["lab", "run", "--instance", instance.as_str(), "--dir"])
        .arg(paths.dir());
    command.env("PATH", PATH).current_dir("/");
    command
        .stdin(Stdio::from(OwnedFd::from(listener.try_clone()?)))
        .stdout(Stdio::from(OwnedFd::from(theirs)))
        .stderr(log);
    let mut child = command.spawn().context("starting the lab")?;
    // The command holds its end of the socket; without it, a supervisor that dies is seen as the end of the stream.
    drop(command);
    let done = converse(&mut child, ours, paths, listener.local_addr()?.port(), ids);
    // It has handed over to its child or failed; either way it ends by itself.
    child.wait().context("waiting for lab run")?;
    done
}

fn converse(
    child: &mut Child,
    socket: UnixStream,
    paths: &Paths,
    port: u16,
    ids: Option<IdMap>,
) -> anyhow::Result<Record> {
    let mut socket = BufReader::new(socket);
    let mut record = None;
    loop {
        let mut line = String::new();
        socket
            .read_line(&mut line)
            .context("the lab's supervisor does not answer")?;
        let (word, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        match word {
            "map" => {
                map(child.id(), ids)?;
                writeln!(socket.get_mut(), "mapped")?;
            }
            "pid" => {
                let supervisor = Process::of(rest.parse()?).context("the lab's supervisor ended at once")?;
                let new = Record {
                    supervisor,
                    port,
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                };
                new.write(paths)?;
                record = Some(new);
                writeln!(socket.get_mut(), "go")?;
            }
            "ready" => return record.context("the lab's supervisor is ready before it was started"),
            "error" => bail!("{rest}"),
            "" => bail!("the lab's supervisor ended; the end of its log:\n{}", tail(paths)),
            other => bail!("the lab's supervisor said {other:?}"),
        }
    }
}

/// Maps our own id to root inside, and our subordinate ids to the rest.
fn map(pid: u32, ids: Option<IdMap>) -> anyhow::Result<()> {
    let ids = ids.context("a user namespace, although we are root")?;
    let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
    for (program, own, range) in [("newuidmap", uid, ids.users), ("newgidmap", gid, ids.groups)] {
        let SubIds { first, count } = range;
        let numbers = [0, own, 1, 1, first, count].map(|n| n.to_string());
        let mut command = Command::new(program);
        let done = command
            .arg(pid.to_string())
            .args(numbers)
            .env("PATH", PATH)
            .output();
        let done = done.with_context(|| format!("starting {program}"))?;
        if !done.status.success() {
            bail!(
                "{program} refused: {}",
                String::from_utf8_lossy(&done.stderr).trim()
            );
        }
    }
    Ok(())
}

/// The last lines of the lab's log.
pub fn tail(paths: &Paths) -> String {
    let text = std::fs::read(paths.log()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
