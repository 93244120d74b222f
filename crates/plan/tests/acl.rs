// SPDX-License-Identifier: Apache-2.0
//! Network ACLs, the model against the kernel: 100,000 random packets through VPC routers with random ACLs, into, out of
//! and between tiers and private gateways. Each must arrive where, and as what, `packet::verdict` says, and nothing
//! else may arrive. Needs root: it makes a small world of namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use outgate_model::{MacAddr, RouterSpec};
use outgate_plan::diff::nft_script;
use outgate_plan::packet::{Header, Packet, Reason, Verdict, verdict};
use outgate_plan::{Ruleset, plan};
use outgate_testkit::{Namespace, RawSender, Sniffer, connect, ipv4_packet, wait_until};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use support::payload::payload;
use support::vpc::{TIERS, vpc_packets, vpc_spec, vpc_specs};

const SPECS: u16 = 200;
const PACKETS: usize = 500;
/// An address that no packet has: what comes to a side is never for itself, so nobody answers.
const NOBODY: &str = "192.0.0.1/32";
/// How many hops a packet may go when it is sent.
const TTL: u8 = 64;

/// A side of the router: everything beyond one of its interfaces.
struct Side {
    _namespace: Namespace,
    sniffer: Sniffer,
    sender: RawSender,
}

struct World {
    router: Namespace,
    sides: BTreeMap<String, Side>,
}

fn run(namespace: &Namespace, command: &str) {
    namespace.check(&command.split(' ').collect::<Vec<_>>()).unwrap();
}

/// Who lives next to the router on an interface.
fn neighbours(interface: &str) -> Vec<Ipv4Addr> {
    match interface {
        "eth0" => vec![[169, 254, 0, 1].into()],
        "eth1" => vec![[203, 0, 113, 1].into()],
        "eth5" => vec![[192, 168, 0, 1].into()],
        "eth6" => vec![[192, 168, 1, 1].into()],
        tier => {
            let [a, b, c] = TIERS[usize::from(tier.as_bytes()[3] - b'2')];
            [5, 6].map(|n| Ipv4Addr::new(a, b, c, n)).to_vec()
        }
    }
}

/// The router's interfaces, addresses, routes and parameters as planned; every neighbour is known beforehand.
async fn world(spec: &RouterSpec) -> World {
    let plan = plan(spec);
    let router = Namespace::new().await.unwrap();
    let mut sides = BTreeMap::new();
    for (number, (interface, link)) in plan.links.iter().enumerate() {
        let namespace = Namespace::new().await.unwrap();
        let mac = MacAddr([2, 0, 0, 0, 2, u8::try_from(number).unwrap()]);
        let far = (&router, interface.as_str(), Some(link.mac));
        connect((&namespace, "side", Some(mac)), None, far, 1_500)
            .await
            .unwrap();
        for address in &link.addresses {
            run(&router, &format!("ip addr add {address} dev {interface}"));
        }
        for neighbour in neighbours(interface) {
            run(
                &router,
                &format!("ip neigh replace {neighbour} lladdr {mac} dev {interface}"),
            );
        }
        let gateway = link.addresses.first().unwrap().addr();
        namespace.address("side", NOBODY.parse().unwrap()).await.unwrap();
        run(
            &namespace,
            &format!("ip neigh replace {gateway} lladdr {} dev side", link.mac),
        );
        run(
            &namespace,
            &format!("ip route add default via {gateway} dev side onlink"),
        );
        let side = Side {
            sniffer: Sniffer::start(&namespace).unwrap(),
            sender: RawSender::new(&namespace).unwrap(),
            _namespace: namespace,
        };
        sides.insert(interface.clone(), side);
    }
    for route in &plan.routes {
        run(&router, &format!("ip route replace {route}"));
    }
    for (name, sysctl) in plan.sysctls.iter().filter(|(_, s)| s.required) {
        router.sysctl(name, &sysctl.value).unwrap();
    }
    World { router, sides }
}

/// A packet as it arrives: its number, on which interface's far side, addresses, destination port.
type Arrival = (u16, String, Ipv4Addr, Ipv4Addr, Option<u16>);

/// The source port, or ICMP id, of the first packet of a round.
const FIRST_PORT: u16 = 30_000;

/// Where the model wants the packet to arrive: at its receiver, or as the router's own answer, to a ping, or to a SYN
/// where it would listen if its services ran.
fn expected(spec: &RouterSpec, packet: &Packet, number: u16) -> Option<Arrival> {
    match verdict(spec, packet) {
        Verdict::Forward {
            out,
            source,
            destination,
            destination_port,
        } => Some((number, out, source, destination, destination_port)),
        Verdict::Deliver => {
            let port = match packet.header {
                Header::Icmp { kind: 8, .. } => None,
                Header::Tcp { .. } => Some(FIRST_PORT + number),
                _ => return None,
            };
            let side = packet.interface.clone();
            Some((number, side, packet.destination, packet.source, port))
        }
        Verdict::Drop { .. } | Verdict::AsSession => None,
    }
}

/// One router's packets.
struct Round {
    number: u16,
    sent: Vec<(Packet, Vec<u8>)>,
    seen: BTreeSet<Arrival>,
}

impl Round {
    fn new(number: u16, packets: Vec<Packet>) -> Self {
        let payload = |(packet, n): (Packet, u16)| {
            let tag = [b"outgate", &number.to_be_bytes()[..], &n.to_be_bytes()].concat();
            let payload = payload(&packet, FIRST_PORT + n, &tag);
            (packet, payload)
        };
        Self {
            number,
            sent: packets.into_iter().zip(0..).map(payload).collect(),
            seen: BTreeSet::new(),
        }
    }

    fn send(&self, world: &World) {
        for (packet, payload) in &self.sent {
            let bytes = ipv4_packet(packet.source, packet.destination, packet.header.number(), payload);
            let sender = &world.sides[&packet.interface].sender;
            sender.send(&bytes, packet.destination).unwrap();
        }
    }

    /// Takes down what has arrived: what passed the router, and its answers to pings.
    fn look(&mut self, world: &World) {
        for (side, at) in &world.sides {
            for arrived in at.sniffer.take() {
                if let Some((number, port)) = self.recognise(side, &arrived) {
                    let (from, to) = (arrived.source, arrived.destination);
                    self.seen.insert((number, side.clone(), from, to, port));
                }
            }
        }
    }

    fn recognise(&self, side: &str, arrived: &outgate_testkit::Packet) -> Option<(u16, Option<u16>)> {
        if let (6, Some(0x14), Some((_, port))) = (arrived.protocol, arrived.payload.get(13), arrived.ports())
        {
            // The router's RST: there is no service here.
            return Some((port.checked_sub(FIRST_PORT)?, Some(port)));
        }
        let (head, number) = arrived.payload.split_last_chunk::<2>()?;
        let (head, round) = head.split_last_chunk::<2>()?;
        let number = u16::from_be_bytes(*number);
        let (packet, payload) = self.sent.get(usize::from(number))?;
        // An error that quotes it is longer.
        let whole = head.ends_with(b"outgate") && arrived.payload.len() == payload.len();
        if !whole || arrived.protocol != packet.header.number() {
            return None;
        }
        assert_eq!(
            u16::from_be_bytes(*round),
            self.number,
            "it arrived when nobody expected it any more"
        );
        let is_answer = arrived.protocol == 1 && arrived.payload[0] == 0 && payload[0] == 8;
        let passed = arrived.ttl == TTL - 1;
        let port = packet.header.ports().and(arrived.ports()).map(|(_, port)| port);
        (passed || (is_answer && side == packet.interface)).then_some((number, port))
    }
}

/// What the model says of a round, for people who read that the test means something.
#[derive(Debug, Default)]
struct Tally {
    arrived: usize,
    /// By what stopped it.
    dropped: BTreeMap<String, usize>,
    /// By which kind of side it left on.
    inward: usize,
    outward: usize,
    between: usize,
}

impl Tally {
    fn count(&mut self, spec: &RouterSpec, packet: &Packet) {
        let is_tier = |interface: &str| spec.guest_networks.iter().any(|n| n.interface == interface);
        match verdict(spec, packet) {
            Verdict::Drop { why } => *self.dropped.entry(format!("{why:?}")).or_default() += 1,
            Verdict::Forward { out, .. } => match (is_tier(&packet.interface), is_tier(&out)) {
                (true, true) => self.between += 1,
                (true, false) => self.outward += 1,
                _ => self.inward += 1,
            },
            Verdict::Deliver | Verdict::AsSession => {}
        }
    }
}

/// Sends all packets through a router with this spec and compares.
fn compare(world: &World, spec: &RouterSpec, mut round: Round, tally: &mut Tally) {
    let script = nft_script(&Ruleset::default(), &plan(spec).ruleset).unwrap();
    world.router.check(&["nft", &script]).unwrap();
    run(&world.router, "conntrack -F");
    let numbered = round.sent.iter().zip(0..);
    let wanted: BTreeSet<Arrival> = numbered
        .filter_map(|((packet, _), number)| expected(spec, packet, number))
        .collect();
    round.send(world);
    let _ = wait_until(Duration::from_secs(60), "all that must arrive", || {
        round.look(world);
        round.seen.is_superset(&wanted).then_some(())
    });
    let about = |all: Vec<&Arrival>| -> Vec<String> {
        all.iter()
            .map(|a| format!("{a:?} of {:?}", round.sent[usize::from(a.0)].0))
            .collect()
    };
    let (missing, surplus) = (
        about(wanted.difference(&round.seen).collect()),
        about(round.seen.difference(&wanted).collect()),
    );
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:#?}\nsurplus {surplus:#?}\n{spec:#?}"
    );
    tally.arrived += wanted.len();
    for (packet, _) in &round.sent {
        tally.count(spec, packet);
    }
}

/// Without ports two packets may belong to one session; conntrack takes SCTP only with a true CRC.
fn chosen(spec: &RouterSpec, runner: &mut TestRunner) -> Vec<Packet> {
    let mut pairs = BTreeSet::new();
    let mut chosen = Vec::with_capacity(PACKETS);
    let packets = vpc_packets();
    while chosen.len() < PACKETS {
        let packet = packets.new_tree(runner).unwrap().current();
        if let Header::Other(protocol) = packet.header {
            let pair = |a: Ipv4Addr, b: Ipv4Addr| (protocol, a.min(b), a.max(b));
            let sent = pair(packet.source, packet.destination);
            let passed = match verdict(spec, &packet) {
                Verdict::Forward {
                    source, destination, ..
                } => pair(source, destination),
                _ => sent,
            };
            if protocol == 132 || pairs.contains(&sent) || pairs.contains(&passed) {
                continue;
            }
            pairs.extend([sent, passed]);
        }
        chosen.push(packet);
    }
    chosen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hundred_thousand_packets_meet_the_verdict_of_the_model_in_the_kernel() {
    let world = world(&vpc_spec_with_addresses()).await;
    let mut runner = TestRunner::deterministic();
    let mut tally = Tally::default();
    for number in 0..SPECS {
        let spec = vpc_specs().new_tree(&mut runner).unwrap().current();
        let packets = chosen(&spec, &mut runner);
        compare(&world, &spec, Round::new(number, packets), &mut tally);
    }
    println!("{tally:?}");
    let (total, acl) = (
        usize::from(SPECS) * PACKETS,
        tally.dropped[&format!("{:?}", Reason::Acl)],
    );
    assert!(tally.arrived > total / 10 && acl > total / 10, "{tally:?}");
    assert!(
        tally.inward.min(tally.outward).min(tally.between) > total / 50,
        "{tally:?}"
    );
}

/// With every public address that the random specs have.
fn vpc_spec_with_addresses() -> RouterSpec {
    let mut spec = vpc_spec();
    for n in [11, 12] {
        spec.public.addresses.push(support::public(n));
    }
    spec
}
