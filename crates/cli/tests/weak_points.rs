// SPDX-License-Identifier: Apache-2.0
//! The weak points W1 to W15 that were measured on CloudStack's own virtual router, tried on Outgate.
//! Those that live in the router engine are tried there: crates/router/tests.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Lab, PATIENCE, text, wait_until};

fn revision_of_rules(lab: &Lab) -> (usize, usize, usize) {
    let count = |command| lab.list(command, &[("listall", "true")]).len();
    (
        count("listPortForwardingRules"),
        count("listFirewallRules"),
        count("listEgressFirewallRules"),
    )
}

/// A command, its parameters, and the field that its refusal must name.
type BadCall<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[test]
#[allow(clippy::too_many_lines, reason = "one table")]
fn w1_w2_w3_w15_a_bad_entry_is_refused_before_it_is_stored_and_blocks_nothing_later() {
    let lab = Lab::up();
    let (network, source_nat, vm) = (lab.network(), lab.source_nat(), lab.guest("guest1"));
    let (net, ip, guest) = (text(&network, "id"), text(&source_nat, "id"), text(&vm, "id"));
    let before = revision_of_rules(&lab);
    let bad: &[BadCall<'_>] = &[
        (
            "createFirewallRule",
            &[
                ("ipaddressid", ip),
                ("protocol", "tcp"),
                ("startport", "1"),
                ("endport", "2"),
                ("cidrlist", "203.0.113.300/33"),
            ],
            "cidrlist",
        ),
        (
            "createEgressFirewallRule",
            &[
                ("networkid", net),
                ("protocol", "all"),
                ("cidrlist", "10.1.1.999/24"),
                ("destcidrlist", "x/y"),
            ],
            "cidrlist",
        ),
        (
            "createPortForwardingRule",
            &[
                ("ipaddressid", "b6a1a5a6-0d0f-4d64-9f0c-000000000000"),
                ("protocol", "tcp"),
                ("publicport", "1"),
                ("privateport", "1"),
                ("virtualmachineid", guest),
            ],
            "ipaddressid",
        ),
        (
            "createPortForwardingRule",
            &[
                ("ipaddressid", ip),
                ("protocol", "tcp"),
                ("publicport", "1"),
                ("privateport", "1"),
                ("virtualmachineid", guest),
                ("vmguestip", "10.99.0.1"),
            ],
            "vmguestip",
        ),
        (
            "createPortForwardingRule",
            &[
                ("ipaddressid", ip),
                ("protocol", "tcp"),
                ("publicport", "any"),
                ("privateport", "any"),
                ("virtualmachineid", guest),
            ],
            "publicport",
        ),
        (
            "createPortForwardingRule",
            &[
                ("ipaddressid", ip),
                ("protocol", "any"),
                ("publicport", "5"),
                ("privateport", "5"),
                ("virtualmachineid", guest),
            ],
            "protocol",
        ),
    ];
    for (command, params, field) in bad {
        let error = lab.client.call(command, params).expect_err(command).to_string();
        assert!(error.contains(field), "{command}: {error}");
    }
    assert_eq!(revision_of_rules(&lab), before, "nothing was stored");
    lab.job(
        "createPortForwardingRule",
        &[
            ("ipaddressid", ip),
            ("protocol", "tcp"),
            ("publicport", "443"),
            ("privateport", "443"),
            ("virtualmachineid", guest),
        ],
    );
}

#[test]
fn w5_w11_what_is_revoked_or_released_leaves_nothing_behind() {
    let lab = Lab::up();
    let router = text(&lab.router(), "name").to_owned();
    let state = || {
        let show = |argv: &[&str]| lab.exec(&router, argv);
        (
            show(&["nft", "-s", "list", "ruleset"]),
            show(&["iptables-save", "-t", "nat"])
                .lines()
                .filter(|l| l.starts_with('-'))
                .map(str::to_owned)
                .collect::<Vec<_>>(),
            show(&["ip", "-4", "-o", "addr"]),
            show(&["ip", "route", "show", "table", "all"]),
            show(&["ip", "rule"]),
        )
    };
    let before = state();
    let vm = lab.guest("guest1");
    for _ in 0..3 {
        let address = lab.acquire();
        let ip = text(&address, "id");
        let rule = lab.job(
            "createPortForwardingRule",
            &[
                ("ipaddressid", ip),
                ("protocol", "udp"),
                ("publicport", "5000"),
                ("publicendport", "5009"),
                ("privateport", "6000"),
                ("privateendport", "6009"),
                ("virtualmachineid", text(&vm, "id")),
            ],
        );
        lab.job(
            "createFirewallRule",
            &[
                ("ipaddressid", ip),
                ("protocol", "icmp"),
                ("icmptype", "8"),
                ("icmpcode", "0"),
                ("cidrlist", "198.51.100.0/24,192.0.2.0/24"),
            ],
        );
        assert_ne!(state(), before);
        lab.job(
            "deletePortForwardingRule",
            &[("id", text(&rule["portforwardingrule"], "id"))],
        );
        lab.job("disassociateIpAddress", &[("id", ip)]);
        assert_eq!(state(), before, "no rule, chain, set, address or route is left");
    }
}

#[test]
fn w7_concurrent_changes_lose_and_double_nothing() {
    let lab = Lab::up();
    let (source_nat, vm) = (lab.source_nat(), lab.guest("guest1"));
    let (ip, guest) = (text(&source_nat, "id"), text(&vm, "id"));
    std::thread::scope(|scope| {
        for worker in 0..10_u32 {
            let lab = &lab;
            scope.spawn(move || {
                for n in 0..10 {
                    let port = (20_000 + worker * 10 + n).to_string();
                    lab.job(
                        "createPortForwardingRule",
                        &[
                            ("ipaddressid", ip),
                            ("protocol", "tcp"),
                            ("publicport", &port),
                            ("privateport", &port),
                            ("virtualmachineid", guest),
                            ("openfirewall", "false"),
                        ],
                    );
                }
            });
        }
    });
    assert_eq!(
        lab.list("listPortForwardingRules", &[("listall", "true")]).len(),
        100
    );
    let router = text(&lab.router(), "name").to_owned();
    let map = lab.exec(
        &router,
        &["nft", "-n", "list", "map", "ip", "outgate", "port_forward"],
    );
    assert_eq!(map.matches(" . 6 . ").count(), 100, "{map}");
}

#[test]
fn w7_a_race_for_the_same_port_has_one_winner() {
    let lab = Lab::up();
    let (source_nat, vm) = (lab.source_nat(), lab.guest("guest1"));
    let params = [
        ("ipaddressid", text(&source_nat, "id")),
        ("protocol", "tcp"),
        ("publicport", "8443"),
        ("privateport", "443"),
        ("virtualmachineid", text(&vm, "id")),
    ];
    let results: Vec<_> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| lab.client.call("createPortForwardingRule", &params)))
            .collect();
        racers.into_iter().map(|r| r.join().expect("a racer")).collect()
    });
    let winners = results.iter().filter(|r| r.is_ok()).count();
    assert_eq!(winners, 1);
    for loser in results.iter().filter_map(|r| r.as_ref().err()) {
        assert!(loser.to_string().contains("537"), "{loser}");
    }
}

#[test]
fn w14_an_ordinary_change_writes_no_error_into_the_log() {
    let lab = Lab::up();
    let (source_nat, vm) = (lab.source_nat(), lab.guest("guest1"));
    let rule = lab.job(
        "createPortForwardingRule",
        &[
            ("ipaddressid", text(&source_nat, "id")),
            ("protocol", "tcp"),
            ("publicport", "25"),
            ("privateport", "25"),
            ("virtualmachineid", text(&vm, "id")),
        ],
    );
    lab.job(
        "deletePortForwardingRule",
        &[("id", text(&rule["portforwardingrule"], "id"))],
    );
    let log = lab.exec(text(&lab.router(), "name"), &["cat", "/var/log/cloud.log"]);
    assert!(!log.is_empty());
    assert!(
        !log.to_lowercase().contains("error") && !log.contains("Failed"),
        "{log}"
    );
}

#[test]
fn w8_a_corrupt_store_is_refused_with_a_message_and_never_read_as_empty() {
    let lab = Lab::up();
    let data = lab.directory().join("data");
    let database = std::fs::read_dir(&data)
        .expect("the data directory")
        .flatten()
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "db"))
        .expect("the store's file");
    let copy = tempfile::tempdir().expect("a directory");
    let bytes = std::fs::read(&database).expect("the store");
    for damaged in [
        &bytes[..bytes.len() / 2],
        &[0; 4096][..],
        b"not a database at all",
    ] {
        let path = copy.path().join(database.file_name().expect("a name"));
        std::fs::write(&path, damaged).expect("a damaged copy");
        let output = lab
            .outgate(&[
                "server",
                "--listen",
                "127.0.0.1:0",
                "--public-gateway",
                "203.0.113.1/24",
            ])
            .args(["--public-range", "203.0.113.10-203.0.113.20", "--ssh-key"])
            .arg(lab.directory().join("id_rsa.cloud"))
            .arg("--data-dir")
            .arg(copy.path())
            .output()
            .expect("outgate runs");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && message.contains("damaged"),
            "{message}"
        );
        assert_eq!(
            std::fs::read(&path).expect("still there"),
            damaged,
            "the evidence is not overwritten"
        );
    }
    wait_until(PATIENCE, "the lab's own server is unharmed", || {
        lab.client.call("listZones", &[]).is_ok()
    });
}
