// SPDX-License-Identifier: Apache-2.0
//! Looks after the cables and bridges: what somebody unplugs, switches off or removes on the host's side, where no router can
//! see it, is noticed and put right.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use outgate_kernel::link::{LinkError, LinkState};
use outgate_model::host::HostEvent;

use super::Shared;
use super::machines::Machine;
use super::names::{Device, Owner};
use super::plug::{Nic, Socket};

/// How often everything is looked at: one dump of all interfaces.
const ROUND: Duration = Duration::from_secs(2);

/// Starts the rounds; they end with the driver.
pub(super) fn start(shared: &Arc<Shared>) {
    let shared = Arc::downgrade(shared);
    tokio::spawn(async move {
        while let Some(()) = round(&shared).await {
            tokio::time::sleep(ROUND).await;
        }
    });
}

async fn round(shared: &Weak<Shared>) -> Option<()> {
    let shared = shared.upgrade()?;
    match Seen::look(&shared).await {
        Ok(seen) => {
            if seen.control_differs(&shared)
                && let Err(error) = shared.prepare_bridges().await
            {
                tracing::error!("the control network cannot be repaired: {error}");
            }
            let machines: Vec<Arc<Machine>> = shared.machines().values().cloned().collect();
            for machine in machines {
                if !seen.differences(&shared, &machine).is_empty() {
                    shared.repair(&machine).await;
                }
            }
        }
        Err(error) => tracing::error!("the host's interfaces cannot be looked at: {error}"),
    }
    Some(())
}

impl Shared {
    /// Plugs a machine in again, if it still differs once nobody else is changing it.
    async fn repair(&self, machine: &Machine) {
        let owner = machine.owner;
        let _lock = self.lock(owner).await;
        // It may have ended meanwhile, and another one have taken its place.
        let is_same = |now: Arc<Machine>| now.process.identity() == machine.process.identity();
        if machine.is_leaving() || !self.running(owner).is_some_and(is_same) {
            return;
        }
        let differences = match Seen::look(self).await {
            Ok(seen) => seen.differences(self, machine),
            Err(_) => return,
        };
        if differences.is_empty() {
            return;
        }
        let error = self
            .plug(owner, &machine.process, &machine.nics())
            .await
            .err()
            .map(|error| error.to_string());
        tracing::warn!(?error, "{owner}: {}", differences.join("; "));
        if let Owner::Router(router) = owner {
            // An error means that nobody listens.
            let _ = self.events.send(HostEvent::Drift {
                router,
                differences,
                error,
            });
        }
    }
}

/// The host's interfaces at one moment.
struct Seen {
    links: BTreeMap<String, LinkState>,
    /// Names by alias, of interfaces that have one.
    aliases: BTreeMap<String, String>,
}

impl Seen {
    async fn look(shared: &Shared) -> Result<Self, LinkError> {
        let links = shared.links.list().await?;
        let named = links.iter().filter(|(_, link)| !link.alias.is_empty());
        let aliases = named
            .map(|(name, link)| (link.alias.clone(), name.clone()))
            .collect();
        Ok(Self { links, aliases })
    }

    fn by_alias(&self, shared: &Shared, device: Device) -> Option<&LinkState> {
        self.links.get(self.aliases.get(&shared.names.alias(device))?)
    }

    /// Whether the control bridge is not as it must be.
    fn control_differs(&self, shared: &Shared) -> bool {
        let bridge = self.links.get(&shared.config.control_bridge);
        bridge.is_none_or(|bridge| !bridge.up || !bridge.addresses.contains(&shared.config.control_address))
    }

    /// How a machine's cables differ from what they must be, one sentence each.
    fn differences(&self, shared: &Shared, machine: &Machine) -> Vec<String> {
        machine
            .nics()
            .iter()
            .filter_map(|nic| self.difference(shared, machine.owner, nic))
            .collect()
    }

    fn difference(&self, shared: &Shared, owner: Owner, nic: &Nic) -> Option<String> {
        let name = format!("eth{}", nic.number);
        let Some(port) = self.by_alias(shared, Device::Port(owner, nic.number)) else {
            return Some(format!("the cable of {name} was missing on the host"));
        };
        let bridge = match nic.socket {
            Socket::Guest(network) => self.by_alias(shared, Device::Bridge(network)),
            Socket::Private(wire) => self.by_alias(shared, Device::Wire(wire)),
            Socket::Control => self.links.get(&shared.config.control_bridge),
            Socket::Public => self.links.get(&shared.config.public_bridge),
        };
        match bridge {
            None => Some(format!("the bridge of {name} was missing on the host")),
            Some(bridge) if port.master != Some(bridge.index) => {
                Some(format!("{name} was not plugged into its bridge on the host"))
            }
            // The public bridge is the operator's, and so is its state.
            Some(bridge) if !bridge.up && !matches!(nic.socket, Socket::Public) => {
                Some(format!("the bridge of {name} was down on the host"))
            }
            Some(_) if !nic.is_apart(port) => Some(format!(
                "the cable of {name} let routers speak to each other on the host"
            )),
            Some(_) if !port.up => Some(format!("the cable of {name} was down on the host")),
            Some(_) => None,
        }
    }
}
