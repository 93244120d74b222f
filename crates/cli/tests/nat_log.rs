// SPDX-License-Identifier: Apache-2.0
//! `outgate natlog who`: whose a public address and port was, by the records of a real router and by collected files.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use outgate_testkit::{TcpEcho, TcpProbe};
use serde_json::Value;
use support::{Lab, far, text, wait_until};

const LIMIT: Duration = Duration::from_secs(60);

fn printed(output: &Output) -> (Option<i32>, String) {
    let all = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&all).into_owned())
}

#[test]
fn the_guest_behind_a_port_that_the_far_side_saw_is_named_with_its_network_and_times() {
    let lab = Lab::up();
    let network = lab.network();
    let on = [
        ("name", "router.natlog.enabled"),
        ("value", "true"),
        ("networkid", text(&network, "id")),
    ];
    lab.call("updateConfiguration", &on);
    let (guest, internet) = (lab.namespace("guest2"), lab.namespace("internet"));
    let echo = TcpEcho::start(&internet, far(7_010)).expect("an echo");
    let mut who = Value::Null;
    let mut kept = Vec::new();
    wait_until(LIMIT, "a session is recorded and answered for", || {
        // The router may not record yet when the first one begins.
        let mut session = TcpProbe::connect(&guest, echo.address, LIMIT).expect("a session");
        session.echo(b"who am I").expect("an answer");
        kept.push(session);
        let seen = *echo.seen().last().expect("somebody came");
        let now = jiff::Timestamp::now().to_string();
        let args = [
            "natlog",
            "who",
            &seen.to_string(),
            "--at",
            &now,
            "--within",
            "30",
            "--to",
        ];
        let far = echo.address.to_string();
        let output = lab
            .outgate(&[&args[..], &[&far, "-o", "json"]].concat())
            .output()
            .expect("outgate runs");
        who = serde_json::from_slice(&output.stdout).unwrap_or_default();
        who["session"][0]["began"].is_string()
    });
    let session = &who["session"][0];
    assert_eq!(session["guestname"], "guest2", "{who}");
    assert_eq!(session["network"]["id"], network["id"], "{who}");
    assert_eq!(
        (&session["protocol"], &session["end"]),
        (&"tcp".into(), &"open".into()),
        "{who}"
    );
    let free = format!("{}:1", support::ip(&lab.source_nat()));
    let (code, told) = printed(
        &lab.outgate(&["natlog", "who", &free])
            .output()
            .expect("outgate runs"),
    );
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(&format!("nobody had {free} ever")), "{told}");
}

/// Asks about records in a directory.
fn who(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outgate"));
    command.args(["natlog", "who"]).args(args).arg("--from").arg(dir);
    printed(&command.output().expect("outgate runs"))
}

#[test]
fn collected_files_answer_too_those_set_aside_as_well_and_what_was_lost_is_said() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("writing");
    let session = "tcp 10.1.1.11:40000 > 198.51.100.1:443 as 203.0.113.10:1024 > 198.51.100.1:443";
    write(
        "nat.log.1",
        &format!("2026-11-25T15:45:30.000Z begin\n2026-11-25T15:45:37.123Z create {session}\n"),
    );
    write(
        "nat.log",
        &format!("2026-11-25T15:45:38.000Z lost 231\n2026-11-25T15:46:37.001Z delete {session}\n"),
    );
    let (code, told) = who(
        dir.path(),
        &["203.0.113.10:1024", "--at", "2026-11-25T16:45:37+01:00"],
    );
    assert_eq!(code, Some(0), "{told}");
    for word in [
        "10.1.1.11:40000",
        "2026-11-25T15:45:37.123Z",
        "2026-11-25T15:46:37.001Z",
    ] {
        assert!(told.contains(word), "{word} in {told}");
    }
    let (code, told) = who(dir.path(), &["203.0.113.10:1024", "--at", "2026-11-25T15:47:37Z"]);
    assert_eq!(code, Some(1));
    for word in [
        "nobody had 203.0.113.10:1024 at 2026-11-25T15:47:37Z",
        "15:45:30.000Z",
        "15:46:37.001Z",
        "231",
    ] {
        assert!(told.contains(word), "{word} in {told}");
    }
    assert_eq!(
        who(dir.path(), &["203.0.113.10:1024", "--at", "yesterday"]).0,
        Some(64)
    );
    assert_eq!(
        who(dir.path(), &["203.0.113.10:1024", "--proto", "udp"]).0,
        Some(1)
    );
    let empty = tempfile::tempdir().expect("a directory");
    let (code, told) = who(empty.path(), &["203.0.113.10"]);
    assert!(
        code == Some(69) && told.contains("router.natlog.enabled"),
        "{code:?} {told}"
    );
}
