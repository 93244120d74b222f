// SPDX-License-Identifier: Apache-2.0
//! What routers know, asked of a lab's API: bytes exact through rule changes, reboots and crashes, sessions, ports in
//! use, health, diagnosis.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::net::{SocketAddrV4, UdpSocket};

use outgate_testkit::{Namespace, UdpEcho};
use serde_json::Value;
use support::{Lab, PATIENCE, far, text, wait_until};

/// IP and UDP headers.
const HEADERS: u64 = 28;

fn within<T: Send>(place: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    place.within(work).expect("entering a namespace")
}

/// Sends datagrams one after the other, each after the echo of the one before.
fn ping_pong(from: &Namespace, to: SocketAddrV4, count: u64, payload: usize) {
    let socket = within(from, || UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    socket.connect(to).expect("a way");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let mut buffer = vec![0; payload + 1];
    for _ in 0..count {
        socket.send(&vec![7; payload]).expect("sending");
        assert_eq!(socket.recv(&mut buffer).expect("the echo"), payload);
    }
}

/// The days that the test may run in.
fn range() -> [(&'static str, String); 2] {
    let day = |hours| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        at.strftime("%Y-%m-%d").to_string()
    };
    [("startdate", day(-24)), ("enddate", day(24))]
}

/// Bytes received and sent by the source NAT address so far, by the usage records.
fn bytes(lab: &Lab, address: &str) -> [u64; 2] {
    let range = range();
    let range: Vec<(&str, &str)> = range.iter().map(|(name, day)| (*name, day.as_str())).collect();
    lab.call("generateUsageRecords", &range);
    let records = lab.list("listUsageRecords", &range);
    [5, 4].map(|kind| {
        let of = records
            .iter()
            .filter(|r| r["usagetype"] == kind && r["ipaddress"] == address);
        of.map(|r| text(r, "rawusage").parse::<u64>().expect("bytes"))
            .sum()
    })
}

fn grown(before: [u64; 2], now: [u64; 2]) -> [u64; 2] {
    [now[0] - before[0], now[1] - before[1]]
}

fn runs(lab: &Lab) -> bool {
    text(&lab.router(), "state") == "Running" && lab.router()["healthcheckresults"].is_array()
}

#[test]
fn usage_is_exact_through_rule_changes_a_reboot_and_a_crash_of_the_router() {
    let lab = Lab::up();
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let echo = UdpEcho::start(&internet, far(7_007)).expect("an echo");
    let source_nat = lab.source_nat();
    let address = text(&source_nat, "ipaddress");
    let before = bytes(&lab, address);
    ping_pong(&guest, echo.address, 200, 1_000);
    let mut expected = 200 * (1_000 + HEADERS);
    assert_eq!(grown(before, bytes(&lab, address)), [expected; 2]);
    assert_eq!(
        grown(before, bytes(&lab, address)),
        [expected; 2],
        "reading again adds nothing"
    );

    // A rule more, and more traffic.
    let guest_id = text(&lab.guest("guest1"), "id").to_owned();
    let forward = [
        ("ipaddressid", text(&source_nat, "id")),
        ("protocol", "tcp"),
        ("publicport", "8080"),
        ("privateport", "80"),
        ("virtualmachineid", guest_id.as_str()),
    ];
    lab.job("createPortForwardingRule", &forward);
    ping_pong(&guest, echo.address, 50, 500);
    expected += 50 * (500 + HEADERS);
    // Not read between: the reboot itself reads what the router has counted.
    lab.job("rebootRouter", &[("id", text(&lab.router(), "id"))]);
    wait_until(PATIENCE, "the router runs again", || runs(&lab));
    assert_eq!(
        grown(before, bytes(&lab, address)),
        [expected; 2],
        "after a reboot"
    );

    // A crash: what was read is kept, and the next life is added to it.
    let router = lab.router();
    lab.kill(text(&router, "id"));
    lab.wait_for_event("ROUTER.LOST", text(&router, "name"));
    let ping = || lab.try_exec("guest1", &["ping", "-c", "1", "-W", "1", support::INTERNET]);
    wait_until(PATIENCE, "guests get out again", || ping().status.success());
    wait_until(PATIENCE, "the router runs again", || runs(&lab));
    let start = bytes(&lab, address);
    ping_pong(&guest, echo.address, 30, 100);
    let after = bytes(&lab, address);
    assert_eq!(grown(start, after), [30 * (100 + HEADERS); 2]);
    assert!(
        grown(before, after)[0] >= expected,
        "nothing was lost by the crash"
    );
}

#[test]
fn sessions_and_ports_of_a_router_are_told_as_they_are() {
    let lab = Lab::up();
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let echo = UdpEcho::start(&internet, far(7_008)).expect("an echo");
    // None of them ends meanwhile.
    let lasting = [("name", "router.conntrack.udp.timeout"), ("value", "600")];
    lab.call("updateConfiguration", &lasting);
    let timeout = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout";
    wait_until(PATIENCE, "sessions last", || {
        lab.exec(text(&lab.router(), "name"), &["cat", timeout]).trim() == "600"
    });
    let sockets: Vec<UdpSocket> = within(&guest, || {
        let one = |_| {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
            socket.send_to(b"hello", echo.address).expect("sending");
            socket
        };
        (0..300).map(one).collect()
    });
    let network = text(&lab.network(), "id").to_owned();
    let all = [
        ("networkid", network.as_str()),
        ("protocol", "udp"),
        ("port", "7008"),
    ];
    wait_until(PATIENCE, "300 sessions", || {
        lab.call("listRouterSessions", &all)["count"] == 300
    });
    let one = sockets[7].local_addr().expect("its port").port();
    let sessions = lab.call(
        "listRouterSessions",
        &[("networkid", &network), ("port", &one.to_string())],
    );
    let session = sessions["routersession"]
        .as_array()
        .expect("sessions")
        .iter()
        .find(|s| s["destinationport"] == 7_008)
        .expect("its session");
    assert_eq!(
        (&session["virtualmachinename"], &session["insideport"]),
        (&"guest1".into(), &one.into())
    );
    assert_eq!(session["publicipaddress"], lab.source_nat()["ipaddress"]);
    assert_eq!(session["sentbytes"], 5 + HEADERS);

    // For most of a second it tells what it knew.
    let mut used = Value::Null;
    wait_until(PATIENCE, "300 ports are used", || {
        used = lab.call("getSourceNatUsage", &[("networkid", &network)])["sourcenatusage"][0].clone();
        used["portsused"] == 300
    });
    assert_eq!(used["portlimit"], 64_512);
    assert_eq!(used["virtualmachine"][0]["name"], "guest1");
    drop(sockets);
}

#[test]
fn a_router_that_works_passes_its_health_checks() {
    let lab = Lab::up();
    let router = text(&lab.router(), "id").to_owned();
    let fresh = [("routerid", router.as_str()), ("performfreshchecks", "true")];
    let found = lab.call("getRouterHealthCheckResults", &fresh);
    let checks: BTreeMap<&str, &Value> = found["routerhealthchecks"]["healthchecks"]
        .as_array()
        .expect("checks")
        .iter()
        .map(|c| (text(c, "checkname"), c))
        .collect();
    for name in [
        "connectivity.test",
        "dns_check.py",
        "dhcp_check.py",
        "gateways_check.py",
        "iptables_check.py",
    ] {
        assert_eq!(checks[name]["success"], true, "{name}: {checks:?}");
    }
}

#[test]
fn diagnosis_runs_in_the_router_itself() {
    let lab = Lab::up();
    let router = text(&lab.router(), "id").to_owned();
    let run = |tool: &str, address: &str, options: &str| {
        let params = [
            ("targetid", router.as_str()),
            ("ipaddress", address),
            ("type", tool),
            ("params", options),
        ];
        lab.job("runDiagnostics", &params)["diagnostics"].clone()
    };
    let ping = run("ping", support::INTERNET, "-c 2");
    assert!(text(&ping, "stdout").contains("2 received"), "{ping}");
    assert_eq!(ping["exitcode"], "0");
    let lost = run("ping", "203.0.113.254", "-c 1 -W 1");
    assert_ne!(lost["exitcode"], "0");
    let hops = run("traceroute", support::INTERNET, "-m 5");
    assert!(
        text(&hops, "stdout").contains(support::INTERNET) && hops["exitcode"] == "0",
        "{hops}"
    );
    let gateway = text(&lab.router(), "gateway").to_owned();
    let arping = run("arping", &gateway, "-c 1");
    assert_eq!(arping["exitcode"], "0", "{arping}");
    let bundle = lab.job(
        "getDiagnosticsData",
        &[("targetid", router.as_str()), ("files", "iptables,addresses")],
    );
    assert!(
        text(&bundle["diagnostics"], "url").starts_with("data:text/plain"),
        "{bundle}"
    );
}
