// SPDX-License-Identifier: Apache-2.0
//! A lab for a test: in a folder of its own, gone at the end whatever happens.

#![allow(dead_code, reason = "each test file uses its share")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program under test.
pub const OUTGATE: &str = env!("CARGO_BIN_EXE_outgate");

/// A lab's name with the folder that holds it.
pub struct Lab {
    /// Holds every lab of this test.
    pub labs: PathBuf,
    /// The lab's name.
    pub name: String,
    /// What starts a program; a test may put another user in front.
    pub prefix: Vec<String>,
    /// The program.
    pub program: PathBuf,
    _folder: tempfile::TempDir,
}

impl Lab {
    /// A lab that does not exist yet.
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            labs: folder.path().join("labs"),
            name: name.to_owned(),
            prefix: Vec::new(),
            program: PathBuf::from(OUTGATE),
            _folder: folder,
        }
    }

    /// The folder that is removed at the end.
    pub fn folder(&self) -> &Path {
        self._folder.path()
    }

    /// The lab's own folder.
    pub fn dir(&self) -> PathBuf {
        self.labs.join(&self.name)
    }

    /// `outgate ARGS` for this lab, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut words = self.prefix.clone();
        words.push(self.program.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(args);
        command
            .env("OUTGATE_LABS_DIR", &self.labs)
            .env("OUTGATE_INSTANCE", &self.name);
        command
    }

    /// Runs `outgate ARGS`.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs `outgate ARGS`, which must succeed, and returns its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let done = self.run(args);
        let (out, err) = (
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr),
        );
        assert!(
            done.status.success(),
            "outgate {args:?}: {}\n{out}\n{err}\n{}",
            done.status,
            self.log()
        );
        out.into_owned()
    }

    /// The same, read as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    /// The end of the lab's log.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.dir().join("lab.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// The supervisor's process id.
    pub fn supervisor(&self) -> i32 {
        let text = std::fs::read(self.dir().join("supervisor.json")).unwrap();
        let record: Value = serde_json::from_slice(&text).unwrap();
        i32::try_from(record["supervisor"]["identity"]["pid"].as_i64().unwrap()).unwrap()
    }

    /// Every process of the lab: the supervisor and all its descendants.
    pub fn processes(&self) -> BTreeSet<i32> {
        let mut found = BTreeSet::from([self.supervisor()]);
        loop {
            let before = found.len();
            found.extend(
                all()
                    .into_iter()
                    .filter(|(_, parent)| found.contains(parent))
                    .map(|(pid, _)| pid)
                    .collect::<Vec<_>>(),
            );
            if found.len() == before {
                return found;
            }
        }
    }

    /// The one process of the lab whose command line holds these words next to each other.
    pub fn process(&self, words: &[&str]) -> Option<i32> {
        self.processes().into_iter().find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.split('\0')
                .collect::<Vec<_>>()
                .windows(words.len())
                .any(|w| w == words)
        })
    }

    /// Removes the lab and makes sure that nothing of it is left.
    pub fn leaves_nothing(&self, processes: &BTreeSet<i32>) {
        self.ok(&["lab", "down"]);
        assert!(!self.dir().exists(), "{} is left", self.dir().display());
        let left: Vec<&i32> = processes.iter().filter(|pid| runs(**pid)).collect();
        assert!(left.is_empty(), "processes are left: {left:?}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.command(&["lab", "down"]).output();
    }
}

/// Whether there is a process with this id that has not ended.
pub fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !matches!(
            stat.rsplit_once(')')
                .map(|(_, rest)| rest.trim_start().as_bytes()[0]),
            Some(b'Z' | b'X')
        )
    })
}

/// Every process with its parent.
fn all() -> Vec<(i32, i32)> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    })
    .collect()
}

/// Sends SIGKILL.
pub fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// Waits until `holds`, at most 60 seconds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What guest1 hears from the internet about the address it came from.
pub fn page(lab: &Lab) -> Option<String> {
    let done = lab.run(&[
        "lab",
        "exec",
        "guest1",
        "--",
        "timeout",
        "30",
        "busybox",
        "wget",
        "-q",
        "-O",
        "-",
        "http://198.51.100.10/",
    ]);
    done.status
        .success()
        .then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
