// SPDX-License-Identifier: Apache-2.0
//! A small world: guests on a LAN, a router, a public segment with an internet behind its gateway.

use std::net::Ipv4Addr;

use anyhow::Context;
use ipnet::Ipv4Net;
use outgate_model::MacAddr;

use crate::namespace::{Namespace, connect};

/// What the world looks like.
#[derive(Debug, Clone)]
pub struct TopologySpec {
    /// Guests' addresses with the network's prefix length, one guest each.
    pub guests: Vec<Ipv4Net>,
    /// The router's guest side: the guests' default route.
    pub gateway: Ipv4Addr,
    /// Ethernet addresses of the router's eth0, eth1 and eth2.
    pub macs: [MacAddr; 3],
    /// The internet's address on the public segment: the router's upstream gateway.
    pub upstream: Ipv4Net,
    /// More addresses of the internet.
    pub internet: Vec<Ipv4Net>,
    /// MTU of every cable in bytes.
    pub mtu: u32,
}

impl Default for TopologySpec {
    /// Two guests 10.1.1.11 and .12 behind 10.1.1.1; the internet is 203.0.113.1/24, 8.8.8.8 and 198.51.100.1.
    fn default() -> Self {
        let net = |a, b, c, d, prefix| Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix);
        Self {
            guests: vec![net(10, 1, 1, 11, 24), net(10, 1, 1, 12, 24)],
            gateway: Ipv4Addr::new(10, 1, 1, 1),
            macs: [0, 1, 2].map(|n| MacAddr([0x02, 0, 0x5e, 0, 0, n])),
            upstream: net(203, 0, 113, 1, 24),
            internet: vec![net(8, 8, 8, 8, 32), net(198, 51, 100, 1, 24)],
            mtu: 1_500,
        }
    }
}

/// The world. The router's namespace has eth0 (guests), eth1 (control) and eth2 (public), all without addresses.
#[derive(Debug)]
pub struct Topology {
    /// The guests, each with eth0 and a default route.
    pub guests: Vec<Namespace>,
    /// The guests' segment: a bridge `lan`.
    pub lan: Namespace,
    /// The router.
    pub router: Namespace,
    /// Where the router's eth1 leads: an interface `control` with 169.254.0.1/16.
    pub control: Namespace,
    /// The internet: a bridge `public` that is also the public segment.
    pub internet: Namespace,
}

impl Topology {
    /// Builds it. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the caller is not root.
    pub async fn new(spec: &TopologySpec) -> anyhow::Result<Self> {
        let mut this = Self {
            guests: Vec::new(),
            lan: Namespace::new().await?,
            router: Namespace::new().await?,
            control: Namespace::new().await?,
            internet: Namespace::new().await?,
        };
        this.lan.links()?.add_bridge("lan", spec.mtu).await?;
        this.internet.links()?.add_bridge("public", spec.mtu).await?;
        this.internet.address("public", spec.upstream).await?;
        for address in &spec.internet {
            this.internet.address("lo", *address).await?;
        }
        let [guest, control, public] = spec.macs.map(Some);
        connect(
            (&this.lan, "router", None),
            Some("lan"),
            (&this.router, "eth0", guest),
            spec.mtu,
        )
        .await?;
        connect(
            (&this.control, "control", None),
            None,
            (&this.router, "eth1", control),
            spec.mtu,
        )
        .await?;
        connect(
            (&this.internet, "router", None),
            Some("public"),
            (&this.router, "eth2", public),
            spec.mtu,
        )
        .await?;
        this.control.address("control", "169.254.0.1/16".parse()?).await?;
        for (number, address) in spec.guests.iter().enumerate() {
            this.add_guest(number, *address, spec)
                .await
                .with_context(|| format!("guest {address}"))?;
        }
        Ok(this)
    }

    async fn add_guest(
        &mut self,
        number: usize,
        address: Ipv4Net,
        spec: &TopologySpec,
    ) -> anyhow::Result<()> {
        let guest = Namespace::new().await?;
        let port = format!("guest{number}");
        connect(
            (&self.lan, &port, None),
            Some("lan"),
            (&guest, "eth0", None),
            spec.mtu,
        )
        .await?;
        guest.address("eth0", address).await?;
        guest.route(Ipv4Net::default(), spec.gateway, "eth0").await?;
        self.guests.push(guest);
        Ok(())
    }
}
