// SPDX-License-Identifier: Apache-2.0
//! The programs that run in a router: writes their files, starts them, starts them again when they end.

mod backoff;
mod budget;
pub mod control;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use outgate_model::host::Run;
use outgate_plan::router_plan::{File, Service};

use crate::cloud_log::CloudLog;
use crate::{RouterError, command};
use backoff::Backoff;
use budget::Budget;

/// How long a program may take to end when asked to.
const GRACE: Duration = Duration::from_secs(2);
/// How long a check of its files may take, in milliseconds.
const CHECK_MILLIS: u64 = 10_000;
/// How long it may take to serve what its files say.
const TAKE_OVER: Duration = Duration::from_secs(5);
/// Longer lines of a program's output are cut.
const LINE_MAX: u64 = 1_024;

/// Called, from any thread, when a program has ended.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The programs of a router. They are children of this process and end with it.
pub struct Services {
    running: BTreeMap<String, Running>,
    backoff: BTreeMap<String, Backoff>,
    log: CloudLog,
    wake: Wake,
}

struct Running {
    argv: Vec<String>,
    child: Child,
    since: Instant,
    /// The first complaint that it printed since it was started or last told to read its files.
    complaint: Complaint,
}

type Complaint = Arc<Mutex<String>>;

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services")
            .field("running", &self.running.keys())
            .finish_non_exhaustive()
    }
}

impl Services {
    /// No programs yet. What they print goes to `log`; `wake` is called when one ends.
    pub fn new(log: CloudLog, wake: Wake) -> Self {
        Self {
            running: BTreeMap::new(),
            backoff: BTreeMap::new(),
            log,
            wake,
        }
    }

    /// Which programs run, with their files as they are on disk. `wanted` tells which files to look at.
    pub fn observe(&mut self, wanted: &BTreeMap<String, Service>) -> BTreeMap<String, Service> {
        self.bury();
        let observed = self.running.iter().map(|(name, running)| {
            let wanted = wanted.get(name);
            let files = wanted
                .map(|service| observed_files(&service.files))
                .unwrap_or_default();
            (
                name.clone(),
                Service {
                    argv: running.argv.clone(),
                    files,
                    check: wanted.map(|w| w.check.clone()).unwrap_or_default(),
                    control: wanted.and_then(|w| w.control.clone()),
                },
            )
        });
        observed.collect()
    }

    /// Starts a program, ending the one that runs under this name first. Its files must be there.
    ///
    /// # Errors
    /// When it cannot be started, or crashed so often that its next start must wait.
    pub fn start(&mut self, name: &str, argv: &[String]) -> Result<(), RouterError> {
        self.bury();
        self.stop(name);
        let doing = || format!("starting {name}");
        let backoff = self.backoff.entry(name.to_owned()).or_default();
        if let Some(wait) = backoff.must_wait(Instant::now()) {
            return Err(RouterError::failed(
                doing(),
                format!("it ended at once {} times", wait.failures),
            ));
        }
        let Some((program, arguments)) = argv.split_first() else {
            return Err(RouterError::failed(doing(), "there is no program to start"));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| {
                backoff.ended(Instant::now(), Instant::now());
                RouterError::failed(doing(), e)
            })?;
        let complaint = Complaint::default();
        if let Some(stderr) = child.stderr.take() {
            let (log, name, complaint) = (self.log.clone(), name.to_owned(), Arc::clone(&complaint));
            std::thread::spawn(move || copy_to_log(stderr, &log, &name, &complaint));
        }
        watch(child.id(), Arc::clone(&self.wake));
        let running = Running {
            argv: argv.to_vec(),
            child,
            since: Instant::now(),
            complaint,
        };
        self.running.insert(name.to_owned(), running);
        Ok(())
    }

    /// Makes a program read its files again. One that does not listen to SIGHUP yet is started anew instead: the signal
    /// would end it, and its first reading may have begun.
    ///
    /// # Errors
    /// When it does not run.
    pub fn hang_up(&mut self, name: &str) -> Result<(), RouterError> {
        let running = self.running.get(name).ok_or_else(|| {
            RouterError::failed(format!("making {name} read its files again"), "it does not run")
        })?;
        if handles_hangup(running.child.id()) {
            signal(&running.child, Signal::SIGHUP);
            return Ok(());
        }
        let argv = running.argv.clone();
        self.start(name, &argv)
    }

    /// Looks at a service's files with its own eyes, before it gets them.
    ///
    /// # Errors
    /// What the service says against them.
    pub fn check(&self, name: &str, service: &Service) -> Result<(), RouterError> {
        let doing = || format!("checking {name}'s configuration");
        if let Some(socket) = &service.control {
            control::keep_state(socket).map_err(|e| RouterError::failed(doing(), e))?;
        }
        if service.check.is_empty() {
            return Ok(());
        }
        let run = Run {
            argv: service.check.clone(),
            timeout_millis: CHECK_MILLIS,
        };
        let output = command::run(&run)?;
        if output.code == Some(0) {
            return Ok(());
        }
        let complaint = output.stderr.lines().find(|line| line.starts_with("[ALERT]"));
        Err(RouterError::failed(
            doing(),
            complaint.unwrap_or(output.stderr.trim()),
        ))
    }

    /// Starts a program or makes it read its files again, and returns when it serves what they say. A program without a
    /// control socket tells nothing: then this returns at once.
    ///
    /// # Errors
    /// When it cannot be started, or does not serve; with its own last complaint.
    pub fn take_over(&mut self, name: &str, service: &Service, start: bool) -> Result<(), RouterError> {
        let Some(socket) = &service.control else {
            return if start {
                self.start(name, &service.argv)
            } else {
                self.hang_up(name)
            };
        };
        let before = control::master(socket).filter(|_| !start);
        if let Some(running) = self.running.get(name) {
            running
                .complaint
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
        match before {
            Some(_) => self.hang_up(name)?,
            None => self.start(name, &service.argv)?,
        }
        let (mut ended, mut refused) = (false, false);
        let came = control::wait_for(socket, Instant::now() + TAKE_OVER, |now| {
            let running = self.running.get_mut(name);
            ended = running.is_none_or(|r| !matches!(r.child.try_wait(), Ok(None)));
            let Some(now) = now else { return ended };
            let is_new = before.is_none_or(|before| now.reloads > before.reloads);
            refused = is_new && now.failed > 0;
            ended || refused || (is_new && now.serves)
        });
        if came.is_some() && !ended && !refused {
            return Ok(());
        }
        let complaint = self.running.get(name).map(|running| {
            let text = running.complaint.lock();
            text.unwrap_or_else(PoisonError::into_inner).clone()
        });
        let reason = complaint
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| format!("it does not serve them; {} says more", crate::cloud_log::PATH));
        Err(RouterError::failed(
            format!("making {name} take its rules over"),
            reason,
        ))
    }

    /// Ends a program; nothing happens when it does not run.
    pub fn stop(&mut self, name: &str) {
        let Some(mut running) = self.running.remove(name) else {
            return;
        };
        signal(&running.child, Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while matches!(running.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                signal(&running.child, Signal::SIGKILL);
                // Cannot fail: it is our child, and SIGKILL ends it.
                let _ = running.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The process id of a program that runs.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.running.get(name).map(|running| running.child.id())
    }

    /// When a program that crashed may be started again; `None` when none waits.
    pub fn retry_in(&self) -> Option<Duration> {
        let now = Instant::now();
        self.backoff
            .values()
            .filter_map(|b| b.must_wait(now))
            .map(|wait| wait.remaining)
            .min()
    }

    /// Takes leave of the programs that have ended.
    fn bury(&mut self) {
        let (backoff, log) = (&mut self.backoff, &self.log);
        self.running
            .retain(|name, running| match running.child.try_wait() {
                Ok(None) => true,
                Ok(Some(status)) => {
                    log.warn(&format!("{name} ended: {status}"));
                    backoff
                        .entry(name.clone())
                        .or_default()
                        .ended(running.since, Instant::now());
                    false
                }
                Err(error) => {
                    log.error(&format!("{name} cannot be watched: {error}"));
                    false
                }
            });
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let names: Vec<String> = self.running.keys().cloned().collect();
        for name in names {
            self.stop(&name);
        }
    }
}

/// Only this process reaps the child, so its id cannot belong to another while we hold it.
fn signal(child: &Child, signal: Signal) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It may have ended just now; then nobody is there to be told.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Whether the process has a handler for SIGHUP.
fn handles_hangup(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    // Bit 0 is signal 1, SIGHUP.
    caught
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

/// Calls `wake` when the process ends, and leaves the reaping to its owner.
fn watch(pid: u32, wake: Wake) {
    let Ok(pid) = i32::try_from(pid).map(Pid::from_raw) else {
        return;
    };
    std::thread::spawn(move || {
        // An error means that it is gone as well.
        let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        wake();
    });
}

fn copy_to_log(source: impl Read, log: &CloudLog, name: &str, complaint: &Complaint) {
    let mut source = BufReader::new(source);
    let (mut line, mut budget) = (Vec::new(), Budget::new(Instant::now()));
    while matches!(
        source.by_ref().take(LINE_MAX).read_until(b'\n', &mut line),
        Ok(1..)
    ) {
        let text = String::from_utf8_lossy(&line);
        if text.starts_with("[ALERT]") {
            let mut first = complaint.lock().unwrap_or_else(PoisonError::into_inner);
            if first.is_empty() {
                text.trim_end().clone_into(&mut first);
            }
        }
        if let Some(left_out) = budget.take(Instant::now()) {
            if left_out > 0 {
                log.note(&format!("{name}: ({left_out} more lines are left out)"));
            }
            log.note(&format!("{name}: {}", text.trim_end()));
        }
        line.clear();
    }
}

fn observed_files(wanted: &BTreeMap<String, File>) -> BTreeMap<String, File> {
    let read = |(path, file): (&String, &File)| {
        let source = fs::File::open(path).ok()?;
        let mode = source.metadata().ok()?.permissions().mode() & 0o7777;
        // One byte too many tells that it differs; how many more there are does not matter.
        let length = file.content.len() + 1;
        let mut content = String::with_capacity(length);
        let limit = u64::try_from(length).unwrap_or(u64::MAX);
        source.take(limit).read_to_string(&mut content).ok()?;
        Some((
            path.clone(),
            File {
                content,
                mode,
                on_change: file.on_change,
            },
        ))
    };
    wanted.iter().filter_map(read).collect()
}

/// Writes a file so that its reader sees the old or the new content, never half of it.
///
/// # Errors
/// When the disk refuses.
pub fn write_file(path: &str, file: &File) -> Result<(), RouterError> {
    let write = || -> io::Result<()> {
        let new = format!("{path}.new");
        if let Some(dir) = Path::new(path).parent() {
            fs::create_dir_all(dir)?;
        }
        let mut out = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(file.mode)
            .open(&new)?;
        out.set_permissions(fs::Permissions::from_mode(file.mode))?;
        out.write_all(file.content.as_bytes())?;
        fs::rename(&new, path)
    };
    write().map_err(|e| RouterError::failed(format!("writing {path}"), e))
}
