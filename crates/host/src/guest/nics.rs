// SPDX-License-Identifier: Apache-2.0
//! The NICs of a running guest: each has a task that keeps its lease, from when it comes until it goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use outgate_model::GuestSpec;
use outgate_model::guest_spec::GuestNic;
use tokio::task::JoinHandle;

use super::configure::Keeper;
use super::{GuestError, dhcp};

/// The NICs that the guest has at the moment.
#[derive(Debug)]
pub(super) struct Nics {
    keeper: Arc<Keeper>,
    hostname: String,
    kept: BTreeMap<String, (GuestNic, JoinHandle<()>)>,
}

impl Nics {
    pub(super) fn new(keeper: Arc<Keeper>, hostname: String) -> Self {
        Self {
            keeper,
            hostname,
            kept: BTreeMap::new(),
        }
    }

    /// Makes the guest have the NICs that `spec` says, its first one as the default. Those that stay notice nothing.
    pub(super) async fn follow(&mut self, spec: &GuestSpec) -> Result<(), GuestError> {
        let gone: Vec<String> = self
            .kept
            .iter()
            .filter(|(_, (nic, _))| !spec.nics.iter().any(|wanted| wanted.is_same(nic)))
            .map(|(interface, _)| interface.clone())
            .collect();
        for interface in gone {
            if let Some((_, task)) = self.kept.remove(&interface) {
                task.abort();
                // It ends by being aborted: there is nothing else to learn from it.
                let _ = task.await;
                self.keeper.forget(&interface).await?;
            }
        }
        if let Some(first) = spec.nics.first() {
            self.keeper.set_default(&first.interface()).await?;
        }
        for nic in &spec.nics {
            let (interface, keeper) = (nic.interface(), Arc::clone(&self.keeper));
            if !self.kept.contains_key(&interface) {
                let task = dhcp::keep_lease(keeper, interface.clone(), nic.mtu, self.hostname.clone());
                self.kept.insert(interface, (nic.clone(), tokio::spawn(task)));
            }
        }
        Ok(())
    }
}
