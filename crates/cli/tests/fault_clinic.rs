// SPDX-License-Identifier: Apache-2.0
//! The fault clinic: faults of the reference text's troubleshooting matrix and more, done for real to labs, which
//! `outgate doctor` must name first, each in under ten seconds; and no finding where there is no fault.
//! docs/fault-clinic.md is written from it.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

#[path = "clinic/mod.rs"]
mod clinic;
mod support;

use std::time::{Duration, Instant};

use clinic::{Clinic, examined, guest, host, outside, router};
use support::{session, wait_until};

/// So many labs in a row; `./x soak labs` builds twenty.
const LABS: usize = 5;
/// How long what runs out may take to be noticed: it is looked at once a second.
const NOTICE: Duration = Duration::from_secs(60);

#[test]
fn labs_in_a_row_have_no_finding_each_with_traffic() {
    let labs = std::env::var("OUTGATE_LABS").ok().and_then(|n| n.parse().ok());
    let labs: usize = labs.unwrap_or(LABS);
    for number in 1..=labs {
        let started = Instant::now();
        let clinic = Clinic::open();
        clinic.sessions(20_000..=20_999);
        let echo = support::far(7_400);
        let _echo =
            outgate_testkit::TcpEcho::start(&clinic.lab.namespace("internet"), echo).expect("an echo");
        let mut talks: Vec<_> = ["guest1", "guest2"]
            .iter()
            .map(|guest| session(&clinic.lab.namespace(guest), echo).expect("a session"))
            .collect();
        let took = clinic.is_healthy();
        assert!(talks.iter_mut().all(support::lives));
        println!(
            "lab {number} of {labs}: healthy after {took:?}, all in {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn faults_of_a_routers_configuration_are_named() {
    let (first, rest) = router::CONFIGURATION.split_at(6);
    examined("configuration", &[first, rest]);
}

#[test]
fn faults_of_rules_and_packets_lost_in_the_router_are_named() {
    examined("rules", &[router::RULES, router::LOST_INSIDE]);
}

#[test]
fn faults_of_a_routers_life_are_named() {
    let (first, rest) = router::LIFE.split_at(4);
    examined("life", &[first, rest]);
}

#[test]
fn faults_of_guests_are_named() {
    let (first, rest) = guest::SETTINGS.split_at(5);
    examined("guests", &[first, rest]);
}

#[test]
fn faults_between_guest_and_router_are_named() {
    examined("wire", &[guest::WIRE, guest::POLICY]);
}

#[test]
fn faults_outside_are_named() {
    examined("outside", &[outside::FAULTS]);
}

#[test]
fn faults_of_the_host_beneath_are_named() {
    examined("host", &[host::FAULTS]);
}

#[test]
fn hardware_that_says_nothing_is_not_available_and_never_fine() {
    let clinic = Clinic::open();
    clinic.acts(host::SILENT);
    let (diagnosis, _) = clinic.doctor(&["lab-net"]);
    assert_eq!(diagnosis["healthy"], true, "{diagnosis:#}");
    let printed = clinic.printed();
    let (_, told) = printed
        .split_once("not available on this host: ")
        .expect("what is missing");
    for what in ["memory ECC", "temperature", "ipmitool"] {
        let absent = diagnosis["notavailable"].as_array().expect("a list");
        assert!(
            absent.iter().any(|absent| absent == what),
            "{what}: {diagnosis:#}"
        );
        assert!(told.contains(what), "{what}: {printed}");
    }
}

#[test]
fn a_vpc_is_examined_from_tier_to_tier_and_through_its_private_gateway() {
    let mut clinic = Clinic::open();
    clinic::vpc::examine(&mut clinic);
    clinic.publish("vpc");
}

/// The guests' wire, and the beginning of addresses on it.
const GUESTS: (&str, &str) = ("g????????.*", "10.1.1");

#[test]
fn a_pair_of_keepalived_with_one_master_is_sound_and_with_two_a_split() {
    let mut clinic = Clinic::open();
    // Of guests, beside which everything works.
    let address = "10.1.1.100/24";
    clinic.pair(GUESTS, address, "2", "sound");
    clinic.is_healthy();
    clinic.cut_pair(address);
    clinic.must_name(
        "two keepalived, cut off from each other, are both master of an address of guests",
        "keepalived-split",
        "10.1.1.242 at ",
    );
    assert!(clinic.pings("guest1"), "the router has no part in it");
    clinic.join_pair(address);
    clinic.is_healthy();
    clinic.end_pair();
    clinic.publish("pair");
}

#[test]
fn a_split_over_the_address_of_a_gateway_is_named_before_what_comes_of_it() {
    let mut clinic = Clinic::open();
    // Of routers: what a split of a redundant pair looks like.
    clinic.pair(GUESTS, "10.1.1.1/24", "3", "split");
    clinic.must_name(
        "two keepalived, cut off from each other, are both master of the guests' gateway address",
        "keepalived-split",
        "10.1.1.1 (the guests' gateway)",
    );
    clinic.end_pair();
    clinic.recovers();
    // Of upstream gateways.
    clinic.pair(("pub0", "203.0.113"), "203.0.113.1/24", "2", "split");
    clinic.must_name(
        "two keepalived, cut off from each other, are both master of the upstream gateway's address",
        "keepalived-split",
        "public segment of eth2, virtual router 51",
    );
    clinic.end_pair();
    clinic.recovers();
    clinic.publish("gateways");
}

#[test]
fn ports_are_forecast_then_warned_of_then_named_when_they_run_out() {
    let mut clinic = Clinic::open();
    clinic.look_often();
    clinic.let_sessions_last();
    let ports = "ports of 203.0.113.10";
    assert_eq!(clinic.alert(ports), None);
    clinic.sessions(1_024..=50_000);
    clinic.usage();
    clinic.sessions(50_001..=60_023);
    // While 5,512 ports are left: how long they last, and an alert that says what to do.
    wait_until(NOTICE, "it is told how long the ports last", || {
        let used = clinic.usage();
        let (ports, seconds) = (used["portsused"].as_u64(), used["exhaustedin"].as_u64());
        ports.is_some_and(|n| n < 64_512) && seconds.is_some_and(|n| n > 0)
    });
    wait_until(NOTICE, "an alert warns of the ports", || {
        clinic.alert(ports).is_some()
    });
    let alert = clinic.alert(ports).expect("the alert");
    assert!(
        alert.contains("guest 10.1.1.2") && alert.contains("addSourceNatAddress"),
        "{alert}"
    );
    clinic.look_as_usual();
    clinic.must_name(
        "59,000 of 64,512 ports in use towards one destination",
        "ports-near",
        "198.51.100.10:9",
    );
    clinic.sessions(60_024..=65_535);
    clinic.must_name(
        "no port left towards one destination",
        "ports-exhausted",
        "guest 10.1.1.2 uses",
    );
    clinic.flush();
    clinic.is_healthy();
    clinic.publish("ports");
}

#[test]
fn a_full_table_holds_its_sessions_and_the_verdict_is_the_table_and_not_the_network() {
    let mut clinic = Clinic::open();
    clinic.look_often();
    let sessions = "of 262144 sessions";
    assert_eq!(clinic.alert(sessions), None);
    // 20 destinations of 12,000 ports: no destination runs short.
    clinic.hold(2_024..=14_023, 1_001..=1_010);
    clinic.usage();
    clinic.hold(2_024..=14_023, 1_011..=1_020);
    wait_until(NOTICE, "it is told how long the table lasts", || {
        let table = &clinic.usage()["sessiontable"];
        table["exhaustedin"].as_u64().is_some_and(|seconds| seconds > 0)
    });
    wait_until(NOTICE, "an alert warns of the table", || {
        clinic.alert(sessions).is_some()
    });
    let alert = clinic.alert(sessions).expect("the alert");
    assert!(alert.contains("Raise router.conntrack.max"), "{alert}");
    clinic.look_as_usual();
    assert!((240_000..262_144).contains(&clinic.held()), "{}", clinic.held());
    clinic.must_name(
        "connection tracking table nearly full",
        "conntrack-near",
        "of at most 262144 sessions",
    );
    assert!(clinic.pings("guest1"));
    clinic.hold(2_024..=14_023, 1_021..=1_022);
    clinic.pressed(|clinic| {
        wait_until(NOTICE, "no place is left", || clinic.held() == 262_144);
        assert!(
            !clinic.pings("guest1") && !clinic.pings("guest2"),
            "the next session finds no room"
        );
        clinic.must_name(
            "connection tracking table full",
            "conntrack-full",
            "262144 of at most 262144 sessions",
        );
        wait_until(NOTICE, "no place is left", || clinic.held() == 262_144);
    });
    assert!(
        clinic.holds(2_024, 1_001) && clinic.holds(14_023, 1_020),
        "those that were there are held"
    );
    clinic.flush();
    clinic.is_healthy();
    clinic.publish("table");
}

#[test]
fn a_fault_that_healed_before_anybody_looked_is_told_as_a_note() {
    let clinic = Clinic::open();
    clinic.acts(&[("router", "nft flush ruleset")]);
    let told = |note: &serde_json::Value| {
        note.as_str()
            .is_some_and(|n| n.starts_with("repaired ") && n.contains("table ip outgate is missing"))
    };
    wait_until(NOTICE, "the repair is told as a note", || {
        let (diagnosis, _) = clinic.doctor(&["lab-net"]);
        diagnosis["healthy"] == true
            && diagnosis["note"]
                .as_array()
                .is_some_and(|notes| notes.iter().any(told))
    });
}

#[test]
fn of_two_faults_the_first_broken_link_is_the_verdict_and_the_other_is_listed() {
    let clinic = Clinic::open();
    clinic.acts(&[
        ("guest1", "ip route replace default via 10.1.1.250"),
        ("gateway", "ip link set eth0 arp off"),
    ]);
    // What keeps every guest from the outside comes before what keeps one.
    let (diagnosis, _) = clinic.doctor(&["lab-net"]);
    let findings = diagnosis["finding"].as_array().expect("findings");
    let causes: Vec<&str> = findings.iter().map(|f| support::text(f, "cause")).collect();
    assert_eq!(causes, ["gateway-silent", "guest-gateway"], "{diagnosis:#}");
    let printed = clinic.printed();
    let (first, second) = (
        printed.find("[gateway-silent]"),
        printed.find("also: the guest has a wrong gateway"),
    );
    assert!(first.is_some() && first < second, "{printed}");
}

#[test]
fn a_name_that_is_none_and_a_server_that_does_not_answer_are_told_with_what_to_do() {
    let clinic = Clinic::open();
    let says = |args: &[&str], code: i32, words: &[&str]| {
        let output = clinic.lab.outgate(args).output().expect("outgate runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        for word in words {
            assert!(told.contains(word), "{args:?}: {word} in {told}");
        }
    };
    says(
        &["doctor", "guets1"],
        64,
        &[
            "there is no network or VPC or guest or router guets1",
            "did you mean",
            "guest1",
        ],
    );
    says(&["doctor", "elsewhere"], 64, &["there are: lab-net, ", "guest2"]);
    says(&["audit", "lab-nte"], 64, &["did you mean lab-net?"]);
    // Nobody listens where the server should be; its port is the supervisor's while it is started again.
    let file = clinic.lab.directory().join("cloudstack.ini");
    let text = std::fs::read_to_string(&file).expect("credentials");
    let port = text
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let elsewhere = text.replace(&format!("127.0.0.1:{}/", port.expect("a port")), "127.0.0.1:1/");
    std::fs::write(&file, elsewhere).expect("credentials");
    let told = [
        "http://127.0.0.1:1/client/api does not answer",
        "refused",
        "outgate lab status --instance",
    ];
    says(&["doctor"], 69, &told);
    says(&["audit"], 69, &told);
    std::fs::write(&file, text).expect("credentials");
    // One that hangs is waited for no longer than a diagnosis may take.
    clinic.acts(&[("host", "pkill -STOP -f 'outgate server'")]);
    says(
        &["doctor"],
        69,
        &[
            "does not answer: nothing within 10 s",
            "outgate lab status --instance",
        ],
    );
    let status = clinic
        .lab
        .outgate(&["lab", "status"])
        .output()
        .expect("outgate runs");
    let told = String::from_utf8_lossy(&status.stdout);
    assert!(told.contains("nothing within 10 s"), "{told}");
    assert_eq!(status.status.code(), Some(1), "{told}");
    clinic.acts(&[("host", "pkill -CONT -f 'outgate server'")]);
    clinic.is_healthy();
}
