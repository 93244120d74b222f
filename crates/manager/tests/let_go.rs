// SPDX-License-Identifier: Apache-2.0
//! A released address belongs to nobody else before the router that held it has let it go, however the job ended; and
//! jobs on routers end although their network changes all the time.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test")]

mod support;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use outgate_host::HostError;
use outgate_manager::command::request::*;
use outgate_manager::{CommandError, Pace, Started};
use outgate_model::id::{NetworkId, PublicIpId};
use outgate_model::job::JobState;
use outgate_model::key;
use outgate_model::object::{PublicIp, Zone};
use support::{World, quick};

/// A network with a second address.
async fn with_second_address(w: &World) -> (NetworkId, PublicIpId, Ipv4Addr) {
    let network = w.persistent("n").await;
    let started = w
        .manager
        .associate_ip(&w.caller, wish(network, None))
        .await
        .unwrap();
    assert_eq!(w.ended(started.job).await, JobState::Succeeded);
    let id = PublicIpId(started.id.unwrap());
    let address = w.manager.view().get::<PublicIp>(id).unwrap().address;
    (network, id, address)
}

fn wish(network: NetworkId, address: Option<Ipv4Addr>) -> AssociateIp {
    AssociateIp {
        network: Some(network),
        zone: None,
        address,
        owner: None,
    }
}

async fn release(w: &World, id: PublicIpId) -> Started {
    w.manager
        .disassociate_ip(&w.caller, DisassociateIp { id })
        .await
        .unwrap()
}

fn is_claimed(w: &World, address: Ipv4Addr) -> bool {
    let view = w.manager.view();
    let zone = view.all::<Zone>().next().unwrap().id;
    view.claimed(&key::ip_claim(zone, address)).is_some()
}

/// Nobody gets the address now; once the host works again, somebody does.
async fn is_given_back_only_when_the_host_works(w: &World, address: Ipv4Addr, heal: impl FnOnce()) {
    let other = w.isolated("other").await;
    assert!(is_claimed(w, address));
    let early = w
        .manager
        .associate_ip(&w.caller, wish(other, Some(address)))
        .await;
    assert!(matches!(early, Err(CommandError::InUse { .. })), "{early:?}");
    heal();
    w.until("the address is given back", || !is_claimed(w, address))
        .await;
    w.manager
        .associate_ip(&w.caller, wish(other, Some(address)))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_whose_release_is_late_stays_claimed_until_the_router_has_let_it_go() {
    let w = World::with(Pace {
        // Long enough for what comes before, on a machine that does much else.
        job_deadline: Duration::from_secs(3),
        jobs_kept: 0,
        ..quick()
    })
    .await;
    let (_, ip, address) = with_second_address(&w).await;
    w.host.judge(|_| {
        Some(HostError::NoInterface {
            interface: "eth2".to_owned(),
        })
    });
    let started = release(&w, ip).await;
    assert!(matches!(w.ended(started.job).await, JobState::Failed { .. }));
    is_given_back_only_when_the_host_works(&w, address, || w.host.judge(|_| None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_whose_release_the_router_refuses_stays_claimed_over_a_restart_of_the_server() {
    let w = World::new().await;
    let (_, ip, address) = with_second_address(&w).await;
    w.host.judge(|_| {
        Some(HostError::Rules {
            reason: "no".to_owned(),
        })
    });
    let started = release(&w, ip).await;
    assert!(matches!(w.ended(started.job).await, JobState::Failed { .. }));
    let w = w.restart().await;
    is_given_back_only_when_the_host_works(&w, address, || w.host.judge(|_| None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_released_while_its_router_is_being_stopped_stays_claimed_until_that_is_off() {
    let w = World::new().await;
    let (network, ip, address) = with_second_address(&w).await;
    w.host.gate(false);
    let id = w.router(network).id;
    w.manager.stop_router(&w.caller, StopRouter { id }).await.unwrap();
    let started = release(&w, ip).await;
    assert_eq!(w.ended(started.job).await, JobState::Succeeded);
    is_given_back_only_when_the_host_works(&w, address, || w.host.gate(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_released_while_its_network_is_being_deleted_stays_claimed_until_its_router_is_off() {
    let w = World::new().await;
    let (network, ip, address) = with_second_address(&w).await;
    w.host.gate(false);
    let delete = DeleteNetwork {
        id: network,
        forced: false,
    };
    w.manager.delete_network(&w.caller, delete).await.unwrap();
    release(&w, ip).await;
    is_given_back_only_when_the_host_works(&w, address, || w.host.gate(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_is_done_when_the_router_is_back_although_its_network_has_changed_again() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    let (id, ip) = (w.router(network).id, w.source_nat(network));
    w.host.gate(false);
    // Each apply that passes shuts the gate behind it.
    let host = Arc::clone(&w.host);
    w.host.judge(move |_| {
        host.gate(false);
        None
    });
    let reboot = w
        .manager
        .reboot_router(&w.caller, RebootRouter { id })
        .await
        .unwrap();
    w.until("the reboot has begun", || {
        let begun = w.host.inside().boot == 2;
        // An apply from before may be waiting at the gate.
        w.host.gate(!begun);
        begun
    })
    .await;
    let rule = w
        .manager
        .create_firewall_rule(&w.caller, w.firewall(ip, 80))
        .await
        .unwrap();
    w.host.gate(true);
    assert_eq!(w.ended(reboot.job).await, JobState::Succeeded);
    assert_eq!(w.state(rule.job), JobState::Pending);
    w.host.judge(|_| None);
    w.host.gate(true);
    assert_eq!(w.ended(rule.job).await, JobState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_judged_by_what_the_router_says_to_it_and_not_by_what_it_refused_before() {
    let w = World::new().await;
    let network = w.persistent("n").await;
    let restart = || async {
        let request = RestartNetwork {
            id: network,
            cleanup: true,
        };
        let started = w.manager.restart_network(&w.caller, request).await.unwrap();
        w.ended(started.job).await
    };
    w.host.judge(|_| {
        Some(HostError::Rules {
            reason: "no".to_owned(),
        })
    });
    assert!(matches!(restart().await, JobState::Failed { .. }));
    w.host.judge(|_| None);
    assert_eq!(restart().await, JobState::Succeeded);
}
