// SPDX-License-Identifier: Apache-2.0
//! Mounts inside a mount namespace of one's own.

use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags};

/// A mount that could not be made or removed.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {} failed: {source}", target.display())]
pub struct MountError {
    /// What was being done: `mounting proc on`.
    pub doing: &'static str,
    /// Where.
    pub target: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// Keeps every mount and unmount of the calling process's mount namespace from other namespaces, and theirs from it.
/// A new mount namespace needs this before anything else.
///
/// # Errors
/// When the kernel refuses.
pub fn make_private() -> Result<(), MountError> {
    mount(
        None,
        Path::new("/"),
        None,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None,
        "making mounts private below",
    )
}

/// Shows the file or folder `source` at `target` too, with everything mounted below it.
///
/// # Errors
/// When either is missing or the kernel refuses.
pub fn bind(source: &Path, target: &Path) -> Result<(), MountError> {
    mount(
        Some(source),
        target,
        None,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None,
        "binding a path to",
    )
}

/// Mounts an empty tmpfs of at most `bytes` with permission bits `mode`.
///
/// # Errors
/// When the kernel refuses.
pub fn tmpfs(target: &Path, bytes: u64, mode: u32) -> Result<(), MountError> {
    let options = format!("size={bytes},mode={mode:o}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        None,
        target,
        Some("tmpfs"),
        flags,
        Some(&options),
        "mounting tmpfs on",
    )
}

/// Mounts proc for the calling process's PID namespace.
///
/// # Errors
/// When the kernel refuses.
pub fn proc(target: &Path) -> Result<(), MountError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(None, target, Some("proc"), flags, None, "mounting proc on")
}

/// Mounts sysfs for the calling process's network namespace.
///
/// # Errors
/// When the kernel refuses.
pub fn sysfs(target: &Path) -> Result<(), MountError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(None, target, Some("sysfs"), flags, None, "mounting sysfs on")
}

/// Mounts a devpts of its own, for terminals of SSH sessions.
///
/// # Errors
/// When the kernel refuses.
pub fn devpts(target: &Path) -> Result<(), MountError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = Some("newinstance,ptmxmode=0666,mode=0620");
    mount(None, target, Some("devpts"), flags, options, "mounting devpts on")
}

/// Takes a mount away, at once from sight and for good when nobody uses it any more.
///
/// # Errors
/// When nothing is mounted there or the kernel refuses.
pub fn unmount(target: &Path) -> Result<(), MountError> {
    let doing = "unmounting";
    nix::mount::umount2(target, MntFlags::MNT_DETACH).map_err(|errno| MountError {
        doing,
        target: target.to_owned(),
        source: errno.into(),
    })
}

fn mount(
    source: Option<&Path>,
    target: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    options: Option<&str>,
    doing: &'static str,
) -> Result<(), MountError> {
    let source = source.or(kind.map(Path::new));
    nix::mount::mount(source, target, kind, flags, options).map_err(|errno| MountError {
        doing,
        target: target.to_owned(),
        source: errno.into(),
    })
}
