// SPDX-License-Identifier: Apache-2.0
//! How long lists and changes take with 10,000 networks, and with 10,000 rules on one. The figures are printed; the
//! limits are wide enough for a loaded machine and a debug build.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    missing_docs,
    reason = "a test"
)]

mod support;

use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_manager::{CommitError, Pace};
use outgate_model::id::{FirewallRuleId, NetworkId, PortForwardingRuleId};
use outgate_model::job::JobState;
use outgate_model::object::{Direction, FirewallRule, Network, NetworkPhase, PortForwardingRule};
use outgate_model::{Match, PortRange, Protocol};
use support::{World, quick};

const MANY: usize = 10_000;

fn calm() -> Pace {
    Pace {
        full_pass: Duration::from_secs(3600),
        ..quick()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_stay_fast_with_10_000_networks() {
    let w = World::with(calm()).await;
    let first = w.isolated("first").await;
    let like = Network::clone(w.manager.view().get::<Network>(first).unwrap());
    let start = Instant::now();
    for chunk in 0..MANY / 1000 {
        let fill = w.manager.commit(|_, draft| {
            for i in 0..1000 {
                let name = format!("n{}", chunk * 1000 + i);
                let (id, phase) = (NetworkId::new(), NetworkPhase::Allocated);
                draft.create(&Network {
                    id,
                    name,
                    phase,
                    ..like.clone()
                });
            }
            Ok::<_, CommitError>(())
        });
        fill.await.unwrap();
    }
    println!("writing {MANY} networks: {:?}", start.elapsed());
    let start = Instant::now();
    let rounds = 20;
    for _ in 0..rounds {
        let view = w.manager.view();
        let listed = view
            .networks_of_account(like.account)
            .map(|n| n.name.len())
            .sum::<usize>();
        assert!(listed > MANY);
    }
    let list = start.elapsed() / rounds;
    let start = Instant::now();
    for _ in 0..1000 {
        let view = w.manager.view();
        let network = view.get::<Network>(first).unwrap();
        assert_eq!(view.public_ips_of_network(network.id).count(), 0);
        assert_eq!(view.guests_of_network(network.id).count(), 0);
    }
    let one = start.elapsed() / 1000;
    let start = Instant::now();
    let commits = 50;
    for i in 0..commits {
        let rename = w.manager.commit(|view, draft| {
            let network = view.get::<Network>(first).unwrap();
            draft.update(
                network,
                Network {
                    name: format!("renamed{i}"),
                    ..Network::clone(network)
                },
            );
            Ok::<_, CommitError>(())
        });
        rename.await.unwrap();
    }
    let commit = start.elapsed() / commits;
    println!("{MANY} networks: list of all {list:?}, one with its indexes {one:?}, one change {commit:?}");
    assert!(
        list < Duration::from_millis(200)
            && one < Duration::from_millis(5)
            && commit < Duration::from_millis(200)
    );
    let start = Instant::now();
    let w = w.restart().await;
    println!("restart with {MANY} networks: {:?}", start.elapsed());
    assert_eq!(w.manager.view().all::<Network>().len(), MANY + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_rule_beside_10_000_is_checked_and_stored_in_milliseconds() {
    let w = World::with(calm()).await;
    let network = w.persistent("n").await;
    let guest = w.guest(network, "g").await;
    let ip = w.source_nat(network);
    let (account, nic) = {
        let view = w.manager.view();
        let guest = view.get::<outgate_model::object::Guest>(guest).unwrap();
        (guest.account, guest.nics[0].clone())
    };
    let anywhere: Ipv4Net = "0.0.0.0/0".parse().unwrap();
    let fill = w.manager.commit(|view, draft| {
        let since = draft.touch(view, outgate_model::Realm::Network(network));
        for port in 1..=u16::try_from(MANY / 2).unwrap() {
            let ports = PortRange::single(port).unwrap();
            draft.create(&PortForwardingRule {
                id: PortForwardingRuleId::new(),
                network,
                account,
                public_ip: ip,
                protocol: Protocol::Tcp,
                public_ports: ports,
                private_ports: ports,
                guest,
                nic: nic.id,
                guest_address: nic.address,
                opened: None,
                since,
                created: Timestamp::now(),
            });
            draft.create(&FirewallRule {
                id: FirewallRuleId::new(),
                network,
                account,
                direction: Direction::Ingress { public_ip: ip },
                matches: Match::Ports {
                    protocol: Protocol::Tcp,
                    ports,
                },
                sources: vec![anywhere],
                destinations: vec![],
                since,
                created: Timestamp::now(),
            });
        }
        Ok::<_, CommitError>(())
    });
    fill.await.unwrap();
    w.until("they are applied", || w.generation_applied(network))
        .await;
    let (mut stored, mut done) = (Duration::ZERO, Duration::ZERO);
    let rounds = 10;
    for i in 0..rounds {
        let start = Instant::now();
        let started = w
            .manager
            .create_port_forwarding(&w.caller, w.forward(ip, guest, 60_000 + i))
            .await
            .unwrap();
        stored += start.elapsed();
        while w.state(started.job) == JobState::Pending {
            tokio::task::yield_now().await;
        }
        done += start.elapsed();
    }
    let (stored, done) = (stored / u32::from(rounds), done / u32::from(rounds));
    println!(
        "one more forward beside {MANY} rules: stored {stored:?}, job done {done:?} (the fake host takes no time)"
    );
    assert!(stored < Duration::from_secs(1));
}
