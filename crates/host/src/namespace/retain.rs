// SPDX-License-Identifier: Apache-2.0
//! Removes what nobody wants any more: after a crash, a restored backup, or somebody's experiments.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use outgate_kernel::link::LinkError;
use outgate_model::host::Inventory;

use super::bridges::ignore_missing;
use super::names::{Device, Owner};
use super::{Shared, failed};
use crate::HostError;

impl Shared {
    /// See [`crate::Host::retain`].
    pub(super) async fn retain(self: &Arc<Self>, keep: &Inventory) -> Result<Vec<String>, HostError> {
        let wanted: BTreeSet<Owner> = (keep.routers.iter().copied().map(Owner::Router))
            .chain(keep.guests.iter().copied().map(Owner::Guest))
            .collect();
        self.adopt_all().await?;
        let mut removed = Vec::new();
        let running: BTreeSet<Owner> = self.machines().keys().copied().collect();
        for owner in running.difference(&wanted) {
            self.remove(*owner).await?;
            removed.push(format!(
                "{owner} was running although it does not exist: ended and removed"
            ));
        }
        for owner in self.directories()?.difference(&wanted) {
            self.remove(*owner).await?;
            removed.push(format!("{owner} had left its directory behind: removed"));
        }
        let devices = self.retain_devices(keep, &wanted).await;
        removed.extend(devices.map_err(|e| failed("removing interfaces that belong to nobody", e))?);
        Ok(removed)
    }

    /// Whether the interface is one that the machine must have. When in doubt it is.
    fn wants_port(&self, owner: Owner, number: u8) -> bool {
        let nics = self.running(owner).map(|m| m.nics()).unwrap_or_default();
        nics.is_empty() || nics.iter().any(|nic| nic.number == number)
    }

    /// Whose directories there are.
    fn directories(&self) -> Result<BTreeSet<Owner>, HostError> {
        let mut owners = BTreeSet::new();
        for (folder, kind) in [("routers", "router"), ("guests", "guest")] {
            let path = self.config.run_dir.join(folder);
            let doing = |error| failed(format!("reading {}", path.display()), error);
            for entry in fs::read_dir(&path).map_err(doing)? {
                let name = entry.map_err(doing)?.file_name();
                owners.extend(name.to_str().and_then(|id| Owner::parse(&format!("{kind} {id}"))));
            }
        }
        Ok(owners)
    }

    async fn retain_devices(
        &self,
        keep: &Inventory,
        wanted: &BTreeSet<Owner>,
    ) -> Result<Vec<String>, LinkError> {
        // Nobody is between making an interface and writing on it what it is.
        let _alone = self.devices.write().await;
        let mut removed = Vec::new();
        for (name, link) in self.links.list().await? {
            let reason = match self.names.device(&link.alias) {
                Some(Device::Port(owner, number)) if wanted.contains(&owner) => {
                    if self.wants_port(owner, number) {
                        continue;
                    }
                    format!("led to eth{number}, which {owner} has no more")
                }
                Some(Device::Wire(wire)) if keep.wires.contains(&wire) => continue,
                Some(Device::Bridge(network)) if keep.networks.contains(&network) => continue,
                Some(device) => format!("belonged to {device}, which does not exist"),
                None if link.alias.is_empty() && self.names.is_ours(&name) => "was never finished".to_owned(),
                None => continue,
            };
            ignore_missing(self.links.delete(&name).await)?;
            removed.push(format!("interface {name} {reason}: removed"));
        }
        Ok(removed)
    }
}
