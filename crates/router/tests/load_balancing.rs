// SPDX-License-Identifier: Apache-2.0
//! Load balancing with the real haproxy in a router's namespaces, and real connections. Needs root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::io::{Read, Write};
use std::net::SocketAddrV4;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use outgate_model::RouterSpec;
use outgate_model::id::LoadBalancerRuleId;
use outgate_model::router_spec::LoadBalancer;
use outgate_model::router_spec::load_balancer::{LbAlgorithm, LbProtocol, Stickiness};
use outgate_testkit::{TcpEcho, TcpProbe, wait_until};
use support::vpc::{VpcWorld, default_allow, default_deny, serve, tier, vpc};
use support::{World, open, spec};

const LIMIT: Duration = Duration::from_secs(60);
/// Nobody answers within this on the same machine.
const SHORT: Duration = Duration::from_millis(300);

fn balancer(port: u16) -> LoadBalancer {
    LoadBalancer {
        id: LoadBalancerRuleId::new(),
        public_port: port,
        private_port: 7,
        algorithm: LbAlgorithm::RoundRobin,
        protocol: LbProtocol::Tcp,
        sources: vec!["0.0.0.0/0".parse().unwrap()],
        members: vec![[10, 1, 1, 11].into(), [10, 1, 1, 12].into()],
        stickiness: None,
        health_check: None,
    }
}

/// Port 80 balanced over both guests, and let in by the firewall.
fn balanced() -> RouterSpec {
    let mut spec = spec();
    open(&mut spec);
    spec.public.addresses[0].load_balancers = vec![balancer(80)];
    spec
}

fn next(spec: &mut RouterSpec, change: impl FnOnce(&mut Vec<LoadBalancer>)) {
    spec.generation += 1;
    change(&mut spec.public.addresses[0].load_balancers);
}

fn echoes(world: &World) -> [TcpEcho; 2] {
    let guests = &world.topology.guests;
    [
        TcpEcho::start(&guests[0], "10.1.1.11:7".parse().unwrap()).unwrap(),
        TcpEcho::start(&guests[1], "10.1.1.12:7".parse().unwrap()).unwrap(),
    ]
}

fn connect(world: &World, port: u16, limit: Duration) -> Result<TcpProbe, String> {
    let to = SocketAddrV4::new([203, 0, 113, 10].into(), port);
    let failed = |e: &dyn std::fmt::Display| e.to_string();
    let mut probe = TcpProbe::connect(&world.topology.internet, to, limit).map_err(|e| failed(&e))?;
    probe.echo(b"hello").map_err(|e| failed(&e))?;
    Ok(probe)
}

/// How many of the connections that the router made each guest has seen, without health checks, which say nothing.
fn statistics(world: &World) -> Vec<u64> {
    let spec = world.router(|engine| engine.spec().cloned()).unwrap();
    let all = world
        .router(move |_| outgate_router::load_balancer_statistics(&spec))
        .unwrap();
    all.iter()
        .flat_map(|rule| rule.members.iter().map(|m| m.total_sessions))
        .collect()
}

#[test]
fn connections_take_turns_over_the_guests_and_are_counted() {
    let world = World::new();
    let [one, two] = echoes(&world);
    let applied = world.apply(&balanced());
    assert!(applied.changes.iter().any(|c| c == "haproxy does not run"));
    for _ in 0..6 {
        connect(&world, 80, LIMIT).unwrap();
    }
    assert_eq!(statistics(&world), [3, 3]);
    // Guests see the router's own address.
    let gateway: std::net::IpAddr = [10, 1, 1, 1].into();
    assert!(
        one.seen()
            .iter()
            .chain(&two.seen())
            .all(|from| from.ip() == gateway)
    );
    assert_eq!(world.apply(&balanced_again(&world)).changes, Vec::<String>::new());
}

/// What haproxy's master answers; in the router's namespaces.
fn master(question: &str) -> String {
    let mut stream = UnixStream::connect(outgate_plan::plan::HAPROXY_SOCKET).unwrap();
    writeln!(stream, "{question}").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.trim_start().to_owned()
}

fn balanced_again(world: &World) -> RouterSpec {
    world.router(|engine| engine.spec().cloned()).unwrap()
}

#[test]
fn a_member_more_or_less_breaks_no_session_and_refuses_no_connection() {
    let world = World::new();
    let _echoes = echoes(&world);
    let mut spec = balanced();
    world.apply(&spec);
    let mut session = connect(&world, 80, LIMIT).unwrap();
    for round in 0..4_u8 {
        next(&mut spec, |balancers| {
            balancers[0]
                .members
                .retain(|m| round % 2 == 1 || m.octets()[3] == 11);
            if round % 2 == 1 {
                balancers[0].members = vec![[10, 1, 1, 11].into(), [10, 1, 1, 12].into()];
            }
        });
        let internet = &world.topology.internet;
        let to = SocketAddrV4::new([203, 0, 113, 10].into(), 80);
        std::thread::scope(|scope| {
            let clients = scope.spawn(move || {
                for _ in 0..50 {
                    let mut probe = TcpProbe::connect(internet, to, LIMIT).expect("it is let in");
                    probe.echo(b"new").expect("it is served");
                }
            });
            world.apply(&spec);
            clients.join().unwrap();
        });
        session.echo(b"still the same session").unwrap();
    }
}

#[test]
fn clients_stay_with_their_guest_across_a_change() {
    let world = World::new();
    let [one, two] = echoes(&world);
    let mut spec = balanced();
    next(&mut spec, |balancers| {
        balancers[0].stickiness = Some(Stickiness::SourceBased {
            table_size: 1_000,
            expire_secs: 600,
        });
    });
    world.apply(&spec);
    for _ in 0..4 {
        connect(&world, 80, LIMIT).unwrap();
    }
    let mut seen = statistics(&world);
    seen.sort_unstable();
    assert_eq!(seen, [0, 4]);
    let chosen = usize::from(statistics(&world)[0] == 0);
    // haproxy hands its memory over from five seconds after its first start on.
    let settled = || {
        let peers = world.router(|_| master("@1 show peers"));
        peers
            .lines()
            .next()
            .is_some_and(|line| !line.contains("flags=0x0 "))
            .then_some(())
    };
    wait_until(LIMIT, "haproxy knows that nobody knows more", settled).unwrap();
    next(&mut spec, |balancers| balancers.push(balancer(81)));
    world.apply(&spec);
    for _ in 0..4 {
        connect(&world, 80, LIMIT).unwrap();
    }
    let now = statistics(&world);
    assert_eq!((now[chosen], now[1 - chosen]), (4, 0), "{now:?}");
    drop((one, two));
}

#[test]
fn sources_need_the_rules_own_list_and_a_firewall_rule() {
    let world = World::new();
    let _echoes = echoes(&world);
    let mut spec = balanced();
    spec.public.addresses[0].firewall.clear();
    world.apply(&spec);
    assert!(connect(&world, 80, SHORT).is_err(), "no firewall rule");
    open(&mut spec);
    next(&mut spec, |balancers| {
        balancers[0].sources = vec!["198.51.100.0/24".parse().unwrap()]
    });
    world.apply(&spec);
    assert!(connect(&world, 80, SHORT).is_err(), "another source");
    let to = "203.0.113.10:80".parse().unwrap();
    let from = "198.51.100.1:0".parse().unwrap();
    let mut probe = TcpProbe::connect_from(&world.topology.internet, from, to, LIMIT).unwrap();
    probe.echo(b"from the right source").unwrap();
    next(&mut spec, |balancers| {
        balancers[0].sources = vec!["203.0.113.0/24".parse().unwrap()]
    });
    assert_eq!(world.apply(&spec).sessions_cut, 1);
    connect(&world, 80, LIMIT).unwrap();
    // A guest that uses its own network's address is a source as any other.
    assert!(TcpProbe::connect(&world.topology.guests[0], to, SHORT).is_err());
    next(&mut spec, |balancers| {
        balancers[0].sources = vec!["10.1.1.0/24".parse().unwrap()]
    });
    world.apply(&spec);
    let mut guest = TcpProbe::connect(&world.topology.guests[0], to, LIMIT).unwrap();
    guest.echo(b"from inside").unwrap();
}

#[test]
fn a_guest_that_serves_no_more_gets_no_connections_even_after_a_change() {
    let world = World::new();
    let [one, two] = echoes(&world);
    let mut spec = balanced();
    world.apply(&spec);
    connect(&world, 80, LIMIT).unwrap();
    drop(one);
    let health = || {
        let spec = balanced_again(&world);
        let all = world
            .router(move |_| outgate_router::load_balancer_statistics(&spec))
            .unwrap();
        let healthy: Vec<bool> = all[0].members.iter().map(|m| m.healthy).collect();
        (healthy == [false, true]).then_some(())
    };
    wait_until(LIMIT, "the dead one is out", health).unwrap();
    next(&mut spec, |balancers| balancers.push(balancer(81)));
    world.apply(&spec);
    health().expect("the new worker knows it from the start");
    for _ in 0..4 {
        connect(&world, 80, LIMIT).unwrap();
    }
    drop(two);
}

#[test]
fn a_worker_or_master_that_dies_is_replaced() {
    let world = World::new();
    let _echoes = echoes(&world);
    world.apply(&balanced());
    let master = world.router(|engine| engine.service_pid("haproxy")).unwrap();
    let worker = world.run(&format!("pgrep -P {master}"));
    for victim in [worker.trim().to_owned(), String::new()] {
        let victim = if victim.is_empty() {
            world
                .router(|engine| engine.service_pid("haproxy"))
                .unwrap()
                .to_string()
        } else {
            victim
        };
        world.run(&format!("kill -9 {victim}"));
        let healed = || {
            let repair = world.router(|engine| engine.heal()).unwrap();
            let gone = repair.is_some_and(|r| r.error.is_none() && r.differences == ["haproxy does not run"]);
            gone.then_some(())
        };
        wait_until(LIMIT, "it is started anew", healed).unwrap();
        connect(&world, 80, LIMIT).unwrap();
    }
}

#[test]
fn it_runs_without_rights_in_an_empty_directory_and_ends_with_its_last_rule() {
    let world = World::new();
    let _echoes = echoes(&world);
    let mut spec = balanced();
    world.apply(&spec);
    let master = world.router(|engine| engine.service_pid("haproxy")).unwrap();
    let worker = world.run(&format!("pgrep -P {master}")).trim().to_owned();
    let status = world.run(&format!("cat /proc/{worker}/status"));
    let line = |name: &str| status.lines().find(|l| l.starts_with(name)).unwrap().to_owned();
    assert_eq!(line("Uid:"), "Uid:\t101\t101\t101\t101");
    assert_eq!(line("CapEff:"), "CapEff:\t0000000000000000");
    let root = world.run(&format!("readlink /proc/{worker}/root"));
    assert_eq!(root.trim(), "/run/outgate-vr/haproxy-root");
    let listening = world.run("ss -Hltn");
    assert!(listening.contains("203.0.113.10:80"), "{listening}");
    assert!(
        listening
            .lines()
            .all(|l| l.contains(":80 ") || l.contains(":53 ") || l.contains(":3922 ")),
        "{listening}"
    );
    next(&mut spec, Vec::clear);
    world.apply(&spec);
    assert_eq!(world.router(|engine| engine.service_pid("haproxy")), None);
    assert!(connect(&world, 80, SHORT).is_err());
}

#[test]
fn a_configuration_that_haproxy_refuses_fails_the_change_in_its_words_and_the_old_one_serves_on() {
    let world = World::new();
    let _echoes = echoes(&world);
    let mut spec = balanced();
    world.apply(&spec);
    // Somebody else's program holds the port that the change wants.
    let holder = std::thread::scope(|_| {
        world
            .topology
            .router
            .within(|| std::net::TcpListener::bind("203.0.113.10:82"))
            .unwrap()
            .unwrap()
    });
    next(&mut spec, |balancers| balancers.push(balancer(82)));
    let wanted = spec.clone();
    let error = world
        .router(move |engine| engine.apply(&wanted))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("haproxy") && error.contains("203.0.113.10:82"),
        "{error}"
    );
    connect(&world, 80, LIMIT).unwrap();
    drop(holder);
    world.apply(&spec);
    connect(&world, 82, LIMIT).unwrap();
}

#[test]
fn in_a_vpc_the_rules_own_sources_decide_whatever_the_tiers_acl_says() {
    let mut world = VpcWorld::new();
    world.plug_tier(1);
    world.plug_tier(2);
    let mut spec = vpc([tier(1, default_deny()), tier(2, default_allow())]);
    let mut balanced = balancer(80);
    balanced.members = vec![[10, 0, 1, 5].into(), [10, 0, 1, 6].into()];
    balanced.sources = vec!["203.0.113.0/24".parse().unwrap()];
    spec.public.addresses[1].load_balancers = vec![balanced];
    let echoes = [5, 6].map(|n| serve(world.guests(1), [10, 0, 1, n].into(), 7));
    let to = SocketAddrV4::new(spec.public.addresses[1].address.addr(), 80);
    world.apply(&spec);
    assert!(world.comes_in(to) && world.comes_in(to));
    assert!(echoes.iter().all(|echo| !echo.seen().is_empty()));
    assert!(!world.reaches(2, to), "another source");
    spec.generation += 1;
    spec.public.addresses[1].load_balancers[0].sources = vec!["10.0.2.0/24".parse().unwrap()];
    world.apply(&spec);
    assert!(world.reaches(2, to), "from another tier");
    assert!(!world.comes_in(to));
}
