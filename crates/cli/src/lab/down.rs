// SPDX-License-Identifier: Apache-2.0
//! `outgate lab down`: leaves nothing behind, whatever happened before.

use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;

use super::process::Process;
use super::record::{Lock, Record};
use super::state::{self, Instance, Paths};
use crate::output;

/// How long the supervisor may take to end in good order.
const GRACE: Duration = Duration::from_secs(8);
/// How long the kernel may take to end a lab.
const KILL: Duration = Duration::from_secs(20);
/// How long a `lab up` of the same lab may take to notice that its supervisor is gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// Remove a lab.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ends every process of the lab, and with them its namespaces, interfaces and mounts; removes its folder, its data \
included. Works on a half-made lab and after a kill -9, and once more does no harm.

Examples:
  outgate lab down
  outgate lab down --instance two
  outgate lab down --all")]
pub struct Down {
    /// Name of the lab
    #[arg(
        long,
        default_value = "default",
        env = "OUTGATE_INSTANCE",
        conflicts_with = "all"
    )]
    instance: Instance,
    /// Every lab of this user
    #[arg(long)]
    all: bool,
}

/// Removes the lab or labs.
pub fn run(args: &Down) -> anyhow::Result<()> {
    if !args.all {
        return remove(&args.instance, &args.instance.paths()?);
    }
    for (instance, paths) in state::all()? {
        remove(&instance, &paths)?;
    }
    Ok(())
}

fn remove(instance: &Instance, paths: &Paths) -> anyhow::Result<()> {
    if !paths.dir().exists() {
        // Somebody may have removed the folder of a lab that runs.
        let Some(supervisor) = super::find::supervisor(paths.dir()) else {
            return output::line(format!("lab {instance} is not there"));
        };
        stop(&supervisor)?;
        return output::line(format!("lab {instance} is gone"));
    }
    // First without the lock: a `lab up` that is still building holds it, and gives up when its supervisor is gone.
    end(paths)?;
    let lock = Lock::take(paths, PATIENCE)?;
    end(paths)?;
    std::fs::remove_dir_all(paths.dir()).with_context(|| format!("removing {}", paths.dir().display()))?;
    drop(lock);
    // Only when it was the last one; anything else in there is not ours to remove.
    let labs = state::labs_dir()?;
    let _ = std::fs::remove_dir(&labs);
    if let Some(parent) = labs.parent().filter(|p| p.ends_with("outgate")) {
        let _ = std::fs::remove_dir(parent);
    }
    output::line(format!("lab {instance} is gone"))
}

/// Ends the supervisor; the kernel ends everything else in its namespaces before its process is gone.
fn end(paths: &Paths) -> anyhow::Result<()> {
    // A damaged record is no reason to keep a lab, but its supervisor could not be found by it.
    let Some(record) = Record::read(paths).or_else(|e| damaged(paths, e))? else {
        return Ok(());
    };
    stop(&record.supervisor)
}

fn stop(supervisor: &Process) -> anyhow::Result<()> {
    supervisor.signal(Signal::SIGTERM)?;
    if !supervisor.ended_within(GRACE) {
        supervisor.signal(Signal::SIGKILL)?;
    }
    if !supervisor.ended_within(KILL) {
        bail!("process {} of the lab does not end; try again", supervisor.pid());
    }
    Ok(())
}

/// Finds the supervisor by its command line.
fn damaged(paths: &Paths, error: anyhow::Error) -> anyhow::Result<Option<Record>> {
    tracing::warn!(%error, "looking for the supervisor by its command line");
    Ok(super::find::supervisor(paths.dir()).map(|supervisor| Record {
        supervisor,
        port: 0,
        version: String::new(),
    }))
}
