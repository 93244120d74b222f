// SPDX-License-Identifier: Apache-2.0
//! IPv4 routes of the main table.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::change::tolerate;
use super::{LinkError, LinkState, Links};

/// An IPv4 unicast route of the main table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where to; 0.0.0.0/0 is the default route.
    pub to: Ipv4Net,
    /// Through which router; `None` when the destination is on the interface itself.
    pub via: Option<Ipv4Addr>,
    /// Out of which interface.
    pub interface: String,
    /// The source address that the namespace's own packets prefer on it.
    pub source: Option<Ipv4Addr>,
    /// Whether the kernel made it for an address; such routes come and go with it.
    pub by_kernel: bool,
}

impl Links {
    /// Every IPv4 unicast route of the main table. `links` comes from [`Links::list`] and names the interfaces;
    /// routes of others are left out.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn routes(&self, links: &BTreeMap<String, LinkState>) -> Result<BTreeSet<Route>, LinkError> {
        let names: BTreeMap<u32, &str> = links
            .iter()
            .map(|(name, link)| (link.index, name.as_str()))
            .collect();
        let request = self
            .handle
            .route()
            .get(RouteMessageBuilder::<Ipv4Addr>::new().build());
        let refused = |source| LinkError::new("listing routes", source);
        let messages: Vec<RouteMessage> = request.execute().try_collect().await.map_err(refused)?;
        Ok(messages
            .iter()
            .filter_map(|message| route(message, &names))
            .collect())
    }

    /// Adds a route, or replaces the one to the same destination.
    ///
    /// # Errors
    /// [`LinkError::NotFound`] when the interface is missing; else what the kernel said.
    pub async fn add_route(&self, route: &Route) -> Result<(), LinkError> {
        let message = self.route_message(route).await?;
        let doing = format!("adding {route}");
        let added = self.handle.route().add(message).replace().execute().await;
        added.map_err(|source| LinkError::of_link(&route.interface, doing, source))
    }

    /// Removes a route, whoever made it. One that is not there is no error.
    ///
    /// # Errors
    /// [`LinkError::NotFound`] when the interface is missing; else what the kernel said.
    pub async fn remove_route(&self, route: &Route) -> Result<(), LinkError> {
        let mut message = self.route_message(route).await?;
        // The kernel looks for the very origin and scope that a request names: these stand for any.
        message.header.protocol = RouteProtocol::Unspec;
        message.header.scope = RouteScope::NoWhere;
        let removed = self.handle.route().del(message).execute().await;
        let doing = format!("removing {route}");
        tolerate(
            removed.map_err(|source| LinkError::of_link(&route.interface, doing, source)),
            libc::ESRCH,
        )
    }

    async fn route_message(&self, route: &Route) -> Result<RouteMessage, LinkError> {
        let builder = RouteMessageBuilder::<Ipv4Addr>::new()
            .output_interface(self.get(&route.interface).await?.index)
            .destination_prefix(route.to.network(), route.to.prefix_len());
        let builder = match route.source {
            Some(source) => builder.pref_source(source),
            None => builder,
        };
        Ok(match route.via {
            Some(gateway) => builder.gateway(gateway).build(),
            None => builder.scope(RouteScope::Link).build(),
        })
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "route {}", self.to)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        write!(f, " dev {}", self.interface)
    }
}

fn route(message: &RouteMessage, names: &BTreeMap<u32, &str>) -> Option<Route> {
    let header = &message.header;
    if header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast {
        return None;
    }
    let mut to = Ipv4Addr::UNSPECIFIED;
    let (mut via, mut interface, mut source) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => to = *address,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => via = Some(*address),
            RouteAttribute::PrefSource(RouteAddress::Inet(address)) => source = Some(*address),
            RouteAttribute::Oif(index) => interface = names.get(index).map(|name| (*name).to_owned()),
            _ => {}
        }
    }
    Some(Route {
        to: Ipv4Net::new(to, header.destination_prefix_length).ok()?,
        via,
        interface: interface?,
        source,
        by_kernel: header.protocol == RouteProtocol::Kernel,
    })
}
