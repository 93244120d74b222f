// SPDX-License-Identifier: Apache-2.0
//! Whatever is changed behind Outgate's back is noticed and repaired within five seconds, with an event that says what
//! differed (the reference text's most common failure: the router's state differs from the database's).
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use support::{INTERNET, Lab, REPAIR, promised, text};

/// Something done behind Outgate's back, in the router's shell, and the words that its event must hold.
struct Sabotage {
    argv: &'static [&'static str],
    event: &'static str,
}

const fn sabotage(argv: &'static [&'static str], event: &'static str) -> Sabotage {
    Sabotage { argv, event }
}

const SABOTAGES: &[Sabotage] = &[
    sabotage(&["nft", "flush", "ruleset"], "table ip outgate"),
    sabotage(&["nft", "delete", "table", "ip", "outgate"], "table ip outgate"),
    sabotage(&["nft", "flush", "chain", "ip", "outgate", "forward"], "forward"),
    sabotage(
        &["nft", "insert", "rule", "ip", "outgate", "forward", "drop"],
        "forward",
    ),
    sabotage(&["iptables", "-t", "nat", "-F"], "iptables"),
    sabotage(&["ip", "addr", "flush", "dev", "eth2"], "eth2"),
    sabotage(&["ip", "addr", "flush", "dev", "eth0"], "eth0"),
    sabotage(
        &["ip", "addr", "add", "192.0.2.99/24", "dev", "eth2"],
        "192.0.2.99/24",
    ),
    sabotage(&["ip", "link", "set", "eth2", "down"], "eth2"),
    sabotage(&["ip", "link", "set", "eth2", "mtu", "1400"], "eth2"),
    sabotage(&["ip", "route", "del", "default"], "route"),
    sabotage(
        &["ip", "route", "replace", "default", "via", "203.0.113.77"],
        "route",
    ),
    sabotage(
        &["sysctl", "-w", "net.ipv4.ip_forward=0"],
        "net.ipv4.ip_forward is 0",
    ),
    sabotage(
        &["sysctl", "-w", "net.ipv4.conf.eth0.rp_filter=0"],
        "rp_filter is 0",
    ),
    sabotage(&["pkill", "-9", "-x", "dnsmasq"], "dnsmasq"),
    sabotage(&["pkill", "-9", "-o", "-x", "sshd"], "sshd"),
];

#[test]
fn drift_is_repaired_within_five_seconds_and_told_as_an_event() {
    let lab = Lab::up();
    let router = text(&lab.router(), "name").to_owned();
    for Sabotage { argv, event } in SABOTAGES {
        let told = |lab: &Lab| {
            lab.events()
                .iter()
                .filter(|(kind, text)| kind == "ROUTER.DRIFT" && text.contains(event))
                .count()
        };
        let before = told(&lab);
        lab.exec(&router, argv);
        let verified = |lab: &Lab| {
            let verify = lab.outgate(&["verify", &router]).output();
            verify.expect("outgate runs").status.success()
        };
        let what = format!("{argv:?} is told as an event that says {event:?} and repaired");
        let took = promised(REPAIR, &what, || told(&lab) > before && verified(&lab));
        println!("{argv:?}: repaired after {took:?}");
    }
    let log = lab.exec(&router, &["cat", "/var/log/cloud.log"]);
    assert!(
        log.contains("net.ipv4.ip_forward is 0"),
        "the router's own log tells it too: {log}"
    );
}

#[test]
fn a_router_that_was_killed_is_back_within_five_seconds() {
    let lab = Lab::up();
    let router = lab.router();
    let guest = |lab: &Lab| {
        lab.try_exec("guest1", &["ping", "-c", "1", "-W", "1", INTERNET])
            .status
            .success()
    };
    assert!(guest(&lab), "it works before");
    // It ends with the rest: how it ends says nothing.
    lab.try_exec(text(&router, "name"), &["kill", "-9", "-1"]);
    lab.kill(text(&router, "id"));
    let took = promised(REPAIR, "the guest reaches the outside again", || guest(&lab));
    println!("a killed router is back after {took:?}");
    lab.wait_for_event("ROUTER.LOST", text(&router, "name"));
    assert_eq!(
        text(&lab.router(), "id"),
        text(&router, "id"),
        "the same router, from the same spec"
    );
}

#[test]
fn a_guest_that_was_killed_is_back_within_five_seconds() {
    let lab = Lab::up();
    lab.kill(text(&lab.guest("guest1"), "id"));
    promised(REPAIR, "the guest reaches the outside again", || {
        lab.try_exec("guest1", &["ping", "-c", "1", "-W", "1", INTERNET])
            .status
            .success()
    });
}
