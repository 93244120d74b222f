// SPDX-License-Identifier: Apache-2.0
//! A hundred clients at once want the same addresses and ports, and delete what others use: never two owners, never a
//! half-made rule, and at the end the router's kernel holds exactly what the store says.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use outgate_cli::client::{Client, Credentials, ServerError};
use serde_json::Value;
use support::{Lab, text, wait_until};

const CLIENTS: u64 = 100;
/// How many commands each client sends.
const COMMANDS: usize = 12;
/// Ports that everybody wants.
const PORTS: std::ops::Range<u64> = 100..130;

/// What the clients know of each other's things: ids of addresses and rules that were there once.
#[derive(Default)]
struct Shared {
    addresses: Mutex<Vec<String>>,
    forwards: Mutex<Vec<String>>,
    balancers: Mutex<Vec<String>>,
    jobs: Mutex<Vec<String>>,
    refusals: Mutex<BTreeMap<i64, usize>>,
}

/// Random numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick(&mut self, all: &Mutex<Vec<String>>) -> Option<String> {
        let all = all.lock().expect("unpoisoned");
        // Half of the time one of those that everybody knows.
        let most = if self.roll(2) == 0 { 6 } else { all.len() };
        let count = u64::try_from(all.len().min(most)).expect("few").max(1);
        let place = usize::try_from(self.roll(count)).expect("few");
        all.get(place).cloned()
    }
}

struct Actor<'a> {
    client: Client,
    dice: Dice,
    shared: &'a Shared,
    network: &'a str,
    guests: [&'a str; 2],
}

impl Actor<'_> {
    /// Sends a command. A refusal must have one of the codes that say what is wrong, and a conflict its other party.
    fn send(&self, command: &str, params: &[(&str, &str)]) -> Option<Value> {
        let answer = loop {
            match self.client.call(command, params) {
                Err(error) if code(&error) == Some(429) => std::thread::sleep(Duration::from_millis(100)),
                other => break other,
            }
        };
        match answer {
            Ok(answer) => {
                if let Some(job) = answer["jobid"].as_str() {
                    self.shared.jobs.lock().expect("unpoisoned").push(job.to_owned());
                }
                Some(answer)
            }
            Err(error) => {
                let code = code(&error).unwrap_or_else(|| panic!("{command} {params:?}: {error:#}"));
                let words = error.to_string();
                assert!(
                    [431, 533, 535, 536, 537].contains(&code),
                    "{command} {params:?}: {words}"
                );
                assert!(code != 537 || names_somebody(&words), "{words}");
                *self
                    .shared
                    .refusals
                    .lock()
                    .expect("unpoisoned")
                    .entry(code)
                    .or_default() += 1;
                None
            }
        }
    }

    fn made(&self, list: &Mutex<Vec<String>>, answer: Option<Value>) -> Option<String> {
        let id = text(&answer?, "id").to_owned();
        list.lock().expect("unpoisoned").push(id.clone());
        Some(id)
    }

    fn act(&mut self) {
        let Some(address) = self.dice.pick(&self.shared.addresses) else {
            return self.acquire();
        };
        match self.dice.roll(14) {
            0..=3 => self.acquire(),
            4..=6 => self.forward(&address),
            7..=9 => self.balance(&address),
            10 => {
                let guest = self.guest();
                self.send(
                    "enableStaticNat",
                    &[("ipaddressid", &address), ("virtualmachineid", &guest)],
                );
            }
            11 => self.delete("deletePortForwardingRule", |s| &s.forwards),
            12 => self.delete("deleteLoadBalancerRule", |s| &s.balancers),
            _ => self.delete("disassociateIpAddress", |s| &s.addresses),
        }
    }

    fn guest(&mut self) -> String {
        let [one, two] = self.guests;
        if self.dice.roll(2) == 0 { one } else { two }.to_owned()
    }

    fn acquire(&self) {
        let answer = self.send("associateIpAddress", &[("networkid", self.network)]);
        self.made(&self.shared.addresses, answer);
    }

    fn forward(&mut self, address: &str) {
        let first = PORTS.start + self.dice.roll(PORTS.end - PORTS.start);
        let last = first + self.dice.roll(4);
        let [first, last, private] = [first, last, first + 1_000].map(|port| port.to_string());
        let guest = self.guest();
        let params = [
            ("ipaddressid", address),
            ("protocol", "tcp"),
            ("publicport", &first),
            ("publicendport", &last),
            ("privateport", &private),
            ("virtualmachineid", &guest),
        ];
        let answer = self.send("createPortForwardingRule", &params);
        self.made(&self.shared.forwards, answer);
    }

    fn balance(&mut self, address: &str) {
        let port = (PORTS.start + self.dice.roll(PORTS.end - PORTS.start)).to_string();
        let params = [
            ("name", "hundred"),
            ("publicipid", address),
            ("publicport", &port),
            ("privateport", "8080"),
            ("algorithm", "roundrobin"),
            ("cidrlist", "198.51.100.0/24,192.0.2.0/25"),
        ];
        let answer = self.send("createLoadBalancerRule", &params);
        if let Some(id) = self.made(&self.shared.balancers, answer) {
            let guest = self.guest();
            self.send(
                "assignToLoadBalancerRule",
                &[("id", &id), ("virtualmachineids", &guest)],
            );
        }
    }

    fn delete(&mut self, command: &str, list: impl Fn(&Shared) -> &Mutex<Vec<String>>) {
        if let Some(id) = self.dice.pick(list(self.shared)) {
            self.send(command, &[("id", &id)]);
        }
    }
}

fn code(error: &anyhow::Error) -> Option<i64> {
    error.downcast_ref::<ServerError>().map(|e| e.code)
}

/// Whether the words hold an id.
fn names_somebody(words: &str) -> bool {
    words
        .split(|c: char| !c.is_ascii_hexdigit() && c != '-')
        .any(|word| word.len() == 36 && word.matches('-').count() == 4)
}

#[test]
fn a_hundred_clients_leave_no_half_made_rule_and_no_address_with_two_owners() {
    let lab = Lab::up();
    let (network, guests) = (lab.network(), [lab.guest("guest1"), lab.guest("guest2")]);
    let shared = Shared::default();
    for _ in 0..4 {
        let id = text(&lab.acquire(), "id").to_owned();
        shared.addresses.lock().expect("unpoisoned").push(id);
    }
    let credentials = Credentials::read(&lab.directory().join("cloudstack.ini")).expect("credentials");
    std::thread::scope(|scope| {
        for number in 1..=CLIENTS {
            let mut actor = Actor {
                client: Client::new(credentials.clone()),
                dice: Dice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
                shared: &shared,
                network: text(&network, "id"),
                guests: [text(&guests[0], "id"), text(&guests[1], "id")],
            };
            scope.spawn(move || (0..COMMANDS).for_each(|_| actor.act()));
        }
    });
    let jobs = shared.jobs.lock().expect("unpoisoned").clone();
    for job in &jobs {
        let mut state = Value::Null;
        wait_until(Duration::from_secs(60), "each job ends", || {
            state = lab.call("queryAsyncJobResult", &[("jobid", job)]);
            state["jobstatus"] != 0
        });
        assert_eq!(state["jobstatus"], 1, "{state}");
    }
    let refusals = shared.refusals.lock().expect("unpoisoned").clone();
    eprintln!("{} jobs done; refusals by code: {refusals:?}", jobs.len());
    let [conflicts, exhausted] = [537, 533].map(|code| refusals.contains_key(&code));
    assert!(
        conflicts && exhausted,
        "nobody stood in another's way: {refusals:?}"
    );
    let wanted = wanted(&lab);
    assert_eq!(held(&lab), wanted);
    let reply = lab.call("verifyRouter", &[("id", text(&lab.router(), "id"))]);
    let checks = reply["verification"]["check"].as_array().expect("checks").clone();
    let failed: Vec<_> = checks.iter().filter(|check| check["pass"] == false).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// What a router's kernel and haproxy must hold, or do: addresses, forwarded ports, static NAT, balanced ports.
#[derive(Debug, Default, PartialEq, Eq)]
struct Holds {
    addresses: BTreeSet<String>,
    forwards: BTreeMap<(String, u32), String>,
    static_nat: BTreeMap<String, String>,
    balanced: BTreeSet<(String, u32)>,
}

fn number(object: &Value, field: &str) -> u32 {
    text(object, field).parse().expect("a number")
}

/// By the API. Fails when two rules share a port, or a rule an address that it cannot be on.
fn wanted(lab: &Lab) -> Holds {
    let all = [("listall", "true"), ("pagesize", "-1")];
    let mut wanted = Holds::default();
    let mut names = BTreeMap::new();
    for address in lab.list("listPublicIpAddresses", &all) {
        let ip = text(&address, "ipaddress").to_owned();
        names.insert(text(&address, "id").to_owned(), ip.clone());
        if address["isstaticnat"] == true {
            wanted
                .static_nat
                .insert(ip.clone(), text(&address, "vmipaddress").to_owned());
        }
        assert!(wanted.addresses.insert(ip), "two owners of {address}");
    }
    for rule in lab.list("listPortForwardingRules", &all) {
        let ip = &names[text(&rule, "ipaddressid")];
        let (first, private) = (number(&rule, "publicport"), number(&rule, "privateport"));
        for port in first..=number(&rule, "publicendport") {
            let to = format!("{} . {}", text(&rule, "vmguestip"), private + port - first);
            let other = wanted.forwards.insert((ip.clone(), port), to);
            assert_eq!(other, None, "two forwards of {ip} {port}");
        }
        assert!(!wanted.static_nat.contains_key(ip), "{rule}");
    }
    for rule in lab.list("listLoadBalancerRules", &all) {
        let ip = &names[text(&rule, "publicipid")];
        let place = (ip.clone(), number(&rule, "publicport"));
        assert!(
            !wanted.forwards.contains_key(&place) && !wanted.static_nat.contains_key(ip),
            "{rule}"
        );
        let members = lab.list("listLoadBalancerRuleInstances", &[("id", text(&rule, "id"))]);
        assert!(members.is_empty() || wanted.balanced.insert(place), "{rule}");
    }
    wanted
}

/// By the router itself.
fn held(lab: &Lab) -> Holds {
    let router = lab.router();
    let run = |argv: &[&str]| lab.exec(text(&router, "name"), argv);
    let elements = |map: &str| {
        let listed = run(&["nft", "-n", "list", "map", "ip", "outgate", map]);
        let inside = listed.split_once("elements = {").map(|(_, rest)| rest.to_owned());
        let inside = inside.unwrap_or_default();
        let inside = inside.split('}').next().unwrap_or_default().to_owned();
        let pairs = inside.split(',').filter_map(|pair| {
            let (key, data) = pair.split_once(" : ")?;
            Some((key.trim().to_owned(), data.trim().to_owned()))
        });
        pairs.collect::<Vec<_>>()
    };
    let mut held = Holds::default();
    for line in run(&["ip", "-4", "-o", "addr", "show", "eth2"]).lines() {
        let address = line.split_whitespace().nth(3).and_then(|a| a.split('/').next());
        held.addresses.extend(address.map(str::to_owned));
    }
    for (key, data) in elements("port_forward") {
        let words: Vec<&str> = key.split(" . ").collect();
        let [ip, "6", port] = words.as_slice() else {
            panic!("{key}")
        };
        held.forwards
            .insert(((*ip).to_owned(), port.parse().expect("a port")), data);
    }
    held.static_nat.extend(elements("static_nat_in"));
    let config = lab.try_exec(text(&router, "name"), &["cat", "/run/outgate-vr/haproxy.cfg"]);
    let running = !run(&["sh", "-c", "pgrep haproxy || true"]).trim().is_empty();
    for line in String::from_utf8_lossy(&config.stdout)
        .lines()
        .filter(|_| running)
    {
        if let Some((ip, port)) = line
            .trim()
            .strip_prefix("bind ")
            .and_then(|rest| rest.split(' ').next()?.split_once(':'))
        {
            held.balanced
                .insert((ip.to_owned(), port.parse().expect("a port")));
        }
    }
    held
}
