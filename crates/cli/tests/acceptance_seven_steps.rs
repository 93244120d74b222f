// SPDX-License-Identifier: Apache-2.0
//! The reference text's seven steps, typed as it has them, on a router made through the API.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Lab, text};

#[test]
fn the_seven_steps_show_what_the_reference_text_says() {
    let lab = Lab::up();
    let router = lab.router();
    let address = lab.source_nat();
    let public = text(&address, "ipaddress");

    // 1. Verify Virtual Router Status and Assignment: listRouters.
    assert_eq!(text(&router, "state"), "Running");
    assert_eq!(text(&router, "publicip"), public);
    assert_eq!(address["issourcenat"], true);

    // 2. Access the Virtual Router via SSH, port 3922, at its link-local address.
    let typed = |command: &str| {
        let output = lab.ssh(&router, command);
        assert!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert_eq!(typed("hostname").trim(), text(&router, "name"));

    // 3. Inspect the Public Interface Configuration.
    let shown = typed("ip addr show eth2");
    assert!(shown.contains(&format!("inet {public}/24")), "{shown}");
    assert!(shown.contains("state UP"), "{shown}");

    // 4. Review the Iptables NAT Table: a source NAT rule on eth2.
    let rules = typed("iptables -t nat -S POSTROUTING");
    let on_eth2 = |rule: &str| rule.starts_with("-A POSTROUTING") && rule.contains("-o eth2");
    let translates = |rule: &str| {
        rule.contains("-j MASQUERADE") || rule.contains(&format!("-j SNAT --to-source {public}"))
    };
    assert!(
        rules.lines().any(|rule| on_eth2(rule) && translates(rule)),
        "{rules}"
    );

    // 5. Validate IP Forwarding in the Kernel.
    assert_eq!(
        typed("sysctl net.ipv4.ip_forward").trim(),
        "net.ipv4.ip_forward = 1"
    );

    // 7. Test Outbound Connectivity from Guest VM.
    let ping = lab.exec("guest1", &["ping", "-c", "4", "-i", "0.2", "8.8.8.8"]);
    assert!(ping.contains("4 received, 0% packet loss"), "{ping}");

    // 6. Verify Connection Tracking Capacity, while a guest has just talked.
    let count: u32 = typed("conntrack -C").trim().parse().expect("a number");
    assert!(count > 0);
    assert_eq!(
        typed("sysctl net.netfilter.nf_conntrack_max").trim(),
        "net.netfilter.nf_conntrack_max = 262144"
    );
    assert!(
        typed("cat /proc/net/nf_conntrack").contains(&format!("dst={public}")),
        "guests are mapped to the public address"
    );
}

#[test]
fn outgate_verify_reports_the_seven_steps_and_fails_when_one_does() {
    let lab = Lab::up();
    let router = text(&lab.router(), "name").to_owned();
    let verify = || {
        lab.outgate(&["verify", &router, "-o", "json"])
            .output()
            .expect("outgate runs")
    };

    let output = verify();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success(), "{report:#}");
    let checks = report.as_array().expect("checks");
    let steps: Vec<_> = checks.iter().map(|c| c["step"].as_u64().unwrap_or(0)).collect();
    assert_eq!(steps, [1, 2, 3, 4, 5, 6, 7]);
    assert!(checks.iter().all(|c| c["pass"] == true), "{report:#}");

    // Guests without a way to the router make step 7 fail, with a remedy.
    for guest in ["guest1", "guest2"] {
        lab.exec(guest, &["ip", "route", "del", "default"]);
    }
    let output = verify();
    assert!(!output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let failed: Vec<_> = report
        .as_array()
        .expect("checks")
        .iter()
        .filter(|c| c["pass"] == false)
        .collect();
    assert_eq!(failed.len(), 1, "{report:#}");
    assert_eq!(failed[0]["step"], 7);
    assert!(!text(failed[0], "remedy").is_empty());
}
