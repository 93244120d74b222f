// SPDX-License-Identifier: Apache-2.0
//! Gives a router's process files of its own, so that nothing of the machine's is changed: /proc and /sys of its
//! namespaces, empty /run, /root and /var/log, and an /etc whose users, host names and SSH keys are the router's.
//!
//! Works as root and as root of a user namespace that maps 0 and the ids up to 65534.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use outgate_kernel::mount::{self, MountError};
use outgate_plan::plan::{HAPROXY_ROOT, HAPROXY_UID, RUN_DIR, SSH_HOST_KEY, SSHD_AUTHORIZED_KEYS};

use crate::RouterError;

/// Where the router's directory on the machine, with its control socket, is seen in the router.
pub const CONTROL_DIR: &str = "/run/outgate-vr/control";
/// Where the machine's /etc is seen; what the router has not of its own leads there.
const MACHINE_ETC: &str = "/run/outgate-vr/machine-etc";
/// The host key in the router's directory: a router that is started anew keeps it.
const KEPT_HOST_KEY: &str = "ssh_host_ed25519_key";

const MIB: u64 = 1024 * 1024;

/// Names of the router's own files in /etc, which do not lead to the machine's.
const OWN_ETC: [&str; 11] = [
    "passwd",
    "passwd-",
    "shadow",
    "shadow-",
    "group",
    "gshadow",
    "hostname",
    "hosts",
    "resolv.conf",
    "ssh",
    "motd",
];

/// Puts this process, the first of its PID namespace, into mount and UTS namespaces of its own and fills them. `dir` is
/// the router's directory on the machine; afterwards it is [`CONTROL_DIR`].
///
/// # Errors
/// When this is not process 1 of a PID namespace, or the kernel refuses.
pub fn contain(dir: &Path, name: &str) -> Result<(), RouterError> {
    if std::process::id() != 1 {
        let reason = "a router is process 1 of namespaces of its own; a host starts it";
        return Err(RouterError::failed("starting a router", reason));
    }
    own_namespaces()?;
    mount::proc(Path::new("/proc")).map_err(contained)?;
    fill(dir, name)
}

/// Puts the calling thread into mount and UTS namespaces of its own.
///
/// # Errors
/// When the kernel refuses.
pub fn own_namespaces() -> Result<(), RouterError> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS).map_err(contained)?;
    mount::make_private().map_err(contained)
}

/// Fills the calling thread's own mount and UTS namespaces.
///
/// # Errors
/// When the kernel refuses or `ssh-keygen` cannot be run.
pub fn fill(dir: &Path, name: &str) -> Result<(), RouterError> {
    // Held open, because what is mounted next may hide its path.
    let dir = File::open(dir).map_err(contained)?;
    let dir = PathBuf::from(format!("/proc/thread-self/fd/{}", dir.as_raw_fd()));
    mounts(&dir).map_err(contained)?;
    etc(name).and_then(|()| root()).map_err(contained)?;
    terminals();
    nix::unistd::sethostname(name).map_err(contained)?;
    host_key(name)
}

fn mounts(dir: &Path) -> Result<(), MountError> {
    mount::sysfs(Path::new("/sys"))?;
    // Room for the files of dnsmasq with 65,000 guests.
    mount::tmpfs(Path::new("/run"), 64 * MIB, 0o755)?;
    for path in [
        RUN_DIR,
        CONTROL_DIR,
        MACHINE_ETC,
        HAPROXY_ROOT,
        "/run/sshd",
        "/run/lock",
    ] {
        let made =
            fs::create_dir_all(path).and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)));
        made.map_err(|source| MountError {
            doing: "making a folder for",
            target: path.into(),
            source,
        })?;
    }
    mount::bind(dir, Path::new(CONTROL_DIR))?;
    mount::bind(Path::new("/etc"), Path::new(MACHINE_ETC))?;
    mount::tmpfs(Path::new("/etc"), 4 * MIB, 0o755)?;
    mount::tmpfs(Path::new("/root"), 16 * MIB, 0o700)?;
    mount::tmpfs(Path::new("/var/log"), 64 * MIB, 0o755)
}

fn etc(name: &str) -> io::Result<()> {
    for entry in fs::read_dir(MACHINE_ETC)? {
        let entry = entry?.file_name();
        if !OWN_ETC.iter().any(|own| entry == *own) {
            symlink(
                Path::new(MACHINE_ETC).join(&entry),
                Path::new("/etc").join(&entry),
            )?;
        }
    }
    let shell = if Path::new("/bin/bash").exists() {
        "/bin/bash"
    } else {
        "/bin/sh"
    };
    let passwd = format!(
        "root:x:0:0:root:/root:{shell}\n\
         sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n\
         haproxy:x:{HAPROXY_UID}:65534::{HAPROXY_ROOT}:/usr/sbin/nologin\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    );
    let hosts = format!("127.0.0.1 localhost\n127.0.1.1 {name}\n");
    let files = [
        ("passwd", passwd, 0o644),
        // `*`: no password fits, and unlike `!` the account is not locked, so a key may log in.
        (
            "shadow",
            "root:*:19000:0:99999:7:::\nsshd:!:19000::::::\nhaproxy:!:19000::::::\nnobody:*:19000::::::\n"
                .to_owned(),
            0o640,
        ),
        (
            "group",
            "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n".to_owned(),
            0o644,
        ),
        ("hostname", format!("{name}\n"), 0o644),
        ("hosts", hosts, 0o644),
        // Its own dnsmasq.
        ("resolv.conf", "nameserver 127.0.0.1\n".to_owned(), 0o644),
        ("motd", String::new(), 0o644),
    ];
    for (name, content, mode) in files {
        let path = Path::new("/etc").join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    fs::create_dir("/etc/ssh")
}

/// The usual place of root's keys leads to where sshd reads them.
fn root() -> io::Result<()> {
    fs::create_dir("/root/.ssh")?;
    fs::set_permissions("/root/.ssh", Permissions::from_mode(0o700))?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(SSHD_AUTHORIZED_KEYS)?;
    fs::set_permissions(SSHD_AUTHORIZED_KEYS, Permissions::from_mode(0o600))?;
    symlink(SSHD_AUTHORIZED_KEYS, "/root/.ssh/authorized_keys")
}

/// A user namespace may not use the machine's terminals. Where own ones cannot be had either, commands over SSH work
/// and only interactive shells do not.
fn terminals() {
    let own = mount::devpts(Path::new("/dev/pts"))
        .and_then(|()| mount::bind(Path::new("/dev/pts/ptmx"), Path::new("/dev/ptmx")));
    if let Err(error) = own {
        tracing::warn!(%error, "no terminals of its own");
    }
}

/// The router's SSH host key, made once in its life.
fn host_key(name: &str) -> Result<(), RouterError> {
    let doing = "making the SSH host key";
    let kept = Path::new(CONTROL_DIR).join(KEPT_HOST_KEY);
    if !kept.exists() {
        let new = kept.with_extension("new");
        // A half-made one of an earlier attempt.
        let _ = fs::remove_file(&new);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&new)
            .status()
            .map_err(|e| RouterError::failed(doing, e))?;
        if !made.success() {
            return Err(RouterError::failed(doing, format!("ssh-keygen: {made}")));
        }
        fs::rename(&new, &kept).map_err(|e| RouterError::failed(doing, e))?;
    }
    let install = || {
        fs::write(SSH_HOST_KEY, "")?;
        fs::set_permissions(SSH_HOST_KEY, Permissions::from_mode(0o600))?;
        fs::write(SSH_HOST_KEY, fs::read(&kept)?)
    };
    install().map_err(|e: io::Error| RouterError::failed(doing, e))
}

fn contained(error: impl std::fmt::Display) -> RouterError {
    RouterError::failed("giving the router files of its own", error)
}
