// SPDX-License-Identifier: Apache-2.0
//! The lab's own view of the file system. The machine's stays as it is: every mount here is private to the lab.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use nix::mount::{MsFlags, mount};

/// Everything of the lab that changes while it runs, on a tmpfs of its own.
pub const RUN: &str = "/run/outgate";
/// The program, wherever it lies outside, and also when it is built anew meanwhile.
pub const PROGRAM: &str = "/run/outgate/bin/outgate";
/// The lab's folder on disk.
pub const FOLDER: &str = "/run/outgate/lab";

/// Where /run is put together before it takes its place.
const STAGING: &str = "/mnt";
const NONE: Option<&str> = None;

/// Makes the private mounts: /run, /root, /tmp, /var/tmp, /dev/pts, /proc, /sys. The rest becomes read-only.
pub fn prepare(folder: &Path) -> anyhow::Result<()> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).context("making mounts private")?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("run"), STAGING, Some("tmpfs"), quiet, Some("mode=755")).context("a tmpfs for /run")?;
    let staged = |path: &str| Path::new(STAGING).join(path.trim_start_matches("/run/"));
    std::fs::create_dir_all(staged("/run/outgate/bin"))?;
    std::fs::create_dir_all(staged(FOLDER))?;
    std::fs::create_dir_all(staged("/run/sshd"))?;
    std::fs::write(staged(PROGRAM), b"")?;
    bind(
        &std::env::current_exe().context("finding this program")?,
        &staged(PROGRAM),
    )?;
    bind(folder, &staged(FOLDER))?;
    mount(Some(STAGING), "/run", NONE, MsFlags::MS_MOVE, NONE).context("moving the tmpfs to /run")?;
    // The old /proc shows the machine's processes; its links are needed until here.
    let closed = quiet | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), closed, NONE).context("mounting /proc")?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), closed, NONE).context("mounting /sys")?;
    mount(
        Some("devpts"),
        "/dev/pts",
        Some("devpts"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        Some("newinstance,ptmxmode=0666,mode=0620"),
    )
    .context("mounting /dev/pts")?;
    mount(Some("root"), "/root", Some("tmpfs"), quiet, Some("mode=700")).context("a tmpfs for /root")?;
    for path in ["/tmp", "/var/tmp"] {
        mount(Some("tmp"), path, Some("tmpfs"), quiet, Some("mode=1777"))
            .with_context(|| format!("a tmpfs for {path}"))?;
    }
    ssh()?;
    super::read_only::seal()
}

fn bind(from: &Path, to: &Path) -> anyhow::Result<()> {
    mount(Some(from), to, NONE, MsFlags::MS_BIND, NONE)
        .with_context(|| format!("binding {} to {}", from.display(), to.display()))
}

/// The operator's key where CloudStack's documents expect it, and a client configuration for the control network:
/// a router that was made anew has a new host key, as it should.
fn ssh() -> anyhow::Result<()> {
    const CONFIG: &str =
        "Host 169.254.*\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n";
    let dir = Path::new("/root/.ssh");
    std::fs::create_dir(dir)?;
    for name in ["id_rsa.cloud", "id_rsa.cloud.pub"] {
        std::fs::copy(Path::new(FOLDER).join(name), dir.join(name))?;
    }
    std::fs::write(dir.join("config"), CONFIG)?;
    for (path, mode) in [
        (dir.to_owned(), 0o700),
        (dir.join("id_rsa.cloud"), 0o600),
        (dir.join("config"), 0o600),
    ] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
