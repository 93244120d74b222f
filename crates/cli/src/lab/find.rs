// SPDX-License-Identifier: Apache-2.0
//! Finds processes by their command lines, as the machine sees them.

use std::path::Path;

use super::process::Process;

/// The supervisor of the lab in this folder.
pub fn supervisor(folder: &Path) -> Option<Process> {
    let folder = folder.to_str()?;
    find(|words| words.windows(2).any(|w| w == ["lab", "init"]) && follows(words, "--dir", folder))
}

/// The process of the router (`kind` router) or guest (`kind` guest) with this id.
pub fn serving(kind: &str, id: &str) -> Option<Process> {
    find(|words| words.windows(2).any(|w| w == [kind, "serve"]) && follows(words, "--id", id))
}

fn follows(words: &[&str], flag: &str, value: &str) -> bool {
    words.windows(2).any(|w| w == [flag, value])
}

fn find(wanted: impl Fn(&[&str]) -> bool) -> Option<Process> {
    let processes = std::fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let found = pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        wanted(&line.split('\0').collect::<Vec<_>>())
    });
    // The lowest id is the first one: a child between fork and exec still shows its parent's command line.
    found.min().and_then(Process::of)
}
