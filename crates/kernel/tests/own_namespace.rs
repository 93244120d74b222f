// SPDX-License-Identifier: Apache-2.0
//! nftables, iptables, conntrack and the watch against the real kernel, each test in a network namespace of its own.
//! Needs root (or a user namespace) for that and fails without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

use std::net::UdpSocket;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use outgate_kernel::watch::Watch;
use outgate_kernel::{conntrack, iptables, nft, sysctl};

/// Runs `test` on a thread with a network namespace of its own whose loopback is up.
fn in_own_namespace(test: fn()) {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace, which needs root");
        let up = std::process::Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status()
            .unwrap();
        assert!(up.success());
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn the_generation_rises_with_each_transaction_and_not_without() {
    in_own_namespace(|| {
        let before = nft::generation().unwrap();
        assert_eq!(nft::generation().unwrap(), before);
        nft::load("table ip outgate {\n set s {\n type ipv4_addr\n elements = { 192.0.2.1 }\n }\n}\n")
            .unwrap();
        let after = nft::generation().unwrap();
        assert_eq!(after, before + 1);
        assert!(nft::list("ip", "outgate").unwrap().unwrap().contains("192.0.2.1"));
        assert!(
            nft::list_json("ip", "outgate")
                .unwrap()
                .unwrap()
                .contains("\"nftables\"")
        );
        assert_eq!(nft::generation().unwrap(), after, "listing writes nothing");
        assert_eq!(nft::list("ip", "other").unwrap(), None);
    });
}

#[test]
fn a_script_with_one_wrong_line_changes_nothing_and_says_what_is_wrong() {
    in_own_namespace(|| {
        nft::load("table ip outgate { chain c { }; }").unwrap();
        let before = nft::generation().unwrap();
        let error =
            nft::load("add set ip outgate s { type ipv4_addr; }\nadd rule ip outgate nowhere accept\n")
                .unwrap_err();
        assert!(error.to_string().contains("No such file or directory"), "{error}");
        assert_eq!(nft::generation().unwrap(), before);
    });
}

#[test]
fn the_nat_table_lists_as_it_was_set_and_is_one_transaction() {
    in_own_namespace(|| {
        assert_eq!(iptables::nat_rules().unwrap(), Vec::<String>::new());
        let rules = ["-A POSTROUTING -s 10.1.1.0/24 -o eth2 -j SNAT --to-source 203.0.113.10".to_owned()];
        let before = nft::generation().unwrap();
        iptables::restore(&format!(
            "*nat\n:POSTROUTING ACCEPT [0:0]\n{}\nCOMMIT\n",
            rules[0]
        ))
        .unwrap();
        assert_eq!(nft::generation().unwrap(), before + 1);
        assert_eq!(iptables::nat_rules().unwrap(), rules);
    });
}

#[test]
fn a_session_is_counted_listed_and_deleted() {
    in_own_namespace(|| {
        nft::load("table ip t { chain c { type filter hook output priority 0; ct state new accept; }; }")
            .unwrap();
        assert_eq!(conntrack::usage().unwrap().entries, 0);
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"hello", receiver.local_addr().unwrap()).unwrap();
        let usage = conntrack::usage().unwrap();
        assert_eq!(usage.entries, 1);
        assert!(usage.max > 0);
        let mut flows = Vec::new();
        conntrack::dump(|flow| {
            flows.push(flow);
            Ok(())
        })
        .unwrap();
        assert_eq!(flows.len(), 1);
        let ports = conntrack::Transport::Ports {
            source: sender.local_addr().unwrap().port(),
            destination: receiver.local_addr().unwrap().port(),
        };
        assert_eq!(
            (flows[0].original.protocol, flows[0].original.transport),
            (17, ports)
        );
        assert_eq!(conntrack::delete(&flows).unwrap(), 1);
        assert_eq!(conntrack::delete(&flows).unwrap(), 0, "it is gone already");
        assert_eq!(conntrack::usage().unwrap().entries, 0);
    });
}

/// Tracks what this namespace sends.
fn track() {
    nft::load("table ip t { chain c { type filter hook output priority 0; ct state new accept; }; }")
        .unwrap();
}

#[test]
fn a_session_is_told_when_it_begins_and_when_it_ends() {
    in_own_namespace(|| {
        track();
        let mut events = conntrack::Events::open(1 << 20).unwrap();
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"hello", receiver.local_addr().unwrap()).unwrap();
        let mut flows = Vec::new();
        conntrack::dump(|flow| {
            flows.push(flow);
            Ok(())
        })
        .unwrap();
        assert_eq!(conntrack::delete(&flows).unwrap(), 1);
        let mut told = Vec::new();
        while told.len() < 2 {
            let taken = events
                .wait(Duration::from_secs(60), |change, flow| {
                    told.push((change, flow.original));
                })
                .unwrap();
            assert!(taken > 0, "only {told:?} within 60 s");
        }
        let original = flows[0].original;
        assert_eq!(
            told,
            [
                (conntrack::Change::Begins, original),
                (conntrack::Change::Ends, original)
            ]
        );
        assert_eq!(events.lost().unwrap(), 0);
    });
}

#[test]
fn each_notification_arrives_or_is_counted_as_lost() {
    const SESSIONS: u32 = 3_000;
    in_own_namespace(|| {
        track();
        // Room for a few notifications only, and nobody reads before all were sent.
        let mut events = conntrack::Events::open(16 << 10).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for port in 1..=SESSIONS {
            let to = ("127.0.0.1", u16::try_from(port).unwrap());
            // Nobody listens there; each such answer is an error of a later call.
            let _ = sender.send_to(b"hello", to);
            let _ = sender.take_error();
        }
        let sessions = conntrack::usage().unwrap().entries;
        let mut told = 0;
        while events.wait(Duration::from_millis(100), |_, _| told += 1).unwrap() > 0 {}
        let lost = events.lost().unwrap();
        assert!(told > 0 && lost > 0, "{told} told, {lost} lost");
        assert_eq!(told + lost, sessions);
    });
}

#[test]
fn a_change_of_rules_links_addresses_or_forwarding_wakes_the_watch() {
    in_own_namespace(|| {
        let watch = Watch::open().unwrap();
        assert!(
            watch.wait(Duration::from_millis(20)).unwrap().is_none(),
            "nothing has changed yet"
        );
        let ip = |args: &[&str]| {
            assert!(
                std::process::Command::new("ip")
                    .args(args)
                    .status()
                    .unwrap()
                    .success()
            )
        };
        let changes: [&dyn Fn(); 4] = [
            &|| nft::load("table ip outgate { chain c { }; }").unwrap(),
            &|| ip(&["link", "add", "eth0", "type", "veth", "peer", "name", "peer0"]),
            &|| ip(&["address", "add", "192.0.2.1/24", "dev", "eth0"]),
            &|| sysctl::write("net.ipv4.ip_forward", "1").unwrap(),
        ];
        for change in changes {
            change();
            assert!(watch.wait(Duration::from_secs(60)).unwrap().is_some());
            while watch.wait(Duration::from_millis(20)).unwrap().is_some() {}
        }
    });
}

#[test]
fn of_rules_the_watch_hears_the_generation_and_of_nothing_else() {
    in_own_namespace(|| {
        let watch = Watch::open().unwrap();
        let hear = || {
            let (mut rules, mut rest) = (None, false);
            while let Some(heard) = watch.wait(Duration::from_millis(50)).unwrap() {
                rules = heard.rules.or(rules);
                rest |= heard.rest;
            }
            (rules, rest)
        };
        let counters = |count: u32| {
            let each = (0..count).map(|n| format!("add counter ip outgate c{n}\n"));
            let all: String = each.collect();
            nft::load(&format!("add table ip outgate\n{all}")).unwrap();
        };
        let before = nft::generation().unwrap();
        counters(100);
        assert_eq!(nft::generation().unwrap(), before + 1);
        assert_eq!(hear(), (Some(before + 1), false));
        sysctl::write("net.ipv4.ip_forward", "1").unwrap();
        assert_eq!(hear(), (None, true));
        // More than the queue holds: what was lost may have been anything.
        counters(20_000);
        assert!(hear().1);
    });
}
