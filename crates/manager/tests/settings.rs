// SPDX-License-Identifier: Apache-2.0
//! Settings: live at once, in routers too, and documented as they are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::World;
use outgate_manager::command::request::UpdateSetting;
use outgate_manager::settings;
use outgate_model::event::TYPES;
use outgate_model::object::SettingScope;

fn change(name: &str, scope: SettingScope, value: Option<&str>) -> UpdateSetting {
    UpdateSetting {
        name: name.to_owned(),
        scope,
        value: value.map(str::to_owned),
    }
}

/// How long the network's router keeps an idle TCP session, once it has applied a generation above `above`.
async fn kept(world: &World, network: outgate_model::id::NetworkId, above: u64) -> u32 {
    let router = world.router_id(network);
    let applied = world.when(|view| (view.router_observed(router)?.generation > above).then_some(()));
    applied.await;
    world
        .host
        .with(|running| running.routers[&router].1.conntrack.tcp_established_secs)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_conntrack_settings_reaches_running_routers_zone_before_global() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    world.address(network).await;
    world.quiet().await;
    let name = settings::CONNTRACK_TCP.name;
    let zone = SettingScope::Zone(world.zone);
    let steps = [
        (SettingScope::Global, Some("9000"), 9_000),
        (zone, Some("1200"), 1_200),
        (SettingScope::Global, Some("8000"), 1_200),
        (zone, None, 8_000),
        (SettingScope::Global, None, 7_440),
    ];
    for (scope, value, expected) in steps {
        let before = world.network_now(network).generation;
        let request = change(name, scope, value);
        world.manager.update_setting(&world.admin, request).await.unwrap();
        assert_eq!(kept(&world, network, before).await, expected, "{scope} {value:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_conntrack_of_a_network_hold_before_its_offerings_and_those_before_its_zones() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    world.address(network).await;
    world.quiet().await;
    let own = SettingScope::Network(network);
    let offering = SettingScope::Offering(world.network_now(network).offering);
    let zone = SettingScope::Zone(world.zone);
    let limits = settings::GUEST_SESSIONS.name;
    let steps = [
        (limits, zone, Some("5000"), Some(5_000)),
        (limits, offering, Some("4000"), Some(4_000)),
        (limits, own, Some("3000"), Some(3_000)),
        (limits, zone, Some("2000"), Some(3_000)),
        (settings::CONNTRACK_MAX.name, own, Some("2048"), Some(3_000)),
        (limits, own, Some("0"), None),
        (limits, own, None, Some(4_000)),
        (limits, offering, None, Some(2_000)),
    ];
    for (name, scope, value, expected) in steps {
        let before = world.network_now(network).generation;
        let request = change(name, scope, value);
        world.manager.update_setting(&world.admin, request).await.unwrap();
        kept(&world, network, before).await;
        let router = world.router_id(network);
        let held = world.host.with(|running| running.routers[&router].1.limits);
        assert_eq!(held.guest_sessions, expected, "{scope} {value:?}");
    }
    let router = world.router_id(network);
    let held = world
        .host
        .with(|running| running.routers[&router].1.conntrack.max);
    assert_eq!(held, 2_048);
    let stranger = SettingScope::Network(outgate_model::id::NetworkId::new());
    let request = change(limits, stranger, Some("5"));
    let refused = world.manager.update_setting(&world.admin, request);
    world.refused(431, &["networkid"], refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_recorded_by_running_routers_as_their_zone_wants_it() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    world.address(network).await;
    world.quiet().await;
    let zone = SettingScope::Zone(world.zone);
    let steps = [
        (settings::NAT_LOG.name, "true", Some((50_000, 256))),
        (settings::NAT_LOG_RATE.name, "900", Some((900, 256))),
        (settings::NAT_LOG.name, "false", None),
    ];
    for (name, value, expected) in steps {
        let before = world.network_now(network).generation;
        let request = change(name, zone, Some(value));
        world.manager.update_setting(&world.admin, request).await.unwrap();
        kept(&world, network, before).await;
        let router = world.router_id(network);
        let log = world.host.with(|running| running.routers[&router].1.nat_log);
        assert_eq!(
            log.map(|log| (log.records_per_second, log.file_mib)),
            expected,
            "{name} {value}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_takes_only_its_values_and_only_where_it_may_differ() {
    let world = World::new(4).await;
    let update = |name: &str, scope, value| {
        world
            .manager
            .update_setting(&world.admin, change(name, scope, value))
    };
    let zone = SettingScope::Zone(world.zone);
    let global = SettingScope::Global;
    world
        .refused(431, &["listConfigurations"], update("no.such", global, Some("1")))
        .await;
    world
        .refused(
            431,
            &["from 1024 to"],
            update("router.conntrack.max", global, Some("5")),
        )
        .await;
    world
        .refused(
            431,
            &["true or false"],
            update("api.throttling.enabled", global, Some("yes")),
        )
        .await;
    world
        .refused(
            431,
            &["zoneid", "one value in everything"],
            update("network.gc.wait", zone, Some("5")),
        )
        .await;
    update("NETWORK.GC.WAIT", global, Some(" 77 ")).await.unwrap();
    assert_eq!(world.manager.view().setting(&settings::NETWORK_GC_WAIT), 77);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_reference_of_the_settings_is_what_the_table_says() {
    let path = root().join("docs/settings.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, settings::reference()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written,
        settings::reference(),
        "UPDATE_DOCS=1 cargo test -p outgate-manager --test settings writes docs/settings.md anew"
    );
}

/// Every word in capitals and dots between quotes: types of events, and few others.
fn quoted(text: &str) -> BTreeSet<String> {
    let words = text.split('"').skip(1).step_by(2);
    let is_type = |word: &&str| {
        word.contains('.')
            && word
                .split('.')
                .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase()))
    };
    words.filter(is_type).map(str::to_owned).collect()
}

#[test]
fn every_type_of_event_that_is_written_is_listed() {
    let mut folders = vec![root().join("crates/manager/src")];
    let mut missing = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                for line in std::fs::read_to_string(&path).unwrap().lines() {
                    missing.extend(quoted(line));
                }
            }
        }
    }
    missing.retain(|kind| !TYPES.contains(&kind.as_str()));
    assert!(
        missing.is_empty(),
        "add to outgate_model::event::TYPES: {missing:?}"
    );
    assert!(TYPES.is_sorted(), "the types are in order");
}
