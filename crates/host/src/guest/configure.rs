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
    leases: Mutex<Leases>,
}

impl Keeper {
    pub(super) fn new(dir: &Path, links: Links) -> Self {
        Self {
            dir: dir.to_owned(),
            links,
            leases: Mutex::default(),
        }
    }

    /// The guest's directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the kernel and the lease file say what DHCP said about `interface`. Doing it again changes nothing.
    pub(super) async fn take(&self, interface: &str, report: Report) -> Result<(), GuestError> {
        let mut leases = self.leases.lock().await;
        match report {
            Report::Lease(lease) => {
                self.configure(interface, &lease).await?;
                leases.0.insert(interface.to_owned(), lease);
            }
            Report::None => {
                self.clear(interface, None).await?;
                leases.0.remove(interface);
            }
        }
        let path = self.dir.join(LEASE_FILE);
        let written = serde_json::to_vec(&*leases)
            .map_err(io::Error::from)
            .and_then(|text| file::replace(&path, &text));
        written.map_err(|source| GuestError::File { path, source })
    }

    async fn configure(&self, interface: &str, lease: &NicLease) -> Result<(), GuestError> {
        self.clear(interface, Some(lease.address)).await?;
        let change = LinkChange {
            mtu: lease.mtu,
            up: Some(true),
            ..LinkChange::default()
        };
        self.links.change(interface, &change).await?;
        self.links.add_address(interface, lease.address).await?;
        // The first NIC is the default one, as in CloudStack.
        if interface == "eth0" {
            if let Some(gateway) = lease.gateway {
                self.links.add_route(&default_route(interface, gateway)).await?;
            }
            // In place: /etc/resolv.conf is this very file, bound there.
            let path = self.dir.join("resolv.conf");
            std::fs::write(&path, lease.resolv_conf()).map_err(|source| GuestError::File { path, source })?;
        }
        Ok(())
    }

    /// Takes every address but `keep` from the interface.
    async fn clear(&self, interface: &str, keep: Option<Ipv4Net>) -> Result<(), LinkError> {
        let index = self.links.get(interface).await?.index;
        for (owner, address) in self.links.addresses().await? {
            if owner == index && Some(address) != keep {
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
