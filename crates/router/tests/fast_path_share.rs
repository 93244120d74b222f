// SPDX-License-Identifier: Apache-2.0
//! How much of what established sessions send the fast path carries, in clouds with many networks and ways: at least nine
//! packets of ten, whichever way they go.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use outgate_model::id::{FirewallRuleId, PortForwardingRuleId};
use outgate_model::router_spec::{FastPathMode, FirewallRule, PortForward, PublicAddress};
use outgate_model::{Match, PortRange, Protocol, RouterSpec};
use outgate_router::fast_path::FastPathStatus;
use outgate_testkit::{Namespace, UdpEcho, UdpStream, wait_until};
use support::vpc::{VpcWorld, add_gateway, at, default_allow, tier, vpc};
use support::{EngineThread, World, spec};

const LIMIT: Duration = Duration::from_secs(60);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// Datagrams a second of each flow.
const RATE: u32 = 100;
/// More than a set of paths has places.
const TIERS: u8 = 12;

/// Flows of datagrams, each answered.
#[derive(Default)]
struct Flows {
    echoes: Vec<UdpEcho>,
    streams: Vec<(String, UdpStream)>,
}

impl Flows {
    fn answers(&mut self, place: &Namespace, address: impl Into<Ipv4Addr>) {
        let address = SocketAddrV4::new(address.into(), 7);
        self.echoes.push(UdpEcho::start(place, address).unwrap());
    }

    fn flow(&mut self, what: impl Into<String>, from: &Namespace, to: SocketAddrV4) {
        self.streams
            .push((what.into(), UdpStream::start(from, to, RATE).unwrap()));
    }

    /// Waits until in half a second the fast path has carried at least nine tenths of what the router got, while every flow went on.
    fn take_the_fast_path(&self, engine: &EngineThread) {
        let status = || {
            // A sign of life too.
            engine.router(|engine| {
                assert_eq!(engine.heal().unwrap(), None);
                engine.fast_path()
            })
        };
        let received = || self.streams.iter().map(|(_, stream)| stream.received());
        let mut last = String::new();
        wait_until(LIMIT, "nine of ten packets take the fast path", || {
            let (before, flows): (_, Vec<_>) = (status(), received().collect());
            std::thread::sleep(Duration::from_millis(500));
            let after = status();
            let stuck = flows.iter().zip(received()).zip(&self.streams);
            let stuck: Vec<_> = stuck
                .filter(|((before, now), _)| **before + 5 > *now)
                .map(|(_, (what, _))| what)
                .collect();
            last = format!("stuck: {stuck:?}, {}", change(&before, &after));
            let (hits, all) = hits_of_all(&before, &after);
            (stuck.is_empty() && hits * 10 >= all * 9).then_some(())
        })
        .unwrap_or_else(|e| panic!("{e}: {last}"));
        for (what, stream) in &self.streams {
            assert!(stream.received() > 0, "{what}");
        }
    }
}

fn counts<'a>(before: &'a FastPathStatus, after: &'a FastPathStatus) -> impl Iterator<Item = (&'a str, u64)> {
    let each = after.packets().map(|(way, now)| {
        let then = before.counters.get(way).copied().unwrap_or_default();
        (way, now - then)
    });
    each.filter(|(_, count)| *count > 0)
}

fn change(before: &FastPathStatus, after: &FastPathStatus) -> String {
    let each = counts(before, after).map(|(name, count)| format!("{count} {name}"));
    each.collect::<Vec<_>>().join(", ")
}

fn hits_of_all(before: &FastPathStatus, after: &FastPathStatus) -> (u64, u64) {
    let hits = counts(before, after).filter(|(name, _)| *name == "hit");
    (
        hits.map(|(_, count)| count).sum(),
        counts(before, after).map(|(_, count)| count).sum(),
    )
}

/// All packets on one CPU, which has a part of the tables only.
fn on_one_cpu() {
    let all = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let one = (0..CpuSet::count())
        .find(|cpu| all.is_set(*cpu).unwrap())
        .unwrap();
    let mut set = CpuSet::new();
    set.set(one).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

fn udp_from_everywhere() -> Vec<FirewallRule> {
    vec![FirewallRule {
        id: FirewallRuleId::new(),
        matches: Match::Ports {
            protocol: Protocol::Udp,
            ports: PortRange::ALL,
        },
        sources: vec!["0.0.0.0/0".parse().unwrap()],
    }]
}

/// Public address 203.0.113.`last` is the guest's alone.
fn add_static_nat(spec: &mut RouterSpec, last: u8, guest: [u8; 4]) {
    let template = spec.public.addresses[0].clone();
    spec.public.addresses.push(PublicAddress {
        address: format!("203.0.113.{last}/24").parse().unwrap(),
        source_nat: false,
        static_nat: Some(guest.into()),
        port_forwarding: Vec::new(),
        ..template
    });
}

#[test]
fn of_a_vpc_with_twelve_tiers_that_talk_to_each_other_and_to_all_sides() {
    on_one_cpu();
    let mut world = VpcWorld::new();
    let mut spec = vpc((1..=TIERS).map(|number| tier(number, default_allow())));
    for number in 1..=TIERS {
        world.plug_tier(number);
    }
    world.plug(TIERS + 2, &["192.168.7.1/24", "172.16.1.9/32"], "192.168.7.2");
    add_gateway(&mut spec, TIERS + 2, false, default_allow());
    add_static_nat(&mut spec, 12, [10, 0, 1, 6]);
    spec.fastpath = FastPathMode::Required;
    world.apply(&spec);

    let mut flows = Flows::default();
    flows.answers(&world.internet, SERVER);
    flows.answers(world.guests(1), [10, 0, 1, 5]);
    flows.answers(world.guests(1), [10, 0, 1, 6]);
    flows.answers(world.side(TIERS + 2), [172, 16, 1, 9]);
    for number in 1..=TIERS {
        let guests = world.guests(number);
        flows.flow(format!("tier {number} out"), guests, SocketAddrV4::new(SERVER, 7));
        if number > 1 {
            flows.flow(format!("tier {number} to 1"), guests, at([10, 0, 1, 5], 7));
        }
    }
    let private = at([172, 16, 1, 9], 7);
    flows.flow("private gateway", world.guests(2), private);
    flows.flow("static NAT", &world.internet, at([203, 0, 113, 12], 7));
    flows.take_the_fast_path(&world);
}

#[test]
fn of_guests_with_forwards_addresses_of_their_own_and_hairpins() {
    let world = World::new();
    let mut spec = spec();
    spec.public.addresses[0].firewall = udp_from_everywhere();
    spec.public.addresses[0].port_forwarding = vec![PortForward {
        id: PortForwardingRuleId::new(),
        protocol: Protocol::Udp,
        public_ports: PortRange::single(7).unwrap(),
        guest: [10, 1, 1, 11].into(),
        private_ports: PortRange::single(7).unwrap(),
    }];
    add_static_nat(&mut spec, 12, [10, 1, 1, 12]);
    spec.fastpath = FastPathMode::Required;
    world.apply(&spec);

    let [first, second] = [&world.topology.guests[0], &world.topology.guests[1]];
    let internet = &world.topology.internet;
    let mut flows = Flows::default();
    flows.answers(internet, SERVER);
    flows.answers(first, [10, 1, 1, 11]);
    flows.answers(second, [10, 1, 1, 12]);
    for (what, guest) in [("source NAT", first), ("its own address", second)] {
        flows.flow(what, guest, SocketAddrV4::new(SERVER, 7));
    }
    flows.flow("forward", internet, at([203, 0, 113, 10], 7));
    flows.flow("static NAT", internet, at([203, 0, 113, 12], 7));
    flows.flow("hairpin to a forward", second, at([203, 0, 113, 10], 7));
    flows.flow("hairpin to static NAT", first, at([203, 0, 113, 12], 7));
    flows.take_the_fast_path(&world);
}
