// SPDX-License-Identifier: Apache-2.0
//! Interfaces, addresses and routes of one network namespace, over rtnetlink.

mod change;
mod create;
mod error;
mod route;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use outgate_model::MacAddr;
use rtnetlink::Handle;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{
    InfoBridgePort, InfoKind, InfoPortData, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

pub use change::LinkChange;
pub use create::{Veth, VethEnd};
pub use error::LinkError;
pub use route::Route;

/// An interface as the kernel holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkState {
    /// Its index, unique in its namespace.
    pub index: u32,
    /// Its Ethernet address; `None` for `lo` and for links that are no Ethernet.
    pub mac: Option<MacAddr>,
    /// MTU in bytes.
    pub mtu: u32,
    /// Whether it is set up (administratively).
    pub up: bool,
    /// Whether the far side is up too.
    pub carrier: bool,
    /// The index of the bridge that it is a port of.
    pub master: Option<u32>,
    /// Whether it is a bridge's port that reaches no other isolated port: see [`Links::isolate_port`].
    pub isolated: bool,
    /// Its queueing discipline: `noqueue`, `mq`, `htb`.
    pub queue: String,
    /// `veth`, `bridge`; empty for physical ones and `lo`.
    pub kind: String,
    /// Its alias (`ip link set dev X alias Y`); empty when it has none.
    pub alias: String,
    /// Its IPv4 addresses with prefix lengths, in numerical order.
    pub addresses: BTreeSet<Ipv4Net>,
}

/// A socket to rtnetlink of one network namespace. Clones share it.
#[derive(Clone)]
pub struct Links {
    handle: Handle,
    _connection: Arc<Connection>,
}

/// Ends the task that serves the socket when the last clone is dropped.
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links")
    }
}

impl Links {
    /// Opens the network namespace of the calling thread. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`LinkError::Socket`] when there is no netlink socket to be had.
    pub fn open() -> Result<Self, LinkError> {
        let socket = |source| LinkError::Socket { source };
        let (connection, handle, _) = rtnetlink::new_connection().map_err(socket)?;
        let task = tokio::spawn(connection);
        Ok(Self {
            handle,
            _connection: Arc::new(Connection(task)),
        })
    }

    /// Opens the network namespace that `namespace` (an open `/proc/PID/ns/net`) refers to, from anywhere. Must be
    /// called inside a tokio runtime.
    ///
    /// # Errors
    /// [`LinkError::Socket`] when the namespace may not be entered.
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Self, LinkError> {
        let runtime = tokio::runtime::Handle::current();
        // A socket belongs for ever to the namespace that its maker was in: a thread of its own enters, opens, ends.
        let opened = std::thread::scope(|scope| {
            let open = || {
                let _context = runtime.enter();
                nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)
                    .map_err(|errno| LinkError::Socket { source: errno.into() })?;
                Self::open()
            };
            scope.spawn(open).join()
        });
        opened.unwrap_or_else(|_| {
            Err(LinkError::Socket {
                source: std::io::Error::other("the thread ended early"),
            })
        })
    }

    /// Every interface by name, with its IPv4 addresses. Two dumps, however many interfaces there are.
    ///
    /// # Errors
    /// When the kernel refuses or sends what is not understood.
    pub async fn list(&self) -> Result<BTreeMap<String, LinkState>, LinkError> {
        let refused = |source| LinkError::new("listing interfaces", source);
        let messages: Vec<LinkMessage> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(refused)?;
        let mut links: BTreeMap<String, LinkState> = messages.iter().filter_map(link_state).collect();
        let names: BTreeMap<u32, String> = links
            .iter()
            .map(|(name, link)| (link.index, name.clone()))
            .collect();
        for (index, address) in self.addresses().await? {
            if let Some(link) = names.get(&index).and_then(|name| links.get_mut(name)) {
                link.addresses.insert(address);
            }
        }
        Ok(links)
    }

    /// One interface, without its addresses.
    ///
    /// # Errors
    /// [`LinkError::NotFound`] when there is none of that name.
    pub async fn get(&self, name: &str) -> Result<LinkState, LinkError> {
        let refused = |source| LinkError::of_link(name, format!("reading interface {name}"), source);
        let mut answer = Box::pin(self.handle.link().get().match_name(name).execute());
        let message = answer.try_next().await.map_err(refused)?;
        let found = message.as_ref().and_then(link_state);
        found.map(|(_, link)| link).ok_or_else(|| LinkError::NotFound {
            name: name.to_owned(),
        })
    }

    /// One interface, or `None` when there is none of that name.
    ///
    /// # Errors
    /// Whatever else went wrong.
    pub async fn find(&self, name: &str) -> Result<Option<LinkState>, LinkError> {
        match self.get(name).await {
            Ok(link) => Ok(Some(link)),
            Err(LinkError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every IPv4 address with the index of its interface, in the kernel's order (the first of a subnet is its
    /// primary address).
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn addresses(&self) -> Result<Vec<(u32, Ipv4Net)>, LinkError> {
        let refused = |source| LinkError::new("listing addresses", source);
        let mut request = self.handle.address().get();
        request.message_mut().header.family = AddressFamily::Inet;
        let messages: Vec<AddressMessage> = request.execute().try_collect().await.map_err(refused)?;
        Ok(messages
            .iter()
            .filter_map(|message| Some((message.header.index, ipv4(message)?)))
            .collect())
    }
}

/// The number of an interface in the calling thread's network namespace, if there is one of that name.
pub fn number(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

fn ipv4(message: &AddressMessage) -> Option<Ipv4Net> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => {
            Ipv4Net::new(*address, message.header.prefix_len).ok()
        }
        _ => None,
    })
}

fn link_state(message: &LinkMessage) -> Option<(String, LinkState)> {
    let mut name = None;
    let flags = message.header.flags;
    let mut link = LinkState {
        index: message.header.index,
        mac: None,
        mtu: 0,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        master: None,
        isolated: false,
        queue: String::new(),
        kind: String::new(),
        alias: String::new(),
        addresses: BTreeSet::new(),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::IfAlias(text) => link.alias.clone_from(text),
            LinkAttribute::Qdisc(name) => link.queue.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(index) => link.master = Some(*index),
            LinkAttribute::LinkInfo(infos) => {
                link.kind = kind(infos);
                link.isolated = infos.iter().any(is_isolated);
            }
            LinkAttribute::Address(bytes) if !flags.contains(LinkFlags::Loopback) => {
                link.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddr);
            }
            _ => {}
        }
    }
    Some((name?, link))
}

fn is_isolated(info: &LinkInfo) -> bool {
    match info {
        LinkInfo::PortData(InfoPortData::BridgePort(port)) => port.contains(&InfoBridgePort::Isolated(true)),
        _ => false,
    }
}

fn kind(infos: &[LinkInfo]) -> String {
    let found = infos.iter().find_map(|info| match info {
        LinkInfo::Kind(InfoKind::Veth) => Some("veth".to_owned()),
        LinkInfo::Kind(InfoKind::Bridge) => Some("bridge".to_owned()),
        LinkInfo::Kind(other) => Some(other.to_string()),
        _ => None,
    });
    found.unwrap_or_default()
}
