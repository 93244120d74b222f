// SPDX-License-Identifier: Apache-2.0
//! `outgate lab up`: one command builds a whole cloud on this machine and proves that it works.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::record::{Lock, Record};
use super::state::{Instance, Paths};
use super::{launch, preflight, proof, summary};
use crate::exit::Unavailable;
use crate::output::Format;

/// The API's port when none is asked for and nobody has it.
const USUAL_PORT: u16 = 8080;
/// How long another `lab` command may keep this one waiting.
const PATIENCE: Duration = Duration::from_secs(120);

/// Build a lab.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything lives in namespaces of its own, without any route to the outside of this machine. What is seen of it: a \
process tree, one TCP port on 127.0.0.1, and a folder (/var/lib/outgate/labs/NAME as root, else \
$XDG_STATE_HOME/outgate/labs/NAME). Works as root and, with subordinate ids, as an ordinary user. A lab that is up \
already is only described; one that was killed comes back as it was.

Examples:
  outgate lab up
  outgate lab up --instance two --port 8090
  OUTGATE_FASTPATH=auto outgate lab up     routers have a fast path (root only); outgate verify tells of it")]
pub struct Up {
    /// Name of the lab; labs with different names live side by side
    #[arg(long, default_value = "default", env = "OUTGATE_INSTANCE")]
    pub instance: Instance,
    /// The API's port on 127.0.0.1 [default: 8080 if it is free, else any free one]
    #[arg(long)]
    pub port: Option<u16>,
    /// Only the cloud: make no network and no guests
    #[arg(long)]
    pub empty: bool,
}

/// Builds and proves the lab, or describes it when it is up.
pub fn run(args: &Up, format: Format) -> anyhow::Result<()> {
    let paths = args.instance.paths()?;
    let ids = preflight::check()?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(paths.dir())
        .with_context(|| format!("making {}", paths.dir().display()))?;
    let _lock = Lock::take(&paths, PATIENCE)?;
    let record = match Record::running(&paths)? {
        Some(record) => record,
        None => begin(args, &paths, ids)?,
    };
    let progress = proof::Progress::new(format);
    let built = proof::build(&record, &paths, args.empty, &progress);
    progress.finish();
    let built = built.with_context(|| hint(&args.instance, &paths))?;
    summary::print(&args.instance, &paths, &record, &built, format)
}

fn begin(args: &Up, paths: &Paths, ids: Option<preflight::IdMap>) -> anyhow::Result<Record> {
    ssh_key(paths)?;
    let earlier = Record::read(paths)?.map(|r| r.port);
    let listener = listen(args.port, earlier)?;
    launch::launch(&args.instance, paths, &listener, ids).with_context(|| hint(&args.instance, paths))
}

fn hint(instance: &Instance, paths: &Paths) -> String {
    format!(
        "the lab is not up; its log is {}, and `outgate lab down --instance {instance}` removes what is there",
        paths.log().display()
    )
}

/// The port that was asked for, or the one the lab had before, or the usual one, or any.
fn listen(wanted: Option<u16>, earlier: Option<u16>) -> anyhow::Result<TcpListener> {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if let Some(port) = wanted {
        return bind(port).map_err(|e| {
            Unavailable(format!(
                "cannot listen on 127.0.0.1:{port}: {e}; choose another --port"
            ))
            .into()
        });
    }
    let tries = earlier.into_iter().chain([USUAL_PORT]);
    let listener = tries.map(bind).find_map(Result::ok);
    listener.map_or_else(|| bind(0).context("listening on 127.0.0.1"), Ok)
}

/// The key pair for SSH into routers, made once.
fn ssh_key(paths: &Paths) -> anyhow::Result<()> {
    let key = paths.ssh_key();
    if key.with_extension("cloud.pub").exists() && key.exists() {
        return Ok(());
    }
    let _ = std::fs::remove_file(&key);
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "outgate-lab", "-f"])
        .arg(&key);
    let done = command
        .env("PATH", preflight::PATH)
        .stdin(Stdio::null())
        .output()
        .context("starting ssh-keygen")?;
    if !done.status.success() {
        bail!(
            "ssh-keygen failed: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(())
}
