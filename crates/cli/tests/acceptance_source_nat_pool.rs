// SPDX-License-Identifier: Apache-2.0
//! One source NAT address driven to its last port towards one destination: it is foreseen, named, and cured by one command,
//! while everybody else's sessions go on.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::time::Duration;

use outgate_testkit::{RawSender, Sniffer, TcpEcho, udp_packet};
use serde_json::Value;
use support::{Lab, far, ip, lives, session, text, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
/// Nobody answers there: a session is one packet.
const SILENT: u16 = 9;

/// A lab whose guests open sessions by single packets.
struct Pressed {
    lab: Lab,
    sniffer: Sniffer,
    router: String,
    network: String,
}

impl Pressed {
    fn up() -> Self {
        let lab = Lab::up();
        let sniffer = Sniffer::start(&lab.namespace("internet")).expect("a sniffer");
        let router = text(&lab.router(), "name").to_owned();
        let network = text(&lab.network(), "id").to_owned();
        // A session of one packet outlives the test, however slow the machine.
        let lasting = [("name", "router.conntrack.udp.timeout"), ("value", "1800")];
        lab.call("updateConfiguration", &lasting);
        let timeout = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout";
        wait_until(LIMIT, "sessions last", || {
            lab.exec(&router, &["cat", timeout]).trim() == "1800"
        });
        Self {
            lab,
            sniffer,
            router,
            network,
        }
    }

    /// A session from each of these ports of a guest to the silent server.
    fn open(&self, guest: &str, ports: RangeInclusive<u16>) {
        let sender = RawSender::new(&self.lab.namespace(guest)).expect("the guest");
        let from = ip(&self.lab.guest(guest)["nic"][0]);
        let to = far(SILENT);
        for port in ports {
            let packet = udp_packet(SocketAddrV4::new(from, port), to, b"new");
            sender.send(&packet, *to.ip()).expect("it leaves");
        }
    }

    /// The public addresses from which packets of new sessions came since the last question.
    fn sources(&self) -> Vec<Ipv4Addr> {
        let packets = self.sniffer.take();
        let ours = packets
            .iter()
            .filter(|p| p.protocol == 17 && p.ports().is_some_and(|(_, to)| to == SILENT));
        ours.map(|p| p.source).collect()
    }

    /// How many packets were lost because no port was left.
    fn lost(&self) -> u64 {
        let text = self.lab.exec(&self.router, &["conntrack", "-S"]);
        let counts = text
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("insert_failed="));
        counts.filter_map(|count| count.parse::<u64>().ok()).sum()
    }

    /// What getSourceNatUsage says of this address.
    fn usage(&self, address: &str) -> Value {
        let all = self
            .lab
            .list("getSourceNatUsage", &[("networkid", self.network.as_str())]);
        let of = all.into_iter().find(|usage| usage["ipaddress"] == address);
        of.expect("the address is among them")
    }

    /// The same once so many ports are in use: for most of a second it tells what it knew.
    fn usage_at(&self, address: &str, ports: u64) -> Value {
        let mut usage = Value::Null;
        wait_until(LIMIT, "the ports are in use", || {
            usage = self.usage(address);
            usage["portsused"] == ports
        });
        usage
    }

    /// The doctor's first finding: its cause, evidence and remedy in one text; `None` where there is none.
    fn doctor(&self) -> Option<String> {
        let asked = self
            .lab
            .outgate(&["doctor", "-o", "json", "lab-net"])
            .output()
            .expect("outgate runs");
        let diagnosis: Value = serde_json::from_slice(&asked.stdout).expect("a diagnosis");
        let found = &diagnosis["finding"][0];
        (diagnosis["healthy"] != true).then(|| found.to_string())
    }

    fn job(&self, command: &str, name: &str, value: &str) -> Value {
        self.lab.job(command, &[(name, value)])
    }

    /// The addresses that `iptables -t nat -S POSTROUTING` shows.
    fn shown(&self) -> Vec<String> {
        let argv = ["iptables", "-t", "nat", "-S", "POSTROUTING"];
        let output = self.lab.try_exec(&self.router, &argv);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let each = text.lines().filter_map(|line| line.split("--to-source ").nth(1));
        each.map(str::to_owned).collect()
    }
}

fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn an_address_driven_to_its_last_port_is_foreseen_named_and_relieved_by_one_command_at_once() {
    let pressed = Pressed::up();
    let lab = &pressed.lab;
    let default = lab.source_nat();
    let default = text(&default, "ipaddress");
    let echo = TcpEcho::start(&lab.namespace("internet"), far(7_201)).expect("an echo");
    let mut established = session(&lab.namespace("guest2"), echo.address).expect("a session");

    // Foreseen.
    pressed.open("guest1", 1_024..=30_000);
    pressed.usage_at(default, 28_977);
    pressed.open("guest1", 30_001..=60_023);
    let usage = pressed.usage_at(default, 59_000);
    assert_eq!(usage["portlimit"], 64_512);
    assert!(usage["exhaustedin"].as_u64().is_some(), "a forecast: {usage}");
    has(text(&usage, "remedy"), &["addSourceNatAddress", "10.1.1."]);
    has(
        &pressed.doctor().expect("a warning"),
        &["ports-near", "addSourceNatAddress"],
    );

    // Named.
    pressed.open("guest1", 60_024..=u16::MAX);
    let guest = ip(&lab.guest("guest1")["nic"][0]).to_string();
    let found = pressed.doctor().expect("a fault");
    has(&found, &["ports-exhausted", &guest, "addSourceNatAddress"]);
    let lost = pressed.lost();
    pressed.open("guest2", 5_000..=5_000);
    wait_until(LIMIT, "a new session is lost", || pressed.lost() > lost);
    pressed.sources();

    // Relieved.
    let added = pressed.job("addSourceNatAddress", "networkid", &pressed.network);
    let added = added["ipaddress"].clone();
    assert_eq!(added["sourcenatrole"], "additional");
    pressed.open("guest2", 5_001..=5_050);
    let mut seen = Vec::new();
    wait_until(LIMIT, "fifty new sessions work, each by its first packet", || {
        seen.extend(pressed.sources());
        seen.len() >= 50
    });
    assert!(seen.iter().all(|source| *source == ip(&added)), "{seen:?}");
    assert_eq!(pressed.doctor(), None, "with the next address there are ports");
    let usage = pressed.usage_at(default, 64_512);
    assert_eq!(
        (
            &usage["percentused"],
            &usage["pooladdresses"],
            &usage["poolpercentused"]
        ),
        (&100.into(), &2.into(), &50.into())
    );
    assert!(lives(&mut established), "a session that was there goes on");
    assert_eq!(pressed.shown(), [default, text(&added, "ipaddress")]);
    let verified = lab
        .outgate(&["verify", &pressed.router])
        .output()
        .expect("it runs");
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn a_pool_outlives_its_router_and_gives_an_address_back_when_its_sessions_have_ended() {
    let pressed = Pressed::up();
    let lab = &pressed.lab;
    let default = lab.source_nat();
    let added = pressed.job("addSourceNatAddress", "networkid", &pressed.network)["ipaddress"].clone();
    let pool = [text(&default, "ipaddress"), text(&added, "ipaddress")];
    assert_eq!(pressed.shown(), pool);
    assert_eq!(
        lab.network()["sourcenataddresses"],
        Value::from(pool.map(str::to_owned).to_vec())
    );

    lab.kill(text(&lab.router(), "id"));
    wait_until(LIMIT, "the router is back with its pool", || {
        pressed.shown() == pool
    });

    let id = text(&added, "id");
    let refused = lab.client.job("disassociateIpAddress", &[("id", id)]);
    has(
        &format!("{:#}", refused.expect_err("a member of the pool")),
        &["removeSourceNatAddress"],
    );
    let removed = pressed.job("removeSourceNatAddress", "ipaddressid", id);
    assert_eq!(removed["ipaddress"]["issourcenat"], false);
    assert_eq!(pressed.shown(), pool[..1]);
    pressed.job("disassociateIpAddress", "id", id);
    let addresses = lab.exec(&pressed.router, &["ip", "address", "show", "eth2"]);
    assert!(!addresses.contains(pool[1]), "{addresses}");
}
