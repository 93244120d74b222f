// SPDX-License-Identifier: Apache-2.0
//! Usage and capacity: what routers count becomes records that survive whatever happens, and ports that run out
//! become alerts before they have.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a test")]

mod common;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use common::World;
use jiff::{Timestamp, tz::TimeZone};
use outgate_manager::command::request::{AddSourceNat, RebootRouter};
use outgate_manager::insight::{Record, UsageQuery, UsageType};
use outgate_model::Realm;
use outgate_model::id::{NetworkId, RouterId};
use outgate_model::object::{Alert, AlertKind};
use outgate_model::stats::{
    AddressTraffic, AddressUse, Census, DestinationUse, GuestUse, HealthCheck, HealthKind, ProtocolUse,
    RouterStats, TableUse, Traffic,
};

const ADDRESS: Ipv4Addr = common::FIRST_PUBLIC;

/// A router that has carried so much through the first address.
fn carried(epoch: u64, bytes_in: u64, bytes_out: u64) -> RouterStats {
    let traffic = Traffic {
        packets_in: 1,
        bytes_in,
        packets_out: 1,
        bytes_out,
    };
    RouterStats {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: Some(epoch),
        addresses: vec![AddressTraffic {
            address: ADDRESS,
            traffic,
        }],
        table: TableUse {
            limit: 262_144,
            ..TableUse::default()
        },
        ..RouterStats::default()
    }
}

fn says(world: &World, router: RouterId, stats: RouterStats) {
    world.host.with(|running| running.stats.insert(router, stats));
}

/// Records of the last two days: midnight may pass.
async fn records(world: &World, kind: UsageType) -> Vec<Record> {
    let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
    let query = UsageQuery {
        first: today.yesterday().unwrap(),
        last: today,
        kind: Some(kind),
    };
    world.manager.usage_records(query, |_| true).await.unwrap()
}

async fn bytes(world: &World) -> (u64, u64) {
    let sum = |records: Vec<Record>| records.iter().filter_map(|r| r.bytes).sum();
    let received = sum(records(world, UsageType::BytesReceived).await);
    (received, sum(records(world, UsageType::BytesSent).await))
}

/// A network with a router that runs.
async fn with_router(world: &World) -> (NetworkId, RouterId) {
    let network = world.network("n").await;
    world.guest(network, "vm").await;
    let router = world.running_router(network).await;
    (network, router)
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_added_once_however_often_they_are_read_and_by_whatever_server() {
    let world = World::new(4).await;
    let (network, router) = with_router(&world).await;
    says(&world, router, carried(1, 1_000, 500));
    for _ in 0..3 {
        world.manager.generate_usage().await.unwrap();
    }
    assert_eq!(bytes(&world).await, (1_000, 500));
    let record = &records(&world, UsageType::BytesSent).await[0];
    assert_eq!((record.used, record.network), (router.0, Some(network)));
    assert_eq!(record.address.as_deref(), Some("203.0.113.10"));

    // What is counted while no server runs is added by the next.
    says(&world, router, carried(1, 1_500, 800));
    let world = world.restarted().await;
    world.manager.generate_usage().await.unwrap();
    assert_eq!(bytes(&world).await, (1_500, 800));

    // A router that started anew counts from zero, in another epoch.
    says(&world, router, carried(2, 10, 20));
    world.manager.generate_usage().await.unwrap();
    world.manager.generate_usage().await.unwrap();
    assert_eq!(bytes(&world).await, (1_510, 820));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_bytes_of_a_router_are_read_before_it_is_rebooted() {
    let world = World::new(4).await;
    let (_, router) = with_router(&world).await;
    says(&world, router, carried(1, 7_000, 70));
    let request = RebootRouter { id: router };
    let started = world.manager.reboot_router(&world.admin, request).await.unwrap();
    world.done(started).await;
    assert_eq!(bytes(&world).await, (7_000, 70));
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_of_addresses_and_networks_are_recorded_even_after_they_are_gone() {
    let world = World::new(4).await;
    let (network, _) = with_router(&world).await;
    let address = world.address(network).await;
    world.manager.generate_usage().await.unwrap();
    let before = records(&world, UsageType::Address).await;
    assert_eq!(before.len(), 2, "{before:?}");
    assert!(before.iter().any(|r| r.source_nat == Some(true)));
    let request = outgate_manager::command::request::DisassociateIp { id: address };
    let started = world
        .manager
        .disassociate_ip(&world.admin, request)
        .await
        .unwrap();
    world.done(started).await;
    world.manager.generate_usage().await.unwrap();
    let after = records(&world, UsageType::Address).await;
    assert_eq!(after.len(), 2, "what is gone was used nevertheless");
    let gone = |records: &[Record]| records.iter().find(|r| r.used == address.0).unwrap().raw;
    let held = gone(&after);
    assert!((0.0..0.1).contains(&held), "{held}");
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!((gone(&records(&world, UsageType::Address).await) - held).abs() < f64::EPSILON);
    assert_eq!(records(&world, UsageType::Network).await.len(), 1);

    let tomorrow = TimeZone::UTC
        .to_datetime(Timestamp::now())
        .date()
        .tomorrow()
        .unwrap();
    world.manager.remove_usage_before(tomorrow).await.unwrap();
    let kept = records(&world, UsageType::Address).await;
    assert_eq!(kept.len(), 1, "what is held still goes on: {kept:?}");
}

/// A router with so many ports in use towards one destination.
fn ports_used(ports: u32) -> RouterStats {
    let destination = DestinationUse {
        address: Ipv4Addr::new(198, 51, 100, 1),
        port: 443,
        ports,
    };
    let used = AddressUse {
        address: ADDRESS,
        sessions: ports,
        protocols: vec![ProtocolUse {
            protocol: 6,
            sessions: ports,
            ports,
            busiest: vec![destination],
        }],
        guests: vec![GuestUse {
            address: Ipv4Addr::new(10, 1, 1, 5),
            sessions: ports,
            ports,
            traffic: None,
        }],
    };
    let mut stats = carried(1, 0, 0);
    stats.table.sessions = ports;
    stats.census = Some(Census {
        addresses: vec![used],
        ..Census::default()
    });
    stats
}

fn standing(world: &World) -> Vec<String> {
    let view = world.manager.view();
    let alerts = view
        .all::<Alert>()
        .filter(|a| !a.archived && a.kind == AlertKind::Ports);
    alerts.map(|a| a.description.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_above_the_threshold_raise_one_alert_with_the_remedy_and_it_goes_when_they_are_free() {
    let world = World::new(4).await;
    let (_, router) = with_router(&world).await;
    for ports in [40_000, 52_000, 60_000] {
        says(&world, router, ports_used(ports));
        world.manager.generate_usage().await.unwrap();
    }
    let alerts = standing(&world);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    for word in ["52000", "198.51.100.1:443", "10.1.1.5", "enableStaticNat"] {
        assert!(alerts[0].contains(word), "{word} in {}", alerts[0]);
    }
    says(&world, router, ports_used(50_000));
    world.manager.generate_usage().await.unwrap();
    assert_eq!(standing(&world).len(), 1, "just below it does not flap");
    says(&world, router, carried(1, 0, 0));
    world.manager.generate_usage().await.unwrap();
    assert_eq!(standing(&world), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_ask_at_the_same_time_share_one_look_at_the_sessions() {
    let world = World::new(4).await;
    let (_, router) = with_router(&world).await;
    says(&world, router, ports_used(10_000));
    let started = Instant::now();
    let before = world.host.with(|running| running.looks);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (manager, caller) = (world.manager.clone(), world.admin);
        asked.spawn(async move { manager.capacity(&caller, router).await.unwrap().unwrap() });
    }
    for capacity in asked.join_all().await {
        assert_eq!(capacity.addresses[0].fullest, 10_000);
    }
    // On a busy machine fifty answers may take longer than a look stays fresh.
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
    let looks = world.host.with(|running| running.looks) - before;
    assert!((1..=1 + 2 * seconds).contains(&looks), "{looks} in {seconds} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_tells_how_long_the_ports_last_and_what_to_do() {
    let world = World::new(4).await;
    let (_, router) = with_router(&world).await;
    says(&world, router, ports_used(10_000));
    let caller = &world.admin;
    let first = world.manager.capacity(caller, router).await.unwrap().unwrap();
    assert_eq!(
        (first.addresses[0].percent, &first.addresses[0].remedy),
        (15, &None)
    );
    // Nobody is given a look that is a second old.
    tokio::time::sleep(Duration::from_secs(1)).await;
    says(&world, router, ports_used(60_000));
    let second = world.manager.capacity(caller, router).await.unwrap().unwrap();
    assert_eq!(
        (second.addresses[0].fullest, second.addresses[0].percent),
        (60_000, 93)
    );
    assert!(
        second.addresses[0].lasts_secs.is_some_and(|s| s < 60),
        "{second:?}"
    );
    assert!(second.addresses[0].remedy.is_some());
    let stranger = world.tenant("stranger").await;
    assert!(world.manager.capacity(&stranger, router).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_last_as_long_as_the_last_address_of_the_pool_has_some() {
    let world = World::new(4).await;
    let (network, router) = with_router(&world).await;
    let add = AddSourceNat {
        network: Some(network),
        vpc: None,
        address: None,
    };
    let job = world.manager.add_source_nat(&world.admin, add).await.unwrap();
    world.done(job).await;
    let second = world.manager.view().source_nat_pool_of(Realm::Network(network))[1].address;
    let both = |first, of_second| {
        let mut stats = ports_used(first);
        let mut more = ports_used(of_second).census.unwrap().addresses.swap_remove(0);
        more.address = second;
        stats.census.as_mut().unwrap().addresses.push(more);
        stats
    };
    says(&world, router, both(60_000, 0));
    world.manager.capacity(&world.admin, router).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    says(&world, router, both(64_512, 4_000));
    let seen = world
        .manager
        .capacity(&world.admin, router)
        .await
        .unwrap()
        .unwrap();
    let first = &seen.addresses[0];
    assert_eq!(
        (first.lasts_secs, first.pool, first.pool_percent),
        (Some(0), 2, 53)
    );
    let lasts = first.pool_lasts_secs.unwrap();
    assert!(
        (1..60).contains(&lasts),
        "60,512 ports are left, 8,512 more each second or less: {lasts}"
    );
    assert_eq!(first.remedy, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_observed_by_itself_and_what_begins_to_fail_is_an_event_once() {
    let world = World::new(4).await;
    let check = |success| HealthCheck {
        name: "dns_check.py".to_owned(),
        kind: HealthKind::Advanced,
        success,
        details: "seen".to_owned(),
    };
    world.host.with(|running| running.health = vec![check(true)]);
    let (_, router) = with_router(&world).await;
    let caller = &world.admin;
    let health = world
        .manager
        .router_health(caller, router, true)
        .await
        .unwrap()
        .unwrap();
    let names: Vec<_> = health
        .checks
        .iter()
        .map(|c| (c.name.as_str(), c.success))
        .collect();
    assert_eq!(names, [("connectivity.test", true), ("dns_check.py", true)]);
    world.host.with(|running| running.health = vec![check(false)]);
    for _ in 0..3 {
        world.manager.router_health(caller, router, true).await.unwrap();
    }
    let events = || {
        let view = world.manager.view();
        view.events().filter(|e| e.kind == "ROUTER.HEALTH.CHECKS").count()
    };
    assert_eq!(events(), 1);
    let kept = world
        .manager
        .router_health(caller, router, false)
        .await
        .unwrap()
        .unwrap();
    assert!(!kept.checks[1].success);
    let started = Instant::now();
    let request = outgate_manager::command::request::DestroyRouter { id: router };
    let job = world.manager.destroy_router(caller, request).await.unwrap();
    world.done(job).await;
    assert_eq!(
        world.manager.view().router_health(router).map(|h| h.at),
        None,
        "{:?}",
        started.elapsed()
    );
}
