// SPDX-License-Identifier: Apache-2.0
//! Cables between bridges and the interfaces of routers and guests.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use futures::future::try_join_all;
use outgate_kernel::link::{LinkChange, LinkError, LinkState, Veth, VethEnd};
use outgate_kernel::namespace::network_of;
use outgate_kernel::process::Process;
use outgate_model::MacAddr;
use outgate_model::host::PrivateWire;
use outgate_model::id::NetworkId;

use super::bridges::ignore_missing;
use super::machines::nics_on_disk;
use super::names::{Device, Owner};
use super::{Shared, failed};
use crate::HostError;

/// Where an interface is plugged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Socket {
    Guest(NetworkId),
    Control,
    Public,
    Private(PrivateWire),
}

/// An interface that a router or guest must have.
#[derive(Debug, Clone)]
pub(super) struct Nic {
    /// N of `ethN`, at most 254.
    pub number: u8,
    pub mac: MacAddr,
    pub mtu: u32,
    pub socket: Socket,
}

impl Nic {
    /// Whether its port is kept apart from others if it must be: routers have nothing to say to each other on the
    /// control network.
    pub(super) fn is_apart(&self, port: &LinkState) -> bool {
        port.isolated || !matches!(self.socket, Socket::Control)
    }
}

impl Shared {
    /// Plugs every interface that is not plugged as it must be, all side by side.
    pub(super) async fn plug(&self, owner: Owner, process: &Process, nics: &[Nic]) -> Result<(), HostError> {
        let _read = self.devices.read().await;
        try_join_all(nics.iter().map(|nic| self.plug_one(owner, process, nic)))
            .await
            .map(drop)
    }

    async fn plug_one(&self, owner: Owner, process: &Process, nic: &Nic) -> Result<(), HostError> {
        let bridge = match nic.socket {
            Socket::Guest(network) => self.bridge(Device::Bridge(network)).await?,
            Socket::Private(wire) => self.bridge(Device::Wire(wire)).await?,
            Socket::Control => self.control_bridge().await?,
            Socket::Public => self.public_bridge().await?,
        };
        let device = Device::Port(owner, nic.number);
        let doing = format!("plugging eth{} of {owner}", nic.number);
        match self.find_device(device).await.map_err(|e| failed(&doing, e))? {
            Some((_, link))
                if link.master == Some(bridge) && link.up && link.mtu == nic.mtu && nic.is_apart(&link) =>
            {
                Ok(())
            }
            Some((name, _)) => {
                let change = LinkChange {
                    up: Some(true),
                    mtu: Some(nic.mtu),
                    master: Some(bridge),
                    ..LinkChange::default()
                };
                self.links
                    .change(&name, &change)
                    .await
                    .map_err(|e| failed(&doing, e))?;
                // A port that was in another bridge has lost it.
                self.isolate(nic, &name).await.map_err(|e| failed(&doing, e))
            }
            None => self.lay_cable(device, process, nic, bridge).await,
        }
    }

    /// Keeps a port apart from others like it, if it must be.
    async fn isolate(&self, nic: &Nic, port: &str) -> Result<(), LinkError> {
        match nic.socket {
            Socket::Control => self.links.isolate_port(port).await,
            Socket::Guest(_) | Socket::Public | Socket::Private(_) => Ok(()),
        }
    }

    /// Makes a cable from the bridge to the interface.
    async fn lay_cable(
        &self,
        device: Device,
        process: &Process,
        nic: &Nic,
        bridge: u32,
    ) -> Result<(), HostError> {
        let doing = || format!("plugging {device}");
        let network = network_of(process).map_err(|e| failed(doing(), e))?;
        let far = format!("eth{}", nic.number);
        for name in self.names.choices(device) {
            let left_behind = self.links.find(&name).await.map_err(|e| failed(doing(), e))?;
            if left_behind.is_some_and(|link| link.alias.is_empty()) {
                // A crash came between making it and writing on it what it is.
                ignore_missing(self.links.delete(&name).await).map_err(|e| failed(doing(), e))?;
            }
            let veth = Veth {
                near: VethEnd {
                    name: &name,
                    mac: None,
                },
                master: Some(bridge),
                far: VethEnd {
                    name: &far,
                    mac: Some(nic.mac),
                },
                namespace: Some(network.as_fd()),
                mtu: nic.mtu,
            };
            match self.links.add_veth(&veth).await {
                Ok(()) => {
                    // The claim comes last: whatever bears a name and an alias is whole, after a crash too.
                    self.isolate(nic, &name).await.map_err(|e| failed(doing(), e))?;
                    return self.claim(&name, device).await.map_err(|e| failed(doing(), e));
                }
                // This name is another id's.
                Err(LinkError::Exists { .. }) => {}
                Err(error) => return Err(failed(doing(), error)),
            }
        }
        Err(failed(
            doing(),
            format!("every name it may have is taken, or {far} is there already"),
        ))
    }

    /// The interface that is this device, by its alias.
    pub(super) async fn find_device(&self, device: Device) -> Result<Option<(String, LinkState)>, LinkError> {
        let alias = self.names.alias(device);
        for name in self.names.choices(device) {
            if let Some(link) = self.links.find(&name).await?
                && link.alias == alias
            {
                return Ok(Some((name, link)));
            }
        }
        Ok(None)
    }

    /// Writes on an interface what it is.
    pub(super) async fn claim(&self, name: &str, device: Device) -> Result<(), LinkError> {
        let alias = Some(self.names.alias(device));
        self.links
            .change(
                name,
                &LinkChange {
                    alias,
                    ..LinkChange::default()
                },
            )
            .await
    }

    /// Removes every cable of a router or guest. They would go with its namespace too, but only some time later.
    pub(super) async fn unplug(&self, owner: Owner) -> Result<(), LinkError> {
        // What it has by now, and what it had when it was last told; a start that failed half-way had no more.
        let nics = self.running(owner).map(|m| m.nics()).unwrap_or_default();
        let nics = nics.into_iter().chain(nics_on_disk(owner, &self.dir(owner)));
        let numbers: BTreeSet<u8> = nics.map(|nic| nic.number).chain(0..=3).collect();
        self.unplug_these(owner, numbers).await.map(drop)
    }

    /// Removes these cables of a router or guest. How many there were.
    pub(super) async fn unplug_these(
        &self,
        owner: Owner,
        numbers: impl IntoIterator<Item = u8>,
    ) -> Result<usize, LinkError> {
        let mut removed = 0;
        for number in numbers {
            if let Some((name, _)) = self.find_device(Device::Port(owner, number)).await? {
                ignore_missing(self.links.delete(&name).await)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
