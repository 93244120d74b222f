// SPDX-License-Identifier: Apache-2.0
//! A guest: process 1 of its own namespaces, which asks for its addresses by DHCP as any virtual machine does.
//!
//! NICs come and go while it runs: the driver writes its [`SPEC_FILE`] anew and sends SIGHUP.
//!
//! `udhcpc` speaks DHCP; its script only prints what it was told, and this process makes it so. Nothing that came over the
//! network is ever part of a command line.

mod configure;
mod dhcp;
mod lease;
mod nics;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use outgate_kernel::link::{LinkError, Links};
use outgate_kernel::mount::{self, MountError};
use outgate_model::GuestSpec;
use outgate_model::id::GuestId;
use tokio::signal::unix::{SignalKind, signal};

pub use lease::{Leases, NicLease};

/// The file in a guest's directory that holds its [`GuestSpec`] as JSON.
pub const SPEC_FILE: &str = "guest.json";
/// The file in a guest's directory that holds its [`Leases`] as JSON; it is there once the guest has one.
pub const LEASE_FILE: &str = "lease.json";

/// Why a guest cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// Its directory does not hold what it needs, or cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The directory belongs to another guest.
    #[error("{} is for guest {found}, not for {wanted}", path.display())]
    OtherGuest {
        /// The spec file.
        path: PathBuf,
        /// Whose it is.
        found: GuestId,
        /// Who was started.
        wanted: GuestId,
    },
    /// A file system could not be mounted.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// An interface could not be read or changed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The system refused something else.
    #[error("{doing} failed: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Is the guest until it is ended by a signal. Must be process 1 of namespaces of its own (PID, mount, UTS, network).
/// `dir` holds [`SPEC_FILE`].
///
/// # Errors
/// When it cannot start; once it runs it goes on, and logs what goes wrong.
pub fn serve(dir: &Path, id: GuestId, name: &str) -> Result<(), GuestError> {
    let spec = read_spec(dir, id)?;
    prepare(dir, &spec)?;
    tracing::info!(guest = name, "the guest has started");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|source| GuestError::System {
            doing: "starting the guest",
            source,
        })?
        .block_on(live(dir, &spec))
}

fn read_spec(dir: &Path, wanted: GuestId) -> Result<GuestSpec, GuestError> {
    let path = dir.join(SPEC_FILE);
    let text = fs::read(&path).map_err(|source| GuestError::File {
        path: path.clone(),
        source,
    })?;
    let spec: GuestSpec = serde_json::from_slice(&text).map_err(|error| GuestError::File {
        path: path.clone(),
        source: error.into(),
    })?;
    if spec.id == wanted {
        Ok(spec)
    } else {
        Err(GuestError::OtherGuest {
            path,
            found: spec.id,
            wanted,
        })
    }
}

/// Mounts and names of its own.
fn prepare(dir: &Path, spec: &GuestSpec) -> Result<(), GuestError> {
    mount::proc(Path::new("/proc"))?;
    mount::sysfs(Path::new("/sys"))?;
    nix::unistd::sethostname(&spec.hostname).map_err(|errno| GuestError::System {
        doing: "setting the host name",
        source: errno.into(),
    })?;
    let file = |path: PathBuf| move |source| GuestError::File { path, source };
    let resolv = dir.join("resolv.conf");
    fs::write(&resolv, "").map_err(file(resolv.clone()))?;
    // A machine without this file resolves no names; its guests then do not either.
    if let Err(error) = mount::bind(&resolv, Path::new("/etc/resolv.conf")) {
        tracing::warn!("the guest has no /etc/resolv.conf of its own: {error}");
    }
    match fs::remove_file(dir.join(LEASE_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file(dir.join(LEASE_FILE))(error)),
        _ => dhcp::install_script(dir),
    }
}

async fn live(dir: &Path, spec: &GuestSpec) -> Result<(), GuestError> {
    let listen = |kind| {
        signal(kind).map_err(|source| GuestError::System {
            doing: "listening for signals",
            source,
        })
    };
    let (mut child, mut terminate) = (listen(SignalKind::child())?, listen(SignalKind::terminate())?);
    let mut changed = listen(SignalKind::hangup())?;
    let links = Links::open()?;
    links.set_up("lo").await?;
    let keeper = Arc::new(configure::Keeper::new(dir, links));
    let mut nics = nics::Nics::new(keeper, spec.hostname.clone());
    // Read only now that the signal is heard: a change that came before it is in the file.
    nics.follow(&read_spec(dir, spec.id)?).await?;
    loop {
        tokio::select! {
            _ = child.recv() => reap(),
            _ = terminate.recv() => return Ok(()),
            _ = changed.recv() => {
                let followed = match read_spec(dir, spec.id) {
                    Ok(now) => nics.follow(&now).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = followed {
                    tracing::error!("the guest's new NICs could not be taken over: {error}");
                }
            }
        }
    }
}

/// Takes every ended process off the kernel's hands: process 1 inherits those whose parents ended first.
fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}
