// SPDX-License-Identifier: Apache-2.0
//! Sessions of one router go on in another.

use std::os::fd::AsFd;

use outgate_kernel::conntrack;
use outgate_kernel::namespace::{network_of, within};
use outgate_model::id::RouterId;

use super::names::Owner;
use super::{Shared, failed};
use crate::HostError;

impl Shared {
    /// See [`crate::Host::hand_over_sessions`].
    pub(super) async fn hand_over(&self, from: RouterId, to: RouterId) -> Result<u64, HostError> {
        let running = |id| self.running(Owner::Router(id));
        let (Some(old), Some(new)) = (running(from), running(to)) else {
            return Ok(0);
        };
        let doing = || format!("handing the sessions of router {from} over to router {to}");
        let networks = network_of(&old.process).and_then(|old| Ok((old, network_of(&new.process)?)));
        let (old, new) = networks.map_err(|e| failed(doing(), e))?;
        let moved = tokio::task::spawn_blocking(move || {
            let sessions = within(old.as_fd(), conntrack::translated).map_err(|e| e.to_string())?;
            let sessions = sessions.map_err(|e| e.to_string())?;
            let taken = within(new.as_fd(), || conntrack::adopt(&sessions)).map_err(|e| e.to_string())?;
            taken.map_err(|e| e.to_string())
        });
        match moved.await {
            Ok(Ok(taken)) => Ok(taken),
            Ok(Err(reason)) => Err(HostError::Failed {
                doing: doing(),
                reason,
            }),
            Err(error) => Err(failed(doing(), error)),
        }
    }
}
