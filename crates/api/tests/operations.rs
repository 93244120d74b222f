// SPDX-License-Identifier: Apache-2.0
//! Settings, events and alerts through the real HTTP server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Served, facts, pairs, text};
use serde_json::{Value, json};

async fn listed(served: &Served, command: &str, params: &str, key: &str) -> Vec<Value> {
    let inner = served.ok(command, &pairs(params)).await;
    let items = inner[key].as_array().cloned().unwrap_or_default();
    let reference = facts::reference();
    if reference.get(command).is_some() {
        for item in &items {
            assert_eq!(facts::faults(&reference, command, item), Vec::<String>::new());
        }
    }
    items
}

async fn refused(served: &Served, command: &str, params: &str) -> (u16, String) {
    let answer = served.call(command, &pairs(params)).await;
    let text = answer.inner()["errortext"].as_str().unwrap_or_default();
    (answer.status, text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_listed_changed_and_reset_by_scope() {
    let served = Served::new(4).await;
    let zone = served.world.zone;
    let all = listed(&served, "listConfigurations", "", "configuration").await;
    assert_eq!(all.len(), outgate_manager::settings::ALL.len());
    let page = listed(
        &served,
        "listConfigurations",
        "page=2; pagesize=5",
        "configuration",
    )
    .await;
    assert_eq!(page, all[5..10]);
    let of_zone = listed(
        &served,
        "listConfigurations",
        &format!("zoneid={zone}"),
        "configuration",
    )
    .await;
    let reaches_zones = |c: &Value| text(c, "scope").split(',').any(|scope| scope == "Zone");
    assert!(of_zone.iter().all(reaches_zones) && of_zone.len() < all.len());
    let name = "name=router.conntrack.udp.timeout";
    let change = format!("{name}; value=200; zoneid={zone}");
    let changed = served.ok("updateConfiguration", &pairs(&change)).await["configuration"].clone();
    assert_eq!(
        (&changed["value"], &changed["defaultvalue"]),
        (&json!("200"), &json!("120"))
    );
    let one = listed(&served, "listConfigurations", name, "configuration").await;
    assert_eq!(one[0]["value"], "120", "elsewhere it is as it was");
    let reset = format!("{name}; zoneid={zone}");
    let reset = served.ok("resetConfiguration", &pairs(&reset)).await["configuration"].clone();
    assert_eq!(reset["value"], "120");
    assert_eq!(
        listed(
            &served,
            "listConfigurations",
            "category=alert; keyword=publicip",
            "configuration"
        )
        .await
        .len(),
        1
    );
    let both = format!("{change}; accountid={}", served.world.admin.account);
    assert_eq!(refused(&served, "updateConfiguration", &both).await.0, 431);
    assert_eq!(refused(&served, "updateConfiguration", name).await.0, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_for_routers_is_shown_where_it_holds_with_where_it_comes_from() {
    let served = Served::new(4).await;
    let network = served.world.network("net").await;
    served.world.quiet().await;
    let shown = |command: &'static str, id: String, key: &'static str| {
        let served = &served;
        async move {
            listed(served, command, &format!("id={id}"), key)
                .await
                .swap_remove(0)
        }
    };
    let of_network = async || shown("listNetworks", network.to_string(), "network").await;
    assert_eq!(of_network().await["details"], Value::Null, "nobody set anything");
    let offering = text(&of_network().await, "networkofferingid").to_owned();
    let rate = "name=router.guest.sessions.rate";
    let most = "name=router.guest.sessions.max";
    for change in [
        format!("{rate}; value=200; networkofferingid={offering}"),
        format!("{rate}; value=50; networkid={network}"),
        format!("{most}; value=900; zoneid={}", served.world.zone),
        "name=router.public.ping.rate; value=7".to_owned(),
    ] {
        served.ok("updateConfiguration", &pairs(&change)).await;
    }
    let narrowest = json!({"router.guest.sessions.max": "900", "router.guest.sessions.rate": "50"});
    assert_eq!(of_network().await["details"], narrowest);
    let offered = shown("listNetworkOfferings", offering.clone(), "networkoffering").await;
    assert_eq!(offered["details"], json!({"router.guest.sessions.rate": "200"}));
    for (name, scope, id, value) in [
        (rate, "Network", json!(network), "50"),
        (most, "Zone", json!(served.world.zone), "900"),
        ("name=router.public.ping.rate", "Global", Value::Null, "7"),
        ("name=router.natlog.enabled", "Default", Value::Null, "false"),
    ] {
        let asked = format!("{name}; networkid={network}");
        let one = listed(&served, "listConfigurations", &asked, "configuration").await;
        let told = (&one[0]["value"], &one[0]["valuescope"], &one[0]["valuescopeid"]);
        assert_eq!(told, (&json!(value), &json!(scope), &id), "{name}");
    }
    let reset = format!("{rate}; networkid={network}");
    let reset = served.ok("resetConfiguration", &pairs(&reset)).await["configuration"].clone();
    assert_eq!(
        (&reset["value"], &reset["valuescopeid"]),
        (&json!("200"), &json!(offering))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_filtered_put_away_and_deleted() {
    let served = Served::new(4).await;
    let network = served.world.network("net").await;
    served.world.address(network).await;
    served.world.quiet().await;
    let made = listed(&served, "listEvents", "type=NETWORK.CREATE", "event").await;
    // A command without a job is somebody's doing too.
    assert_eq!(made[0]["username"], json!("admin"), "{made:?}");
    let id = text(&made[0], "id");
    let same = format!("startid={id}; level=INFO; state=Completed; entrytime=600");
    assert_eq!(listed(&served, "listEvents", &same, "event").await, made);
    assert!(
        listed(&served, "listEvents", "entrytime=600; duration=500", "event")
            .await
            .is_empty()
    );
    let types = listed(&served, "listEventTypes", "", "eventtype").await;
    assert!(types.contains(&json!({"name": "NETWORK.CREATE"})));
    served.ok("archiveEvents", &[("ids", id)]).await;
    assert!(
        listed(&served, "listEvents", "type=NETWORK.CREATE", "event")
            .await
            .is_empty()
    );
    let archived = listed(&served, "listEvents", "archived=true", "event").await;
    assert_eq!(
        (&archived[0]["id"], &archived[0]["archived"]),
        (&json!(id), &json!(true))
    );
    served.ok("deleteEvents", &[("ids", id)]).await;
    assert!(
        listed(&served, "listEvents", "archived=true", "event")
            .await
            .is_empty()
    );
    assert_eq!(
        refused(&served, "deleteEvents", &format!("ids={id}")).await.0,
        431
    );
    let (code, why) = refused(&served, "archiveEvents", "").await;
    assert!(
        code == 431 && why.contains("either ids, type or enddate"),
        "{why}"
    );
    served.ok("deleteEvents", &[("type", "NET.IPASSIGN")]).await;
    assert!(
        listed(&served, "listEvents", "type=NET.IPASSIGN", "event")
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_puts_away_or_deletes_what_happened_to_others() {
    let served = Served::new(4).await;
    served.world.network("net").await;
    let made = listed(&served, "listEvents", "type=NETWORK.CREATE", "event").await;
    let alice = served.world.tenant("alice").await;
    let request = |ids| outgate_manager::command::request::EventsChosen {
        ids,
        kind: Some("NETWORK.CREATE".to_owned()),
        start: None,
        end: None,
    };
    let id = text(&made[0], "id").parse().unwrap();
    let manager = &served.world.manager;
    assert_eq!(
        manager
            .delete_events(&alice, request(vec![id]))
            .await
            .unwrap_err()
            .code(),
        431
    );
    manager.delete_events(&alice, request(Vec::new())).await.unwrap();
    assert_eq!(
        listed(&served, "listEvents", "type=NETWORK.CREATE", "event").await,
        made
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_said_listed_archived_and_deleted() {
    let served = Served::new(4).await;
    let zone = served.world.zone;
    let say = format!("type=90; name=MINE; description=Look; zoneid={zone}");
    served.job("generateAlert", &pairs(&say)).await;
    served.job("generateAlert", &pairs(&say)).await;
    let alerts = listed(&served, "listAlerts", "type=90", "alert").await;
    assert_eq!(
        (
            alerts.len(),
            &alerts[0]["type"],
            &alerts[0]["name"],
            &alerts[0]["zonename"]
        ),
        (2, &json!(90), &json!("MINE"), &json!("lab"))
    );
    served
        .ok("archiveAlerts", &[("ids", text(&alerts[0], "id"))])
        .await;
    assert_eq!(
        listed(&served, "listAlerts", "keyword=look", "alert").await.len(),
        1
    );
    served.ok("deleteAlerts", &[("type", "90")]).await;
    assert!(listed(&served, "listAlerts", "", "alert").await.is_empty());
    let types = listed(&served, "listAlertTypes", "", "alerttype").await;
    assert!(types.contains(&json!({"id": 7, "name": "ALERT.COMPUTE.HOST"})));
}
