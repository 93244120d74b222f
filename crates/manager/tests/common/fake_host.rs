// SPDX-License-Identifier: Apache-2.0
//! A host without a machine: it takes every usable spec and remembers it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use outgate_host::{Host, HostError, HostEvents};
use outgate_model::host::{
    Applied, Check, GuestRunning, HostEvent, HostObserved, Inventory, RouterRunning, Run, RunOutput,
};
use outgate_model::id::{GuestId, RouterId};
use outgate_model::stats::{HealthCheck, RouterStats, SessionEntry, SessionPage, SessionQuery};
use outgate_model::{GuestSpec, RouterSpec};
use tokio::sync::broadcast;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What runs.
#[derive(Debug, Default)]
pub struct Running {
    pub routers: BTreeMap<RouterId, (u64, RouterSpec)>,
    pub guests: BTreeMap<GuestId, GuestSpec>,
    /// How many times a router was started or replaced.
    pub starts: usize,
    /// What routers say of their traffic and sessions; of none said, nothing was carried.
    pub stats: BTreeMap<RouterId, RouterStats>,
    /// How many times routers were asked for that.
    pub looks: usize,
    /// Every router's sessions.
    pub sessions: Vec<SessionEntry>,
    /// What every router's health checks find.
    pub health: Vec<HealthCheck>,
    /// What programs print in routers: by the program's name, what it was called with last.
    pub ran: Vec<Run>,
    /// The version of Outgate that routers say they run; the server's when unset.
    pub version: Option<String>,
    /// What `ensure_router` answers instead, when set.
    pub refusal: Option<HostError>,
    /// What `ensure_guest` answers instead, when set.
    pub guest_refusal: Option<HostError>,
}

/// The host.
#[derive(Debug)]
pub struct FakeHost {
    running: Mutex<Running>,
    events: broadcast::Sender<HostEvent>,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            events: broadcast::Sender::new(256),
        }
    }
}

impl FakeHost {
    /// Looks at or changes what runs.
    pub fn with<T>(&self, look: impl FnOnce(&mut Running) -> T) -> T {
        look(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn of_router<T>(&self, id: RouterId, look: impl FnOnce(&mut Running) -> T) -> Result<T, HostError> {
        self.with(|running| {
            if !running.routers.contains_key(&id) {
                return Err(HostError::NotRunning {
                    what: format!("router {id}"),
                });
            }
            Ok(look(running))
        })
    }

    /// Reports something that the host noticed.
    pub fn report(&self, event: HostEvent) {
        let _ = self.events.send(event);
    }
}

#[async_trait]
impl Host for FakeHost {
    async fn ensure_router(&self, spec: &RouterSpec, boot: u64) -> Result<Applied, HostError> {
        if let Err(problems) = spec.validate() {
            return Err(HostError::BadSpec {
                reason: format!("{problems:?}"),
            });
        }
        self.with(|running| {
            if let Some(refusal) = &running.refusal {
                return Err(refusal.clone());
            }
            let old = running.routers.get(&spec.id);
            if old.is_none_or(|(old_boot, _)| *old_boot < boot) {
                running.starts += 1;
            }
            running.routers.insert(spec.id, (boot, spec.clone()));
            Ok(Applied {
                generation: spec.generation,
                changes: Vec::new(),
                sessions_cut: 0,
                micros: 1,
                version: running.version.clone().unwrap_or_else(|| VERSION.to_owned()),
            })
        })
    }

    async fn remove_router(&self, id: RouterId) -> Result<(), HostError> {
        self.with(|running| running.routers.remove(&id));
        Ok(())
    }

    async fn ensure_guest(&self, spec: &GuestSpec) -> Result<(), HostError> {
        self.with(|running| match &running.guest_refusal {
            Some(refusal) => Err(refusal.clone()),
            None => {
                running.guests.insert(spec.id, spec.clone());
                Ok(())
            }
        })
    }

    async fn remove_guest(&self, id: GuestId) -> Result<(), HostError> {
        self.with(|running| running.guests.remove(&id));
        Ok(())
    }

    async fn observe(&self) -> Result<HostObserved, HostError> {
        Ok(self.with(|running| HostObserved {
            routers: running
                .routers
                .iter()
                .map(|(id, (boot, spec))| RouterRunning {
                    id: *id,
                    boot: *boot,
                    generation: Some(spec.generation),
                })
                .collect(),
            guests: running.guests.keys().map(|id| GuestRunning { id: *id }).collect(),
        }))
    }

    async fn retain(&self, keep: &Inventory) -> Result<Vec<String>, HostError> {
        Ok(self.with(|running| {
            let mut removed = Vec::new();
            running.routers.retain(|id, _| {
                let stays = keep.routers.contains(id);
                if !stays {
                    removed.push(format!("router {id} was an orphan"));
                }
                stays
            });
            running.guests.retain(|id, _| {
                let stays = keep.guests.contains(id);
                if !stays {
                    removed.push(format!("guest {id} was an orphan"));
                }
                stays
            });
            removed
        }))
    }

    async fn verify_router(
        &self,
        id: RouterId,
        _guest: Option<GuestId>,
        ping: Ipv4Addr,
    ) -> Result<Vec<Check>, HostError> {
        if !self.with(|running| running.routers.contains_key(&id)) {
            return Err(HostError::NotRunning {
                what: format!("router {id}"),
            });
        }
        let check = |step: u8, command: &str| Check {
            step,
            title: format!("step {step}"),
            command: command.to_owned(),
            seen: "fine".to_owned(),
            pass: true,
            remedy: String::new(),
        };
        Ok(vec![
            check(7, &format!("ping -c 4 {ping}")),
            check(3, "ip addr show eth2"),
        ])
    }

    async fn router_stats(&self, id: RouterId, _census_from: u32) -> Result<RouterStats, HostError> {
        self.of_router(id, |running| {
            running.looks += 1;
            let said = running.stats.get(&id).cloned();
            said.unwrap_or_else(|| RouterStats {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                epoch: Some(1),
                ..RouterStats::default()
            })
        })
    }

    async fn router_sessions(&self, id: RouterId, query: &SessionQuery) -> Result<SessionPage, HostError> {
        self.of_router(id, |running| {
            let matching = |s: &&SessionEntry| query.protocol.is_none_or(|p| p == s.protocol);
            let all: Vec<_> = running.sessions.iter().filter(matching).cloned().collect();
            let skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
            let take = usize::try_from(query.take).unwrap_or(usize::MAX);
            SessionPage {
                matching: u32::try_from(all.len()).unwrap_or(u32::MAX),
                sessions: all.into_iter().skip(skip).take(take).collect(),
            }
        })
    }

    async fn router_health(&self, id: RouterId) -> Result<Vec<HealthCheck>, HostError> {
        self.of_router(id, |running| running.health.clone())
    }

    async fn run_in_router(&self, id: RouterId, run: &Run) -> Result<RunOutput, HostError> {
        self.of_router(id, |running| {
            running.ran.push(run.clone());
            RunOutput {
                code: Some(0),
                stdout: format!("{} ran", run.argv.join(" ")),
                stderr: String::new(),
            }
        })
    }

    async fn run_in_guest(&self, id: GuestId, _run: &Run) -> Result<RunOutput, HostError> {
        Err(HostError::NotRunning {
            what: format!("guest {id}"),
        })
    }

    fn events(&self) -> HostEvents {
        self.events.subscribe()
    }
}
