// SPDX-License-Identifier: Apache-2.0
//! Large specs: a change costs what it changes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

mod support;

use std::time::{Duration, Instant};

use outgate_model::router_spec::{FirewallRule, PortForward};
use outgate_model::{Match, Protocol, RouterSpec};
use outgate_plan::{Step, diff, narrowed, plan};
use support::{ports, spec};

/// `n` forwards of single ports, each with its firewall rule.
fn with_forwards(n: u16) -> RouterSpec {
    let id = |n: u16| serde_json::from_value(format!("00000000-0000-4000-8000-{n:012x}").into()).unwrap();
    let firewall_id =
        |n: u16| serde_json::from_value(format!("00000000-0000-4000-8001-{n:012x}").into()).unwrap();
    let mut spec = spec();
    let address = &mut spec.public.addresses[0];
    for port in 1_000..1_000 + n {
        address.port_forwarding.push(PortForward {
            id: id(port),
            protocol: Protocol::Tcp,
            public_ports: ports(port, port),
            guest: [10, 1, 1, 5].into(),
            private_ports: ports(port, port),
        });
        address.firewall.push(FirewallRule {
            id: firewall_id(port),
            matches: Match::Ports {
                protocol: Protocol::Tcp,
                ports: ports(port, port),
            },
            sources: vec!["0.0.0.0/0".parse().unwrap()],
        });
    }
    spec
}

#[test]
fn one_more_forward_is_two_elements_and_no_rule() {
    let (old, new) = (with_forwards(1_000), with_forwards(1_001));
    let changes = diff(&plan(&old), &plan(&new));
    let expected = "add element ip outgate open_ports { 203.0.113.10 . 6 . 2000 }\n\
         add element ip outgate port_forward { 203.0.113.10 . 6 . 2000 : 10.1.1.5 . 2000 }\n";
    assert_eq!(changes.steps, [Step::Nft(expected.to_owned())]);
    assert!(!narrowed(&old, &new) && narrowed(&new, &old));
    let rules = |spec| {
        plan(spec)
            .ruleset
            .chains
            .values()
            .map(|c| c.rules.len())
            .sum::<usize>()
    };
    assert_eq!(rules(&old), rules(&spec()));
}

/// The best of several runs: the machine may be busy with other things.
#[test]
fn planning_ten_thousand_forwards_and_one_more_takes_milliseconds() {
    let (old, new) = (plan(&with_forwards(10_000)), with_forwards(10_001));
    let best = (0..10).map(|_| {
        let start = Instant::now();
        let wanted = plan(&new);
        let planned = start.elapsed();
        assert_eq!(diff(&old, &wanted).steps.len(), 1);
        (start.elapsed(), planned)
    });
    let (both, planned) = best.min().unwrap();
    println!("plan {planned:?}, plan and diff {both:?}");
    let limit = Duration::from_millis(if cfg!(debug_assertions) { 200 } else { 10 });
    assert!(both < limit, "{both:?}, at most {limit:?}");
}
