// SPDX-License-Identifier: Apache-2.0
//! Watches machines: their end, and what routers notice by themselves.

use std::sync::{Arc, Weak};
use std::time::Duration;

use outgate_model::host::HostEvent;
use outgate_router::RouterClient;

use super::Shared;
use super::machines::Machine;
use super::names::Owner;

/// How long to wait before a router whose events ended is asked for them again.
const REST: Duration = Duration::from_millis(200);

impl Shared {
    /// Watches a machine until it ends.
    pub(super) fn watch(self: &Arc<Self>, machine: &Arc<Machine>) {
        // Weak: a driver that nobody uses any more ends; its watchers follow at the next event.
        let shared = Arc::downgrade(self);
        let machine = Arc::clone(machine);
        let dir = self.dir(machine.owner);
        tokio::spawn(async move {
            let follow = async {
                match machine.owner {
                    Owner::Router(_) => follow(&shared, &RouterClient::new(dir)).await,
                    Owner::Guest(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                ended = machine.process.ended() => {
                    if let Err(error) = ended {
                        tracing::error!("watching {} failed: {error}", machine.owner);
                    }
                    if let Some(shared) = shared.upgrade() {
                        shared.lost(&machine).await;
                    }
                }
                () = follow => {}
            }
        });
    }

    /// A machine has ended. If nobody asked for it, what is left of it goes, and whoever listens is told.
    async fn lost(&self, machine: &Machine) {
        if machine.is_leaving() {
            return;
        }
        let owner = machine.owner;
        let _lock = self.lock(owner).await;
        if machine.is_leaving() {
            return;
        }
        self.forget(machine);
        if self.running(owner).is_none()
            && let Err(error) = self.unplug(owner).await
        {
            tracing::error!("clearing away {owner} failed: {error}");
        }
        tracing::warn!("{owner} has ended although nobody asked for it");
        // An error means that nobody listens.
        let _ = self.events.send(match owner {
            Owner::Router(router) => HostEvent::RouterLost { router },
            Owner::Guest(guest) => HostEvent::GuestLost { guest },
        });
    }
}

/// Passes a router's events on, for ever; ends when the driver does.
async fn follow(shared: &Weak<Shared>, client: &RouterClient) {
    loop {
        if let Ok(mut events) = client.events().await {
            while let Ok(Some(event)) = events.next().await {
                let Some(shared) = shared.upgrade() else { return };
                let _ = shared.events.send(event);
            }
        }
        if shared.strong_count() == 0 {
            return;
        }
        tokio::time::sleep(REST).await;
    }
}
