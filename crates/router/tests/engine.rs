// SPDX-License-Identifier: Apache-2.0
//! The engine against the real kernel: what it applies, what it leaves alone, what it repairs, what it takes back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers may panic too"
)]

mod support;

use std::path::Path;
use std::time::Duration;

use outgate_kernel::nft;
use outgate_kernel::watch::Watch;
use outgate_router::RouterError;
use outgate_testkit::wait_until;
use support::{World, add_forward, run, spec, with_forwards};

/// How long what will come is waited for, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn applying_the_same_spec_a_hundred_times_sends_nothing_after_the_first() {
    let world = World::new();
    let spec = spec();
    let first = world.apply(&spec);
    assert!(
        first.changes.contains(&"table ip outgate is missing".to_owned()),
        "{:?}",
        first.changes
    );
    let (pids, disturbed) = world.router(move |engine| {
        let before = nft::generation().unwrap();
        let pids = ["dnsmasq", "sshd"].map(|name| engine.service_pid(name));
        let watch = Watch::open().unwrap();
        // What the kernel itself still has to say of links that came up a moment ago.
        while watch.wait(Duration::from_secs(1)).unwrap().is_some() {}
        for _ in 0..100 {
            assert_eq!(engine.apply(&spec).unwrap().changes, Vec::<String>::new());
        }
        assert_eq!(nft::generation().unwrap(), before, "no transaction at all");
        assert_eq!(pids, ["dnsmasq", "sshd"].map(|name| engine.service_pid(name)));
        (pids, watch.wait(Duration::from_millis(100)).unwrap())
    });
    assert!(pids.iter().all(Option::is_some), "both services run: {pids:?}");
    assert!(
        disturbed.is_none(),
        "not one message about rules, links, addresses or routes"
    );
}

#[test]
fn one_more_forward_is_one_element_however_many_there_are() {
    let world = World::new();
    let mut generation = 0;
    for count in [10, 100, 1_000, 10_000] {
        let mut spec = with_forwards(count);
        generation += 1;
        spec.generation = generation;
        world.apply(&spec);
        add_forward(&mut spec, 9_999, 80);
        generation += 1;
        spec.generation = generation;
        let before = world.router(|_| nft::generation().unwrap());
        let added = world.apply(&spec);
        assert_eq!(
            added.changes,
            ["element 203.0.113.10 . 6 . 9999 : 10.1.1.11 . 80 is missing in map port_forward"]
        );
        assert_eq!(
            world.router(|_| nft::generation().unwrap()),
            before + 1,
            "one transaction"
        );
        let listed = world.run("nft -n list map ip outgate port_forward");
        assert_eq!(listed.matches(" : 10.1.1.11 . ").count(), usize::from(count) + 1);
        assert!(world.differences().is_empty());
    }
}

/// What somebody does behind the router's back, and what the repair says about it.
const DRIFTS: [(&str, &str); 22] = [
    (
        "iptables -A FORWARD -j DROP",
        "table ip filter should not be there",
    ),
    ("iptables -P INPUT DROP", "table ip filter should not be there"),
    (
        "nft add table inet x { chain c { type filter hook forward priority 0; policy drop; }; }",
        "table inet x should not",
    ),
    (
        "iptables -t nat -A PREROUTING -p tcp -j REDIRECT",
        "iptables rule in nat should not be there: -A PREROUTING",
    ),
    (
        "nft add rule ip nat POSTROUTING ip saddr 1.2.3.4 snat to 5.6.7.8",
        "iptables rule",
    ),
    ("nft flush ruleset", "table ip outgate is missing"),
    ("nft delete table ip outgate", "table ip outgate is missing"),
    (
        "nft flush chain ip outgate forward",
        "rule missing in chain forward",
    ),
    (
        "nft insert rule ip outgate forward accept",
        "rule should not be in chain forward: accept",
    ),
    (
        "nft add chain ip outgate foreign",
        "chain foreign should not be in table ip outgate",
    ),
    ("nft add counter ip outgate foreign", "table ip outgate"),
    (
        "nft flush map ip outgate port_forward",
        "is missing in map port_forward",
    ),
    (
        "nft add element ip outgate port_forward { 203.0.113.10 . 6 . 1 : 10.1.1.11 . 1 }",
        "should not be in map",
    ),
    ("iptables -t nat -F", "iptables rule is missing in nat"),
    (
        "iptables -t nat -A POSTROUTING -j ACCEPT",
        "iptables rule in nat should not be there",
    ),
    (
        "ip address del 203.0.113.10/24 dev eth2",
        "address 203.0.113.10/24 is missing on eth2",
    ),
    (
        "ip address add 203.0.113.99/24 dev eth2",
        "address 203.0.113.99/24 should not be on eth2",
    ),
    ("ip link set eth2 down", "eth2 is down"),
    ("ip link set eth0 mtu 1400", "eth0 has MTU 1400, should have 1500"),
    ("ip route del default", "route default via 203.0.113.1"),
    (
        "sysctl -qw net.ipv4.ip_forward=0",
        "sysctl net.ipv4.ip_forward is 0, should be 1",
    ),
    (
        "sysctl -qw net.ipv4.conf.eth2.rp_filter=0",
        "sysctl net.ipv4.conf.eth2.rp_filter is 0, should be 1",
    ),
];

#[test]
fn whatever_is_changed_behind_its_back_is_repaired_and_named() {
    let world = World::new();
    world.apply(&with_forwards(3));
    for (command, words) in DRIFTS {
        world.run(command);
        let repair = world.router(|engine| engine.heal()).unwrap().expect(command);
        assert_eq!(repair.error, None, "{command}");
        assert!(
            repair.differences.iter().any(|d| d.contains(words)),
            "{command}: {:?}",
            repair.differences
        );
        let again = world.router(|engine| engine.heal()).unwrap();
        assert_eq!(again, None, "{command}: one repair is enough");
    }
    assert!(
        world.topology.guests[0].pings([8, 8, 8, 8].into(), 2).unwrap(),
        "guests reach the outside again"
    );
}

#[test]
fn a_service_that_was_killed_runs_again_at_once() {
    let world = World::new();
    world.apply(&spec());
    for name in ["dnsmasq", "sshd"] {
        let before = world.router(move |engine| engine.service_pid(name)).unwrap();
        while world.woken.try_recv().is_ok() {}
        world.run(&format!("kill -9 {before}"));
        world.woken.recv_timeout(LIMIT).expect("the engine is told");
        let repair = world.router(|engine| engine.heal()).unwrap().unwrap();
        assert_eq!(
            (repair.differences, repair.error),
            (vec![format!("{name} does not run")], None)
        );
        let after = world.router(move |engine| engine.service_pid(name)).unwrap();
        assert_ne!(before, after);
    }
}

#[test]
fn a_changed_lease_reaches_dnsmasq_without_a_restart() {
    let world = World::new();
    let mut spec = spec();
    world.apply(&spec);
    let before = world.router(|engine| engine.service_pid("dnsmasq"));
    let asked = || world.run("ss -Hlun").contains("10.1.1.1:53").then_some(());
    wait_until(LIMIT, "dnsmasq listens", asked).unwrap();
    spec.generation = 2;
    spec.guest_networks[0].leases.pop_first();
    let applied = world.apply(&spec);
    assert!(
        applied.changes.iter().all(|c| c.starts_with("dnsmasq's file")),
        "{:?}",
        applied.changes
    );
    assert_eq!(world.router(|engine| engine.service_pid("dnsmasq")), before);
}

#[test]
fn leases_that_change_while_dnsmasq_starts_do_not_end_it() {
    let world = World::new();
    let mut spec = spec();
    world.apply(&spec);
    for generation in 2..8 {
        spec.generation = generation;
        let lease = spec.guest_networks[0].leases.first_entry().unwrap();
        lease.into_mut().hostname = format!("vm-{generation}");
        world.apply(&spec);
    }
    assert_eq!(world.router(|engine| engine.heal()).unwrap(), None);
    let asked = || world.run("ss -Hlun").contains("10.1.1.1:53").then_some(());
    wait_until(LIMIT, "dnsmasq listens", asked).unwrap();
}

#[test]
fn a_bad_spec_is_refused_and_the_old_rules_stay() {
    let world = World::new();
    world.apply(&with_forwards(3));
    let before = world.ruleset();
    let mut bad = with_forwards(4);
    bad.generation = 2;
    bad.public.addresses[0].port_forwarding[0].guest = [10, 9, 9, 9].into();
    let error = world.router(move |engine| engine.apply(&bad)).unwrap_err();
    assert!(error.to_string().contains("port_forwarding[0].guest"), "{error}");
    assert_eq!(world.ruleset(), before);
    let mut next = with_forwards(5);
    next.generation = 3;
    world.apply(&next);
    assert!(
        world.differences().is_empty(),
        "the bad one does not stand in the way of a later one"
    );
}

#[test]
fn an_older_generation_is_refused() {
    let world = World::new();
    let mut spec = spec();
    spec.generation = 7;
    world.apply(&spec);
    spec.generation = 6;
    let error = world.router(move |engine| engine.apply(&spec)).unwrap_err();
    assert_eq!(
        error,
        RouterError::Stale {
            generation: 6,
            has: 7
        }
    );
}

#[test]
fn a_missing_interface_is_named_and_nothing_is_applied() {
    let world = World::new();
    world.run("ip link set eth2 name wan");
    let spec = spec();
    let error = world.router(move |engine| engine.apply(&spec)).unwrap_err();
    assert_eq!(error.to_string(), "Interface eth2 not found");
    assert_eq!(world.ruleset(), "");
}

/// A program that refuses what speaks of 203.0.113.66 and passes on everything else.
fn refuses_66(program: &str) {
    let real = run(&format!("which {program}"));
    let script = format!(
        "#!/bin/sh\ninput=$(cat; echo x); input=${{input%x}}\n\
         case $* in *restore*|*-f*|\"\"|-w) ;; *) exec {real} \"$@\" ;; esac\n\
         case $input in *203.0.113.66*) echo refused on purpose >&2; exit 1 ;; esac\n\
         printf %s \"$input\" | exec {real} \"$@\"\n",
        real = real.trim()
    );
    std::fs::write(format!("/usr/local/sbin/{program}"), script).unwrap();
    run(&format!("chmod 755 /usr/local/sbin/{program}"));
}

#[test]
fn when_the_kernel_refuses_a_part_everything_is_as_it_was_before() {
    for program in ["nft", "iptables-restore"] {
        let world = World::new();
        let mut spec = with_forwards(3);
        world.apply(&spec);
        let before = (
            world.ruleset(),
            world.run("ip -br address"),
            world.run("ip route"),
        );
        world.router(move |_| {
            outgate_kernel::mount::tmpfs(std::path::Path::new("/usr/local/sbin"), 1 << 20, 0o755).unwrap();
            refuses_66(program);
        });
        spec.generation = 2;
        spec.public.addresses[0].address = "203.0.113.66/24".parse().unwrap();
        let refused = spec.clone();
        let error = world.router(move |engine| engine.apply(&refused)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Failed to apply nat rules: refused on purpose",
            "{program}"
        );
        let after = (
            world.ruleset(),
            world.run("ip -br address"),
            world.run("ip route"),
        );
        assert_eq!(after, before, "{program}");
        assert_eq!(
            world.router(|engine| engine.heal()).unwrap(),
            None,
            "{program}: it still is its old spec"
        );
        world.run("umount /usr/local/sbin");
        world.apply(&spec);
        assert!(world.differences().is_empty(), "{program}");
    }
}

#[test]
fn a_service_that_keeps_ending_is_started_ever_more_slowly_and_again_when_it_can_run() {
    let world = World::new();
    world.router(|_| {
        let (never, dnsmasq) = (Path::new("/bin/false"), Path::new("/usr/sbin/dnsmasq"));
        outgate_kernel::mount::bind(never, dnsmasq).unwrap();
    });
    let spec = spec();
    world.apply(&spec);
    let heal = || {
        world.woken.recv_timeout(LIMIT).expect("the engine is told");
        world.router(|engine| engine.heal()).unwrap().unwrap()
    };
    for _ in 0..3 {
        assert_eq!(heal().error, None, "started again at once");
    }
    let error = heal().error.unwrap().to_string();
    assert_eq!(error, "starting dnsmasq failed: it ended at once 4 times");
    assert!(
        world.router(|engine| engine.service_pid("sshd")).is_some(),
        "the others run on"
    );
    world.run("umount /usr/sbin/dnsmasq");
    let runs = || {
        world
            .router(|engine| engine.heal())
            .unwrap()
            .is_none()
            .then_some(())
    };
    wait_until(LIMIT, "dnsmasq runs", runs).unwrap();
}

#[test]
fn each_step_of_verify_passes_and_fails_when_what_it_looks_at_is_broken() {
    let world = World::new();
    let spec = spec();
    world.apply(&spec);
    let verify = |spec: &outgate_model::RouterSpec| {
        let spec = spec.clone();
        world.router(move |_| outgate_router::verify::verify(&spec))
    };
    let checks = verify(&spec);
    assert_eq!(checks.iter().map(|c| c.step).collect::<Vec<_>>(), [3, 4, 5, 6]);
    assert!(checks.iter().all(|c| c.pass && c.remedy.is_empty()), "{checks:?}");
    let mut larger = spec.clone();
    larger.conntrack.max = 5_000_000;
    let sessions = verify(&larger).swap_remove(3);
    assert!(
        sessions.pass && sessions.seen.contains("asks for 5000000"),
        "{sessions:?}"
    );
    for (step, command) in [
        (3, "ip address del 203.0.113.10/24 dev eth2"),
        (4, "iptables -t nat -F POSTROUTING"),
        (5, "sysctl -qw net.ipv4.ip_forward=0"),
    ] {
        world.run(command);
        let failed: Vec<_> = verify(&spec).into_iter().filter(|c| !c.pass).collect();
        assert_eq!(
            failed.iter().map(|c| c.step).collect::<Vec<_>>(),
            [step],
            "{command}"
        );
        assert!(!failed[0].remedy.is_empty());
        world.router(|engine| engine.heal()).unwrap();
    }
}
