// SPDX-License-Identifier: Apache-2.0
//! Puts leases into the guest's kernel and into its directory.

use std::io;
use std::os::unix::fs::FileExt;
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
            Report::Lease(mut lease) => {
                self.configure(interface, &lease, former).await?;
                let leads_out = interface == state.default;
                if leads_out {
                    self.lead_out(interface, &lease).await?;
                }
                lease.leads_out = Some(leads_out);
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
        if state.default == interface {
            return Ok(());
        }
        interface.clone_into(&mut state.default);
        if let Some(lease) = state.leases.0.get(interface) {
            self.lead_out(interface, lease).await?;
        }
        if state.leases.0.is_empty() {
            return Ok(());
        }
        for (other, lease) in &mut state.leases.0 {
            lease.leads_out = Some(other == interface);
        }
        // Whoever waits for the change learns of it when all of it is so.
        self.write(&state.leases)
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
        let path = self.dir.join("resolv.conf");
        overwrite(&path, lease.resolv_conf().as_bytes()).map_err(|source| GuestError::File { path, source })
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

/// Makes this the file's text in place, since /etc/resolv.conf is this very file, bound there. Nobody who reads it meanwhile
/// finds it empty, as after a truncation: what was longer before is cut off behind the new text.
fn overwrite(path: &Path, text: &[u8]) -> io::Result<()> {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    file.write_all_at(text, 0)?;
    file.set_len(text.len() as u64)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_a_file_while_it_is_overwritten_never_finds_it_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let texts = ["nameserver 10.1.1.1\n", "search a.b\nnameserver 10.1.2.1\n"];
        overwrite(&path, texts[0].as_bytes()).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 0..2_000 {
                    overwrite(&path, texts[round % 2].as_bytes()).unwrap();
                }
            });
            while !writer.is_finished() {
                assert!(
                    std::fs::read_to_string(&path)
                        .unwrap()
                        .contains("nameserver 10.1.")
                );
            }
        });
        assert_eq!(std::fs::read_to_string(&path).unwrap(), texts[1]);
    }
}
