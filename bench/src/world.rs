// SPDX-License-Identifier: Apache-2.0
//! Guests, a router's place, and an outside: three namespaces of the benchmark's own, with no way out.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::MacAddr;
use outgate_testkit::{Namespace, connect};
use tokio::runtime::Runtime;

use crate::traffic::{Ends, Generator, Sessions};

/// The router's Ethernet addresses: eth0, eth1, eth2.
pub const ROUTER: [MacAddr; 3] = [mac(0x10), mac(0x11), mac(0x12)];
const GUEST: MacAddr = mac(0x20);
const OUTSIDE: MacAddr = mac(0x21);

const fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0x5e, 0, 0, last])
}

/// The router's addresses, each with its network's prefix length.
pub const GATEWAY: &str = "10.1.0.1/16";
/// The one public address.
pub const PUBLIC: &str = "203.0.113.10/24";
/// The upstream gateway.
pub const UPSTREAM: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The guest that opens sockets.
pub const SOCKETS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
/// The first of the guests whose packets the generator makes.
pub const FIRST_HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 16, 1);
/// The first of the servers outside.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// The world. The router's namespace has eth0 (guests), eth1 (control) and eth2 (outside) without addresses.
#[derive(Debug)]
pub struct World {
    /// All guests: `g0`.
    pub guests: Namespace,
    /// The router.
    pub router: Namespace,
    /// Everything outside: `e0`.
    pub outside: Namespace,
    /// For the calls that need one.
    pub runtime: Runtime,
}

impl World {
    /// Builds it.
    ///
    /// # Errors
    /// When the caller is not root.
    pub fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let [guests, router, outside] = runtime.block_on(build())?;
        let world = Self {
            guests,
            router,
            outside,
            runtime,
        };
        world.settle()?;
        Ok(world)
    }

    /// A generator of the guests' packets.
    ///
    /// # Errors
    /// When the kernel refuses its program.
    pub fn generator(&self, sessions: Sessions, length: usize) -> anyhow::Result<Generator> {
        let ends = Ends {
            first_host: FIRST_HOST,
            first_destination: SERVER,
            router: ROUTER[0].0,
            guest: GUEST.0,
        };
        let idle = self.runtime.block_on(Namespace::new())?;
        Generator::new(&self.guests, "g0", &ends, sessions, length, idle)
    }

    /// The Ethernet addresses of a redirect out of eth2: to whom, from whom.
    pub fn outward() -> ([u8; 6], [u8; 6]) {
        (OUTSIDE.0, ROUTER[2].0)
    }

    /// Who answers for the many hosts on each side, and no waiting for the first answer.
    fn settle(&self) -> anyhow::Result<()> {
        // The kernel answers ARP for what is local to it.
        self.guests
            .check(&["ip", "route", "add", "local", "10.1.16.0/20", "dev", "lo"])?;
        for (namespace, interface) in [(&self.guests, "g0"), (&self.outside, "e0")] {
            // Both ends of a cable take frames from XDP only where the other end reads them in batches.
            let argv = ["ethtool", "-K", interface, "gro", "on"];
            namespace.check(&argv)?;
        }
        self.outside
            .check(&["ip", "route", "add", "local", "198.51.100.0/24", "dev", "lo"])?;
        // For contenders that do not translate.
        self.outside
            .check(&["ip", "route", "add", "10.1.0.0/16", "via", "203.0.113.10"])?;
        for interface in ["eth0", "eth2"] {
            self.router.check(&["ethtool", "-K", interface, "gro", "on"])?;
        }
        Ok(())
    }

    /// Gives the router its addresses and routes, for contenders that do not do so themselves.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn configure_router(&self) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            self.router.address("eth0", GATEWAY.parse()?).await?;
            self.router.address("eth2", PUBLIC.parse()?).await?;
            self.router.route(Ipv4Net::default(), UPSTREAM, "eth2").await
        })?;
        self.router.sysctl("net.ipv4.ip_forward", "1")
    }
}

async fn build() -> anyhow::Result<[Namespace; 3]> {
    let (guests, router) = (Namespace::new().await?, Namespace::new().await?);
    let outside = Namespace::new().await?;
    let [guest, control, public] = ROUTER.map(Some);
    let mtu = 1_500;
    connect((&guests, "g0", Some(GUEST)), None, (&router, "eth0", guest), mtu).await?;
    connect((&outside, "control", None), None, (&router, "eth1", control), mtu).await?;
    connect(
        (&outside, "e0", Some(OUTSIDE)),
        None,
        (&router, "eth2", public),
        mtu,
    )
    .await?;
    guests.address("g0", Ipv4Net::new(SOCKETS, 16)?).await?;
    guests
        .route(Ipv4Net::default(), Ipv4Addr::new(10, 1, 0, 1), "g0")
        .await?;
    outside.address("e0", Ipv4Net::new(UPSTREAM, 24)?).await?;
    Ok([guests, router, outside])
}
