// SPDX-License-Identifier: Apache-2.0
//! `outgate trace` in a lab: model and kernel of a router that runs as in production, by the command line of an operator.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::Value;
use support::{INTERNET, Lab, text};

/// `outgate trace ARGS -o json`: the exit code and what it said.
fn trace(lab: &Lab, args: &[&str]) -> (Option<i32>, Value) {
    let output = lab
        .outgate(&["trace"])
        .args(args)
        .args(["-o", "json"])
        .output()
        .expect("outgate runs");
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{args:?}: {error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code(), said)
}

/// The steps' rules, by kind.
fn rule<'a>(said: &'a Value, kind: &str) -> &'a Value {
    let steps = said["steps"].as_array().expect("steps");
    let found = steps.iter().find(|step| step["rule"]["kind"] == kind);
    &found.unwrap_or_else(|| panic!("no {kind} in {said:#}"))["rule"]
}

#[test]
fn a_flow_is_explained_to_an_operator_and_a_disagreement_is_loud() {
    let lab = Lab::up();
    let guest = lab.guest("guest1");
    let address = text(&guest["nic"][0], "ipaddress").to_owned();
    let https = format!("{INTERNET}:443");
    let router = text(&lab.router(), "name").to_owned();

    // Out through source NAT.
    let (code, said) = trace(
        &lab,
        &["--network", "lab-net", "--src", &address, "--dst", &https],
    );
    assert_eq!((code, &said["agree"]), (Some(0), &Value::Bool(true)), "{said:#}");
    let source_nat = text(&lab.source_nat(), "ipaddress").to_owned();
    let as_whom = format!("leaves by eth2 as {source_nat}:");
    assert!(text(&said["kernel"], "verdict").starts_with(&as_whom), "{said:#}");
    assert!(text(&said["kernel"], "route").contains("dev eth2"), "{said:#}");

    // In, before and after somebody opens it.
    let public = format!("{source_nat}:80");
    let inward = ["--guest", "guest1", "--src", INTERNET, "--dst", &public];
    let (code, said) = trace(&lab, &inward);
    assert_eq!((code, &said["agree"]), (Some(1), &Value::Bool(true)), "{said:#}");
    assert!(text(&said, "remedy").contains("createFirewallRule"), "{said:#}");
    let source_nat_id = text(&lab.source_nat(), "id").to_owned();
    let forward = lab.job(
        "createPortForwardingRule",
        &[
            ("ipaddressid", &source_nat_id),
            ("protocol", "tcp"),
            ("publicport", "80"),
            ("privateport", "8000"),
            ("virtualmachineid", text(&guest, "id")),
        ],
    );
    let (code, said) = trace(&lab, &inward);
    assert_eq!((code, &said["agree"]), (Some(0), &Value::Bool(true)), "{said:#}");
    let forwarding = rule(&said, "port forwarding rule");
    assert_eq!(forwarding["id"], forward["portforwardingrule"]["id"], "{said:#}");
    assert_eq!(forwarding["account"], "admin", "{said:#}");
    assert!(
        text(&said, "verdict").ends_with(&format!("to {address}:8000")),
        "{said:#}"
    );

    denied_by_an_egress_rule(&lab, &address);
    disagrees(&lab, &address);

    // What a trace makes is never told as drift, and nothing of it stays.
    let tables = lab.exec(&router, &["nft", "list", "tables"]);
    assert!(!tables.contains("outgate_trace"), "{tables}");
    let drift = lab.list("listEvents", &[("type", "ROUTER.DRIFT")]);
    assert!(drift.is_empty(), "{drift:#?}");
    assert!(
        lab.outgate(&["doctor", "lab-net"])
            .output()
            .expect("outgate runs")
            .status
            .success()
    );
}

/// An egress rule that denies is named, and it is what the kernel does.
fn denied_by_an_egress_rule(lab: &Lab, address: &str) {
    let https = format!("{INTERNET}:443");
    let network = lab.network();
    let egress = lab.job(
        "createEgressFirewallRule",
        &[
            ("networkid", text(&network, "id")),
            ("protocol", "tcp"),
            ("startport", "443"),
            ("endport", "443"),
        ],
    );
    let outward = ["--src", address, "--dst", https.as_str()];
    let (code, said) = trace(lab, &outward);
    assert_eq!((code, &said["agree"]), (Some(1), &Value::Bool(true)), "{said:#}");
    let id = &egress["firewallrule"]["id"];
    assert_eq!(&rule(&said, "egress rule")["id"], id, "{said:#}");
    let mends = format!("deleteEgressFirewallRule id={}", id.as_str().expect("an id"));
    assert!(text(&said, "remedy").contains(&mends), "{said:#}");
    lab.job("deleteEgressFirewallRule", &[("id", id.as_str().expect("an id"))]);
}

/// Somebody else's routing rule, which no engine looks at: they disagree, with an exit code of its own.
fn disagrees(lab: &Lab, address: &str) {
    let https = format!("{INTERNET}:443");
    let outward = ["--src", address, "--dst", https.as_str()];
    let router = text(&lab.router(), "name").to_owned();
    let nowhere = ["to", INTERNET, "blackhole"];
    lab.exec(&router, &[&["ip", "rule", "add"][..], &nowhere].concat());
    let (code, said) = trace(lab, &outward);
    assert_eq!((code, &said["agree"]), (Some(3), &Value::Bool(false)), "{said:#}");
    let says = text(&said, "comparison");
    assert!(
        says.starts_with("they disagree: by the model it leaves by eth2"),
        "{says}"
    );
    assert!(
        says.contains("in the kernel it vanishes") && says.contains("a blackhole"),
        "{says}"
    );
    let table = lab
        .outgate(&["trace"])
        .args(outward)
        .output()
        .expect("outgate runs");
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for part in [
        "by the rules:",
        "in the kernel:",
        "ip outgate gate",
        "they disagree",
        "fast path:",
    ] {
        assert!(table.contains(part), "{part} in {table}");
    }
    lab.exec(&router, &[&["ip", "rule", "del"][..], &nowhere].concat());
    let list = [
        "conntrack",
        "-L",
        "-s",
        address,
        "-d",
        INTERNET,
        "-p",
        "tcp",
        "--dport",
        "443",
    ];
    assert_eq!(lab.exec(&router, &list), "", "no session stays");
}

#[test]
fn wrong_questions_say_what_would_be_right() {
    let lab = Lab::up();
    for (args, says) in [
        (
            &["--src", "10.1.1.2", "--dst", "example.com"][..],
            "example.com is no IPv4 address, and there is no guest of that name; there are: guest",
        ),
        (
            &["--src", "10.1.1.2", "--dst", "192.0.2.1", "--proto", "tcp"],
            "a port with protocol tcp or udp",
        ),
        (
            &["--src", "10.1.1.2", "--dst", "192.0.2.1", "--in", "eth9"],
            "the router has no interface eth9",
        ),
        (
            &["--src", "10.1.1.2", "--dst", "192.0.2.1", "--network", "nothing"],
            "there is no network or VPC nothing",
        ),
        (
            &["--src", "10.1.1.2", "--dst", "192.0.2.1", "--wait", "31"],
            "from 1 to 30",
        ),
    ] {
        let output = lab.outgate(&["trace"]).args(args).output().expect("outgate runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && stderr.contains(says),
            "{args:?}: {stderr}"
        );
    }
}
