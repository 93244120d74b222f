// SPDX-License-Identifier: Apache-2.0
//! Programs in namespaces of their own, and programs inside the namespaces of others.
//!
//! A thread made for the purpose moves into the namespaces and starts the program from there; it then ends and takes its
//! odd view of the machine with it. So nothing but `exec` happens between fork and exec, and no other thread is touched.
//! All of it works as root and as root of a user namespace alike.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use outgate_model::host::{Run, RunOutput};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::mount;
use crate::process::{Identity, Process};

/// What programs get as their environment, and nothing else.
const ENVIRONMENT: [(&str, &str); 4] = [
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
    ("TERM", "dumb"),
];
/// The most that [`run`] keeps of a program's standard output, in bytes.
const STDOUT_MAX: usize = 1 << 20;
/// The most that [`run`] keeps of a program's standard error, in bytes.
const STDERR_MAX: usize = 64 << 10;
/// How long [`run`] reads on after the program has ended. Whoever still holds its output then is ended too.
const LINGER: Duration = Duration::from_millis(500);
/// The longest that [`run`] lets a program run.
const RUN_MAX: Duration = Duration::from_secs(600);

/// Namespaces could not be made or entered, or a program not be started in them.
#[derive(Debug, thiserror::Error)]
#[error("{doing} failed: {source}")]
pub struct NamespaceError {
    /// What was being done: `starting ping`.
    pub doing: String,
    /// Why it failed.
    pub source: io::Error,
}

impl NamespaceError {
    fn new(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self {
            doing: doing.into(),
            source: source.into(),
        }
    }
}

/// A program that runs as process 1 of its own namespaces.
#[derive(Debug)]
pub struct Spawned {
    /// The process. It outlives this value and the process that spawned it.
    pub process: Process,
    /// Its network namespace, to plug interfaces into.
    pub network: OwnedFd,
}

/// Starts a program as process 1 of new PID, mount, UTS, IPC and network namespaces, with a minimal environment, in a
/// session of its own, its output appended to the file `log`. Its mounts are private; /proc is still the caller's
/// until it mounts its own. Must be called inside a tokio runtime.
///
/// # Errors
/// When the namespaces, the log file or the program cannot be had.
pub fn spawn(argv: &[String], environment: &[(&str, &str)], log: &Path) -> Result<Spawned, NamespaceError> {
    let starting = format!("starting {}", argv.join(" "));
    let output = OpenOptions::new().create(true).append(true).open(log);
    let output = output.map_err(|e| NamespaceError::new(format!("opening {}", log.display()), e))?;
    let error_output = output
        .try_clone()
        .map_err(|e| NamespaceError::new(&starting, e))?;
    let mut command = command(argv).map_err(|e| NamespaceError::new(&starting, e))?;
    command.envs(environment.iter().copied());
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(error_output);
    detach(&mut command);
    let (mut child, network) = on_thread(|| {
        let flags = CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC;
        unshare(flags).map_err(|e| NamespaceError::new("making namespaces", e))?;
        mount::make_private().map_err(|e| NamespaceError::new("making namespaces", e.source))?;
        let network = network_of_this_thread()?;
        let child = command.spawn().map_err(|e| NamespaceError::new(&starting, e))?;
        Ok((child, network))
    })?;
    // The child is ours and nobody has reaped it, so its id is still its own.
    let process = i32::try_from(child.id())
        .map_err(io::Error::other)
        .and_then(|pid| match Identity::of(pid)? {
            Some(identity) => Process::open(identity),
            None => Ok(None),
        });
    let error = match process {
        Ok(Some(process)) => return Ok(Spawned { process, network }),
        Ok(None) => ended_at_once(argv, log),
        Err(error) => NamespaceError::new(format!("watching {}", argv.join(" ")), error),
    };
    // Nobody would ever end or reap what nobody holds. Both calls fail only for a process that has gone.
    let _ = child.kill();
    let _ = child.wait();
    Err(error)
}

fn ended_at_once(argv: &[String], log: &Path) -> NamespaceError {
    let reason = format!("it ended at once; see {}", log.display());
    NamespaceError::new(format!("starting {}", argv.join(" ")), io::Error::other(reason))
}

/// Which namespaces of a process to enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enter {
    /// PID, mount, UTS, IPC and network: like a shell inside.
    All,
    /// Only the network.
    Network,
}

/// Runs a program inside the namespaces of a process and returns what it printed. Output beyond the bounds of
/// [`RunOutput`] is read and dropped. When the time limit ends it, `code` is `None`.
///
/// # Errors
/// When the namespaces cannot be entered or the program not be started.
pub async fn run(inside: &Process, enter: Enter, run: &Run) -> Result<RunOutput, NamespaceError> {
    let doing = format!("running {}", run.argv.join(" "));
    let failed = |source: io::Error| NamespaceError::new(&doing, source);
    let mut command = command(&run.argv).map_err(failed)?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    detach(&mut command);
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let runtime = tokio::runtime::Handle::current();
    let mut child = on_thread(|| {
        let _context = runtime.enter();
        enter_namespaces(inside.pidfd(), enter).map_err(failed)?;
        command.spawn().map_err(failed)
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let group = child.id();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let limit = Duration::from_millis(run.timeout_millis).min(RUN_MAX);
    let outcome = {
        let drains = async {
            tokio::join!(
                drain(stdout, &mut out, STDOUT_MAX),
                drain(stderr, &mut err, STDERR_MAX)
            );
        };
        tokio::pin!(drains);
        let finish = async {
            tokio::select! {
                status = child.wait() => {
                    // What it left running may keep its output open for ever.
                    if tokio::time::timeout(LINGER, &mut drains).await.is_err() {
                        end_group(group);
                    }
                    status
                }
                () = &mut drains => child.wait().await,
            }
        };
        tokio::time::timeout(limit, finish).await
    };
    let code = match outcome {
        Ok(status) => status.map_err(failed)?.code(),
        Err(_) => {
            end_group(group);
            let _ = child.wait().await;
            None
        }
    };
    Ok(RunOutput {
        code,
        stdout: text(&out),
        stderr: text(&err),
    })
}

fn end_group(leader: Option<u32>) {
    if let Some(pid) = leader.and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended in this moment.
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}

/// Makes a network namespace that lives as long as the descriptor, or a process or interface in it, does.
///
/// # Errors
/// When the kernel refuses.
pub fn new_network() -> Result<OwnedFd, NamespaceError> {
    on_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|e| NamespaceError::new("making a network namespace", e))?;
        network_of_this_thread()
    })
}

/// Opens the network namespace of a process.
///
/// # Errors
/// When it has ended or may not be looked at.
pub fn network_of(process: &Process) -> Result<OwnedFd, NamespaceError> {
    let path = format!("/proc/{}/ns/net", process.identity().pid);
    let doing = format!("opening {path}");
    let file = std::fs::File::open(&path).map_err(|e| NamespaceError::new(&doing, e))?;
    // Only now is it certain that the path did not belong to a later process with the same id.
    match Identity::of(process.identity().pid) {
        Ok(Some(identity)) if identity == process.identity() => Ok(file.into()),
        Ok(_) => Err(NamespaceError::new(
            doing,
            io::Error::other("the process has ended"),
        )),
        Err(error) => Err(NamespaceError::new(doing, error)),
    }
}

/// Does something inside a network namespace, on a thread of its own. Sockets opened there belong there for ever.
///
/// # Errors
/// When the namespace may not be entered.
pub fn within<T: Send>(
    network: BorrowedFd<'_>,
    work: impl FnOnce() -> T + Send,
) -> Result<T, NamespaceError> {
    on_thread(|| {
        setns(network, CloneFlags::CLONE_NEWNET)
            .map_err(|e| NamespaceError::new("entering a network namespace", e))?;
        Ok(work())
    })
}

fn enter_namespaces(pidfd: BorrowedFd<'_>, enter: Enter) -> io::Result<()> {
    let flags = match enter {
        Enter::Network => CloneFlags::CLONE_NEWNET,
        Enter::All => {
            // Threads share root and working directory; a mount namespace can be entered only with one's own.
            unshare(CloneFlags::CLONE_FS)?;
            CloneFlags::CLONE_NEWNET
                | CloneFlags::CLONE_NEWPID
                | CloneFlags::CLONE_NEWNS
                | CloneFlags::CLONE_NEWUTS
                | CloneFlags::CLONE_NEWIPC
        }
    };
    Ok(setns(pidfd, flags)?)
}

fn network_of_this_thread() -> Result<OwnedFd, NamespaceError> {
    let file = std::fs::File::open("/proc/thread-self/ns/net");
    Ok(file
        .map_err(|e| NamespaceError::new("opening a network namespace", e))?
        .into())
}

fn on_thread<T: Send>(work: impl FnOnce() -> Result<T, NamespaceError> + Send) -> Result<T, NamespaceError> {
    let done = std::thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|_| {
        Err(NamespaceError::new(
            "entering namespaces",
            io::Error::other("the thread ended early"),
        ))
    })
}

fn command(argv: &[String]) -> io::Result<Command> {
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| io::Error::other("there is no program to run"))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(ENVIRONMENT);
    Ok(command)
}

/// Starts a session of its own, and lets go of every descriptor but the standard three: a router must not hold its
/// server's sockets open when it outlives it.
#[allow(
    unsafe_code,
    reason = "std has no safe way to do something between fork and exec"
)]
fn detach(command: &mut Command) {
    let at_exec = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    let prepare = move || {
        nix::unistd::setsid()?;
        // SAFETY: it marks descriptors for closing at exec and touches no memory.
        let marked = unsafe { libc::close_range(3, libc::c_uint::MAX, at_exec) };
        if marked == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    // SAFETY: between fork and exec it makes two system calls, which are async-signal-safe, and allocates nothing.
    unsafe { command.pre_exec(prepare) };
}

async fn drain(stream: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>, max: usize) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 16 << 10];
    // An error here is the end of the pipe.
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = max.saturating_sub(into.len());
        into.extend_from_slice(buffer.get(..count.min(room)).unwrap_or_default());
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The network namespace of the calling thread.
///
/// # Errors
/// When /proc cannot be read.
pub fn own_network() -> Result<OwnedFd, NamespaceError> {
    network_of_this_thread()
}
