// SPDX-License-Identifier: Apache-2.0
//! Puts leases into the guest's kernel and into its directory.

use std::io;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use outgate_kernel::link::{LinkChange, LinkError, Links, Route};
use tokio::sync::Mutex;

use super::lease::{Leases, NicLease, Report};
use super::{GuestError, LEASE_FILE};
use crate::file;

/// The one place that changes the guest's interfaces and files.
#[derive(Debug)]
pub(super) struct Keeper {
    dir: PathBuf,
    pub(super) links: Links,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    leases: Leases,
    /// The interface of the default NIC: `eth0`.
    default: String,
}

impl Keeper {
    pub(super) fn new(dir: &Path, links: Links) -> Self {
        Self {
            dir: dir.to_owned(),
            links,
            state: Mutex::default(),
        }
    }

    /// The guest's directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the kernel and the lease file say what DHCP said about `interface`. Doing it again changes nothing.
    pub(super) async fn take(&self, interface: &str, report: Report) -> Result<(), GuestError> {
        let mut state = self.state.lock().await;
        let former = state.leases.0.get(interface).map(|lease| lease.address);
        match report {
            Report::Lease(lease) => {
                self.configure(interface, &lease, former).await?;
                if interface == state.default {
                    self.lead_out(interface, &lease).await?;
                }
                state.leases.0.insert(interface.to_owned(), lease);
            }
            Report::None => {
                self.clear(interface, former).await?;
                state.leases.0.remove(interface);
            }
        }
        self.write(&state.leases)
    }

    /// Forgets the lease of an interface that is gone or goes.
    pub(super) async fn forget(&self, interface: &str) -> Result<(), GuestError> {
        let mut state = self.state.lock().await;
        state.leases.0.remove(interface);
        self.write(&state.leases)
    }

    /// Makes an interface the default one: the guest leaves by its router and asks its resolver, from its lease on.
    pub(super) async fn set_default(&self, interface: &str) -> Result<(), GuestError> {
        let mut state = self.state.lock().await;
        if state.default != interface {
            interface.clone_into(&mut state.default);
            if let Some(lease) = state.leases.0.get(interface) {
                self.lead_out(interface, lease).await?;
            }
        }
        Ok(())
    }

    /// Whether this is the default interface and its lease was given for another one's time: the router did not say yet
    /// that the guest leaves by it.
    pub(super) async fn lacks_gateway(&self, interface: &str) -> bool {
        let state = self.state.lock().await;
        let lease = state.leases.0.get(interface);
        state.default == interface && lease.is_some_and(|lease| lease.gateway.is_none())
    }

    fn write(&self, leases: &Leases) -> Result<(), GuestError> {
        let path = self.dir.join(LEASE_FILE);
        let written = serde_json::to_vec(leases)
            .map_err(io::Error::from)
            .and_then(|text| file::replace(&path, &text));
        written.map_err(|source| GuestError::File { path, source })
    }

    async fn configure(
        &self,
        interface: &str,
        lease: &NicLease,
        former: Option<Ipv4Net>,
    ) -> Result<(), GuestError> {
        self.clear(interface, former.filter(|former| *former != lease.address))
            .await?;
        let change = LinkChange {
            mtu: lease.mtu,
            up: Some(true),
            ..LinkChange::default()
        };
        self.links.change(interface, &change).await?;
        self.links.add_address(interface, lease.address).await?;
        Ok(())
    }

    /// The default route and the resolver of the default NIC. A default route of another one is replaced, in one step.
    async fn lead_out(&self, interface: &str, lease: &NicLease) -> Result<(), GuestError> {
        if let Some(gateway) = lease.gateway {
            self.links.add_route(&default_route(interface, gateway)).await?;
        }
        // In place: /etc/resolv.conf is this very file, bound there.
        let path = self.dir.join("resolv.conf");
        std::fs::write(&path, lease.resolv_conf()).map_err(|source| GuestError::File { path, source })
    }

    /// Takes the address of the former lease from the interface. Others are the user's: secondary ones.
    async fn clear(&self, interface: &str, former: Option<Ipv4Net>) -> Result<(), LinkError> {
        let index = self.links.get(interface).await?.index;
        for (owner, address) in self.links.addresses().await? {
            if owner == index && Some(address) == former {
                self.links.remove_address(interface, address).await?;
            }
        }
        Ok(())
    }
}

fn default_route(interface: &str, gateway: std::net::Ipv4Addr) -> Route {
    Route {
        to: Ipv4Net::default(),
        via: Some(gateway),
        interface: interface.to_owned(),
        source: None,
        by_kernel: false,
    }
}
