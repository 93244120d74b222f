// SPDX-License-Identifier: Apache-2.0
//! `outgate lab shell` and `outgate lab exec`: into the lab's host, a router, a guest or the internet.

use std::process::Command;

use anyhow::Context as _;
use nix::sys::signal::Signal;

use super::process::Process;
use super::record::Record;
use super::state::Instance;
use super::{find, init};
use crate::client::{Client, Credentials, EVERYTHING, is_called};
use crate::exit::{Code, Unavailable, Usage};

/// A shell in the lab.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
NAME is host (the hypervisor; routers' control addresses and the SSH key are there), internet, gateway, or the name of \
a guest or router. A router is entered with ssh on port 3922, as an operator would.

Examples:
  outgate lab shell                      the host
  outgate lab shell guest1
  outgate lab shell r-2-VM")]
pub struct Shell {
    /// Where to
    #[arg(default_value = "host")]
    name: String,
    /// Name of the lab
    #[arg(long, default_value = "default", env = "OUTGATE_INSTANCE")]
    instance: Instance,
}

/// One command in the lab.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outgate lab exec guest1 -- ping -c 4 8.8.8.8
  outgate lab exec r-2-VM -- iptables -t nat -S POSTROUTING

The exit code is the command's.")]
pub struct Exec {
    /// Where to: host, internet, gateway, or the name of a guest or router
    name: String,
    /// Name of the lab
    #[arg(long, default_value = "default", env = "OUTGATE_INSTANCE")]
    instance: Instance,
    /// The command with its arguments
    #[arg(last = true, required = true)]
    argv: Vec<String>,
}

/// Opens a shell.
pub fn shell(args: &Shell) -> anyhow::Result<()> {
    hand_over(Place::find(&args.instance, &args.name)?.command(&[])?)
}

/// Runs one command.
pub fn exec(args: &Exec) -> anyhow::Result<()> {
    hand_over(Place::find(&args.instance, &args.name)?.command(&args.argv)?)
}

/// A place in the lab.
#[derive(Debug)]
pub enum Place {
    /// A process whose namespaces are entered.
    Inside(Process),
    /// One of the lab's named network namespaces.
    Segment(Process, String),
    /// A router: the host that reaches it, its control address, and its id.
    Router {
        /// The lab's host.
        host: Process,
        /// The router's control address.
        control: String,
        /// The router's id.
        id: String,
    },
}

impl Place {
    /// Finds a place by its name.
    pub fn find(instance: &Instance, name: &str) -> anyhow::Result<Self> {
        let paths = instance.paths()?;
        let record = Record::running(&paths)?.ok_or_else(|| {
            Unavailable(format!(
                "lab {instance} is not up; start it with: outgate lab up --instance {instance}"
            ))
        })?;
        match name {
            "host" => return Ok(Self::Inside(record.supervisor)),
            "internet" | "gateway" => return Ok(Self::Segment(record.supervisor, name.to_owned())),
            _ => {}
        }
        let client = Client::new(Credentials::read(&paths.credentials())?);
        let guests = client.list("listVirtualMachines", EVERYTHING)?;
        if let Some(guest) = guests.iter().find(|g| is_called(g, name)) {
            return Self::guest(guest["id"].as_str().unwrap_or_default());
        }
        let routers = client.list("listRouters", EVERYTHING)?;
        let Some(router) = routers.iter().find(|r| is_called(r, name)) else {
            let names = guests.iter().chain(&routers).filter_map(|o| o["name"].as_str());
            let names: Vec<&str> = ["host", "internet", "gateway"].into_iter().chain(names).collect();
            return Err(Usage(format!(
                "{name} is not in lab {instance}; there are: {}",
                names.join(", ")
            ))
            .into());
        };
        let field = |key: &str| router[key].as_str().unwrap_or_default().to_owned();
        Ok(Self::Router {
            host: record.supervisor,
            control: field("linklocalip"),
            id: field("id"),
        })
    }

    /// The guest with this id.
    pub fn guest(id: &str) -> anyhow::Result<Self> {
        let process = find::serving("guest", id);
        Ok(Self::Inside(process.ok_or_else(|| {
            Unavailable(format!("guest {id} is not running"))
        })?))
    }

    /// What runs `argv` there, or a shell when it is empty.
    ///
    /// # Errors
    /// When it is a router that does not run.
    pub fn command(&self, argv: &[String]) -> anyhow::Result<Command> {
        let shell = strings(&["bash", "-i"]);
        let words = if argv.is_empty() { &shell } else { argv };
        Ok(match self {
            Self::Inside(process) => enter(process, words),
            Self::Segment(host, name) => {
                let mut inner = strings(&["nsenter", &format!("--net=/run/netns/{name}"), "--"]);
                inner.extend_from_slice(words);
                enter(host, &inner)
            }
            // As an operator does, and as the reference text says.
            Self::Router { host, control, .. } if argv.is_empty() => enter(host, &ssh(control)),
            // Works also when its sshd does not, and needs no quoting.
            Self::Router { id, .. } => {
                let process = find::serving("router", id);
                enter(
                    &process.ok_or_else(|| Unavailable(format!("router {id} is not running")))?,
                    words,
                )
            }
        })
    }
}

/// A program in all namespaces of a process.
fn enter(process: &Process, words: &[String]) -> Command {
    let pid = process.pid().to_string();
    let mut command = Command::new("nsenter");
    command.args([
        "--target", &pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--wd",
    ]);
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--preserve-credentials"]);
    }
    command.arg("--").args(words);
    init::environment(&mut command);
    command
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// The reference text's command.
fn ssh(control: &str) -> Vec<String> {
    strings(&[
        "ssh",
        "-i",
        "/root/.ssh/id_rsa.cloud",
        "-p",
        "3922",
        &format!("root@{control}"),
    ])
}

/// Runs it in the foreground and ends with its exit code.
fn hand_over(mut command: Command) -> anyhow::Result<()> {
    use std::os::unix::process::ExitStatusExt as _;
    let status = command.status().context("starting nsenter")?;
    let signalled = || {
        status
            .signal()
            .and_then(|s| Signal::try_from(s).ok())
            .map(|s| 128 + s as i32)
    };
    match status.code().or_else(signalled) {
        Some(0) => Ok(()),
        code => Err(Code(
            code.and_then(|c| u8::try_from(c).ok())
                .unwrap_or(crate::exit::FAILED),
        )
        .into()),
    }
}
