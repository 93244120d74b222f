// SPDX-License-Identifier: Apache-2.0
//! Metrics and logs of a lab: traffic of real guests is in the scrape, what packaging/ asks for is there, and one job's id
//! finds its lines in the API's answer, the server's log and the router's.
#![allow(
    clippy::expect_used,
    clippy::too_many_lines,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use outgate_metrics::catalog;
use outgate_testkit::{Exposition, Namespace, UdpEcho};
use serde_json::Value;
use support::{Lab, far, text, wait_until};

/// Where a lab's metrics are, inside it.
const METRICS: &str = "127.0.0.1:9464";
/// How long the next reading of the router may take to be seen, on a machine that others load.
const PATIENCE: Duration = Duration::from_secs(60);
/// Only there while use rises, or with a fast path; crates/api/tests/metrics.rs sees them.
const NOT_ALWAYS: [&str; 7] = [
    "outgate_address_ports_exhaustion_seconds",
    "outgate_router_sessions_exhaustion_seconds",
    "outgate_router_pool_ports_exhaustion_seconds",
    "outgate_router_limit_refused_total",
    "outgate_guest_limit_refused_total",
    "outgate_router_fastpath_running",
    "outgate_router_fastpath_packets_total",
];

fn within<T: Send>(place: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    place.within(work).expect("entering a namespace")
}

/// A hundred sockets of a guest.
fn sockets(guest: &Namespace) -> Vec<UdpSocket> {
    let one = |_| UdpSocket::bind("0.0.0.0:0").expect("a socket");
    within(guest, || (0..100).map(one).collect())
}

/// What a scrape gets, read strictly.
fn scrape(host: &Namespace) -> Exposition {
    let address: SocketAddr = METRICS.parse().expect("an address");
    let mut stream = within(host, || TcpStream::connect(address)).expect("the metrics' socket");
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {METRICS}\r\nConnection: close\r\n\r\n"
    )
    .expect("asking");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    let (head, page) = reply.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Exposition::read(page, false).expect("a page that is right")
}

/// A file of packaging/.
fn packaged(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../packaging")
        .join(name);
    std::fs::read_to_string(&path).expect("the file is there")
}

/// The series that queries name.
fn named(queries: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = queries.split(|c| !is_name(c));
    words.filter(|word| word.starts_with("outgate_")).collect()
}

#[test]
fn traffic_of_guests_is_in_the_scrape_and_so_is_all_that_dashboard_and_alerts_ask_for() {
    let lab = Lab::up();
    let (guest, internet, host) = (
        lab.namespace("guest1"),
        lab.namespace("internet"),
        lab.namespace("host"),
    );
    let interval = [("name", "router.stats.interval"), ("value", "1")];
    lab.call("updateConfiguration", &interval);
    let echo = UdpEcho::start(&internet, far(7_020)).expect("an echo");
    let sockets = sockets(&guest);
    let router = text(&lab.router(), "name").to_owned();
    let network = text(&lab.network(), "id").to_owned();
    let address = text(&lab.source_nat(), "ipaddress").to_owned();
    let of_address = [("router", router.as_str()), ("address", &address)];
    let udp = [of_address[0], of_address[1], ("protocol", "udp")];
    let out = [("network_id", network.as_str()), ("direction", "out")];
    let came = [of_address[0], of_address[1], ("direction", "in")];
    // At least 100 datagrams of 1,000 bytes go out and come back.
    let least = [
        ("outgate_router_sessions", &of_address[..1], 100.0),
        ("outgate_address_sessions", &of_address, 100.0),
        ("outgate_address_ports_used", &udp, 100.0),
        ("outgate_address_destination_ports_used", &udp, 100.0),
        ("outgate_network_sessions", &out[..1], 100.0),
        ("outgate_router_pool_ports_used", &of_address[..1], 100.0),
        ("outgate_router_pool_ports_limit", &of_address[..1], 64_512.0),
        ("outgate_network_bytes_total", &out, 100_000.0),
        ("outgate_network_packets_total", &out, 100.0),
        ("outgate_address_bytes_total", &came, 100_000.0),
        ("outgate_guest_sessions", &[("guest", "guest1")], 100.0),
        (
            "outgate_guest_bytes_total",
            &[("guest", "guest1"), ("direction", "out")],
            100_000.0,
        ),
        ("outgate_router_up", &of_address[..1], 1.0),
        (
            "outgate_job_duration_seconds_count",
            &[("command", "deployVirtualMachine")],
            2.0,
        ),
        (
            "outgate_api_requests_total",
            &[("command", "listRouters"), ("code", "200")],
            1.0,
        ),
        ("outgate_apply_duration_seconds_count", &[], 1.0),
    ];
    let mut missing = Vec::new();
    wait_until(PATIENCE, "the traffic is in the scrape", || {
        // What a burst lost is sent again.
        for socket in &sockets {
            socket.send_to(&[7; 972], echo.address).expect("sending");
        }
        let page = scrape(&host);
        let below = |(name, labels, least): &&(&str, &[(&str, &str)], f64)| {
            page.sum(name, labels).is_none_or(|value| value < *least)
        };
        let now: Vec<&str> = least.iter().filter(below).map(|(name, ..)| *name).collect();
        if now != missing {
            eprintln!("not there yet: {now:?}");
        }
        missing = now;
        missing.is_empty()
    });
    drop(sockets);
    let id = text(&lab.router(), "id").to_owned();
    let fresh = [("routerid", id.as_str()), ("performfreshchecks", "true")];
    lab.call("getRouterHealthCheckResults", &fresh);
    holds_what_packaging_asks_for(&scrape(&host));

    // What somebody else changes is repaired, and counted.
    let repairs = || scrape(&host).sum("outgate_router_repairs_total", &of_address[..1]);
    let before = repairs().expect("the count of repairs");
    lab.exec(&router, &["nft", "flush", "ruleset"]);
    wait_until(PATIENCE, "the repair is counted", || repairs() > Some(before));
}

fn holds_what_packaging_asks_for(page: &Exposition) {
    let (dashboard, rules) = (
        packaged("grafana/outgate.json"),
        packaged("prometheus/outgate.rules.yml"),
    );
    let there = page.names();
    let known: BTreeSet<&str> = catalog::ALL.iter().map(|about| about.name).collect();
    for name in named(&dashboard).union(&named(&rules)) {
        let may_be_absent = NOT_ALWAYS.contains(name) && known.contains(name);
        assert!(
            there.contains(name) || may_be_absent,
            "{name} is not in the scrape"
        );
    }
}

#[test]
fn dashboard_and_alert_rules_are_whole() {
    let dashboard: Value = serde_json::from_str(&packaged("grafana/outgate.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "ids are unique");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            assert!(text(target, "expr").contains("outgate_"), "{target}");
        }
    }
    let rules =
        yaml_rust2::YamlLoader::load_from_str(&packaged("prometheus/outgate.rules.yml")).expect("YAML");
    let rules = rules[0]["groups"][0]["rules"].as_vec().expect("rules");
    assert!(rules.len() >= 15);
    let mut names = BTreeSet::new();
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        assert!(names.insert(name), "{name} is there twice");
        assert!(!named(rule["expr"].as_str().expect("a query")).is_empty() || name == "OutgateServerDown");
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().expect("a severity")));
        for field in ["summary", "description"] {
            assert!(
                rule["annotations"][field]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{name}"
            );
        }
    }
}

/// The lines of a log that are JSON objects.
fn objects(log: &str) -> Vec<Value> {
    let lines = log.lines();
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The server's lines.
fn lines(lab: &Lab) -> Vec<Value> {
    objects(&std::fs::read_to_string(lab.directory().join("lab.log")).expect("the log"))
}

/// The lines of the router's process that name the job.
fn of_process(lab: &Lab, job: &str) -> Vec<Value> {
    let log = format!("/run/outgate/*/routers/{}/process.log", text(&lab.router(), "id"));
    let mut lines = objects(&lab.exec("host", &["sh", "-c", &format!("cat {log}")]));
    lines.retain(|line| {
        line["fields"]["jobs"]
            .as_str()
            .is_some_and(|jobs| jobs.contains(job))
    });
    lines
}

/// The lines of the router's cloud.log that name the job.
fn of_cloud_log(lab: &Lab, job: &str) -> Vec<String> {
    let log = lab.exec(text(&lab.router(), "name"), &["cat", "/var/log/cloud.log"]);
    let lines = log.lines().filter(|line| line.contains(&format!("[job {job}]")));
    lines.map(str::to_owned).collect()
}

/// Asks for an egress rule; returns the job's id.
fn ask(lab: &Lab) -> String {
    let network = lab.network();
    let rule = [
        ("networkid", text(&network, "id")),
        ("protocol", "tcp"),
        ("cidrlist", "10.1.1.0/24"),
        ("startport", "25"),
        ("endport", "25"),
    ];
    text(&lab.call("createEgressFirewallRule", &rule), "jobid").to_owned()
}

fn ends(lab: &Lab, job: &str) -> Value {
    let mut answer = Value::Null;
    wait_until(PATIENCE, "the job ends", || {
        answer = lab.call("queryAsyncJobResult", &[("jobid", job)]);
        answer["jobstatus"] != 0
    });
    answer
}

#[test]
fn the_id_of_a_job_that_fails_finds_why_in_the_answer_the_servers_log_and_the_routers() {
    let lab = Lab::started_by(&["env", "OUTGATE_LOG_FORMAT=json"]);
    let router = text(&lab.router(), "name").to_owned();
    let broken = "printf '#!/bin/sh\\necho broken nft >&2; exit 1\\n' >/tmp/nft && chmod 755 /tmp/nft && mount --bind /tmp/nft \
                  $(command -v nft)";
    lab.exec(&router, &["sh", "-c", broken]);
    let job = ask(&lab);
    let answer = ends(&lab, &job);
    assert_eq!(answer["jobstatus"], 2, "{answer}");
    let told = text(&answer["jobresult"], "errortext").to_owned();
    assert!(told.contains("broken nft"), "{told}");
    wait_until(PATIENCE, "the server's log tells why", || {
        let lines = lines(&lab);
        let refused = lines.iter().any(|line| {
            line["fields"]["failure"] == *told
                && line["span"]["jobs"]
                    .as_str()
                    .is_some_and(|jobs| jobs.contains(&job))
        });
        let failed = lines
            .iter()
            .any(|line| line["fields"]["job"] == *job && line["fields"]["error"] == *told);
        refused && failed
    });
    wait_until(PATIENCE, "the router's logs tell why", || {
        let cloud = of_cloud_log(&lab, &job);
        let process = of_process(&lab, &job);
        let failed = |line: &Value| line["level"] == "ERROR" && line["fields"]["message"] == *told;
        process.iter().any(failed)
            && cloud
                .iter()
                .any(|line| line.contains("ERROR") && line.contains(&told))
    });
    let events = lab.list("listEvents", &[("type", "JOB.FAILED")]);
    assert!(events.iter().any(|event| event["jobid"] == *job), "{events:?}");
}

#[test]
fn a_jobs_id_finds_its_lines_in_the_answer_the_servers_log_and_the_routers() {
    let lab = Lab::started_by(&["env", "OUTGATE_LOG_FORMAT=json"]);
    let job = ask(&lab);
    assert_eq!(ends(&lab, &job)["jobstatus"], 1);
    let has = |found: &dyn Fn(&Value) -> bool| lines(&lab).iter().any(found);
    wait_until(PATIENCE, "the server's log tells all of it", || {
        let asked = has(&|line| {
            line["fields"]["job"] == *job && line["fields"]["answer"] == "createegressfirewallruleresponse"
        });
        let applied = has(&|line| {
            let jobs = line["span"]["jobs"].as_str().unwrap_or_default();
            line["fields"]["message"] == "applied" && jobs.contains(&job)
        });
        let ended =
            has(&|line| line["fields"]["job"] == *job && line["fields"]["message"] == "a job is done");
        asked && applied && ended
    });
    wait_until(PATIENCE, "the router's logs tell of it", || {
        let cloud = of_cloud_log(&lab, &job);
        let tells = |words: &&str| cloud.iter().any(|line| line.contains(words));
        let applied = |line: &Value| text(&line["fields"], "message").contains("applied generation");
        ["applied generation", "changed: "].iter().all(tells) && of_process(&lab, &job).iter().any(applied)
    });
}
