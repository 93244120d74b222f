// SPDX-License-Identifier: Apache-2.0
//! Weak points that were measured on CloudStack's own virtual router, as far as they live in a router, tried on this
//! one. Others of them are in `process.rs` (malformed requests, a truncated state file, kill -9 while rules change, a
//! step that fails) and `engine.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::net::SocketAddrV4;
use std::time::Duration;

use outgate_testkit::{TcpEcho, TcpProbe};
use support::{World, add_forward, open, spec, with_forwards};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn w5_what_is_revoked_leaves_not_a_trace_in_the_kernel() {
    let world = World::new();
    let before = with_forwards(5);
    world.apply(&before);
    let ruleset = world.ruleset();
    for round in 0..10_u64 {
        let mut more = before.clone();
        more.generation = 2 * round + 2;
        for port in 1..=20 {
            add_forward(&mut more, port, port);
        }
        assert_eq!(
            world.apply(&more).changes.len(),
            11,
            "10 are named, others counted"
        );
        let mut less = before.clone();
        less.generation = 2 * round + 3;
        world.apply(&less);
        assert_eq!(world.ruleset(), ruleset, "round {round}");
    }
}

#[test]
fn w10_the_order_in_which_rules_are_given_is_the_same_router() {
    let world = World::new();
    let mut spec = with_forwards(300);
    for port in 1..=9 {
        open(&mut spec);
        add_forward(&mut spec, port, 10_000 - port);
    }
    world.apply(&spec);
    let listing = world.ruleset();
    spec.generation = 2;
    spec.public.addresses[0].port_forwarding.reverse();
    spec.public.addresses[0].firewall.reverse();
    let applied = world.apply(&spec);
    assert_eq!((applied.changes, applied.sessions_cut), (Vec::new(), 0));
    assert_eq!(world.ruleset(), listing);
}

#[test]
fn w13_a_forward_opens_its_own_guest_and_not_its_port_on_every_guest() {
    let world = World::new();
    let mut spec = spec();
    open(&mut spec);
    add_forward(&mut spec, 8_080, 80);
    world.apply(&spec);
    let internet = &world.topology.internet;
    internet
        .check(&["ip", "route", "add", "10.1.1.0/24", "via", "203.0.113.10"])
        .unwrap();
    let address = |text: &str| -> SocketAddrV4 { text.parse().unwrap() };
    let _first = TcpEcho::start(&world.topology.guests[0], address("10.1.1.11:80")).unwrap();
    let second = TcpEcho::start(&world.topology.guests[1], address("10.1.1.12:80")).unwrap();
    let mut through = TcpProbe::connect(internet, address("203.0.113.10:8080"), LIMIT).unwrap();
    through.echo(b"to its guest").unwrap();
    let short = Duration::from_millis(300);
    for shut in ["10.1.1.12:80", "10.1.1.11:80", "203.0.113.10:80"] {
        assert!(
            TcpProbe::connect(internet, address(shut), short).is_err(),
            "{shut}"
        );
    }
    assert!(second.seen().is_empty());
}
