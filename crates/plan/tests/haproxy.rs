// SPDX-License-Identifier: Apache-2.0
//! haproxy itself judges what the plan writes for it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use outgate_model::RouterSpec;
use outgate_plan::plan;
use outgate_plan::plan::{HAPROXY_CFG, HAPROXY_STATE};
use proptest::prelude::*;
use support::random;

/// What haproxy says of a configuration; empty when it is content.
fn haproxy_says(config: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let state = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(state.path(), "1\n").unwrap();
    let config = config.replace(HAPROXY_STATE, state.path().to_str().unwrap());
    std::fs::write(file.path(), config).unwrap();
    let output = std::process::Command::new("/usr/sbin/haproxy")
        .args(["-c", "-f"])
        .arg(file.path())
        .output()
        .expect("haproxy is installed: ./x setup");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        said
    } else {
        format!("refused: {said}")
    }
}

fn config(spec: &RouterSpec) -> Option<String> {
    let plan = plan(spec);
    plan.services
        .get("haproxy")
        .map(|service| service.files[HAPROXY_CFG].content.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn haproxy_accepts_what_any_spec_makes_of_it_without_a_word(spec in random::specs()) {
        if let Some(config) = config(&spec) {
            let said = haproxy_says(&config);
            prop_assert!(said.is_empty(), "{said}\n{config}");
        }
    }

    #[test]
    fn haproxy_runs_exactly_where_something_is_balanced(spec in random::specs()) {
        let mut balancers = spec.public.addresses.iter().flat_map(|a| &a.load_balancers);
        prop_assert_eq!(config(&spec).is_some(), balancers.any(|b| !b.members.is_empty()));
    }

    #[test]
    fn haproxy_listens_on_balanced_ports_of_public_addresses_only(spec in random::specs()) {
        let config = config(&spec).unwrap_or_default();
        for line in config.lines().filter_map(|line| line.trim().strip_prefix("bind ")) {
            let socket: std::net::SocketAddrV4 = line.split(' ').next().unwrap().parse().unwrap();
            let wanted = spec.public.addresses.iter().any(|a| {
                a.address.addr() == *socket.ip()
                    && a.load_balancers.iter().any(|b| b.public_port == socket.port())
            });
            prop_assert!(wanted, "{line}");
        }
    }
}
