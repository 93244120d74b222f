// SPDX-License-Identifier: Apache-2.0
//! `outgate audit` in a whole cloud: a network as it comes, the same hardened, and each deviation done to it for real.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;

use outgate_testkit::TcpEcho;
use serde_json::Value;
use support::{Lab, PATIENCE, far, is_closed, session, text, wait_until};

/// The ids of the deviations that the audit lists, and its exit code.
fn audit(lab: &Lab) -> (BTreeSet<String>, Option<i32>) {
    let output = lab
        .outgate(&["audit", "lab-net", "-o", "json"])
        .output()
        .expect("outgate runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let audits: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}{errors}"));
    assert_eq!(audits[0]["notavailable"], serde_json::json!([]), "{printed}");
    let deviations = audits[0]["deviation"].as_array().expect("a list");
    for deviation in deviations {
        let evidence = deviation["evidence"].as_array().expect("a list");
        assert!(!evidence.is_empty(), "{deviation}");
        assert!(text(deviation, "command").starts_with("outgate "), "{deviation}");
    }
    let ids = deviations.iter().map(|d| text(d, "id").to_owned());
    (ids.collect(), output.status.code())
}

fn ids(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Stops the router's engine, which would mend everything before anybody looks; `CONT` lets it go on.
fn signal_engine(lab: &Lab, router: &str, signal: &str) {
    let command = ["pkill", signal, "-f", "router serve"];
    lab.exec(router, &command);
}

fn harden(lab: &Lab) {
    let network = lab.network();
    lab.job("hardenNetwork", &[("id", text(&network, "id"))]);
}

#[test]
fn a_network_as_it_comes_deviates_and_a_hardened_one_does_not_and_serves() {
    let lab = Lab::up();
    let (found, code) = audit(&lab);
    let expected = [
        "egress-default-allow",
        "nat-log-off",
        "no-guest-rate-limit",
        "no-guest-session-limit",
    ];
    assert_eq!((found, code), (ids(&expected), Some(1)));

    harden(&lab);
    assert_eq!(audit(&lab), (BTreeSet::new(), Some(0)));
    let guest = lab.namespace("guest1");
    let _web = TcpEcho::start(&lab.namespace("internet"), far(443)).expect("an echo");
    let _other = TcpEcho::start(&lab.namespace("internet"), far(7302)).expect("an echo");
    session(&guest, far(443)).expect("the web is reached");
    assert!(is_closed(&guest, far(7302)), "and nothing else");
    // No ping is let out, so the seventh step asks by TCP.
    let steps = lab
        .outgate(&["verify", "-o", "json"])
        .output()
        .expect("outgate runs");
    let said = String::from_utf8_lossy(&steps.stdout);
    assert!(
        steps.status.success() && said.contains("busybox nc -w 2"),
        "{said}"
    );
    // Once more changes nothing.
    harden(&lab);
    assert_eq!(audit(&lab), (BTreeSet::new(), Some(0)));
}

#[test]
fn each_thing_that_is_opened_is_listed_with_what_closes_it() {
    let lab = Lab::up();
    harden(&lab);
    let network = text(&lab.network(), "id").to_owned();
    let guest = text(&lab.guest("guest1"), "id").to_owned();
    let rule = lab.job(
        "createEgressFirewallRule",
        &[("networkid", &network), ("protocol", "all")],
    );
    assert!(audit(&lab).0.contains("egress-rule-any"));
    let id = find_id(&rule);
    lab.job("deleteEgressFirewallRule", &[("id", &id)]);

    let address = text(&lab.acquire(), "id").to_owned();
    for (public, inner, expected) in [("8080", "80", "port-open"), ("2222", "22", "attacked-port-open")] {
        let rule = lab.job(
            "createPortForwardingRule",
            &[
                ("ipaddressid", &address),
                ("protocol", "tcp"),
                ("publicport", public),
                ("privateport", inner),
                ("virtualmachineid", &guest),
            ],
        );
        assert_eq!(audit(&lab).0, ids(&[expected]));
        lab.job("deletePortForwardingRule", &[("id", &find_id(&rule))]);
    }
    lab.call(
        "enableStaticNat",
        &[("ipaddressid", &address), ("virtualmachineid", &guest)],
    );
    lab.job(
        "createFirewallRule",
        &[
            ("ipaddressid", &address),
            ("protocol", "tcp"),
            ("startport", "1"),
            ("endport", "65535"),
        ],
    );
    assert_eq!(audit(&lab).0, ids(&["static-nat-all-ports"]));

    let admin = lab.one("listUsers", &[("username", "admin")]);
    let id = text(&admin, "id");
    lab.call("updateUser", &[("id", id), ("password", "password")]);
    assert!(audit(&lab).0.contains("admin-default-password"));
}

/// The id of what a job made, whatever its kind.
fn find_id(made: &Value) -> String {
    let found = made.get("id").or_else(|| {
        let mut inner = made.as_object()?.values();
        inner.find_map(|value| value.get("id"))
    });
    found.and_then(Value::as_str).expect("an id").to_owned()
}

#[test]
fn what_is_changed_in_the_router_behind_outgates_back_is_listed() {
    let lab = Lab::up();
    harden(&lab);
    let router = text(&lab.router(), "name").to_owned();
    signal_engine(&lab, &router, "-STOP");
    let shell = |command: &str| lab.exec(&router, &["sh", "-c", command]);
    shell("sysctl -q -w net.ipv4.conf.eth2.rp_filter=0");
    shell("printf 'table ip mine {\\n ct helper ftp {\\n type \"ftp\" protocol tcp\\n }\\n}\\n' | nft -f -");
    shell("setsid socat TCP-LISTEN:9999,fork,reuseaddr EXEC:cat >/dev/null 2>&1 </dev/null &");
    shell(
        "f=/run/outgate-vr/sshd_config; sed 's/^PasswordAuthentication no/PasswordAuthentication yes/; \
         s/^AuthenticationMethods.*//' $f >/tmp/open; pkill -x sshd; while ss -Hltn sport = :3922 | grep -q .; do sleep 0.05; done; /usr/sbin/sshd -f /tmp/open",
    );
    let expected = [
        "conntrack-helpers",
        "foreign-rules",
        "public-listener",
        "rp-filter-not-strict",
        "sshd-password",
    ];
    let mut seen = BTreeSet::new();
    wait_until(PATIENCE, "all of it is listed", || {
        seen = audit(&lab).0;
        ids(&expected).is_subset(&seen)
    });
    assert_eq!(seen, ids(&expected));
}
