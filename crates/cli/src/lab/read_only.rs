// SPDX-License-Identifier: Apache-2.0
//! The machine's files, seen from inside a lab: all there, none to be changed. A slip in a guest's root shell must not
//! reach the machine.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::mount::{MsFlags, mount};

const NONE: Option<&str> = None;

/// What the lab has for itself, or what is no disk.
const LEFT_ALONE: [&str; 7] = ["/proc", "/sys", "/dev", "/run", "/root", "/tmp", "/var/tmp"];

/// Makes every mount of this mount namespace read-only but the lab's own.
pub fn seal() -> anyhow::Result<()> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").context("reading the mounts")?;
    for (path, flags) in table.lines().filter_map(entry) {
        if LEFT_ALONE.iter().any(|own| path.starts_with(own)) {
            continue;
        }
        let sealed = mount(
            NONE,
            &path,
            NONE,
            flags | MsFlags::MS_RDONLY | MsFlags::MS_REMOUNT | MsFlags::MS_BIND,
            NONE,
        );
        match sealed {
            Ok(()) => {}
            Err(error) if path == Path::new("/") => return Err(error).context("making / read-only"),
            // Hidden under another mount, or of a kind that cannot be: the lab goes on.
            Err(error) => tracing::debug!(path = %path.display(), %error, "stays as it is"),
        }
    }
    Ok(())
}

/// A line of mountinfo: where, and the flags that a remount has to repeat, since a user namespace may not drop them.
fn entry(line: &str) -> Option<(PathBuf, MsFlags)> {
    let mut fields = line.split(' ').skip(4);
    let (path, options) = (fields.next()?, fields.next()?);
    let known = [
        ("nosuid", MsFlags::MS_NOSUID),
        ("nodev", MsFlags::MS_NODEV),
        ("noexec", MsFlags::MS_NOEXEC),
        ("noatime", MsFlags::MS_NOATIME),
        ("nodiratime", MsFlags::MS_NODIRATIME),
        ("relatime", MsFlags::MS_RELATIME),
    ];
    let set = known
        .into_iter()
        .filter(|(name, _)| options.split(',').any(|o| o == *name));
    let mut flags: MsFlags = set.map(|(_, flag)| flag).collect();
    if !flags.intersects(MsFlags::MS_NOATIME | MsFlags::MS_RELATIME) {
        flags |= MsFlags::MS_STRICTATIME;
    }
    // The kernel writes blanks in paths as \040.
    Some((PathBuf::from(path.replace("\\040", " ")), flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remount_repeats_the_flags_that_a_user_namespace_may_not_drop() {
        let line =
            "36 35 98:0 /mnt1 /mnt\\0402 rw,nosuid,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let (path, flags) = entry(line).unwrap();
        assert_eq!(path, Path::new("/mnt 2"));
        assert_eq!(flags, MsFlags::MS_NOSUID | MsFlags::MS_NOATIME);
        assert_eq!(
            entry("1 0 8:1 / / rw - ext4 x rw").unwrap().1,
            MsFlags::MS_STRICTATIME
        );
    }
}
