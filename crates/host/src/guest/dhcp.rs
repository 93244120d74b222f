// SPDX-License-Identifier: Apache-2.0
//! Keeps a DHCP client running on each NIC.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use outgate_kernel::link::LinkChange;
use outgate_kernel::mount;
use outgate_kernel::process::{Identity, Process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;

use super::GuestError;
use super::configure::Keeper;
use super::lease::Report;

/// How soon a NIC that is not there yet is looked for again; each further wait is a tenth longer.
const LOOK: Duration = Duration::from_millis(2);
/// The longest such wait.
const LOOK_MAX: Duration = Duration::from_millis(200);
/// How often it is checked that the NIC is still the one that udhcpc was started on.
const CHECK: Duration = Duration::from_secs(1);
/// How long to wait before a client that ended is started again.
const REST: Duration = Duration::from_millis(200);
const SCRIPT: &str = include_str!("udhcpc.sh");

fn script(dir: &Path) -> PathBuf {
    dir.join("dhcp/udhcpc.sh")
}

/// Puts the script where it can be run: the machine's /run is often mounted noexec.
pub(super) fn install_script(dir: &Path) -> Result<(), GuestError> {
    let path = script(dir);
    let file = |source| GuestError::File {
        path: path.clone(),
        source,
    };
    let folder = dir.join("dhcp");
    fs::create_dir_all(&folder).map_err(file)?;
    mount::tmpfs(&folder, 64 << 10, 0o755)?;
    fs::write(&path, SCRIPT).map_err(file)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(file)
}

/// Keeps an interface leased for ever, whatever happens to it or the client.
pub(super) async fn keep_lease(keeper: Arc<Keeper>, interface: String, mtu: u32, hostname: String) {
    loop {
        let index = appear(&keeper, &interface, mtu).await;
        match Client::start(keeper.dir(), &interface, &hostname) {
            Ok(mut client) => client.follow(&keeper, &interface, index).await,
            Err(error) => tracing::error!("starting udhcpc on {interface} failed: {error}"),
        }
        tokio::time::sleep(REST).await;
    }
}

/// Waits until the interface is plugged, sets it up, and returns its index.
async fn appear(keeper: &Keeper, interface: &str, mtu: u32) -> u32 {
    let up = LinkChange {
        up: Some(true),
        mtu: Some(mtu),
        ..LinkChange::default()
    };
    let mut wait = LOOK;
    loop {
        if let Ok(link) = keeper.links.get(interface).await {
            match keeper.links.change(interface, &up).await {
                Ok(()) => return link.index,
                Err(error) => tracing::warn!("{error}"),
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 11 / 10).min(LOOK_MAX);
    }
}

/// A running udhcpc. Process 1 reaps it when it ends, so nobody waits for it here; the end of its output tells.
struct Client {
    process: Option<Process>,
    lines: tokio::io::Lines<BufReader<pipe::Receiver>>,
}

impl Client {
    fn start(dir: &Path, interface: &str, hostname: &str) -> std::io::Result<Self> {
        let mut child = Command::new("busybox")
            .args([
                "udhcpc", "-f", "-i", interface, "-t", "4", "-T", "1", "-A", "1", "-O", "mtu", "-s",
            ])
            .arg(script(dir))
            .arg("-x")
            .arg(format!("hostname:{hostname}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        // Nobody reaps before this function returns, so the id is still the child's.
        let identity = i32::try_from(child.id())
            .map_err(std::io::Error::other)
            .and_then(Identity::of)?;
        let process = identity.map(Process::open).transpose()?.flatten();
        let output = child.stdout.take().map(receiver).transpose()?;
        let output = output.ok_or_else(|| std::io::Error::other("udhcpc has no output"))?;
        Ok(Self {
            process,
            lines: BufReader::new(output).lines(),
        })
    }

    /// Asks for the lease anew, without giving the address up.
    fn renew(&self) {
        if let Some(process) = &self.process
            && let Err(error) = process.signal(Signal::SIGUSR1)
        {
            tracing::warn!("telling udhcpc to renew its lease failed: {error}");
        }
    }

    /// Takes over every report until the client ends or the interface is another one.
    async fn follow(&mut self, keeper: &Keeper, interface: &str, index: u32) {
        loop {
            tokio::select! {
                line = self.lines.next_line() => match line {
                    Ok(Some(line)) => {
                        if let Some(report) = Report::parse(&line)
                            && let Err(error) = keeper.take(interface, report).await
                        {
                            tracing::error!("{interface}: {error}");
                        }
                    }
                    _ => return tracing::warn!("udhcpc on {interface} ended"),
                },
                () = tokio::time::sleep(CHECK) => {
                    if keeper.links.get(interface).await.map(|link| link.index).ok() != Some(index) {
                        return tracing::warn!("{interface} was unplugged");
                    }
                    if keeper.lacks_gateway(interface).await {
                        self.renew();
                    }
                }
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(process) = &self.process
            && let Err(error) = process.signal(Signal::SIGKILL)
        {
            tracing::warn!("ending udhcpc failed: {error}");
        }
    }
}

fn receiver(output: ChildStdout) -> std::io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(output.into())
}
