// SPDX-License-Identifier: Apache-2.0
//! What routers and guests have in common: a process 1 that is started, found, watched and ended.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use outgate_kernel::namespace::{self, Enter};
use outgate_kernel::process::Process;
use outgate_model::host::{GuestRunning, HostObserved, RouterRunning, Run, RunOutput};
use outgate_router::RouterClient;

use super::names::Owner;
use super::plug::Nic;
use super::{Shared, failed, guests, routers, scan};
use crate::HostError;

/// A log that is longer, in bytes, is put aside at the next start.
const LOG_MAX: u64 = 1 << 20;

/// A router or guest that runs.
#[derive(Debug)]
pub(super) struct Machine {
    pub owner: Owner,
    /// The boot it was started for; 0 for guests.
    pub boot: u64,
    pub process: Process,
    /// Whether its end is wanted.
    leaving: AtomicBool,
    nics: Mutex<Vec<Nic>>,
}

impl Machine {
    /// The interfaces that it must have, as they were wanted last.
    pub(super) fn nics(&self) -> Vec<Nic> {
        self.nics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes down which interfaces it must have.
    pub(super) fn set_nics(&self, nics: Vec<Nic>) {
        *self.nics.lock().unwrap_or_else(PoisonError::into_inner) = nics;
    }

    /// Takes down interfaces that it may still have beside those that are wanted.
    pub(super) fn add_nics(&self, others: Vec<Nic>) {
        let mut nics = self.nics.lock().unwrap_or_else(PoisonError::into_inner);
        for nic in others {
            if !nics.iter().any(|n| n.number == nic.number) {
                nics.push(nic);
            }
        }
    }

    /// Whether its end is wanted, so that it is nobody's loss.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// The directory of a router or guest.
    pub(super) fn dir(&self, owner: Owner) -> PathBuf {
        owner.dir(&self.config.run_dir)
    }

    /// The machine, if it runs.
    pub(super) fn running(&self, owner: Owner) -> Option<Arc<Machine>> {
        self.machines().get(&owner).cloned()
    }

    /// Starts process 1 in an existing directory. The caller holds the owner's lock.
    pub(super) async fn launch(
        self: &Arc<Self>,
        owner: Owner,
        name: &str,
        boot: u64,
    ) -> Result<Arc<Machine>, HostError> {
        // Cables of an earlier process that the kernel has not cleared away yet must not be taken for the new one's.
        self.unplug(owner)
            .await
            .map_err(|e| failed(format!("clearing away {name}"), e))?;
        let dir = self.dir(owner);
        let text = |path: &Path| path.to_str().map(str::to_owned);
        let (Some(program), Some(folder)) = (text(&self.config.program), text(&dir)) else {
            return Err(failed(
                format!("starting {name}"),
                "the program's path or the run directory is not UTF-8",
            ));
        };
        let id = match owner {
            Owner::Router(id) => id.to_string(),
            Owner::Guest(id) => id.to_string(),
        };
        let mut argv = vec![program, owner.subcommand().into(), "serve".into()];
        argv.extend([
            "--dir".into(),
            folder,
            "--id".into(),
            id,
            "--name".into(),
            name.to_owned(),
        ]);
        if let Owner::Router(_) = owner {
            argv.extend(["--boot".into(), boot.to_string()]);
        }
        let log = dir.join("process.log");
        turn_log(&log).map_err(|e| failed(format!("starting {name}"), e))?;
        // Making a network namespace may wait for others that are being cleared away.
        let given = self.config.environment.clone();
        let spawned = tokio::task::spawn_blocking(move || {
            let environment: Vec<_> = given
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            namespace::spawn(&argv, &environment, &log)
        })
        .await;
        let spawned = spawned.map_err(|e| failed(format!("starting {name}"), e))?;
        let process = spawned
            .map_err(|e| failed(format!("starting {name}"), e))?
            .process;
        Ok(self.adopt(owner, boot, process))
    }

    /// Takes a running process in and watches it.
    fn adopt(self: &Arc<Self>, owner: Owner, boot: u64, process: Process) -> Arc<Machine> {
        let machine = Arc::new(Machine {
            owner,
            boot,
            process,
            leaving: AtomicBool::new(false),
            nics: Mutex::new(nics_on_disk(owner, &self.dir(owner))),
        });
        self.machines().insert(owner, Arc::clone(&machine));
        self.watch(&machine);
        machine
    }

    /// Takes in everything of this instance that runs and is not known yet.
    pub(super) async fn adopt_all(self: &Arc<Self>) -> Result<(), HostError> {
        let doing = "looking for running routers and guests";
        for found in scan::scan(&self.config.run_dir).map_err(|e| failed(doing, e))? {
            // One that is just being started is taken in by whoever starts it.
            let _lock = self.lock(found.owner).await;
            if self.running(found.owner).is_some() {
                continue;
            }
            if let Some(process) = Process::open(found.identity).map_err(|e| failed(doing, e))? {
                tracing::info!("found {} running", found.owner);
                self.adopt(found.owner, found.boot, process);
            }
        }
        Ok(())
    }

    /// Ends process 1, and with it everything inside. The caller holds the owner's lock.
    pub(super) async fn end(&self, machine: &Machine) -> Result<(), HostError> {
        machine.leaving.store(true, Ordering::SeqCst);
        let ended = machine.process.kill().await;
        ended.map_err(|e| failed(format!("ending {}", machine.owner), e))?;
        self.forget(machine);
        Ok(())
    }

    /// Takes this very machine off the list; a later one of the same owner stays.
    pub(super) fn forget(&self, machine: &Machine) {
        let mut machines = self.machines();
        let same = machines
            .get(&machine.owner)
            .is_some_and(|m| m.process.identity() == machine.process.identity());
        if same {
            machines.remove(&machine.owner);
        }
    }

    /// Makes a router or guest not be there, whatever of it is.
    pub(super) async fn remove(&self, owner: Owner) -> Result<(), HostError> {
        let _lock = self.lock(owner).await;
        if let Some(machine) = self.running(owner) {
            self.end(&machine).await?;
        }
        let doing = || format!("removing {owner}");
        self.unplug(owner).await.map_err(|e| failed(doing(), e))?;
        self.remove_empty_bridges()
            .await
            .map_err(|e| failed(doing(), e))?;
        match fs::remove_dir_all(self.dir(owner)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(doing(), error)),
            _ => Ok(()),
        }
    }

    /// Makes the directory of a router or guest.
    pub(super) fn make_dir(&self, owner: Owner) -> Result<PathBuf, HostError> {
        let dir = self.dir(owner);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|e| failed(format!("making {}", dir.display()), e))?;
        Ok(dir)
    }

    /// Runs a program in a machine's namespaces.
    pub(super) async fn run_in(&self, owner: Owner, run: &Run) -> Result<RunOutput, HostError> {
        let what = || HostError::NotRunning {
            what: owner.to_string(),
        };
        let machine = self.running(owner).ok_or_else(what)?;
        let output = namespace::run(&machine.process, Enter::All, run).await;
        output.map_err(|e| failed(format!("running a program in {owner}"), e))
    }

    /// Everything that runs.
    pub(super) async fn observe(&self) -> HostObserved {
        let machines: Vec<Arc<Machine>> = self.machines().values().cloned().collect();
        let mut observed = HostObserved::default();
        let mut routers = Vec::new();
        for machine in &machines {
            match machine.owner {
                Owner::Router(id) => routers.push((id, machine.boot, self.dir(machine.owner))),
                Owner::Guest(id) => observed.guests.push(GuestRunning { id }),
            }
        }
        // Some at a time: each takes a connection.
        for some in routers.chunks(64) {
            let asked = some.iter().map(|(id, boot, dir)| async move {
                let status = RouterClient::new(dir).observe().await;
                RouterRunning {
                    id: *id,
                    boot: *boot,
                    generation: status.ok().and_then(|status| status.generation),
                }
            });
            observed.routers.extend(join_all(asked).await);
        }
        observed.routers.sort_by_key(|router| router.id);
        observed.guests.sort_by_key(|guest| guest.id);
        observed
    }
}

/// The interfaces of a machine that an earlier driver started: what its directory says.
pub(super) fn nics_on_disk(owner: Owner, dir: &Path) -> Vec<Nic> {
    let nics = match owner {
        Owner::Router(_) => routers::nics_on_disk(dir),
        Owner::Guest(_) => guests::nics_on_disk(dir),
    };
    // The next `ensure` knows them.
    nics.unwrap_or_default()
}

/// Keeps a log that has grown from growing for ever: the last start's is kept beside.
fn turn_log(log: &Path) -> io::Result<()> {
    match fs::metadata(log) {
        Ok(data) if data.len() > LOG_MAX => fs::rename(log, log.with_extension("log.old")),
        _ => Ok(()),
    }
}

/// The end of a machine's log, for messages: at most 500 bytes.
pub(super) fn log_tail(dir: &Path) -> String {
    let text = fs::read(dir.join("process.log")).unwrap_or_default();
    let tail = text.get(text.len().saturating_sub(500)..).unwrap_or_default();
    String::from_utf8_lossy(tail).trim().replace('\n', " | ")
}
