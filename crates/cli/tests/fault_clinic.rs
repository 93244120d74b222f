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

use clinic::{Clinic, guest, host, outside, router};

#[test]
fn a_healthy_lab_has_no_findings_however_often_it_is_examined() {
    let clinic = Clinic::open();
    for _ in 0..4 {
        clinic.is_healthy();
    }
}

#[test]
fn faults_of_a_routers_configuration_are_named() {
    let mut clinic = Clinic::open();
    clinic.examine(router::CONFIGURATION);
    clinic.is_healthy();
    clinic.publish("configuration");
}

#[test]
fn faults_of_rules_and_packets_lost_in_the_router_are_named() {
    let mut clinic = Clinic::open();
    clinic.examine(router::RULES);
    clinic.examine(router::LOST_INSIDE);
    clinic.is_healthy();
    clinic.publish("rules");
}

#[test]
fn faults_of_a_routers_life_are_named() {
    let mut clinic = Clinic::open();
    clinic.examine(router::LIFE);
    clinic.is_healthy();
    clinic.publish("life");
}

#[test]
fn faults_of_guests_are_named() {
    let mut clinic = Clinic::open();
    clinic.examine(guest::SETTINGS);
    clinic.is_healthy();
    clinic.publish("guests");
}

#[test]
fn faults_between_guest_and_router_are_named() {
    let mut clinic = Clinic::open();
    clinic.examine(guest::WIRE);
    clinic.examine(guest::POLICY);
    clinic.is_healthy();
    clinic.publish("wire");
}

#[test]
fn faults_outside_are_named() {
    let mut clinic = Clinic::open();
    clinic.examine(outside::FAULTS);
    clinic.is_healthy();
    clinic.publish("outside");
}

#[test]
fn faults_of_the_host_beneath_are_named() {
    let mut clinic = Clinic::open();
    clinic.examine(host::FAULTS);
    clinic.is_healthy();
    clinic.publish("host");
}

#[test]
fn ports_and_the_connection_tracking_table_are_named_when_they_run_out() {
    let mut clinic = Clinic::open();
    clinic.sessions(1_024..=60_023, 9..=9);
    clinic.must_name(
        "59,000 of 64,512 ports in use towards one destination",
        "ports-near",
        "198.51.100.10:9",
    );
    clinic.sessions(60_024..=65_535, 9..=9);
    clinic.must_name(
        "no port left towards one destination",
        "ports-exhausted",
        "guest 10.1.1.2 uses",
    );
    clinic.flush();
    // 20 destinations of 12,000 ports: no destination runs short.
    clinic.sessions(1_024..=13_023, 1_001..=1_020);
    assert!(clinic.held() >= 240_000, "{}", clinic.held());
    clinic.must_name(
        "connection tracking table nearly full",
        "conntrack-near",
        "of at most 262144 sessions",
    );
    clinic.sessions(1_024..=13_023, 1_021..=1_022);
    clinic.must_name(
        "connection tracking table full",
        "conntrack-full",
        "of at most 262144 sessions",
    );
    clinic.flush();
    clinic.is_healthy();
    clinic.publish("capacity");
}

#[test]
fn a_fault_that_healed_before_anybody_looked_is_told_as_a_note() {
    let clinic = Clinic::open();
    clinic.acts(&[("router", "nft flush ruleset")]);
    let told = |note: &serde_json::Value| {
        note.as_str()
            .is_some_and(|n| n.starts_with("repaired ") && n.contains("table ip outgate is missing"))
    };
    support::wait_until(support::REPAIR, "the repair is told as a note", || {
        let (diagnosis, _) = clinic.doctor(&["lab-net"]);
        diagnosis["healthy"] == true
            && diagnosis["note"]
                .as_array()
                .is_some_and(|notes| notes.iter().any(told))
    });
}
