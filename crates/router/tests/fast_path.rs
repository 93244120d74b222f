// SPDX-License-Identifier: Apache-2.0
//! A router with a fast path: it comes and goes with the spec, stops when rules change, and hides no byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use outgate_kernel::watch::Watch;
use outgate_model::id::FirewallRuleId;
use outgate_model::router_spec::{EgressRule, FastPathHook, FastPathMode, FastPathSettings};
use outgate_model::{Match, PortRange, Protocol, RouterSpec};
use outgate_router::fast_path::{self, FastPathStatus};
use outgate_testkit::{UdpEcho, UdpStream, wait_until};
use support::{World, add_forward, spec};

const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const LIMIT: Duration = Duration::from_secs(60);
/// How long a lease is good for, and a part of a second for the clocks' steps.
const A_SECOND: Duration = Duration::from_millis(1_010);

fn fast_spec() -> RouterSpec {
    let mut spec = spec();
    spec.fastpath = FastPathMode::Required;
    spec
}

fn status(world: &World) -> FastPathStatus {
    world.router(|engine| engine.fast_path())
}

fn hits(world: &World) -> u64 {
    status(world).counters.get("hit").copied().unwrap_or_default()
}

struct Flow {
    stream: UdpStream,
    _echo: UdpEcho,
}

/// Datagrams of the first guest that take the fast path, both ways.
fn flow(world: &World) -> Flow {
    let echo = UdpEcho::start(&world.topology.internet, SocketAddrV4::new(SERVER, 7)).unwrap();
    let stream = UdpStream::start(&world.topology.guests[0], echo.address, 500).unwrap();
    let before = hits(world);
    wait_until(LIMIT, "the flow takes the fast path", || {
        (hits(world) > before + 200).then_some(())
    })
    .unwrap_or_else(|e| panic!("{e}: {:?}", status(world)));
    Flow { stream, _echo: echo }
}

/// No datagram comes back that was sent more than a second from now, however late it is seen that others do.
fn stops_within_a_second(flow: &Flow) {
    std::thread::sleep(A_SECOND);
    let sent = flow.stream.sent();
    let more = || (flow.stream.sent() > sent + 500).then_some(());
    wait_until(LIMIT, "500 more are sent", more).unwrap();
    let latest = flow.stream.latest();
    assert!(latest <= sent, "{latest} came back, {sent} were sent by then");
}

#[test]
fn it_comes_and_goes_with_the_spec_and_no_packet_is_lost() {
    let world = World::new();
    let mut spec = fast_spec();
    world.apply(&spec);
    let now = status(&world);
    assert!(now.running && now.hook.as_deref() == Some("tcx"), "{now:?}");
    assert_eq!(
        world
            .run("sysctl -n net.netfilter.nf_conntrack_tcp_be_liberal")
            .trim(),
        "1"
    );
    let flow = flow(&world);
    for mode in [FastPathMode::Off, FastPathMode::Auto, FastPathMode::Off] {
        spec.fastpath = mode;
        spec.generation += 1;
        world.apply(&spec);
        assert_eq!(status(&world).running, !mode.is_off());
    }
    assert_eq!(
        status(&world),
        FastPathStatus {
            counters: status(&world).counters,
            ..FastPathStatus::default()
        }
    );
    assert_eq!(
        world
            .run("sysctl -n net.netfilter.nf_conntrack_tcp_be_liberal")
            .trim(),
        "0"
    );
    assert_eq!(
        world.run("sysctl -n net.netfilter.nf_conntrack_checksum").trim(),
        "1"
    );
    assert_eq!(flow.stream.stop().lost(), 0);
}

#[test]
fn a_new_egress_rule_stops_a_running_flow_of_the_fast_path_within_a_second() {
    let world = World::new();
    let mut spec = fast_spec();
    world.apply(&spec);
    let flow = flow(&world);
    spec.generation += 1;
    spec.guest_networks[0].egress.rules.push(EgressRule {
        id: FirewallRuleId::new(),
        matches: Match::Ports {
            protocol: Protocol::Udp,
            ports: PortRange::single(7).unwrap(),
        },
        sources: vec!["10.1.1.0/24".parse().unwrap()],
        destinations: vec!["0.0.0.0/0".parse().unwrap()],
    });
    assert_eq!(world.apply(&spec).sessions_cut, 1);
    stops_within_a_second(&flow);
    assert!(status(&world).running, "for other sessions");
}

#[test]
fn rules_that_somebody_flushes_stop_the_fast_path_until_they_are_there_again() {
    let world = World::new();
    world.apply(&fast_spec());
    let flow = flow(&world);
    let brake = world.router(|engine| engine.brake());
    let watch = world.topology.router.within(Watch::open).unwrap().unwrap();
    // As the agent does.
    let listener = std::thread::spawn(move || {
        brake.hear(watch.wait(LIMIT).unwrap().unwrap());
    });
    world.run("nft flush ruleset");
    // From when it was heard of, which a machine that does much else may delay.
    listener.join().unwrap();
    stops_within_a_second(&flow);
    let now = status(&world);
    assert!(!now.running && now.reason.is_some(), "{now:?}");
    let repair = world
        .router(|engine| engine.heal())
        .unwrap()
        .expect("something to repair");
    assert_eq!(repair.error, None);
    let before = hits(&world);
    wait_until(LIMIT, "the flow takes the fast path again", || {
        (hits(&world) > before + 100).then_some(())
    })
    .unwrap_or_else(|e| panic!("{e}: {:?}", status(&world)));
    drop(flow);
}

/// Does with what the kernel tells what the agent does, until it is dropped.
struct Listener {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    fn start(world: &World) -> Self {
        let brake = world.router(|engine| engine.brake());
        let watch = world.topology.router.within(Watch::open).unwrap().unwrap();
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                if let Some(heard) = watch.wait(Duration::from_millis(20)).unwrap() {
                    brake.hear(heard);
                }
            }
        });
        let thread = Some(thread);
        Self { stop, thread }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn the_engines_own_rules_come_and_go_beside_it_and_somebody_elses_suspend_it() {
    let world = World::new();
    let mut spec = fast_spec();
    world.apply(&spec);
    let listener = Listener::start(&world);
    let flow = flow(&world);
    let before = status(&world).counters;
    for port in 0..20 {
        match port % 2 {
            0 => add_forward(&mut spec, 8_000 + port, 80),
            _ => spec.public.addresses[0].port_forwarding.clear(),
        }
        spec.generation += 1;
        assert!(!world.apply(&spec).changes.is_empty());
    }
    // Longer than the kernel takes to tell.
    std::thread::sleep(Duration::from_millis(100));
    let now = status(&world);
    assert!(
        now.running && now.counters["suspended"] == before["suspended"],
        "{now:?}"
    );
    assert_eq!(flow.stream.stop().lost(), 0);
    world.run("nft add table ip somebody");
    wait_until(LIMIT, "somebody else's rules do", || {
        (!status(&world).running).then_some(())
    })
    .unwrap();
    drop(listener);
}

#[test]
fn what_the_fast_path_carries_is_counted_to_the_byte() {
    let world = World::new();
    let mut spec = fast_spec();
    world.apply(&spec);
    let flow = flow(&world);
    // Off and on again: nothing that was counted is forgotten.
    for mode in [FastPathMode::Off, FastPathMode::Auto] {
        spec.fastpath = mode;
        spec.generation += 1;
        world.apply(&spec);
    }
    let before = hits(&world);
    wait_until(LIMIT, "it takes it again", || {
        (hits(&world) > before + 200).then_some(())
    })
    .unwrap();
    let loss = flow.stream.stop();
    assert_eq!(loss.lost(), 0);
    let stats = world.stats();
    let traffic = stats.addresses[0].traffic;
    assert_eq!((traffic.packets_out, traffic.packets_in), (loss.sent, loss.sent));
    assert_eq!(
        (traffic.bytes_out, traffic.bytes_in),
        (loss.sent * 36, loss.sent * 36)
    );
    assert_eq!(stats.networks[0].traffic, traffic);
}

#[test]
fn a_flood_of_pings_takes_the_fast_path_and_is_counted_to_the_byte() {
    const PINGS: u64 = 600;
    let world = World::new();
    world.apply(&fast_spec());
    let (server, count) = (SERVER.to_string(), PINGS.to_string());
    let flood = ["ping", "-n", "-q", "-i", "0.004", "-c", &count, &server];
    let said = world.topology.guests[0].check(&flood).unwrap();
    assert!(said.contains(" 0% packet loss"), "{said}");
    assert!(hits(&world) > PINGS, "of twice as many: {:?}", status(&world));
    let stats = world.stats();
    let traffic = stats.addresses[0].traffic;
    assert_eq!((traffic.packets_out, traffic.packets_in), (PINGS, PINGS));
    assert_eq!((traffic.bytes_out, traffic.bytes_in), (PINGS * 84, PINGS * 84));
}

#[test]
fn a_packet_that_the_programs_leave_alone_is_said_why() {
    let world = World::new();
    world.apply(&fast_spec());
    assert!(world.topology.guests[0].pings(SERVER, 3).unwrap());
    let counters = status(&world).counters;
    assert!(counters["first"] >= 2, "of each direction: {counters:?}");
    let check = fast_path::check(&status(&world)).unwrap();
    assert!(check.pass && check.seen.contains("first"), "{check:?}");
}

#[test]
fn hook_and_memory_are_the_specs_and_xdp_is_refused_where_it_would_do_harm() {
    let world = World::new();
    let mut spec = fast_spec();
    for memory_mib in [32, 1] {
        spec.fastpath_settings = FastPathSettings {
            hook: FastPathHook::Tcx,
            memory_mib,
        };
        spec.generation += 1;
        world.apply(&spec);
        let now = status(&world);
        assert_eq!((now.hook.as_deref(), now.reason), (Some("tcx"), None));
    }
    let flow = flow(&world);
    spec.fastpath_settings.hook = FastPathHook::Xdp;
    spec.fastpath = FastPathMode::Auto;
    spec.generation += 1;
    world.apply(&spec);
    let now = status(&world);
    assert!(!now.running, "{now:?}");
    let check = fast_path::check(&now).unwrap();
    assert!(
        check.pass && check.seen.contains("XDP does not fit eth"),
        "{check:?}"
    );
    spec.fastpath = FastPathMode::Required;
    spec.generation += 1;
    let refused = spec.clone();
    let error = world.router(move |engine| engine.apply(&refused).expect_err("it must have it"));
    assert!(error.to_string().contains("XDP does not fit eth"), "{error}");
    assert_eq!(flow.stream.stop().lost(), 0, "the kernel carries on");
}
