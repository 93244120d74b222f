// SPDX-License-Identifier: Apache-2.0
//! Routers: started, plugged in, and told what to be.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outgate_model::RouterSpec;
use outgate_model::host::{Applied, PrivateWire};
use outgate_router::spec_file::SpecFile;
use outgate_router::{RouterClient, RouterError, protocol};

use super::machines::{Machine, log_tail};
use super::names::Owner;
use super::plug::{Nic, Socket};
use super::{Shared, failed};
use crate::HostError;

/// MTU of the control network.
const CONTROL_MTU: u32 = 1_500;
/// How long a router may take from its start to its first answer.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How often it is asked until then.
const ASK: Duration = Duration::from_millis(2);

impl Shared {
    /// See [`crate::Host::ensure_router`].
    pub(super) async fn ensure_router(
        self: &Arc<Self>,
        spec: &RouterSpec,
        boot: u64,
    ) -> Result<Applied, HostError> {
        let nics = nics(spec)?;
        let owner = Owner::Router(spec.id);
        let lock = self.lock(owner).await;
        let found = self.running(owner);
        let (machine, fresh) = match found {
            Some(machine) if machine.boot >= boot => (machine, false),
            found => {
                if let Some(old) = found {
                    self.end(&old).await?;
                }
                (self.launch_router(spec, boot).await?, true)
            }
        };
        let before = machine.nics();
        machine.set_nics(nics.clone());
        let client = RouterClient::new(self.dir(owner));
        let plug = async {
            let plugged = self.plug(owner, &machine.process, &nics).await;
            // From here on others may end this router, and whoever speaks to it hears of it.
            drop(lock);
            plugged
        };
        if fresh {
            let (plugged, answers) = tokio::join!(plug, self.first_answer(&machine, &client, &spec.name));
            plugged.and(answers)?;
        } else {
            plug.await?;
        }
        let applied = match client.apply(spec).await {
            // It runs, but its engine was just started again, by its process 1 or by an earlier driver.
            Err(RouterError::Unreachable { .. }) if !fresh => {
                self.first_answer(&machine, &client, &spec.name).await?;
                client
                    .apply(spec)
                    .await
                    .map_err(|error| host_error(error, &spec.name))
            }
            applied => applied.map_err(|error| host_error(error, &spec.name)),
        };
        match &applied {
            Ok(_) => self.unplug_surplus(&machine, &before).await?,
            // What the router must still be, or was, keeps its cables: the next call knows of them.
            Err(_) => machine.add_nics(before),
        }
        applied
    }

    /// Removes the cables of interfaces that a running router had and has no more.
    async fn unplug_surplus(&self, machine: &Machine, before: &[Nic]) -> Result<(), HostError> {
        let _lock = self.lock(machine.owner).await;
        let now: BTreeSet<u8> = machine.nics().iter().map(|nic| nic.number).collect();
        let surplus: Vec<u8> = before
            .iter()
            .map(|nic| nic.number)
            .filter(|n| !now.contains(n))
            .collect();
        if surplus.is_empty() {
            return Ok(());
        }
        let doing = || format!("unplugging {}", machine.owner);
        let removed = self
            .unplug_these(machine.owner, surplus)
            .await
            .map_err(|e| failed(doing(), e))?;
        if removed > 0 {
            self.remove_empty_bridges()
                .await
                .map_err(|e| failed(doing(), e))?;
        }
        Ok(())
    }

    async fn launch_router(
        self: &Arc<Self>,
        spec: &RouterSpec,
        boot: u64,
    ) -> Result<Arc<Machine>, HostError> {
        let owner = Owner::Router(spec.id);
        let socket = self.make_dir(owner)?.join(protocol::SOCKET);
        // An earlier process's socket refuses connections; without it, waiting is not confused with refusing.
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(format!("starting {}", spec.name), error));
            }
            _ => {}
        }
        self.launch(owner, &spec.name, boot).await
    }

    /// Waits until the router answers, or has ended.
    async fn first_answer(
        &self,
        machine: &Machine,
        client: &RouterClient,
        name: &str,
    ) -> Result<(), HostError> {
        let deadline = Instant::now() + START_LIMIT;
        let answering = async {
            loop {
                match client.observe().await {
                    Ok(_) => return Ok(()),
                    Err(error) if Instant::now() >= deadline => {
                        return Err(format!(
                            "{error}; its log ends with: {}",
                            log_tail(&self.dir(machine.owner))
                        ));
                    }
                    Err(_) => tokio::time::sleep(ASK).await,
                }
            }
        };
        let outcome = tokio::select! {
            answer = answering => answer,
            _ = machine.process.ended() => {
                Err(format!("it ended; its log ends with: {}", log_tail(&self.dir(machine.owner))))
            }
        };
        outcome.map_err(|reason| failed(format!("starting router {name}"), reason))
    }
}

/// The interfaces of the router whose directory this is; `None` while it has no spec.
pub(super) fn nics_on_disk(dir: &Path) -> Option<Vec<Nic>> {
    nics(&SpecFile::in_dir(dir).load().ok()??).ok()
}

/// The interfaces of a router: guest networks, private gateways, control and public side.
fn nics(spec: &RouterSpec) -> Result<Vec<Nic>, HostError> {
    spec.validate().map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        HostError::BadSpec {
            reason: problems.join("; "),
        }
    })?;
    let control = (
        spec.control.interface.as_str(),
        spec.control.mac,
        CONTROL_MTU,
        Socket::Control,
    );
    let public = (
        spec.public.interface.as_str(),
        spec.public.mac,
        spec.public.mtu,
        Socket::Public,
    );
    let guests = spec
        .guest_networks
        .iter()
        .map(|n| (n.interface.as_str(), n.mac, n.mtu, Socket::Guest(n.id)));
    let gateways = spec.private_gateways().iter().map(|g| {
        let wire = PrivateWire {
            physical_network: g.physical_network,
            vlan: g.vlan,
        };
        (g.interface.as_str(), g.mac, g.mtu, Socket::Private(wire))
    });
    let all = guests
        .chain(gateways)
        .chain([control, public])
        .map(|(interface, mac, mtu, socket)| {
            let number = interface.strip_prefix("eth").and_then(|n| n.parse().ok());
            let reason = || HostError::BadSpec {
                reason: format!("{interface}: this host plugs eth0 to eth254 only"),
            };
            Ok(Nic {
                number: number.ok_or_else(reason)?,
                mac,
                mtu,
                socket,
            })
        });
    all.collect()
}

/// A router's error as a host's.
pub(super) fn host_error(error: RouterError, name: &str) -> HostError {
    match error {
        RouterError::BadSpec { reason } => HostError::BadSpec { reason },
        RouterError::Rules { reason } => HostError::Rules { reason },
        RouterError::NoInterface { interface } => HostError::NoInterface { interface },
        RouterError::Failed { doing, reason } => HostError::Failed { doing, reason },
        other => failed(format!("speaking to router {name}"), other),
    }
}
