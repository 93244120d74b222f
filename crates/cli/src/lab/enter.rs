// SPDX-License-Identifier: Apache-2.0
//! `outgate lab shell` and `outgate lab exec`: into the lab's host, a router, a guest or the internet.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Context as _;
use nix::sys::signal::Signal;

use super::process::Process;
use super::record::Record;
use super::state::Instance;
use super::{find, init};
use crate::client::{Client, Credentials, is_called};
use crate::exit::{Code, Unavailable, Usage};

/// A shell in the lab.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
NAME is host (the hypervisor; routers' control addresses and the SSH key are there), internet, gateway, or the name of
a guest or router. A router is entered with ssh on port 3922, as an operator would.

Examples:
  outgate lab shell                      the host
  outgate lab shell guest1
  outgate lab shell r-1-VM")]
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
  outgate lab exec r-1-VM -- iptables -t nat -S POSTROUTING

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
    hand_over(Place::find(&args.instance, &args.name)?.command(&[]))
}

/// Runs one command.
pub fn exec(args: &Exec) -> anyhow::Result<()> {
    hand_over(Place::find(&args.instance, &args.name)?.command(&args.argv))
}

/// A place in the lab.
#[derive(Debug)]
pub enum Place {
    /// A process whose namespaces are entered.
    Inside(Process),
    /// One of the lab's named network namespaces.
    Segment(Process, String),
    /// A router, by its control address.
    Router(Process, String),
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
        let guests = client.list("listVirtualMachines", &[("listall", "true")])?;
        if let Some(guest) = guests.iter().find(|g| is_called(g, name)) {
            return Self::guest(guest["id"].as_str().unwrap_or_default());
        }
        let routers = client.list("listRouters", &[("listall", "true")])?;
        let Some(router) = routers.iter().find(|r| is_called(r, name)) else {
            let names = guests.iter().chain(&routers).filter_map(|o| o["name"].as_str());
            let names: Vec<&str> = ["host", "internet", "gateway"].into_iter().chain(names).collect();
            return Err(Usage(format!(
                "{name} is not in lab {instance}; there are: {}",
                names.join(", ")
            ))
            .into());
        };
        let address = router["linklocalip"]
            .as_str()
            .with_context(|| format!("router {name} has no control address"))?;
        Ok(Self::Router(record.supervisor, address.to_owned()))
    }

    /// The guest with this id.
    pub fn guest(id: &str) -> anyhow::Result<Self> {
        let process = find::serving("guest", id);
        Ok(Self::Inside(process.ok_or_else(|| {
            Unavailable(format!("guest {id} is not running"))
        })?))
    }

    /// What runs `argv` there, or a shell when it is empty.
    pub fn command(&self, argv: &[String]) -> Command {
        let (process, words) = match self {
            Self::Inside(process) => (
                process,
                if argv.is_empty() {
                    strings(&["bash", "-i"])
                } else {
                    argv.to_vec()
                },
            ),
            Self::Segment(process, name) => {
                let mut words = strings(&["nsenter", &format!("--net=/run/netns/{name}"), "--"]);
                words.extend(if argv.is_empty() {
                    strings(&["bash", "-i"])
                } else {
                    argv.to_vec()
                });
                (process, words)
            }
            Self::Router(process, address) => (process, ssh(address, argv)),
        };
        let pid = process.pid().to_string();
        let mut command = Command::new("nsenter");
        command.args([
            "--target", &pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--wd",
        ]);
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").args(words.into_iter().map(OsString::from));
        init::environment(&mut command);
        command
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// The reference text's command. sshd gives what it gets to a shell, so each argument is quoted for it.
fn ssh(address: &str, argv: &[String]) -> Vec<String> {
    let target = format!("root@{address}");
    let mut words = strings(&["ssh", "-i", "/root/.ssh/id_rsa.cloud", "-p", "3922", &target]);
    if !argv.is_empty() {
        words.push("--".to_owned());
        words.extend(argv.iter().map(|a| format!("'{}'", a.replace('\'', r"'\''"))));
    }
    words
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_a_routers_shell_as_they_are() {
        let words = ssh("169.254.0.2", &strings(&["echo", "it's $HOME"]));
        assert_eq!(words[6..], ["--", "'echo'", r"'it'\''s $HOME'"]);
    }
}
