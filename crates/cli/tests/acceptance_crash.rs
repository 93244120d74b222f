// SPDX-License-Identifier: Apache-2.0
//! Reboots, replacements and kill -9 at any moment: afterwards the kernel equals the plan, no address is held twice, no
//! acknowledged change is lost and no orphan is left.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{INTERNET, Lab, text, wait_until};

fn reaches_out(lab: &Lab) -> bool {
    lab.try_exec("guest1", &["ping", "-c", "1", "-W", "1", INTERNET])
        .status
        .success()
}

/// The ruleset as the operator sees it; a router made anew has another link-local address, which does not matter here.
fn rules(lab: &Lab) -> String {
    let router = lab.router();
    lab.exec(
        text(&router, "name"),
        &["nft", "-s", "list", "table", "ip", "outgate"],
    )
    .replace(text(&router, "linklocalip"), "LINK-LOCAL")
}

/// When the router's pid 1 was started, in clock ticks since boot: another one is another router process.
fn boot(lab: &Lab) -> String {
    let stat = lab.exec(text(&lab.router(), "name"), &["cat", "/proc/1/stat"]);
    stat.rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(19))
        .expect("a start time")
        .to_owned()
}

fn some_rules(lab: &Lab) {
    let (source_nat, vm) = (lab.source_nat(), lab.guest("guest1"));
    for port in ["2201", "2202", "2203"] {
        lab.job(
            "createPortForwardingRule",
            &[
                ("ipaddressid", text(&source_nat, "id")),
                ("protocol", "tcp"),
                ("publicport", port),
                ("privateport", "22"),
                ("virtualmachineid", text(&vm, "id")),
            ],
        );
    }
}

#[test]
fn every_way_to_restart_a_router_brings_the_same_rules_back() {
    let lab = Lab::up();
    some_rules(&lab);
    let wanted = rules(&lab);
    let network = lab.network();
    let id = || text(&lab.router(), "id").to_owned();

    let before = boot(&lab);
    lab.job("rebootRouter", &[("id", &id())]);
    assert_eq!(rules(&lab), wanted, "rebootRouter");
    assert_ne!(boot(&lab), before, "it is a fresh process");

    lab.job("stopRouter", &[("id", &id())]);
    assert_eq!(text(&lab.router(), "state"), "Stopped");
    assert!(!reaches_out(&lab));
    lab.job("startRouter", &[("id", &id())]);
    assert_eq!(rules(&lab), wanted, "stopRouter and startRouter");

    let before = boot(&lab);
    lab.job(
        "restartNetwork",
        &[("id", text(&network, "id")), ("cleanup", "true")],
    );
    assert_eq!(rules(&lab), wanted, "restartNetwork cleanup=true");
    assert_ne!(boot(&lab), before);

    let source_nat = text(&lab.source_nat(), "ipaddress").to_owned();
    lab.job("destroyRouter", &[("id", &id())]);
    lab.job("restartNetwork", &[("id", text(&network, "id"))]);
    assert_eq!(rules(&lab), wanted, "destroyRouter and restartNetwork");
    assert_eq!(text(&lab.source_nat(), "ipaddress"), source_nat);
    wait_until(Duration::from_secs(5), "guests reach the outside", || {
        reaches_out(&lab)
    });
    assert_eq!(lab.list("listRouters", &[("listall", "true")]).len(), 1);
}

/// What the test did and was told of: rule ids by port, in the order of the calls.
#[derive(Default)]
struct Acknowledged {
    forwards: BTreeMap<u32, String>,
    deleted: BTreeSet<String>,
    /// Calls whose reply was lost with the server: they may have happened or not.
    unknown: BTreeSet<u32>,
}

/// One API call: adds a forward, or removes the oldest of more than five. A reply that never came is remembered as such.
fn one_call(lab: &Lab, n: u32, ids: &(String, String), told: &mut Acknowledged) {
    if n % 3 == 2 && told.forwards.len() > 5 {
        let (port, id) = told
            .forwards
            .iter()
            .next()
            .map(|(p, i)| (*p, i.clone()))
            .expect("a forward");
        told.forwards.remove(&port);
        match lab.client.call("deletePortForwardingRule", &[("id", &id)]) {
            Ok(_) => drop(told.deleted.insert(id)),
            Err(_) => drop(told.unknown.insert(port)),
        }
        return;
    }
    let port = (10_000 + n).to_string();
    let params = [
        ("ipaddressid", ids.0.as_str()),
        ("protocol", "tcp"),
        ("publicport", &port),
        ("privateport", &port),
        ("virtualmachineid", &ids.1),
    ];
    match lab.client.call("createPortForwardingRule", &params) {
        Ok(reply) => drop(told.forwards.insert(10_000 + n, text(&reply, "id").to_owned())),
        Err(_) => drop(told.unknown.insert(10_000 + n)),
    }
}

#[test]
fn fifty_kills_of_the_server_lose_no_acknowledged_change() {
    let lab = Lab::up();
    let ids = (
        text(&lab.source_nat(), "id").to_owned(),
        text(&lab.guest("guest1"), "id").to_owned(),
    );
    let mut told = Acknowledged::default();
    let mut random = 0x2545_f491_u32;
    let mut n = 0;
    for round in 0..50 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let kill_at = Instant::now() + Duration::from_micros(u64::from(random % 120_000));
        std::thread::scope(|scope| {
            let killer = scope.spawn(|| {
                std::thread::sleep(kill_at.saturating_duration_since(Instant::now()));
                kill_server(&lab)
            });
            while !killer.is_finished() {
                one_call(&lab, n, &ids, &mut told);
                n += 1;
            }
            assert!(
                killer.join().expect("the killer"),
                "round {round}: no server to kill"
            );
        });
        wait_until(Duration::from_secs(20), "the server answers again", || {
            lab.client.call("listZones", &[]).is_ok()
        });
    }
    assert!(told.forwards.len() > 10, "{} calls", told.forwards.len());

    let known = everything_acknowledged_holds(&lab, &told);
    wait_until(Duration::from_secs(20), "no job is left hanging", || {
        lab.list("listAsyncJobs", &[("listall", "true")])
            .iter()
            .all(|j| j["jobstatus"] != 0)
    });
    the_kernel_equals(&lab, &known);
    no_address_is_held_twice(&lab);
    let verified = lab.outgate(&["verify"]).output().expect("outgate runs");
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stdout)
    );
}

/// Checks the rules that the server lists against what it acknowledged. Returns their ports.
fn everything_acknowledged_holds(lab: &Lab, told: &Acknowledged) -> BTreeSet<u32> {
    let listed = lab.list("listPortForwardingRules", &[("listall", "true")]);
    let known: BTreeMap<&str, u32> = listed
        .iter()
        .map(|r| (text(r, "id"), text(r, "publicport").parse().expect("a port")))
        .collect();
    for (port, id) in &told.forwards {
        assert_eq!(
            known.get(id.as_str()),
            Some(port),
            "the acknowledged forward of port {port} is lost"
        );
    }
    for id in &told.deleted {
        assert!(
            !known.contains_key(id.as_str()),
            "an acknowledged deletion is undone"
        );
    }
    for port in known.values() {
        assert!(
            told.forwards.contains_key(port) || told.unknown.contains(port),
            "port {port} came from nowhere"
        );
    }
    known.into_values().collect()
}

/// Kills the lab's server with SIGKILL. Whether there was one.
fn kill_server(lab: &Lab) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let output = lab.try_exec("host", &["pkill", "-9", "-f", "outgate server"]);
        if output.status.success() {
            return true;
        }
    }
    false
}

fn the_kernel_equals(lab: &Lab, ports: &BTreeSet<u32>) {
    let listing = lab.exec(
        text(&lab.router(), "name"),
        &["nft", "-j", "-n", "list", "map", "ip", "outgate", "port_forward"],
    );
    let listing: Value = serde_json::from_str(&listing).expect("JSON");
    let map = listing["nftables"]
        .as_array()
        .and_then(|a| a.iter().find_map(|o| o.get("map")))
        .expect("the map");
    let elements = map["elem"].as_array().expect("elements");
    let in_kernel: BTreeSet<u32> = elements
        .iter()
        .map(|e| e[0]["concat"][2].as_u64().expect("a port") as u32)
        .collect();
    assert_eq!(&in_kernel, ports);
}

fn no_address_is_held_twice(lab: &Lab) {
    let listed = lab.list("listPublicIpAddresses", &[("listall", "true")]);
    let addresses: BTreeSet<_> = listed.iter().map(|a| text(a, "ipaddress")).collect();
    assert_eq!(addresses.len(), listed.len());
}

#[test]
fn an_emptied_cloud_leaves_nothing_on_the_host() {
    let lab = Lab::up();
    some_rules(&lab);
    let devices = || -> BTreeSet<String> {
        let listing = lab.exec("host", &["ip", "-o", "link"]);
        listing
            .lines()
            .filter_map(|l| l.split(": ").nth(1))
            .map(|n| n.split('@').next().unwrap_or(n).to_owned())
            .collect()
    };
    for vm in lab.list("listVirtualMachines", &[("listall", "true")]) {
        lab.job(
            "destroyVirtualMachine",
            &[("id", text(&vm, "id")), ("expunge", "true")],
        );
    }
    lab.job("deleteNetwork", &[("id", text(&lab.network(), "id"))]);
    for command in [
        "listNetworks",
        "listRouters",
        "listVirtualMachines",
        "listPublicIpAddresses",
        "listPortForwardingRules",
        "listFirewallRules",
    ] {
        assert_eq!(
            lab.list(command, &[("listall", "true")]),
            Vec::<Value>::new(),
            "{command}"
        );
    }
    // What belongs to the lab itself: loopback, the public segment and the control bridge with its end.
    let left: Vec<_> = devices()
        .into_iter()
        .filter(|d| d.starts_with('r') || d.starts_with('g'))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}
