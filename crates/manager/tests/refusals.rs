// SPDX-License-Identifier: Apache-2.0
//! A limit that refuses traffic is an alert and an event that name whom, once; and it is told when it is over.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a test")]

mod common;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use common::World;
use outgate_manager::command::request::{DestroyRouter, UpdateSetting};
use outgate_manager::settings;
use outgate_model::id::RouterId;
use outgate_model::object::{Alert, AlertKind, SettingScope};
use outgate_model::refusal::{Refusal, Refused};
use outgate_model::stats::RouterStats;

/// A network with a limit and a guest `web`, whose router runs; with the guest's address.
async fn limited(world: &World) -> (RouterId, Ipv4Addr) {
    let network = world.network("shop").await;
    let limit = UpdateSetting {
        name: settings::GUEST_RATE.name.to_owned(),
        scope: SettingScope::Network(network),
        value: Some("50".to_owned()),
    };
    world.manager.update_setting(&world.admin, limit).await.unwrap();
    world.guest(network, "web").await;
    let router = world.running_router(network).await;
    let view = world.manager.view();
    let address = view.guests_of_network(network).next().unwrap().nics[0].address;
    (router, address)
}

/// What the router says from now on, and it is read.
async fn refuses(world: &World, router: RouterId, guest: Ipv4Addr, packets: u64) {
    let stats = RouterStats {
        refused: vec![Refused {
            reason: Refusal::GuestRate,
            packets,
            addresses: vec![(guest, packets)],
        }],
        ..RouterStats::default()
    };
    world.host.with(|running| running.stats.insert(router, stats));
    world.manager.generate_usage().await.unwrap();
}

fn alerts(world: &World) -> Vec<String> {
    let view = world.manager.view();
    let all = view.all::<Alert>().filter(|alert| alert.kind == AlertKind::Limit);
    all.map(|alert| alert.description.clone()).collect()
}

/// The events, the oldest first.
fn events(world: &World) -> Vec<String> {
    let view = world.manager.view();
    let mut all: Vec<_> = view.events().filter(|e| e.kind == "ROUTER.LIMIT").collect();
    all.sort_by_key(|event| event.created);
    all.iter().map(|event| event.description.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_refuses_is_one_alert_and_event_that_name_the_guest_and_it_is_told_when_it_is_over() {
    let world = World::new(4).await;
    let (router, guest) = limited(&world).await;
    refuses(&world, router, guest, 0).await;
    assert_eq!(alerts(&world), Vec::<String>::new());
    for packets in [7, 500, 9_000] {
        refuses(&world, router, guest, packets).await;
    }
    let told = alerts(&world);
    assert_eq!(told.len(), 1, "{told:?}");
    for word in [
        &guest.to_string(),
        "(web)",
        "50 sessions a second",
        "7 packets",
        "router.guest.sessions.rate",
    ] {
        assert!(told[0].contains(word), "{word} in {}", told[0]);
    }
    assert_eq!(events(&world), told);
    let started = Instant::now();
    while !alerts(&world).is_empty() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "nothing is refused any more"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
        refuses(&world, router, guest, 9_000).await;
    }
    let last = events(&world).pop().unwrap();
    assert!(
        last.contains("it refused 9000 packets") && last.contains("(web)"),
        "{last}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attack_from_outside_names_the_public_address_and_who_attacks_it() {
    let world = World::new(4).await;
    let (router, _) = limited(&world).await;
    let limit = UpdateSetting {
        name: settings::SOURCE_RATE.name.to_owned(),
        scope: SettingScope::Global,
        value: Some("20".to_owned()),
    };
    world.manager.update_setting(&world.admin, limit).await.unwrap();
    for packets in [0, 900] {
        let stats = RouterStats {
            refused: vec![Refused {
                reason: Refusal::SourceRate,
                packets,
                addresses: vec![(common::FIRST_PUBLIC, packets)],
            }],
            refused_sources: vec![(Ipv4Addr::new(198, 51, 100, 7), packets)],
            ..RouterStats::default()
        };
        world.host.with(|running| running.stats.insert(router, stats));
        world.manager.generate_usage().await.unwrap();
    }
    let told = alerts(&world);
    for word in [
        "203.0.113.10",
        "20 sessions a second",
        "most of them from 198.51.100.7",
        "900 packets",
    ] {
        assert!(told[0].contains(word), "{word} in {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_router_s_limits_goes_with_the_router() {
    let world = World::new(4).await;
    let (router, guest) = limited(&world).await;
    refuses(&world, router, guest, 0).await;
    refuses(&world, router, guest, 5).await;
    assert_eq!(alerts(&world).len(), 1);
    let request = DestroyRouter { id: router };
    let job = world.manager.destroy_router(&world.admin, request).await.unwrap();
    world.done(job).await;
    world.manager.generate_usage().await.unwrap();
    assert_eq!(alerts(&world), Vec::<String>::new());
}
