// SPDX-License-Identifier: Apache-2.0
//! Finds the routers and guests that run, in /proc.

use std::path::Path;

use outgate_kernel::process::Identity;

use super::names::Owner;

/// A router or guest process that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub owner: Owner,
    pub boot: u64,
    pub identity: Identity,
}

/// Every router and guest of the instance with this run directory, whoever started it. Processes that come and go
/// meanwhile may be missed.
pub(super) fn scan(run_dir: &Path) -> std::io::Result<Vec<Found>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(found) = pid.and_then(|pid| look(pid, run_dir)) {
            all.push(found);
        }
    }
    Ok(all)
}

fn look(pid: i32, run_dir: &Path) -> Option<Found> {
    let identity = Identity::of(pid).ok()??;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let (owner, boot) = parse(&line, run_dir)?;
    is_process_1(pid)?;
    // What was read belongs to this process only if it is still the same one.
    (Identity::of(pid).ok()? == Some(identity)).then_some(Found {
        owner,
        boot,
        identity,
    })
}

/// Process 1 of its namespace, not a child of it that has not called exec yet.
fn is_process_1(pid: i32) -> Option<()> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    (line.split_ascii_whitespace().last() == Some("1")).then_some(())
}

/// Reads `outgate router serve --dir D --id I --name N --boot B`.
fn parse(line: &[u8], run_dir: &Path) -> Option<(Owner, u64)> {
    let mut words = line
        .split(|byte| *byte == 0)
        .skip(1)
        .filter_map(|word| std::str::from_utf8(word).ok());
    let kind = words.next()?;
    (words.next()? == "serve").then_some(())?;
    let words: Vec<&str> = words.collect();
    let option = |name: &str| {
        words
            .iter()
            .position(|word| *word == name)
            .and_then(|at| words.get(at + 1).copied())
    };
    let owner = Owner::parse(&format!("{kind} {}", option("--id")?))?;
    (Path::new(option("--dir")?) == owner.dir(run_dir)).then_some(())?;
    let boot = option("--boot")
        .and_then(|boot| boot.parse().ok())
        .unwrap_or_default();
    Some((owner, boot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_instances_command_lines_are_taken() {
        let id = "3f1c9a52-6f0e-4d6f-9f5e-0a1b2c3d4e5f";
        let line = |dir: &str| {
            format!(
                "/x/outgate\0router\0serve\0--dir\0{dir}/routers/{id}\0--id\0{id}\0--name\0r-1-VM\0--boot\x007\0"
            )
        };
        let found = parse(line("/run/a").as_bytes(), Path::new("/run/a"));
        assert_eq!(found, Some((Owner::Router(id.parse().unwrap()), 7)));
        assert_eq!(parse(line("/run/b").as_bytes(), Path::new("/run/a")), None);
        assert_eq!(parse(b"/bin/sleep\x00100\0", Path::new("/run/a")), None);
        assert_eq!(parse(b"", Path::new("/run/a")), None);
    }
}
