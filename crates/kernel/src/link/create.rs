// SPDX-License-Identifier: Apache-2.0
//! Making and removing interfaces.

use std::os::fd::{AsRawFd, BorrowedFd};

use outgate_model::MacAddr;
use rtnetlink::packet_route::link::{BridgeStpState, InfoData, InfoVeth, LinkMessage};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::{LinkError, Links};

/// A pair of Ethernet interfaces, back to back. One request makes both ends, complete, the near one up: nobody sees a
/// half-made one. The far end's owner sets it up.
#[derive(Debug, Clone)]
pub struct Veth<'a> {
    /// The end in this namespace.
    pub near: VethEnd<'a>,
    /// The index of the bridge in this namespace that the near end becomes a port of.
    pub master: Option<u32>,
    /// The end in `namespace`.
    pub far: VethEnd<'a>,
    /// Where the far end goes: an open `/proc/PID/ns/net`. `None` leaves it in this namespace.
    pub namespace: Option<BorrowedFd<'a>>,
    /// MTU of both ends, in bytes.
    pub mtu: u32,
}

/// One end of a veth pair.
#[derive(Debug, Clone)]
pub struct VethEnd<'a> {
    /// Its name, at most 15 bytes.
    pub name: &'a str,
    /// Its Ethernet address; `None` takes a random one.
    pub mac: Option<MacAddr>,
}

impl VethEnd<'_> {
    fn dress<T>(&self, builder: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
        match self.mac {
            Some(mac) => builder.address(mac.0.to_vec()),
            None => builder,
        }
    }
}

impl Links {
    /// Makes a veth pair.
    ///
    /// # Errors
    /// [`LinkError::Exists`] when either name is taken; else what the kernel said.
    pub async fn add_veth(&self, veth: &Veth<'_>) -> Result<(), LinkError> {
        let far = LinkMessageBuilder::<LinkUnspec>::new()
            .name(veth.far.name)
            .mtu(veth.mtu);
        let far = match veth.namespace {
            Some(fd) => far.setns_by_fd(fd.as_raw_fd()),
            None => far,
        };
        let near = LinkMessageBuilder::<LinkVeth>::new(veth.near.name, veth.far.name)
            .mtu(veth.mtu)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(veth.far.dress(far).build())));
        let near = match veth.master {
            Some(index) => near.controller(index),
            None => near,
        };
        let doing = format!("creating interfaces {} and {}", veth.near.name, veth.far.name);
        self.create(veth.near.name, doing, veth.near.dress(near).up().build())
            .await
    }

    /// Makes a bridge that is up: no spanning tree, no forwarding delay, no multicast snooping (which would hold back
    /// multicast until a querier is heard).
    ///
    /// # Errors
    /// [`LinkError::Exists`] when the name is taken; else what the kernel said.
    pub async fn add_bridge(&self, name: &str, mtu: u32) -> Result<(), LinkError> {
        use rtnetlink::packet_route::link::InfoBridge;
        let message = LinkBridge::new(name)
            .stp_state(BridgeStpState::Disabled)
            .forward_delay(0)
            .append_info_data(InfoBridge::MulticastSnooping(false))
            .mtu(mtu)
            .build();
        self.create(name, format!("creating bridge {name}"), message)
            .await
    }

    /// Removes an interface. Removing one end of a veth pair removes both.
    ///
    /// # Errors
    /// [`LinkError::NotFound`] when there is none of that name; else what the kernel said.
    pub async fn delete(&self, name: &str) -> Result<(), LinkError> {
        let message = LinkUnspec::new_with_name(name).build();
        let refused = |source| LinkError::of_link(name, format!("removing interface {name}"), source);
        self.handle
            .link()
            .del_with_message(message)
            .execute()
            .await
            .map_err(refused)
    }

    async fn create(&self, name: &str, doing: String, message: LinkMessage) -> Result<(), LinkError> {
        let made = self.handle.link().add(message).execute().await;
        made.map_err(|source| match LinkError::new(doing, source) {
            error if error.errno() == Some(libc::EEXIST) => LinkError::Exists {
                name: name.to_owned(),
            },
            error => error,
        })
    }
}
