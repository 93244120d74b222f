// SPDX-License-Identifier: Apache-2.0
//! A VPC's router: three tiers, two private gateways (one with source NAT), a static route behind each side. Random
//! ACLs, addresses and packets for it: few CIDRs and ports, so that items overlap and hide each other.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::router_spec::LoadBalancer;
use outgate_model::router_spec::load_balancer::{LbAlgorithm, LbProtocol};
use outgate_model::router_spec::{
    AclAction, AclDirection, AclItem, Egress, EgressPolicy, GuestNetwork, NetworkAcl, PortForward,
    PrivateGateway, PublicAddress, StaticRoute, VpcSide,
};
use outgate_model::{MacAddr, Match, RouterSpec};
use outgate_plan::packet::{Packet, State};
use proptest::collection::vec;
use proptest::prelude::*;

use super::random::{add_balancers, balancer, header, id, matches, protocol, range};
use super::{public, spec};

/// Two guests of each tier, .5 and .6.
pub const TIERS: [[u8; 3]; 3] = [[10, 0, 1], [10, 0, 2], [10, 0, 3]];
/// Networks on the far sides of the private gateways, of the appliance in the last tier (10.0.3.6), and of a neighbour
/// on the public network.
pub const FAR: [[u8; 3]; 4] = [[172, 16, 1], [172, 17, 1], [172, 18, 1], [172, 19, 1]];

pub fn acl(items: Vec<AclItem>) -> NetworkAcl {
    NetworkAcl { id: id(), items }
}

/// Everything may pass, both ways.
pub fn allow_all() -> NetworkAcl {
    let item = |number, direction| AclItem {
        id: id(),
        number,
        direction,
        action: AclAction::Allow,
        matches: Match::All,
        cidrs: vec!["0.0.0.0/0".parse().unwrap()],
    };
    acl(vec![
        item(1, AclDirection::Ingress),
        item(2, AclDirection::Egress),
    ])
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 1, last])
}

fn tier(number: u8) -> GuestNetwork {
    let [a, b, c] = TIERS[usize::from(number)];
    GuestNetwork {
        id: id(),
        interface: format!("eth{}", 2 + number),
        mac: mac(2 + number),
        mtu: 1_500,
        gateway: format!("{a}.{b}.{c}.1/24").parse().unwrap(),
        domain: "vpc.internal".to_owned(),
        upstream_dns: vec![[198, 51, 100, 53].into()],
        egress: Egress {
            default: EgressPolicy::Allow,
            rules: Vec::new(),
        },
        acl: Some(allow_all()),
        leases: Default::default(),
    }
}

fn gateway(number: u8, source_nat: bool) -> PrivateGateway {
    PrivateGateway {
        id: id(),
        physical_network: id(),
        vlan: 100 + u16::from(number),
        interface: format!("eth{}", 5 + number),
        mac: mac(5 + number),
        mtu: 1_500,
        address: format!("192.168.{number}.2/24").parse().unwrap(),
        gateway: [192, 168, number, 1].into(),
        source_nat,
        acl: allow_all(),
    }
}

/// Everything may pass; 203.0.113.10 is the source NAT address.
pub fn vpc_spec() -> RouterSpec {
    let mut spec = spec();
    spec.control.interface = "eth0".to_owned();
    spec.control.mac = mac(0);
    spec.public.interface = "eth1".to_owned();
    spec.public.mac = mac(1);
    spec.guest_networks = (0..3).map(tier).collect();
    let route = |[a, b, c]: [u8; 3], via: [u8; 4]| StaticRoute {
        id: id(),
        to: format!("{a}.{b}.{c}.0/24").parse().unwrap(),
        via: via.into(),
    };
    spec.vpc = Some(VpcSide {
        cidr: "10.0.0.0/16".parse().unwrap(),
        private_gateways: vec![gateway(0, false), gateway(1, true)],
        static_routes: vec![
            route(FAR[0], [192, 168, 0, 1]),
            route(FAR[1], [192, 168, 1, 1]),
            route(FAR[2], [10, 0, 3, 6]),
            route(FAR[3], [203, 0, 113, 1]),
        ],
    });
    assert_eq!(spec.validate(), Ok(()));
    spec
}

const CIDRS: &[&str] = &[
    "0.0.0.0/0",
    "0.0.0.0/1",
    "10.0.0.0/16",
    "10.0.0.0/8",
    "10.0.1.0/24",
    "10.0.1.5/32",
    "10.0.1.6/32",
    "10.0.2.0/24",
    "10.0.2.4/30",
    "10.0.3.0/24",
    "172.16.0.0/12",
    "172.16.1.0/24",
    "172.17.1.7/32",
    "192.168.0.0/23",
    "192.168.1.1/32",
    "198.51.100.0/24",
    "198.51.100.7/32",
    "192.0.2.0/24",
    "203.0.113.0/24",
];

fn item() -> impl Strategy<Value = AclItem> {
    let action = prop_oneof![Just(AclAction::Allow), Just(AclAction::Deny)];
    let direction = prop_oneof![Just(AclDirection::Ingress), Just(AclDirection::Egress)];
    let cidr = proptest::sample::select(CIDRS).prop_map(|c| c.parse::<Ipv4Net>().unwrap());
    (action, direction, matches(), vec(cidr, 1..4)).prop_map(|(action, direction, matches, cidrs)| AclItem {
        id: id(),
        number: 0,
        direction,
        action,
        matches,
        cidrs,
    })
}

/// Often open at its end, so that denials in between matter and packets get through.
pub fn acls() -> impl Strategy<Value = NetworkAcl> {
    let open = prop_oneof![Just(None), Just(Some(allow_all()))];
    let items = prop_oneof![1 => Just(Vec::new()), 9 => vec(item(), 0..8)];
    (items, open).prop_map(|(mut items, open)| {
        items.extend(open.into_iter().flat_map(|o| o.items));
        for (item, number) in items.iter_mut().zip(1..) {
            item.number = number * 10;
        }
        acl(items)
    })
}

fn guest() -> impl Strategy<Value = Ipv4Addr> {
    (0_usize..3, 5_u8..7).prop_map(|(t, n)| {
        let [a, b, c] = TIERS[t];
        Ipv4Addr::new(a, b, c, n)
    })
}

fn forwards() -> impl Strategy<Value = Vec<PortForward>> {
    let same =
        (protocol(), range(), guest()).prop_map(|(protocol, ports, guest)| (protocol, ports, guest, ports));
    let moved = (protocol(), 75_u16..90, guest(), 75_u16..90).prop_map(|(protocol, first, guest, to)| {
        let range = |first| super::ports(first, first + 2);
        (protocol, range(first), guest, range(to))
    });
    vec(prop_oneof![same, moved], 1..6).prop_map(|wanted| {
        let mut kept: Vec<PortForward> = Vec::new();
        for (protocol, public_ports, guest, private_ports) in wanted {
            let clash = |f: &PortForward| f.protocol == protocol && f.public_ports.overlaps(public_ports);
            if !kept.iter().any(clash) {
                kept.push(PortForward {
                    id: id(),
                    protocol,
                    public_ports,
                    guest,
                    private_ports,
                });
            }
        }
        kept
    })
}

/// Port 85 for some sources, where it is not forwarded.
fn balancers(forwards: &[PortForward]) -> Vec<LoadBalancer> {
    let forwarded =
        |f: &PortForward| f.protocol == outgate_model::Protocol::Tcp && f.public_ports.contains(85);
    let balancer = LoadBalancer {
        id: id(),
        public_port: 85,
        private_port: 85,
        algorithm: LbAlgorithm::RoundRobin,
        protocol: LbProtocol::Tcp,
        sources: vec!["198.51.100.0/25".parse().unwrap(), "10.0.1.0/24".parse().unwrap()],
        members: Vec::new(),
        stickiness: None,
        health_check: None,
    };
    let is_free = !forwards.iter().any(forwarded);
    is_free.then_some(balancer).into_iter().collect()
}

fn addresses() -> impl Strategy<Value = Vec<PublicAddress>> {
    let balanced = (vec(balancer(), 0..4), guest());
    let all = (forwards(), forwards(), guest(), balanced, any::<bool>());
    all.prop_map(|(first, second, owner, (mut balancers, member), pool)| {
        let source_nat = PublicAddress {
            source_nat: true,
            port_forwarding: first,
            ..public(10)
        };
        let mut shared = PublicAddress {
            source_nat_pool: pool,
            port_forwarding: second,
            ..public(11)
        };
        for balancer in &mut balancers {
            balancer.members = vec![member];
        }
        add_balancers(&mut shared, balancers);
        let owned = PublicAddress {
            static_nat: Some(owner),
            ..public(12)
        };
        vec![source_nat, shared, owned]
    })
}

/// Specs that pass validation, all for the same router.
pub fn vpc_specs() -> impl Strategy<Value = RouterSpec> {
    (addresses(), vec(acls(), 5), any::<[bool; 2]>()).prop_map(|(addresses, mut acls, source_nat)| {
        let mut spec = vpc_spec();
        spec.public.addresses = addresses;
        for tier in &mut spec.guest_networks {
            tier.acl = acls.pop();
        }
        let gateways = &mut spec.vpc.as_mut().unwrap().private_gateways;
        for ((gateway, acl), source_nat) in gateways.iter_mut().zip(acls).zip(source_nat) {
            gateway.acl = acl;
            gateway.source_nat = source_nat;
        }
        assert_eq!(spec.validate(), Ok(()));
        spec
    })
}

fn far(n: usize) -> impl Strategy<Value = [u8; 4]> {
    let [a, b, c] = FAR[n];
    Just([a, b, c, 7])
}

fn outside() -> impl Strategy<Value = [u8; 4]> {
    prop_oneof![3 => Just([198, 51, 100, 7]), 2 => Just([192, 0, 2, 9]), 1 => far(3)]
}

fn behind() -> impl Strategy<Value = [u8; 4]> {
    prop_oneof![
        Just([192, 168, 0, 1]),
        Just([192, 168, 1, 1]),
        far(0),
        far(1),
        far(2)
    ]
}

/// The interface that packets with this source should come in on.
fn home(source: [u8; 4]) -> String {
    match source {
        [10, 0, n, _] => format!("eth{}", 1 + n),
        [192, 168, n, _] => format!("eth{}", 5 + n),
        [172, 18, ..] => "eth4".to_owned(),
        [172, n @ (16 | 17), ..] => format!("eth{}", n - 11),
        _ => "eth1".to_owned(),
    }
}

fn sender() -> impl Strategy<Value = (String, [u8; 4])> {
    let strange = prop_oneof![
        Just([10, 0, 9, 5]),
        Just([203, 0, 113, 10]),
        Just([169, 254, 0, 1]),
        Just([127, 0, 0, 1]),
        Just([10, 0, 1, 1]),
    ];
    let guest = || guest().prop_map(|a| a.octets());
    let any = prop_oneof![guest(), outside(), behind(), strange];
    let interface = (0..7).prop_map(|n| format!("eth{n}"));
    prop_oneof![
        5 => guest().prop_map(|s| (home(s), s)),
        4 => outside().prop_map(|s| (home(s), s)),
        3 => behind().prop_map(|s| (home(s), s)),
        1 => (interface, any),
    ]
}

/// Packets that could open a session, from and to addresses that matter.
pub fn vpc_packets() -> impl Strategy<Value = Packet> {
    let public = (10_u8..13).prop_map(|n| [203, 0, 113, n]);
    let own = prop_oneof![
        Just([10, 0, 1, 1]),
        Just([10, 0, 2, 1]),
        Just([192, 168, 0, 2]),
        Just([169, 254, 1, 2]),
        Just([10, 0, 9, 5])
    ];
    let guest = guest().prop_map(|a| a.octets());
    let destination = prop_oneof![2 => public, 5 => guest, 3 => outside(), 3 => behind(), 1 => own];
    (sender(), destination, header()).prop_map(|((interface, source), destination, header)| Packet {
        interface,
        source: source.into(),
        destination: destination.into(),
        header,
        state: State::New,
    })
}
