// SPDX-License-Identifier: Apache-2.0
//! Alerts: one for each cause, gone with it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::World;
use outgate_host::HostError;
use outgate_manager::command::request::{AlertsChosen, DisassociateIp, GenerateAlert, UpdateSetting};
use outgate_manager::settings;
use outgate_model::object::{Alert, AlertKind, SettingScope};

/// Waits until the alerts of a kind that stand are so many, and returns their descriptions.
async fn standing(world: &World, kind: AlertKind, count: usize) -> Vec<String> {
    let found = world.when(|view| {
        let alerts = view.all::<Alert>().filter(|a| a.kind == kind && !a.archived);
        let texts: Vec<_> = alerts.map(|a| a.description.clone()).collect();
        (texts.len() == count).then_some(texts)
    });
    tokio::time::timeout(Duration::from_secs(60), found)
        .await
        .expect("in time")
}

fn every(kind: AlertKind) -> AlertsChosen {
    AlertsChosen {
        ids: Vec::new(),
        number: Some(kind.number()),
        start: None,
        end: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_addresses_beyond_the_threshold_raise_one_alert_that_goes_when_enough_are_free() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    world.address(network).await;
    world.address(network).await;
    let third = world.address(network).await;
    let texts = standing(&world, AlertKind::PublicIp, 1).await;
    assert!(
        texts[0].starts_with("3 of 4 public addresses of zone lab are in use"),
        "{texts:?}"
    );
    world.address(network).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(standing(&world, AlertKind::PublicIp, 1).await, texts, "not again");
    let release = DisassociateIp { id: third };
    world
        .manager
        .disassociate_ip(&world.admin, release)
        .await
        .unwrap();
    let higher = UpdateSetting {
        name: settings::PUBLIC_IP_THRESHOLD.name.to_owned(),
        scope: SettingScope::Zone(world.zone),
        value: Some("90".to_owned()),
    };
    world.manager.update_setting(&world.admin, higher).await.unwrap();
    standing(&world, AlertKind::PublicIp, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_is_not_as_wanted_raises_an_alert_until_it_is() {
    let world = World::new(4).await;
    let refusal = HostError::Failed {
        doing: "starting the router".to_owned(),
        reason: "the host's disk is full".to_owned(),
    };
    world.host.with(|running| running.refusal = Some(refusal));
    let network = world.network("net").await;
    world.guest(network, "web").await;
    let texts = standing(&world, AlertKind::Router, 1).await;
    assert!(texts[0].contains("the host's disk is full"), "{texts:?}");
    world
        .manager
        .delete_alerts(&world.admin, every(AlertKind::Router))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    standing(&world, AlertKind::Router, 0).await;
    world.host.with(|running| running.refusal = None);
    let gone = world.when(|view| (view.all::<Alert>().count() == 0).then_some(()));
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .expect("the router comes up and the cause is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_says_stays_until_it_is_put_away() {
    let world = World::new(4).await;
    let said = |number, name: &str| GenerateAlert {
        number,
        name: name.to_owned(),
        description: "Look here".to_owned(),
        zone: Some(world.zone),
        pod: None,
    };
    let wrong = world.manager.generate_alert(&world.admin, said(4, "MINE"));
    world.refused(431, &["ALERT.NETWORK.PUBLICIP"], wrong).await;
    let started = world
        .manager
        .generate_alert(&world.admin, said(90, "MINE"))
        .await
        .unwrap();
    world.done(started).await;
    let kind = AlertKind::Other(90);
    assert_eq!(standing(&world, kind, 1).await, ["Look here"]);
    world
        .manager
        .archive_alerts(&world.admin, every(kind))
        .await
        .unwrap();
    standing(&world, kind, 0).await;
    assert_eq!(
        world.manager.view().all::<Alert>().count(),
        1,
        "it is only put away"
    );
}
