// SPDX-License-Identifier: Apache-2.0
//! `outgate lab init` (hidden): the lab's supervisor, pid 1 of its namespaces. It builds the lab's outside, keeps the
//! internet's programs and the server running, reaps, and ends everything on SIGTERM. When it ends, however it ends,
//! the kernel ends everything else in there.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use tokio::signal::unix::{SignalKind, signal};

use super::run::Parent;
use super::service::Service;
use super::state::Instance;
use super::{mounts, network, preflight};
use crate::logging;

/// How long the server may take to end in good order.
const GRACE: Duration = Duration::from_secs(5);

/// How long the supervisor sleeps when it waits for nothing but signals.
const IDLE: Duration = Duration::from_secs(3600);

/// Be the first process of the lab.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// Name of the lab
    #[arg(long)]
    pub instance: Instance,
    /// Its folder
    #[arg(long)]
    pub dir: PathBuf,
}

/// Runs the lab until SIGTERM.
pub fn run(args: &Init) -> anyhow::Result<()> {
    let mut parent = Parent::from_stdout()?;
    logging::start(logging::format_of_environment());
    // Without a record of this process nobody could end it: it waits until `lab up` has written one.
    parent.expect("go")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        // Handlers first: the kernel drops signals to a pid 1 that has none.
        let signals = Signals::install()?;
        let services = start(args)?;
        // A parent that is gone meanwhile finds the lab by its record.
        let _ = parent.say("ready");
        release_stdout()?;
        supervise(signals, services).await
    });
    if let Err(error) = &ended {
        // The same: then the log has it.
        let _ = parent.say(&format!("error {}", format!("{error:#}").replace('\n', " ")));
    }
    ended
}

/// The signals a supervisor listens to.
struct Signals {
    child: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn install() -> anyhow::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

fn start(args: &Init) -> anyhow::Result<Vec<Service>> {
    mounts::prepare(&args.dir)?;
    std::env::set_current_dir("/root")?;
    nix::unistd::sethostname(format!("lab-{}", args.instance)).context("naming the lab's host")?;
    network::build()?;
    let api = std::io::stdin().as_fd().try_clone_to_owned()?;
    Ok(services(&args.instance, api))
}

/// From here on nobody reads our standard output; what it still gets goes to the log, as standard error does.
fn release_stdout() -> anyhow::Result<()> {
    Ok(nix::unistd::dup2_stdout(std::io::stderr())?)
}

fn services(instance: &Instance, api: OwnedFd) -> Vec<Service> {
    let internet = || {
        let mut command = network::inside("internet", mounts::PROGRAM);
        command.args(["lab", "internet"]);
        command
    };
    let mut services = vec![
        Service::new("internet", None, Box::new(internet)),
        Service::new("dns", None, Box::new(dns)),
    ];
    let instance = instance.to_string();
    services.push(Service::new(
        "server",
        Some(api),
        Box::new(move || server(&instance)),
    ));
    services
}

fn dns() -> Command {
    let mut command = network::inside("internet", "dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--group=root",
    ]);
    command.args([
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
        "--log-facility=-",
        "--local=/#/",
    ]);
    command.args(network::RESOLVERS.map(|address| format!("--listen-address={address}")));
    for name in ["www.example.com", "example.com", "internet.test"] {
        command.arg(format!("--host-record={name},{}", network::WEB));
    }
    command
}

fn server(instance: &str) -> Command {
    let folder = std::path::Path::new(mounts::FOLDER);
    let mut command = Command::new(mounts::PROGRAM);
    command.args([
        "server",
        "--listen",
        "stdin",
        "--instance",
        instance,
        "--run-dir",
        mounts::RUN,
    ]);
    command.arg("--data-dir").arg(folder.join("data"));
    command
        .arg("--credentials-file")
        .arg(folder.join("cloudstack.ini"));
    command
        .arg("--admin-password-file")
        .arg(folder.join("admin-password"));
    command.args(["--ssh-key", "/root/.ssh/id_rsa.cloud"]);
    command.args(["--metrics", network::METRICS]);
    command.args([
        "--public-bridge",
        network::PUBLIC_BRIDGE,
        "--public-gateway",
        "203.0.113.1/24",
    ]);
    command.args([
        "--public-range",
        "203.0.113.10-203.0.113.250",
        "--dns",
        network::RESOLVERS[1],
    ]);
    command
}

async fn supervise(mut signals: Signals, mut services: Vec<Service>) -> anyhow::Result<()> {
    loop {
        let now = Instant::now();
        for service in &mut services {
            service.start_if_due(now);
        }
        let wait = services
            .iter()
            .filter_map(|s| s.due_in(now))
            .min()
            .unwrap_or(IDLE);
        tokio::select! {
            _ = signals.child.recv() => {}
            () = tokio::time::sleep(wait) => {}
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
        }
        reap(&mut services)?;
    }
    end(&mut signals, &mut services).await
}

/// Ends the server in good order; all the rest ends with this process.
async fn end(signals: &mut Signals, services: &mut [Service]) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + GRACE;
    for service in services.iter().filter(|s| s.name() == "server") {
        service.terminate();
    }
    while services.iter().any(|s| s.name() == "server" && s.runs()) {
        tokio::select! {
            _ = signals.child.recv() => reap(services)?,
            () = tokio::time::sleep_until(deadline) => break,
        }
    }
    Ok(())
}

/// Takes note of every process that has ended: services, and orphans, whose parent a pid 1 becomes.
fn reap(services: &mut [Service]) -> anyhow::Result<()> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
            Ok(status) => services.iter_mut().for_each(|service| service.note(status)),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("reaping"),
        }
    }
}

/// The environment that everything in the lab starts with.
pub fn environment(command: &mut Command) -> &mut Command {
    let kept = [
        "TERM",
        "RUST_LOG",
        "RUST_BACKTRACE",
        "OUTGATE_LOG",
        "OUTGATE_LOG_FORMAT",
        "OUTGATE_FASTPATH",
        "OUTGATE_FASTPATH_HOOK",
    ];
    let kept: Vec<_> = kept
        .iter()
        .filter_map(|name| std::env::var_os(name).map(|value| (*name, value)))
        .collect();
    command
        .env_clear()
        .env("HOME", "/root")
        .env("PATH", preflight::PATH)
        .envs(kept)
}
