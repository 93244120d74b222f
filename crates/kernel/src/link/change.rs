// SPDX-License-Identifier: Apache-2.0
//! Changing interfaces and their addresses.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use outgate_model::MacAddr;
use rtnetlink::{AddressMessageBuilder, LinkBridgePort, LinkUnspec};

use super::{LinkError, Links};

/// What to change on an interface, in one request. Whatever is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// Up or down.
    pub up: Option<bool>,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// Ethernet address.
    pub mac: Option<MacAddr>,
    /// The index of the bridge that it becomes a port of; 0 takes it out of its bridge.
    pub master: Option<u32>,
    /// Its alias, at most 255 bytes.
    pub alias: Option<String>,
}

impl Links {
    /// Changes an interface.
    ///
    /// # Errors
    /// [`LinkError::NotFound`] when there is none of that name; else what the kernel said.
    pub async fn change(&self, name: &str, change: &LinkChange) -> Result<(), LinkError> {
        let mut message = LinkUnspec::new_with_name(name);
        message = match change.up {
            Some(true) => message.up(),
            Some(false) => message.down(),
            None => message,
        };
        if let Some(mtu) = change.mtu {
            message = message.mtu(mtu);
        }
        if let Some(mac) = change.mac {
            message = message.address(mac.0.to_vec());
        }
        if let Some(master) = change.master {
            message = message.controller(master);
        }
        if let Some(alias) = &change.alias {
            message = message.alias(alias);
        }
        let refused = |source| LinkError::of_link(name, format!("changing interface {name}"), source);
        self.handle
            .link()
            .set(message.build())
            .execute()
            .await
            .map_err(refused)
    }

    /// Lets a bridge's port speak to the bridge itself, and to ports that are not isolated, but to no isolated one.
    ///
    /// # Errors
    /// [`LinkError::NotFound`] when there is no such interface; else what the kernel said.
    pub async fn isolate_port(&self, name: &str) -> Result<(), LinkError> {
        let message = LinkBridgePort::new(self.get(name).await?.index)
            .isolated(true)
            .build();
        let refused = |source| LinkError::of_link(name, format!("isolating bridge port {name}"), source);
        self.handle
            .link()
            .set_port(message)
            .execute()
            .await
            .map_err(refused)
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// As [`Links::change`].
    pub async fn set_up(&self, name: &str) -> Result<(), LinkError> {
        self.change(
            name,
            &LinkChange {
                up: Some(true),
                ..LinkChange::default()
            },
        )
        .await
    }

    /// Gives an interface an IPv4 address. One that it already has is no error.
    ///
    /// # Errors
    /// [`LinkError::NotFound`] when there is no such interface; else what the kernel said.
    pub async fn add_address(&self, name: &str, address: Ipv4Net) -> Result<(), LinkError> {
        let index = self.get(name).await?.index;
        let request = self
            .handle
            .address()
            .add(index, IpAddr::V4(address.addr()), address.prefix_len());
        let doing = format!("adding address {address} to {name}");
        let added = request
            .execute()
            .await
            .map_err(|source| LinkError::of_link(name, doing, source));
        tolerate(added, libc::EEXIST)
    }

    /// Takes an IPv4 address from an interface. One that it does not have is no error. Taking a subnet's first
    /// address takes the subnet's others too unless `promote_secondaries` is 1.
    ///
    /// # Errors
    /// [`LinkError::NotFound`] when there is no such interface; else what the kernel said.
    pub async fn remove_address(&self, name: &str, address: Ipv4Net) -> Result<(), LinkError> {
        let index = self.get(name).await?.index;
        let message = AddressMessageBuilder::<Ipv4Addr>::new()
            .index(index)
            .address(address.addr(), address.prefix_len())
            .build();
        let doing = format!("removing address {address} from {name}");
        let removed = self.handle.address().del(message).execute().await;
        tolerate(
            removed.map_err(|source| LinkError::of_link(name, doing, source)),
            libc::EADDRNOTAVAIL,
        )
    }
}

/// Takes one error number for success.
pub(super) fn tolerate(result: Result<(), LinkError>, errno: i32) -> Result<(), LinkError> {
    match result {
        Err(error) if error.errno() == Some(errno) => Ok(()),
        other => other,
    }
}
