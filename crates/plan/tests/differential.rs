// SPDX-License-Identifier: Apache-2.0
//! The model against the kernel: random packets through routers with random specs. Each must arrive where, and as what,
//! `packet::verdict` says, and nothing else may arrive. Needs root: it makes a small world of namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use outgate_model::RouterSpec;
use outgate_plan::packet::{Header, Packet, Verdict, verdict};
use outgate_testkit::{Sniffer, Topology, ipv4_packet, send_packet, wait_until};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use support::random::{packets, specs};
use support::world::{apply, world};

const SPECS: usize = 16;
const PACKETS: usize = 150;

/// Whether the world can send it to the router at all, and nothing but the router decides what becomes of it.
fn can_be_sent(spec: &RouterSpec, packet: &Packet) -> bool {
    let to = packet.destination;
    let pool = (10..15).any(|n| to == Ipv4Addr::new(203, 0, 113, n));
    let nobodys = pool && !spec.public.addresses.iter().any(|a| a.address.addr() == to);
    let guest = to.octets()[..3] == [10, 1, 1] && to.octets()[3] != 1;
    let outside = matches!(to.octets(), [198, 51, 100, _] | [192, 0, 2, _]);
    let own = match packet.interface.as_str() {
        "eth0" => guest,
        "eth2" => outside || to == Ipv4Addr::new(10, 1, 1, 1),
        _ => false,
    };
    // Conntrack takes SCTP only with a true CRC.
    !nobodys && !own && packet.header != Header::Other(132)
}

/// The packet's payload, with the number of the packet at its end. The source port (or ICMP id) is the packet's own.
fn payload(packet: &Packet, number: u16) -> Vec<u8> {
    let tag = [b"outgate", number.to_be_bytes().as_slice()].concat();
    support::payload::payload(packet, 30_000 + number, &tag)
}

/// A packet as it arrives: its number, on which side, addresses, destination port.
type Arrival = (u16, &'static str, Ipv4Addr, Ipv4Addr, Option<u16>);

/// The side that a packet is sent on.
fn side(packet: &Packet) -> &'static str {
    match packet.interface.as_str() {
        "eth0" => "guest",
        "eth1" => "control",
        _ => "internet",
    }
}

/// Where the model wants the packet to arrive, and the answer to a ping, which whoever gets it gives.
fn expected(spec: &RouterSpec, packet: &Packet, number: u16) -> Vec<Arrival> {
    let answer = (number, side(packet), packet.destination, packet.source, None);
    let answer = matches!(packet.header, Header::Icmp { kind: 8, .. }).then_some(answer);
    match verdict(spec, packet) {
        Verdict::Forward {
            out,
            source,
            destination,
            destination_port,
        } => {
            let side = if out == "eth0" { "guest" } else { "internet" };
            answer
                .into_iter()
                .chain([(number, side, source, destination, destination_port)])
                .collect()
        }
        Verdict::Deliver => answer.into_iter().collect(),
        Verdict::Drop { .. } | Verdict::AsSession => Vec::new(),
    }
}

/// What arrived on one side that was not sent there: packets, and answers to pings.
fn arrivals(here: &'static str, sniffer: &Sniffer, sent: &[(Packet, Vec<u8>)]) -> BTreeSet<Arrival> {
    let mut seen = BTreeSet::new();
    for arrived in sniffer.packets() {
        let Some((head, number)) = arrived.payload.split_last_chunk::<2>() else {
            continue;
        };
        let number = u16::from_be_bytes(*number);
        let Some((packet, payload)) = sent.get(usize::from(number)) else {
            continue;
        };
        if !head.ends_with(b"outgate") || arrived.payload.len() != payload.len() {
            // An error that quotes it.
            continue;
        }
        let ends = (arrived.source, arrived.destination);
        let at_home = side(packet) == here;
        let icmp = packet.header.number() == 1 && arrived.protocol == 1;
        let same =
            arrived.protocol == packet.header.number() && (!icmp || arrived.payload[..2] == payload[..2]);
        let is_arrival = same && !(at_home && ends == (packet.source, packet.destination));
        let is_answer =
            icmp && at_home && arrived.payload[0] == 0 && ends == (packet.destination, packet.source);
        if is_arrival || is_answer {
            let port = packet.header.ports().and(arrived.ports()).map(|(_, port)| port);
            seen.insert((number, here, ends.0, ends.1, port));
        }
    }
    seen
}

/// Sends all packets through a router with this spec and compares.
fn compare(world: &Topology, spec: &RouterSpec, packets: Vec<Packet>) -> usize {
    apply(world, spec);
    let sides = [
        ("guest", &world.guests[0]),
        ("internet", &world.internet),
        ("control", &world.control),
    ];
    let sniffers = sides.map(|(side, namespace)| (side, Sniffer::start(namespace).unwrap()));
    let sent: Vec<(Packet, Vec<u8>)> = packets
        .into_iter()
        .zip(0..)
        .map(|(packet, number)| (packet.clone(), payload(&packet, number)))
        .collect();
    let wanted: BTreeSet<Arrival> = sent
        .iter()
        .zip(0..)
        .flat_map(|((packet, _), number)| expected(spec, packet, number))
        .collect();
    for (packet, payload) in &sent {
        let from = match side(packet) {
            "guest" => &world.guests[0],
            "control" => &world.control,
            _ => &world.internet,
        };
        let bytes = ipv4_packet(packet.source, packet.destination, packet.header.number(), payload);
        send_packet(from, &bytes, packet.destination).unwrap();
    }
    let seen = || {
        sniffers
            .iter()
            .flat_map(|(here, s)| arrivals(here, s, &sent))
            .collect::<BTreeSet<_>>()
    };
    let _ = wait_until(Duration::from_secs(60), "all that must arrive", || {
        seen().is_superset(&wanted).then_some(())
    });
    assert!(
        world.guests[0].pings(Ipv4Addr::new(10, 1, 1, 1), 1).unwrap(),
        "the router answers"
    );
    let seen = seen();
    let about = |all: Vec<&Arrival>| -> Vec<String> {
        all.iter()
            .map(|a| format!("{a:?} of {:?}", sent[usize::from(a.0)].0))
            .collect()
    };
    let (missing, surplus) = (
        about(wanted.difference(&seen).collect()),
        about(seen.difference(&wanted).collect()),
    );
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:#?}\nsurplus {surplus:#?}\n{spec:#?}"
    );
    wanted.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_kernel_does_with_random_packets_what_the_model_says() {
    let world = world().await;
    let mut runner = TestRunner::deterministic();
    let mut arrived = 0;
    for _ in 0..SPECS {
        let spec = specs().new_tree(&mut runner).unwrap().current();
        let mut seen = BTreeSet::new();
        let mut chosen = Vec::new();
        while chosen.len() < PACKETS {
            let packet = packets().new_tree(&mut runner).unwrap().current();
            // Without ports, a packet either way would belong to the other's session: one for each peer outside.
            let outside = [packet.source, packet.destination]
                .into_iter()
                .find(|a| matches!(a.octets()[0], 192 | 198));
            let other = matches!(packet.header, Header::Other(_));
            if can_be_sent(&spec, &packet) && (!other || seen.insert((outside, packet.header))) {
                chosen.push(packet);
            }
        }
        arrived += compare(&world, &spec, chosen);
    }
    assert!(
        arrived > SPECS * PACKETS / 20,
        "enough packets pass to mean something: {arrived}"
    );
    println!("{arrived} of {} packets arrived", SPECS * PACKETS);
}
