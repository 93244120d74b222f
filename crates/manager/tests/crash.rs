// SPDX-License-Identifier: Apache-2.0
//! A server that is killed at random moments during commands, and what the next one finds.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a test"
)]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use outgate_manager::bootstrap::OFFERING_PERSISTENT;
use outgate_manager::command::request::*;
use outgate_model::id::FirewallRuleId;
use outgate_model::key;
use outgate_model::object::{FirewallRule, Network, PublicIp, Router};
use support::World;

const ROUNDS: u64 = 12;
const FOLDER: &str = "OUTGATE_CRASH_FOLDER";

fn say(what: &str, id: impl std::fmt::Display) {
    std::io::stdout()
        .write_all(format!("{what} {id} .\n").as_bytes())
        .unwrap();
}

/// Not a test by itself: the server that the other test starts and kills. It says what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let w = World::at(Path::new(&folder)).await;
    let (m, c) = (&w.manager, &w.caller);
    loop {
        // Without a wait for any job: each moment of a network's life can be the last.
        let network = w.network("n", OFFERING_PERSISTENT).await;
        let ip = w.source_nat(network);
        let mut rules = Vec::new();
        for port in 1..=4 {
            let started = m.create_firewall_rule(c, w.firewall(ip, port)).await.unwrap();
            let id = FirewallRuleId(started.id.unwrap());
            say("made", id);
            rules.push(id);
        }
        say("going", rules[0]);
        m.delete_firewall_rule(c, DeleteFirewallRule { id: rules[0] })
            .await
            .unwrap();
        say("gone", rules[0]);
        let request = AssociateIp {
            network: Some(network),
            zone: None,
            address: None,
            owner: None,
        };
        m.associate_ip(c, request).await.unwrap();
        if m.view().all::<Network>().len() > 3 {
            rules.iter().for_each(|id| say("going", id));
            let started = m
                .delete_network(
                    c,
                    DeleteNetwork {
                        id: network,
                        forced: true,
                    },
                )
                .await
                .unwrap();
            rules.iter().for_each(|id| say("gone", id));
            w.ended(started.job).await;
        }
        while m.view().all::<Network>().len() > 8 {
            let oldest = m.view().all::<Network>().next().unwrap().id;
            let of_it: Vec<_> = m.view().firewall_rules_of_network(oldest).map(|r| r.id).collect();
            of_it.iter().for_each(|id| say("going", id));
            let started = m
                .delete_network(
                    c,
                    DeleteNetwork {
                        id: oldest,
                        forced: true,
                    },
                )
                .await
                .unwrap();
            w.ended(started.job).await;
        }
    }
}

fn server(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "the_server_that_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_nothing_acknowledged_is_lost_no_address_is_held_twice_and_every_job_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (mut made, mut going, mut gone) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for round in 0..ROUNDS {
        let mut child = server(dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let first = lines.by_ref().find(|line| line.starts_with("made"));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(round * 41 % 300));
            child.kill().unwrap();
            child.wait().unwrap()
        });
        for line in first.into_iter().chain(lines).filter(|line| line.ends_with(" .")) {
            let mut words = line.split(' ');
            let (what, id) = (
                words.next().unwrap(),
                words.next().unwrap().parse::<FirewallRuleId>().unwrap(),
            );
            match what {
                "made" => made.insert(id),
                "going" => going.insert(id),
                _ => gone.insert(id),
            };
        }
        assert!(!killer.join().unwrap().success(), "it was killed");
        check(World::at(dir.path()).await, &made, &going, &gone).await;
    }
    println!(
        "{ROUNDS} kills: {} rules made, {} removed, none lost",
        made.len(),
        gone.len()
    );
}

async fn check(
    w: World,
    made: &BTreeSet<FirewallRuleId>,
    going: &BTreeSet<FirewallRuleId>,
    gone: &BTreeSet<FirewallRuleId>,
) {
    w.until("every job ends", || {
        w.manager.view().pending_jobs().next().is_none()
    })
    .await;
    w.until("every router is as wanted", || {
        let networks: Vec<_> = w.manager.view().all::<Network>().map(|n| n.id).collect();
        networks.into_iter().all(|id| w.generation_applied(id))
    })
    .await;
    w.until("what runs is what is wanted", || {
        let view = w.manager.view();
        w.host
            .inside()
            .routers
            .keys()
            .eq(view.all::<Router>().map(|r| &r.id))
    })
    .await;
    let (ips, links) = {
        let view = w.manager.view();
        for id in made.difference(going) {
            assert!(
                view.get::<FirewallRule>(*id).is_some(),
                "rule {id} was acknowledged and is lost"
            );
        }
        // A rule of a network that is on its way out may still be there; all are gone once it is.
        assert!(
            gone.iter().all(|id| view.get::<FirewallRule>(*id).is_none()),
            "a removed rule is back"
        );
        let ips: BTreeSet<_> = view
            .all::<PublicIp>()
            .map(|ip| key::ip_claim(ip.zone, ip.address))
            .collect();
        assert_eq!(
            ips.len(),
            view.all::<PublicIp>().len(),
            "an address is held twice"
        );
        let links: BTreeSet<_> = view
            .all::<Router>()
            .map(|r| key::link_local_claim(r.link_local))
            .collect();
        assert_eq!(
            links.len(),
            view.all::<Router>().len(),
            "a link-local address is held twice"
        );
        (ips, links)
    };
    assert_eq!(w.keys("claims/ip/").await, ips.into_iter().collect::<Vec<_>>());
    assert_eq!(
        w.keys("claims/link-local/").await,
        links.into_iter().collect::<Vec<_>>()
    );
    w.manager.shutdown().await;
    w.store.close().await;
}
