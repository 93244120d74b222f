// SPDX-License-Identifier: Apache-2.0
//! A VPC's router with its engine, tiers with a guest or two each, a private network, and an internet.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::time::Duration;

use outgate_model::id::{
    NetworkAclItemId, NetworkAclListId, NetworkId, PhysicalNetworkId, PortForwardingRuleId, PrivateGatewayId,
    StaticRouteId,
};
use outgate_model::router_spec::{
    AclAction, AclDirection, AclItem, Egress, EgressPolicy, GuestNetwork, NetworkAcl, PortForward,
    PrivateGateway, PublicAddress, StaticRoute, VpcSide,
};
use outgate_model::{MacAddr, Match, PortRange, Protocol, RouterSpec};
use outgate_testkit::{Namespace, TcpEcho, TcpProbe, connect};
use tokio::runtime::Runtime;

use super::{EngineThread, runtime, spec};

/// How long a session may take that must come about.
pub const LIMIT: Duration = Duration::from_secs(60);
/// How long one is waited for that must not.
pub const SHORT: Duration = Duration::from_secs(3);

pub struct VpcWorld {
    pub runtime: Runtime,
    pub router: Namespace,
    pub control: Namespace,
    /// 203.0.113.1, and 198.51.100.1 behind it.
    pub internet: Namespace,
    /// By interface of the router: everything that lives there, in one namespace.
    pub sides: BTreeMap<String, Namespace>,
    engine: EngineThread,
}

impl Deref for VpcWorld {
    type Target = EngineThread;

    fn deref(&self) -> &EngineThread {
        &self.engine
    }
}

impl VpcWorld {
    /// The router's eth0 and eth1 only.
    pub fn new() -> Self {
        let runtime = runtime();
        let (router, control, internet) = runtime.block_on(async {
            let new = async || Namespace::new().await.unwrap();
            let all = (new().await, new().await, new().await);
            let (router, control, internet) = &all;
            for (side, interface) in [(control, "eth0"), (internet, "eth1")] {
                connect((side, "side", None), None, (router, interface, None), 1_500)
                    .await
                    .unwrap();
            }
            let address = async |side: &Namespace, interface, address: &str| {
                side.address(interface, address.parse().unwrap()).await.unwrap();
            };
            address(control, "side", "169.254.0.1/16").await;
            address(internet, "side", "203.0.113.1/24").await;
            address(internet, "lo", "198.51.100.1/32").await;
            all
        });
        let engine = EngineThread::new(&router);
        Self {
            runtime,
            router,
            control,
            internet,
            sides: BTreeMap::new(),
            engine,
        }
    }

    /// Lays a cable to `eth<number>` of the router; the far end has these addresses and routes through the router.
    pub fn plug(&mut self, number: u8, addresses: &[&str], gateway: &str) {
        let interface = format!("eth{number}");
        let side = self.runtime.block_on(async {
            let side = Namespace::new().await.unwrap();
            connect(
                (&side, "side", None),
                None,
                (&self.router, &interface, None),
                1_500,
            )
            .await
            .unwrap();
            for address in addresses {
                side.address("side", address.parse().unwrap()).await.unwrap();
            }
            side
        });
        side.check(&["ip", "route", "add", "default", "via", gateway])
            .unwrap();
        self.sides.insert(interface, side);
    }

    /// Takes the cable to `eth<number>` away, with everything at its far end.
    pub fn unplug(&mut self, number: u8) {
        let side = self.sides.remove(&format!("eth{number}")).unwrap();
        side.check(&["ip", "link", "delete", "side"]).unwrap();
    }

    /// Tier `number` (eth<number+1>) is 10.0.<number>.0/24 with guests .5 and .6.
    pub fn plug_tier(&mut self, number: u8) {
        let guest = |n| format!("10.0.{number}.{n}/24");
        let gateway = format!("10.0.{number}.1");
        self.plug(number + 1, &[&guest(5), &guest(6)], &gateway);
    }

    pub fn side(&self, number: u8) -> &Namespace {
        &self.sides[&format!("eth{number}")]
    }

    /// The namespace of tier `number`'s guests.
    pub fn guests(&self, tier: u8) -> &Namespace {
        self.side(tier + 1)
    }

    /// A new session from tier `tier`'s first guest.
    pub fn tier_opens(&self, tier: u8, to: SocketAddrV4, limit: Duration) -> Option<TcpProbe> {
        let from = SocketAddrV4::new([10, 0, tier, 5].into(), 0);
        TcpProbe::connect_from(self.guests(tier), from, to, limit).ok()
    }

    /// Whether a new session from tier `tier`'s first guest comes about and works.
    pub fn reaches(&self, tier: u8, to: SocketAddrV4) -> bool {
        works(self.tier_opens(tier, to, SHORT))
    }

    /// Whether a new session from outside comes about and works.
    pub fn comes_in(&self, to: SocketAddrV4) -> bool {
        works(TcpProbe::connect(&self.internet, to, SHORT).ok())
    }
}

fn works(probe: Option<TcpProbe>) -> bool {
    probe.is_some_and(|mut probe| probe.echo(b"hello").is_ok())
}

/// An echo server on a port of a guest: `serve(world.guests(1), guest(1, 5), 80)`.
pub fn serve(namespace: &Namespace, address: Ipv4Addr, port: u16) -> TcpEcho {
    TcpEcho::start(namespace, SocketAddrV4::new(address, port)).unwrap()
}

pub fn at(address: [u8; 4], port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address.into(), port)
}

pub fn item(direction: AclDirection, action: AclAction, matches: Match, cidr: &str) -> AclItem {
    AclItem {
        id: NetworkAclItemId::new(),
        number: 0,
        direction,
        action,
        matches,
        cidrs: vec![cidr.parse().unwrap()],
    }
}

pub fn tcp(port: u16) -> Match {
    Match::Ports {
        protocol: Protocol::Tcp,
        ports: PortRange::single(port).unwrap(),
    }
}

/// A list of these items, numbered as they stand.
pub fn acl(items: impl IntoIterator<Item = AclItem>) -> NetworkAcl {
    let numbered = items.into_iter().zip(1..);
    NetworkAcl {
        id: NetworkAclListId::new(),
        items: numbered
            .map(|(item, number)| AclItem { number, ..item })
            .collect(),
    }
}

/// CloudStack's built-in list of that name.
pub fn default_allow() -> NetworkAcl {
    let any = |direction| item(direction, AclAction::Allow, Match::All, "0.0.0.0/0");
    acl([any(AclDirection::Ingress), any(AclDirection::Egress)])
}

/// CloudStack's built-in list of that name.
pub fn default_deny() -> NetworkAcl {
    let any = |direction| item(direction, AclAction::Deny, Match::All, "0.0.0.0/0");
    acl([any(AclDirection::Ingress), any(AclDirection::Egress)])
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 9, last])
}

/// Tier `number` as [`VpcWorld::plug_tier`] plugs it.
pub fn tier(number: u8, acl: NetworkAcl) -> GuestNetwork {
    GuestNetwork {
        id: NetworkId::new(),
        interface: format!("eth{}", number + 1),
        mac: mac(number + 1),
        mtu: 1_500,
        gateway: format!("10.0.{number}.1/24").parse().unwrap(),
        domain: "vpc.internal".to_owned(),
        upstream_dns: Vec::new(),
        egress: Egress {
            default: EgressPolicy::Allow,
            rules: Vec::new(),
        },
        acl: Some(acl),
        leases: BTreeMap::new(),
    }
}

/// A private gateway 192.168.7.2 on eth<number>, and a route to 172.16.1.0/24 through it.
pub fn add_gateway(spec: &mut RouterSpec, number: u8, source_nat: bool, acl: NetworkAcl) {
    let vpc = spec.vpc.as_mut().unwrap();
    vpc.private_gateways.push(PrivateGateway {
        id: PrivateGatewayId::new(),
        physical_network: PhysicalNetworkId::new(),
        vlan: 100,
        interface: format!("eth{number}"),
        mac: mac(number),
        mtu: 1_500,
        address: "192.168.7.2/24".parse().unwrap(),
        gateway: [192, 168, 7, 1].into(),
        source_nat,
        acl,
    });
    vpc.static_routes.push(StaticRoute {
        id: StaticRouteId::new(),
        to: "172.16.1.0/24".parse().unwrap(),
        via: [192, 168, 7, 1].into(),
    });
}

/// A VPC 10.0.0.0/16 with these tiers; 203.0.113.10 is its source NAT address, 203.0.113.11 is free.
pub fn vpc(tiers: impl IntoIterator<Item = GuestNetwork>) -> RouterSpec {
    let mut spec = spec();
    spec.control.interface = "eth0".to_owned();
    spec.public.interface = "eth1".to_owned();
    spec.public.addresses.push(PublicAddress {
        address: "203.0.113.11/24".parse().unwrap(),
        source_nat: false,
        ..spec.public.addresses[0].clone()
    });
    spec.guest_networks = tiers.into_iter().collect();
    spec.vpc = Some(VpcSide {
        cidr: "10.0.0.0/16".parse().unwrap(),
        private_gateways: Vec::new(),
        static_routes: Vec::new(),
    });
    spec
}

/// Forwards a TCP port of the source NAT address.
pub fn forward(spec: &mut RouterSpec, public: u16, guest: [u8; 4], private: u16) {
    spec.public.addresses[0].port_forwarding.push(PortForward {
        id: PortForwardingRuleId::new(),
        protocol: Protocol::Tcp,
        public_ports: PortRange::single(public).unwrap(),
        guest: guest.into(),
        private_ports: PortRange::single(private).unwrap(),
    });
}
