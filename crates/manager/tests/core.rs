// SPDX-License-Identifier: Apache-2.0
//! The manager's core against a host that does what a test tells it to: races, jobs, failures, restarts, drift.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a test"
)]

mod support;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use outgate_host::HostError;
use outgate_manager::command::request::*;
use outgate_manager::{CommandError, CommitError, Pace};
use outgate_model::host::HostEvent;
use outgate_model::id::{NetworkId, PublicIpId};
use outgate_model::job::JobState;
use outgate_model::object::{
    FirewallRule, Guest, Network, PortForwardingRule, PublicIp, Router, RouterState,
};
use support::{World, quick};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_guest_brings_its_network_s_router_up() {
    let w = World::new().await;
    let network = w.isolated("web").await;
    assert!(w.manager.view().router_of_network(network).is_none());
    let guest = w.guest(network, "g1").await;
    let router = w.router(network);
    let inside = w.host.inside();
    let (boot, spec) = &inside.routers[&router.id];
    assert_eq!(
        (
            *boot,
            spec.public.addresses.len(),
            spec.guest_networks[0].leases.len()
        ),
        (1, 1, 1)
    );
    assert!(inside.guests.contains(&guest));
    assert_eq!(w.manager.view().router_state(&router), RouterState::Running);
}

async fn acquire(
    w: &World,
    network: NetworkId,
    address: Option<Ipv4Addr>,
) -> Result<PublicIpId, CommandError> {
    let request = AssociateIp {
        network: Some(network),
        zone: None,
        address,
        owner: None,
    };
    let started = w.manager.associate_ip(&w.caller, request).await?;
    Ok(PublicIpId(started.id.unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_100_callers_that_race_for_one_address_one_gets_it() {
    let w = Arc::new(World::new().await);
    let network = w.persistent("race").await;
    let address = "203.0.113.42".parse().unwrap();
    let race = |w: Arc<World>| async move { acquire(&w, network, Some(address)).await.is_ok() };
    let tasks: Vec<_> = (0..100).map(|_| tokio::spawn(race(Arc::clone(&w)))).collect();
    let mut won = 0;
    for task in tasks {
        won += u32::from(task.await.unwrap());
    }
    assert_eq!(won, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_100_callers_that_race_for_the_last_49_addresses_each_address_goes_to_one() {
    let w = Arc::new(World::new().await);
    let network = w.persistent("race").await;
    let race = |w: Arc<World>| async move { acquire(&w, network, None).await };
    let tasks: Vec<_> = (0..100).map(|_| tokio::spawn(race(Arc::clone(&w)))).collect();
    let mut won = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(id) => won.push(id),
            Err(error) => assert_eq!(error.code(), 533, "{error}"),
        }
    }
    let view = w.manager.view();
    let addresses: BTreeSet<_> = view.all::<PublicIp>().map(|ip| ip.address).collect();
    // 50 in the range, one of them the network's source NAT address before.
    assert_eq!(
        (won.len(), addresses.len(), view.all::<PublicIp>().len()),
        (49, 50, 50)
    );
    drop(view);
    assert_eq!(w.keys("claims/ip/").await.len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_running_when_the_server_ended_is_finished_by_the_next_one() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    w.host.gate(false);
    let ip = w.source_nat(network);
    let started = w
        .manager
        .create_firewall_rule(&w.caller, w.firewall(ip, 80))
        .await
        .unwrap();
    assert_eq!(w.state(started.job), JobState::Pending);
    let w = w.restart().await;
    assert_eq!(w.state(started.job), JobState::Pending);
    w.host.gate(true);
    assert_eq!(w.ended(started.job).await, JobState::Succeeded);
}

fn rules_error() -> HostError {
    HostError::Rules {
        reason: "Could not process rule: No such file or directory".to_owned(),
    }
}

/// Refuses every spec that lets port 666 in.
fn refuse_666(w: &World) {
    w.host.judge(|spec| {
        let bad = |f: &outgate_model::router_spec::FirewallRule| format!("{:?}", f.matches).contains("666");
        spec.public
            .addresses
            .iter()
            .any(|a| a.firewall.iter().any(bad))
            .then(rules_error)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_router_refuses_is_taken_back_and_never_blocks_a_later_change() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    let guest = w.guest(network, "g").await;
    let ip = w.source_nat(network);
    refuse_666(&w);
    let bad = w
        .manager
        .create_port_forwarding(&w.caller, w.forward(ip, guest, 666))
        .await
        .unwrap();
    let JobState::Failed { code, text } = w.ended(bad.job).await else {
        panic!("succeeded")
    };
    assert_eq!(code, 530);
    assert_eq!(
        text,
        "Failed to apply nat rules: Could not process rule: No such file or directory"
    );
    assert_eq!(w.manager.view().all::<PortForwardingRule>().len(), 0);
    assert_eq!(
        w.manager.view().all::<FirewallRule>().len(),
        0,
        "the one that openfirewall made, too"
    );
    assert!(w.has_event(
        "JOB.FAILED",
        "createPortForwardingRule was taken back: Failed to apply nat rules"
    ));
    let good = w
        .manager
        .create_firewall_rule(&w.caller, w.firewall(ip, 80))
        .await
        .unwrap();
    assert_eq!(w.ended(good.job).await, JobState::Succeeded);
    w.until("no error is left", || w.generation_applied(network))
        .await;
    assert_eq!(
        w.manager.view().router_state(&w.router(network)),
        RouterState::Running
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_router_refuses_goes_back_with_its_claim() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    w.host
        .judge(|spec| (spec.public.addresses.len() > 1).then(rules_error));
    let request = AssociateIp {
        network: Some(network),
        zone: None,
        address: None,
        owner: None,
    };
    let started = w.manager.associate_ip(&w.caller, request).await.unwrap();
    assert!(matches!(
        w.ended(started.job).await,
        JobState::Failed { code: 530, .. }
    ));
    assert_eq!(w.keys("claims/ip/").await.len(), 1);
    assert_eq!(w.manager.view().all::<PublicIp>().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_fails_for_a_while_delays_its_network_and_no_other() {
    let w = World::new().await;
    let sick = w.persistent("sick").await;
    let well = w.persistent("well").await;
    let router = w.router(sick).id;
    let left = Arc::new(AtomicU32::new(5));
    let counter = Arc::clone(&left);
    w.host.judge(move |spec| {
        let fails = spec.id == router && counter.load(Ordering::SeqCst) > 0;
        fails.then(|| {
            counter.fetch_sub(1, Ordering::SeqCst);
            HostError::Failed {
                doing: "starting router".to_owned(),
                reason: "no memory".to_owned(),
            }
        })
    });
    let first = w
        .manager
        .create_firewall_rule(&w.caller, w.firewall(w.source_nat(sick), 80))
        .await
        .unwrap();
    let second = w
        .manager
        .create_firewall_rule(&w.caller, w.firewall(w.source_nat(well), 80))
        .await
        .unwrap();
    assert_eq!(w.ended(second.job).await, JobState::Succeeded);
    assert_eq!(w.ended(first.job).await, JobState::Succeeded);
    assert_eq!(left.load(Ordering::SeqCst), 0);
    assert!(w.has_event("ROUTER.ERROR", "starting router failed: no memory"));
    let errors = w
        .events()
        .iter()
        .filter(|(kind, _)| kind == "ROUTER.ERROR")
        .count();
    assert_eq!(errors, 1, "the same error again is no event");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_not_done_in_time_says_what_is_still_being_retried() {
    let w = World::with(Pace {
        // Long enough for what comes before, on a machine that does much else.
        job_deadline: Duration::from_secs(3),
        ..quick()
    })
    .await;
    let network = w.persistent("n").await;
    w.host.judge(|_| {
        Some(HostError::NoInterface {
            interface: "eth2".to_owned(),
        })
    });
    let started = w
        .manager
        .create_firewall_rule(&w.caller, w.firewall(w.source_nat(network), 80))
        .await
        .unwrap();
    let JobState::Failed { code: 530, text } = w.ended(started.job).await else {
        panic!("succeeded")
    };
    assert!(
        text.contains("is still being retried: Interface eth2 not found"),
        "{text}"
    );
    // It is retried indeed.
    w.host.judge(|_| None);
    w.until("the rule is applied", || w.generation_applied(network))
        .await;
    assert_eq!(w.manager.view().all::<FirewallRule>().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_changes_is_one_apply() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    let ip = w.source_nat(network);
    w.host.gate(false);
    let before = w.host.inside().applies.len();
    let mut jobs = vec![];
    for port in 1..=50 {
        jobs.push(
            w.manager
                .create_firewall_rule(&w.caller, w.firewall(ip, port))
                .await
                .unwrap()
                .job,
        );
    }
    w.host.gate(true);
    for job in jobs {
        assert_eq!(w.ended(job).await, JobState::Succeeded);
    }
    let applies = w.host.inside().applies.len() - before;
    assert!(applies <= 2, "{applies} applies for 50 changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_network_leaves_nothing_behind() {
    let w = World::new().await;
    let network = w.isolated("n").await;
    let guest = w.guest(network, "g").await;
    let forward = w.forward(w.source_nat(network), guest, 80);
    let started = w
        .manager
        .create_port_forwarding(&w.caller, forward)
        .await
        .unwrap();
    assert_eq!(w.ended(started.job).await, JobState::Succeeded);
    acquire(&w, network, None).await.unwrap();
    let delete = DeleteNetwork {
        id: network,
        forced: true,
    };
    let started = w.manager.delete_network(&w.caller, delete).await.unwrap();
    assert_eq!(w.ended(started.job).await, JobState::Succeeded);
    {
        let view = w.manager.view();
        let left = (
            view.all::<Network>().len(),
            view.all::<PublicIp>().len(),
            view.all::<Router>().len(),
        );
        assert_eq!(left, (0, 0, 0));
        let left = (
            view.all::<Guest>().len(),
            view.all::<FirewallRule>().len(),
            view.all::<PortForwardingRule>().len(),
        );
        assert_eq!(left, (0, 0, 0));
        let inside = w.host.inside();
        assert!(inside.routers.is_empty() && inside.guests.is_empty());
    }
    let mut claims = w.keys("claims/").await;
    claims.retain(|key| !key.starts_with("claims/built-in/"));
    assert_eq!(claims, ["claims/bootstrap"]);
    assert_eq!(w.keys("observed/").await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_and_lost_routers_become_events_and_are_repaired() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    let router = w.router(network).id;
    let differences = vec!["net.ipv4.ip_forward was 0 instead of 1".to_owned()];
    w.host.tell(HostEvent::Drift {
        router,
        differences,
        error: None,
    });
    w.until("the drift is written down", || {
        w.has_event("ROUTER.DRIFT", "was repaired: net.ipv4.ip_forward was 0")
    })
    .await;
    let gone = w.host.inside().routers.remove(&router);
    assert!(gone.is_some());
    w.host.tell(HostEvent::RouterLost { router });
    w.until("it runs again", || w.host.inside().routers.contains_key(&router))
        .await;
    w.until("that is known", || w.generation_applied(network)).await;
    assert!(w.has_event("ROUTER.LOST", "was gone without anyone having asked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_keeps_failing_is_written_down_once() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    let router = w.router(network).id;
    for _ in 0..20 {
        let differences = vec!["sshd does not run".to_owned()];
        w.host.tell(HostEvent::Drift {
            router,
            differences,
            error: Some("no such file".to_owned()),
        });
    }
    w.host.tell(HostEvent::Drift {
        router,
        differences: vec!["last".to_owned()],
        error: None,
    });
    w.until("all are taken", || w.has_event("ROUTER.DRIFT", "last"))
        .await;
    let same = w
        .events()
        .iter()
        .filter(|(_, text)| text.contains("could not be repaired (no such file)"))
        .count();
    assert_eq!(same, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_event_told_is_found_by_the_full_pass() {
    let w = World::new().await;
    let network = w.isolated("n").await;
    let guest = w.guest(network, "g").await;
    let router = w.router(network).id;
    w.host.inside().routers.remove(&router);
    w.host.inside().guests.remove(&guest);
    w.until("both run again", || {
        let inside = w.host.inside();
        inside.routers.contains_key(&router) && inside.guests.contains(&guest)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_start_the_host_is_told_what_to_keep_and_orphans_become_events() {
    let w = World::new().await;
    let network = w.isolated("n").await;
    let guest = w.guest(network, "g").await;
    let router = w.router(network).id;
    w.host
        .inside()
        .orphans
        .push("router r-99-VM was removed: nobody wants it".to_owned());
    let w = w.restart().await;
    w.until("the orphan is written down", || {
        w.has_event("ORPHAN.REMOVE", "r-99-VM")
    })
    .await;
    let inside = w.host.inside();
    let keep = inside.retained.last().unwrap();
    assert_eq!(
        (&keep.routers, &keep.guests, &keep.networks),
        (&vec![router], &vec![guest], &vec![network])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_stop_start_reboot_and_come_back_after_they_were_destroyed() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    let router = w.router(network);
    let (m, c, id) = (&w.manager, &w.caller, router.id);
    let job = m.stop_router(c, StopRouter { id }).await.unwrap().job;
    assert_eq!(w.ended(job).await, JobState::Succeeded);
    assert!(w.host.inside().routers.is_empty());
    assert_eq!(m.view().router_state(&w.router(network)), RouterState::Stopped);
    let job = m.start_router(c, StartRouter { id }).await.unwrap().job;
    assert_eq!(w.ended(job).await, JobState::Succeeded);
    let job = m.reboot_router(c, RebootRouter { id }).await.unwrap().job;
    assert_eq!(w.ended(job).await, JobState::Succeeded);
    assert_eq!(w.host.inside().routers[&id].0, 2);
    let job = m.destroy_router(c, DestroyRouter { id }).await.unwrap().job;
    assert_eq!(w.ended(job).await, JobState::Succeeded);
    assert!(m.view().router_of_network(network).is_none());
    assert!(w.keys("claims/link-local/").await.is_empty());
    let job = m
        .restart_network(
            c,
            RestartNetwork {
                id: network,
                cleanup: true,
            },
        )
        .await
        .unwrap()
        .job;
    assert_eq!(w.ended(job).await, JobState::Succeeded);
    assert_ne!(w.router(network).id, id);
    assert_eq!(w.host.inside().routers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_stop_reboot_and_go_for_good() {
    let w = World::new().await;
    let network = w.isolated("n").await;
    let id = w.guest(network, "g").await;
    let (m, c) = (&w.manager, &w.caller);
    let job = m.reboot_guest(c, RebootGuest { id }).await.unwrap().job;
    assert_eq!(w.ended(job).await, JobState::Succeeded);
    assert!(w.host.inside().guests.contains(&id));
    let job = m.stop_guest(c, StopGuest { id }).await.unwrap().job;
    assert_eq!(w.ended(job).await, JobState::Succeeded);
    assert!(!w.host.inside().guests.contains(&id));
    let job = m.start_guest(c, StartGuest { id }).await.unwrap().job;
    assert_eq!(w.ended(job).await, JobState::Succeeded);
    let job = m.destroy_guest(c, DestroyGuest { id }).await.unwrap().job;
    assert_eq!(w.ended(job).await, JobState::Succeeded);
    assert!(m.view().get::<Guest>(id).is_none());
    w.until("its lease is gone", || {
        w.host
            .inside()
            .routers
            .values()
            .all(|(_, spec)| spec.guest_networks[0].leases.is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_that_a_router_could_refuse() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    let before = w.store_revision().await;
    let outcome = w.manager.commit(|view, draft| {
        let network = view.get::<Network>(network).unwrap();
        let mut next = Network::clone(network);
        next.mtu = 9000;
        draft.update(network, next);
        draft.touch(view, network.realm());
        Ok::<_, CommitError>(())
    });
    let Err(CommitError::Unusable { problems, .. }) = outcome.await else {
        panic!("stored")
    };
    assert_eq!(problems[0].field, "guest_networks[0].mtu");
    assert_eq!(w.store_revision().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_work_on_one_network_is_a_failure_that_is_tried_again() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    let panics = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&panics);
    w.host.judge(move |_| {
        assert!(counter.fetch_add(1, Ordering::SeqCst) > 0, "the first one panics");
        None
    });
    let request = w.firewall(w.source_nat(network), 80);
    let started = w.manager.create_firewall_rule(&w.caller, request).await.unwrap();
    assert_eq!(w.ended(started.job).await, JobState::Succeeded);
    assert!(panics.load(Ordering::SeqCst) > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_and_jobs_are_removed() {
    let w = World::with(Pace {
        events_kept: 20,
        jobs_kept: 5,
        ..quick()
    })
    .await;
    let network = w.persistent("n").await;
    let ip = w.source_nat(network);
    for port in 1..=30 {
        let started = w
            .manager
            .create_firewall_rule(&w.caller, w.firewall(ip, port))
            .await
            .unwrap();
        assert_eq!(w.ended(started.job).await, JobState::Succeeded);
    }
    // The next look is at most ten seconds away.
    w.until("they are removed", || {
        let view = w.manager.view();
        view.events().len() <= 20 && view.jobs().count() <= 5
    })
    .await;
    assert!(w.keys("events/").await.len() <= 20 && w.keys("jobs/").await.len() <= 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_hangs_fails_after_its_time_and_is_asked_again() {
    let w = World::with(Pace {
        host_answer: Duration::from_secs(1),
        ..quick()
    })
    .await;
    let network = w.persistent("n").await;
    w.host.gate(false);
    let request = w.firewall(w.source_nat(network), 80);
    let started = w.manager.create_firewall_rule(&w.caller, request).await.unwrap();
    w.until("that is written down", || {
        w.has_event("ROUTER.ERROR", "the host did not answer within 1 s")
    })
    .await;
    w.host.gate(true);
    assert_eq!(w.ended(started.job).await, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_one_works_and_the_other_takes_over_when_it_ends() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    std::fs::copy(w.dir.path().join("secret.key"), w.dir.path().join("other.key")).unwrap();
    let other_host = support::FakeHost::new();
    let other = support::another(w.dir.path(), &w.store, &other_host, "other.key").await;
    w.host.gate(false);
    let request = w.firewall(w.source_nat(network), 80);
    let job = w
        .manager
        .create_firewall_rule(&w.caller, request)
        .await
        .unwrap()
        .job;
    w.until("the first one is at work", || w.host.inside().applies.len() >= 2)
        .await;
    assert!(other_host.inside().applies.is_empty(), "the second one waits");
    w.manager.shutdown().await;
    w.until("the second one has ended the job", || {
        other
            .view()
            .job(job)
            .is_some_and(|j| j.state == JobState::Succeeded)
    })
    .await;
    assert!(!other_host.inside().applies.is_empty());
    other.shutdown().await;
    assert!(w.keys("servers/").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_was_left_behind_reads_everything_again() {
    let dir = tempfile::tempdir().unwrap();
    // It keeps two commits only, so that a burst outruns any reader.
    let store = Arc::new(outgate_store::SqliteStore::open_with(&dir.path().join("store.db"), 2).unwrap());
    let manager = support::another(dir.path(), &store, &support::FakeHost::new(), "secret.key").await;
    let zone = {
        let view = manager.view();
        view.all::<outgate_model::object::Zone>().next().unwrap().clone()
    };
    let key = outgate_model::key::Object::key(&*zone.object);
    let writers: Vec<_> = (0..64)
        .map(|i| {
            let mut next = outgate_model::object::Zone::clone(&zone);
            next.name = format!("zone {i}");
            let value = serde_json::to_vec(&next).unwrap();
            let (store, key) = (Arc::clone(&store), key.clone());
            tokio::spawn(async move {
                use outgate_store::{Store, Txn, Write};
                for _ in 0..20 {
                    let write = Write::Put {
                        key: key.clone(),
                        value: value.clone(),
                        lease: None,
                    };
                    store
                        .txn(Txn {
                            conditions: vec![],
                            writes: vec![write],
                        })
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let last = outgate_store::Store::get(&*store, &key).await.unwrap().unwrap();
    let wait = manager.mirror().wait_for(last.modified);
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
    let expected: outgate_model::object::Zone = serde_json::from_slice(&last.value).unwrap();
    assert_eq!(
        *manager
            .view()
            .get::<outgate_model::object::Zone>(zone.id)
            .unwrap()
            .object,
        expected
    );
    manager.shutdown().await;
}
