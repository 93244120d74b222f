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

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{INTERNET, Lab, PATIENCE, text, wait_until};

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
    wait_until(PATIENCE, "guests reach the outside", || reaches_out(&lab));
    assert_eq!(lab.list("listRouters", &[("listall", "true")]).len(), 1);
}

/// What the calls are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Forward,
    Address,
    Guest,
}

const KINDS: [Kind; 3] = [Kind::Forward, Kind::Address, Kind::Guest];

impl Kind {
    fn listing(self) -> &'static str {
        match self {
            Self::Forward => "listPortForwardingRules",
            Self::Address => "listPublicIpAddresses",
            Self::Guest => "listVirtualMachines",
        }
    }

    fn enough(self) -> usize {
        match self {
            Self::Forward => 20,
            Self::Address | Self::Guest => 3,
        }
    }

    fn deletion(self) -> &'static str {
        match self {
            Self::Forward => "deletePortForwardingRule",
            Self::Address => "disassociateIpAddress",
            Self::Guest => "destroyVirtualMachine",
        }
    }
}

/// What the test was told: ids whose creation or deletion was acknowledged. Calls whose reply was lost with the server
/// may have happened or not: an id that was to be deleted is then in neither.
#[derive(Default)]
struct Acknowledged {
    there: BTreeSet<(Kind, String)>,
    gone: BTreeSet<(Kind, String)>,
    lost_replies: u32,
}

impl Acknowledged {
    /// Enough to say something about.
    fn is_enough(&self) -> bool {
        self.there.len() > 10 && self.gone.len() > 10 && self.lost_replies > 0
    }
}

/// The lab's objects that calls need: ids.
struct Ids {
    source_nat: String,
    network: String,
    zone: String,
    service: String,
    template: String,
    guest: String,
}

impl Ids {
    fn of(lab: &Lab) -> Self {
        let id = |object: Value| text(&object, "id").to_owned();
        Self {
            source_nat: id(lab.source_nat()),
            network: id(lab.network()),
            zone: id(lab.one("listZones", &[])),
            service: id(lab.one("listServiceOfferings", &[])),
            template: id(lab.one("listTemplates", &[("templatefilter", "executable")])),
            guest: id(lab.guest("guest1")),
        }
    }

    /// Creates an object; the reply names its id.
    fn create(&self, lab: &Lab, kind: Kind, n: u32) -> anyhow::Result<Value> {
        let (port, name) = ((10_000 + n).to_string(), format!("crash{n}"));
        let params: &[(&str, &str)] = match kind {
            Kind::Forward => &[
                ("ipaddressid", &self.source_nat),
                ("protocol", "tcp"),
                ("publicport", &port),
                ("privateport", &port),
                ("virtualmachineid", &self.guest),
            ],
            Kind::Address => &[("networkid", &self.network)],
            Kind::Guest => &[
                ("name", &name),
                ("zoneid", &self.zone),
                ("serviceofferingid", &self.service),
                ("templateid", &self.template),
                ("networkids", &self.network),
            ],
        };
        let command = match kind {
            Kind::Forward => "createPortForwardingRule",
            Kind::Address => "associateIpAddress",
            Kind::Guest => "deployVirtualMachine",
        };
        lab.client.call(command, params)
    }
}

/// One API call: makes something, or removes the oldest of a kind of which there are enough.
fn one_call(lab: &Lab, n: u32, ids: &Ids, told: &mut Acknowledged) {
    // Mostly rules; each tenth call an address, each twentieth a guest.
    let kind = KINDS[usize::from(n % 10 == 4) + 2 * usize::from(n % 20 == 9)];
    let known: Vec<_> = told.there.iter().filter(|(k, _)| *k == kind).cloned().collect();
    if known.len() > kind.enough() && !n.is_multiple_of(3) {
        let victim = known[0].clone();
        told.there.remove(&victim);
        match lab
            .client
            .call(kind.deletion(), &[("id", &victim.1), ("expunge", "true")])
        {
            Ok(_) => drop(told.gone.insert(victim)),
            Err(_) => told.lost_replies += 1,
        }
        return;
    }
    match ids.create(lab, kind, n) {
        Ok(reply) => drop(told.there.insert((kind, text(&reply, "id").to_owned()))),
        Err(_) => told.lost_replies += 1,
    }
}

#[test]
fn fifty_kills_of_the_server_lose_no_acknowledged_change() {
    let lab = Lab::up();
    let ids = Ids::of(&lab);
    let mut told = Acknowledged::default();
    let mut random = 0x2545_f491_u32;
    let mut n = 0;
    let mut round = 0;
    // Fifty at least; on a slow machine as many more as it takes until enough was told.
    while round < 50 || !told.is_enough() {
        round += 1;
        assert!(round < 500, "{} calls told too little", n);
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
        wait_until(PATIENCE, "the server answers again", || {
            lab.client.call("listZones", &[]).is_ok()
        });
    }
    println!(
        "{round} kills, {n} calls, {} of them without a reply",
        told.lost_replies
    );
    no_job_is_left_hanging(&lab);
    everything_acknowledged_holds(&lab, &told);
    no_address_is_held_twice(&lab);
    // What a call wanted whose reply was lost is done behind the jobs that are known.
    wait_until(PATIENCE, "the kernel holds the rules", || {
        kernel(&lab) == forwarded_ports(&lab)
    });
    wait_until(PATIENCE, "no orphan is left", || has_no_orphan(&lab));
    let mut verified = String::new();
    wait_until(PATIENCE, "everything is verified", || {
        let output = lab.outgate(&["verify"]).output().expect("outgate runs");
        verified = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success()
    });
}

fn no_job_is_left_hanging(lab: &Lab) {
    wait_until(PATIENCE, "no job is pending", || {
        let jobs = lab.list("listAsyncJobs", &[("listall", "true"), ("pagesize", "-1")]);
        jobs.iter().all(|job| job["jobstatus"] != 0)
    });
}

fn everything_acknowledged_holds(lab: &Lab, told: &Acknowledged) {
    for kind in KINDS {
        let listed = lab.list(kind.listing(), &[("listall", "true")]);
        let is_there = |id: &str| listed.iter().any(|o| text(o, "id") == id);
        for (_, id) in told.there.iter().filter(|(k, _)| *k == kind) {
            assert!(is_there(id), "the acknowledged {kind:?} {id} is lost");
        }
        for (_, id) in told.gone.iter().filter(|(k, _)| *k == kind) {
            assert!(
                !is_there(id),
                "the acknowledged deletion of {kind:?} {id} is undone"
            );
        }
    }
}

/// Exactly the routers and guests that the server knows run, and nothing else of this lab does.
fn has_no_orphan(lab: &Lab) -> bool {
    let lists = [
        ("listRouters", "router serve"),
        ("listVirtualMachines", "guest serve"),
    ];
    lists.iter().all(|(command, process)| {
        let listed = lab.list(command, &[("listall", "true")]);
        let known: BTreeSet<_> = listed.iter().map(|o| text(o, "id").to_owned()).collect();
        let lines = lab.exec("host", &["pgrep", "-f", "-a", process]);
        let id = |line: &str| line.split(" --id ").nth(1)?.split(' ').next().map(str::to_owned);
        lines.lines().filter_map(id).collect::<BTreeSet<_>>() == known
    })
}

/// Kills the lab's server with SIGKILL. Whether there was one.
fn kill_server(lab: &Lab) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let output = lab.try_exec("host", &["pkill", "-9", "-f", "outgate server"]);
        if output.status.success() {
            return true;
        }
    }
    false
}

/// The ports of the forwards that the server lists.
fn forwarded_ports(lab: &Lab) -> BTreeSet<u64> {
    let listed = lab.list("listPortForwardingRules", &[("listall", "true")]);
    let port = |rule: &Value| text(rule, "publicport").parse().expect("a port");
    listed.iter().map(port).collect()
}

/// The ports of the map of forwards in the kernel.
fn kernel(lab: &Lab) -> BTreeSet<u64> {
    let router = lab.router();
    let argv = ["nft", "-j", "-n", "list", "map", "ip", "outgate", "port_forward"];
    let listing: Value = serde_json::from_str(&lab.exec(text(&router, "name"), &argv)).expect("JSON");
    let map = listing["nftables"]
        .as_array()
        .and_then(|a| a.iter().find_map(|o| o.get("map")))
        .expect("the map");
    let elements = map["elem"].as_array().expect("elements");
    let port = |e: &Value| e[0]["concat"][2].as_u64().expect("a port");
    elements.iter().map(port).collect()
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
