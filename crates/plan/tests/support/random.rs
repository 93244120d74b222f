// SPDX-License-Identifier: Apache-2.0
//! Random valid specs: few addresses and ports, so that rules overlap, touch and repeat.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::router_spec::load_balancer::{
    AppCookieMode, HealthCheck, LbAlgorithm, LbCookieMode, LbProtocol, Stickiness,
};
use outgate_model::router_spec::{
    Egress, EgressPolicy, EgressRule, FirewallRule, Limits, LoadBalancer, PortForward, PublicAddress,
};
use outgate_model::{IcmpMatch, Match, PortRange, Protocol, RouterSpec};
use outgate_plan::packet::{Header, Packet, State};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{public, spec};

pub fn id<T: serde::de::DeserializeOwned>() -> T {
    serde_json::from_value("00000000-0000-4000-8000-0000000000aa".into()).unwrap()
}

pub fn range() -> impl Strategy<Value = PortRange> {
    let near = (75_u16..90, 0_u16..8).prop_map(|(first, more)| PortRange::new(first, first + more).unwrap());
    let single = (75_u16..90).prop_map(|p| PortRange::single(p).unwrap());
    prop_oneof![4 => near, 4 => single, 1 => Just(PortRange::ALL)]
}

pub fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)]
}

pub fn matches() -> impl Strategy<Value = Match> {
    let byte = || prop_oneof![Just(None), (0_u8..12).prop_map(Some)];
    let icmp = (byte(), byte()).prop_map(|(kind, code)| Match::Icmp {
        icmp: IcmpMatch {
            kind,
            code: kind.and(code),
        },
    });
    prop_oneof![
        1 => Just(Match::All),
        6 => (protocol(), range()).prop_map(|(protocol, ports)| Match::Ports { protocol, ports }),
        2 => icmp,
        1 => prop_oneof![Just(47), Just(50), Just(132), Just(6)].prop_map(|number| Match::Number { number }),
    ]
}

fn cidrs(within: &'static [&'static str]) -> impl Strategy<Value = Vec<Ipv4Net>> {
    vec(
        proptest::sample::select(within).prop_map(|c| c.parse::<Ipv4Net>().unwrap()),
        1..3,
    )
}

const OUTSIDE: &[&str] = &[
    "0.0.0.0/0",
    "198.51.100.0/24",
    "198.51.100.0/25",
    "198.51.100.7/32",
    "198.51.100.8/32",
    "192.0.2.0/24",
    "10.1.1.5/32",
];
const INSIDE: &[&str] = &[
    "0.0.0.0/0",
    "10.1.1.0/24",
    "10.1.1.4/30",
    "10.1.1.5/32",
    "10.1.1.6/32",
];

fn firewall() -> impl Strategy<Value = Vec<FirewallRule>> {
    let rule = (matches(), cidrs(OUTSIDE)).prop_map(|(matches, sources)| FirewallRule {
        id: id(),
        matches,
        sources,
    });
    vec(rule, 0..5)
}

fn guest() -> impl Strategy<Value = Ipv4Addr> {
    (5_u8..9).prop_map(|n| Ipv4Addr::new(10, 1, 1, n))
}

fn forwards() -> impl Strategy<Value = Vec<PortForward>> {
    let same =
        (protocol(), range(), guest()).prop_map(|(protocol, ports, guest)| (protocol, ports, guest, ports));
    let moved = (protocol(), 75_u16..90, 0_u16..4, guest(), 8_000_u16..8_003).prop_map(
        |(protocol, first, more, guest, to)| {
            let range = |first| PortRange::new(first, first + more).unwrap();
            (protocol, range(first), guest, range(to))
        },
    );
    vec(prop_oneof![same, moved], 0..6).prop_map(|wanted| {
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

fn stickiness() -> impl Strategy<Value = Option<Stickiness>> {
    let name = || proptest::sample::select(&["SRV", "a.b-c_d"][..]).prop_map(|n| n.parse().unwrap());
    let mode = prop_oneof![
        Just(LbCookieMode::Insert),
        Just(LbCookieMode::Rewrite),
        Just(LbCookieMode::Prefix)
    ];
    let domain = proptest::option::of(Just(".example.org").prop_map(|d| d.parse().unwrap()));
    let lb = (name(), mode, any::<[bool; 3]>(), domain).prop_map(|(name, mode, flags, domain)| {
        Stickiness::LbCookie {
            name,
            mode,
            nocache: flags[0],
            indirect: flags[1] && mode != LbCookieMode::Rewrite,
            postonly: flags[2],
            domain,
        }
    });
    let mode = prop_oneof![
        Just(None),
        Just(Some(AppCookieMode::PathParameters)),
        Just(Some(AppCookieMode::QueryString))
    ];
    let app = (name(), 1_u16..=1_024, 1_u32..=86_400, any::<bool>(), mode).prop_map(
        |(name, length, hold_secs, request_learn, mode)| Stickiness::AppCookie {
            name,
            length,
            hold_secs,
            request_learn,
            mode,
        },
    );
    let source =
        (1_u32..=1_048_576, 1_u32..=86_400).prop_map(|(table_size, expire_secs)| Stickiness::SourceBased {
            table_size,
            expire_secs,
        });
    prop_oneof![2 => Just(None), 2 => lb.prop_map(Some), 1 => app.prop_map(Some), 1 => source.prop_map(Some)]
}

fn health_check() -> impl Strategy<Value = HealthCheck> {
    let path = proptest::sample::select(&["/", "/health?full=1&x=%20;y=(*)"][..]);
    (path, 1_u32..=20_940, 1_u32..=60, 1_u8.., 1_u8..).prop_map(
        |(path, interval_secs, timeout_secs, healthy, unhealthy)| HealthCheck {
            ping_path: path.parse().unwrap(),
            interval_secs,
            timeout_secs,
            healthy,
            unhealthy,
        },
    )
}

pub fn balancer() -> impl Strategy<Value = LoadBalancer> {
    let algorithm = prop_oneof![
        Just(LbAlgorithm::RoundRobin),
        Just(LbAlgorithm::LeastConn),
        Just(LbAlgorithm::Source)
    ];
    let protocol = prop_oneof![Just(LbProtocol::Tcp), Just(LbProtocol::TcpProxy)];
    let what = (75_u16..90, 1_u16.., algorithm, protocol);
    let who = (
        cidrs(OUTSIDE),
        proptest::collection::btree_set(guest(), 0..3),
        stickiness(),
    );
    (what, who, proptest::option::of(health_check())).prop_map(
        |((public_port, private_port, algorithm, protocol), (sources, members, stickiness), health_check)| {
            LoadBalancer {
                id: id(),
                public_port,
                private_port,
                algorithm,
                protocol,
                sources,
                members: members.into_iter().collect(),
                stickiness,
                health_check,
            }
        },
    )
}

/// Balancers of ports that nobody else has.
pub fn add_balancers(address: &mut PublicAddress, wanted: Vec<LoadBalancer>) {
    for mut balancer in wanted {
        let port = balancer.public_port;
        let forwarded = |f: &PortForward| f.protocol == Protocol::Tcp && f.public_ports.contains(port);
        let free = !address.load_balancers.iter().any(|b| b.public_port == port);
        if free && !address.port_forwarding.iter().any(forwarded) {
            let last = address.address.addr().octets()[3];
            let unique = format!("00000000-0000-4000-8{last:03}-{port:012}");
            balancer.id = serde_json::from_value(unique.into()).unwrap();
            address.load_balancers.push(balancer);
        }
    }
}

#[derive(Debug, Clone)]
enum Use {
    Nothing,
    Forwards(Vec<PortForward>, Vec<LoadBalancer>),
    Static(Ipv4Addr),
}

fn addresses() -> impl Strategy<Value = Vec<PublicAddress>> {
    let usage = prop_oneof![
        1 => Just(Use::Nothing),
        3 => (forwards(), vec(balancer(), 0..3)).prop_map(|(f, b)| Use::Forwards(f, b)),
        2 => guest().prop_map(Use::Static),
    ];
    let all = vec(proptest::option::weighted(0.8, (usage, firewall())), 4);
    (all, 0_usize..4, any::<bool>()).prop_map(|(all, chosen, pool)| {
        let mut addresses: Vec<PublicAddress> = Vec::new();
        let mut owners = Vec::new();
        for (i, entry) in all.into_iter().enumerate() {
            let Some((usage, firewall)) = entry else { continue };
            let mut address = PublicAddress {
                firewall,
                ..public(10 + u8::try_from(i).unwrap())
            };
            match usage {
                Use::Forwards(forwards, balancers) => {
                    address.port_forwarding = forwards;
                    add_balancers(&mut address, balancers);
                }
                Use::Static(guest) if !owners.contains(&guest) => {
                    owners.push(guest);
                    address.static_nat = Some(guest);
                }
                Use::Static(_) | Use::Nothing => {}
            }
            addresses.push(address);
        }
        if addresses.is_empty() {
            addresses.push(public(10));
        }
        let chosen = chosen % addresses.len();
        addresses[chosen].source_nat = true;
        addresses[chosen].static_nat = None;
        for (i, address) in addresses.iter_mut().enumerate() {
            address.source_nat_pool = pool && i != chosen && address.static_nat.is_none();
        }
        addresses
    })
}

fn egress() -> impl Strategy<Value = Egress> {
    let default = prop_oneof![Just(EgressPolicy::Allow), Just(EgressPolicy::Deny)];
    let rule =
        (matches(), cidrs(INSIDE), cidrs(OUTSIDE)).prop_map(|(matches, sources, destinations)| EgressRule {
            id: id(),
            matches,
            sources,
            destinations,
        });
    (default, vec(rule, 0..6)).prop_map(|(default, rules)| Egress { default, rules })
}

/// Some limits or none, so high that no test meets them.
pub fn limits() -> impl Strategy<Value = Limits> {
    let limit = || proptest::option::of(proptest::sample::select(&[1_000_u32, 86_400, 1_000_000][..]));
    (limit(), limit(), limit(), limit()).prop_map(|(guest_sessions, guest_rate, source_rate, ping_rate)| {
        Limits {
            guest_sessions,
            guest_rate,
            source_rate,
            ping_rate,
        }
    })
}

/// Specs that pass validation, all for the same router.
pub fn specs() -> impl Strategy<Value = RouterSpec> {
    (addresses(), egress(), limits()).prop_map(|(addresses, egress, limits)| {
        let mut spec = spec();
        spec.limits = limits;
        spec.public.addresses = addresses;
        spec.guest_networks[0].egress = egress;
        assert_eq!(spec.validate(), Ok(()));
        spec
    })
}

pub fn header() -> impl Strategy<Value = Header> {
    let port = || prop_oneof![8 => 75_u16..90, 2 => 8_000_u16..8_003, 1 => Just(53), 1 => Just(3_922), 1 => any::<u16>()];
    prop_oneof![
        5 => port().prop_map(|destination| Header::Tcp { source: 40_000, destination }),
        5 => port().prop_map(|destination| Header::Udp { source: 40_000, destination }),
        2 => (prop_oneof![3 => Just(8_u8), 1 => 0_u8..18], 0_u8..3).prop_map(|(kind, code)| Header::Icmp { kind, code }),
        1 => prop_oneof![Just(47), Just(50), Just(132)].prop_map(Header::Other),
    ]
}

/// Packets that could open a session, on any interface, from and to addresses that matter.
pub fn packets() -> impl Strategy<Value = Packet> {
    let outside = || {
        prop_oneof![
            Just([198, 51, 100, 7]),
            Just([198, 51, 100, 200]),
            Just([192, 0, 2, 9])
        ]
    };
    let guest = || (4_u8..9).prop_map(|n| [10, 1, 1, n]);
    let public = || (10_u8..15).prop_map(|n| [203, 0, 113, n]);
    let source = prop_oneof![3 => outside(), 5 => guest(), 1 => public(), 1 => Just([169, 254, 0, 1]), 1 => Just([127, 0, 0, 1])];
    let destination = prop_oneof![4 => public(), 3 => outside(), 1 => guest(), 1 => Just([10, 1, 1, 1]), 1 => Just([169, 254, 1, 2])];
    let any_side = (prop_oneof![Just("eth0"), Just("eth1"), Just("eth2")], source);
    let side = prop_oneof![
        4 => guest().prop_map(|source| ("eth0", source)),
        4 => outside().prop_map(|source| ("eth2", source)),
        2 => any_side,
    ];
    (side, destination, header()).prop_map(|((interface, source), destination, header)| Packet {
        interface: interface.to_owned(),
        source: source.into(),
        destination: destination.into(),
        header,
        state: State::New,
    })
}
