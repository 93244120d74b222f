// SPDX-License-Identifier: Apache-2.0
//! Networks, their offerings and addresses over the API, beyond what every command's test shows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;

use common::{Served, pairs, text};
use outgate_manager::bootstrap::{OFFERING_ALLOW, OFFERING_DENY};
use serde_json::{Value, json};

async fn items(served: &Served, command: &str, key: &str, params: &str) -> Vec<Value> {
    let inner = served.ok(command, &pairs(params)).await;
    inner[key].as_array().cloned().unwrap_or_default()
}

async fn networks(served: &Served, params: &str) -> BTreeSet<String> {
    let found = items(served, "listNetworks", "network", params).await;
    found.iter().map(|n| text(n, "name").to_owned()).collect()
}

async fn create(served: &Served, offering: &str, params: &str) -> Value {
    let (offering, zone) = (
        served.world.offering(offering).to_string(),
        served.world.zone.to_string(),
    );
    let mut all = vec![("networkofferingid", offering.as_str()), ("zoneid", &zone)];
    all.extend(pairs(params));
    served.ok("createNetwork", &all).await["network"].clone()
}

async fn update(served: &Served, network: &Value, params: &str) -> Value {
    let mut all = vec![("id", text(network, "id"))];
    all.extend(pairs(params));
    let (_, job) = served.job("updateNetwork", &all).await;
    job["jobresult"]["network"].clone()
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_chosen_for_a_network_is_shown_and_changes() {
    let served = Served::new(4).await;
    let made = create(
        &served,
        OFFERING_DENY,
        "name=net; startip=10.1.1.20; endip=10.1.1.40; dns1=192.0.2.1; publicmtu=1400; privatemtu=1300; \
         subdomainaccess=true; acltype=Account; externalid=x",
    )
    .await;
    for (field, value) in [
        ("cidr", json!("10.1.1.0/24")),
        ("networkcidr", json!("10.1.1.0/24")),
        (
            "reservediprange",
            json!("10.1.1.1-10.1.1.19 ,  10.1.1.41-10.1.1.254"),
        ),
        ("dns1", json!("192.0.2.1")),
        ("publicmtu", json!(1400)),
        ("privatemtu", json!(1300)),
        ("subdomainaccess", json!(true)),
        ("canusefordeploy", json!(true)),
        ("displaynetwork", json!(true)),
    ] {
        assert_eq!(made[field], value, "{field}: {made}");
    }
    assert!(made.get("dns2").is_none(), "{made}");
    let changed = update(
        &served,
        &made,
        "guestvmcidr=10.1.1.64/26; dns2=192.0.2.2; publicmtu=1200; changecidr=false",
    )
    .await;
    for (field, value) in [
        ("cidr", json!("10.1.1.64/26")),
        ("networkcidr", json!("10.1.1.0/24")),
        (
            "reservediprange",
            json!("10.1.1.1-10.1.1.64 ,  10.1.1.127-10.1.1.254"),
        ),
        ("netmask", json!("255.255.255.0")),
        ("dns2", json!("192.0.2.2")),
        ("privatemtu", json!(1200)),
    ] {
        assert_eq!(changed[field], value, "{field}: {changed}");
    }
    let offering = served.world.offering(OFFERING_ALLOW).to_string();
    let changed = update(&served, &made, &format!("networkofferingid={offering}")).await;
    assert_eq!(changed["networkofferingid"], offering);
    assert_eq!(changed["egressdefaultpolicy"], true);
    assert_eq!(changed["cidr"], "10.1.1.64/26");
    let own = format!("customid={}", text(&made, "id"));
    assert_eq!(update(&served, &made, &own).await["id"], made["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_of_networks_narrows_the_list() {
    let served = Served::new(4).await;
    let shown = create(&served, OFFERING_DENY, "name=shown").await;
    create(
        &served,
        OFFERING_ALLOW,
        "name=hidden; displaynetwork=false; startip=10.1.2.2; endip=10.1.2.2",
    )
    .await;
    let physical = text(&shown, "physicalnetworkid");
    let table = [
        ("", &["hidden", "shown"][..]),
        ("displaynetwork=true", &["shown"]),
        ("displaynetwork=false", &["hidden"]),
        ("networkfilter=Account", &["hidden", "shown"]),
        ("networkfilter=all", &["hidden", "shown"]),
        ("networkfilter=Domain", &[]),
        ("networkfilter=shared", &[]),
        ("forvpc=false; canusefordeploy=true", &["hidden", "shown"]),
        ("canusefordeploy=false", &[]),
        ("issystem=true", &[]),
        ("restartrequired=true", &[]),
        ("supportedservices=SourceNat,Lb", &["hidden", "shown"]),
        ("supportedservices=SourceNat,NetworkACL", &[]),
        ("vlan=100", &[]),
        ("acltype=Domain", &[]),
        ("traffictype=Guest; type=Isolated", &["hidden", "shown"]),
        ("keyword=HID", &["hidden"]),
    ];
    for (params, expected) in table {
        assert_eq!(networks(&served, params).await, names(expected), "{params}");
    }
    let here = format!("physicalnetworkid={physical}");
    assert_eq!(networks(&served, &here).await, names(&["hidden", "shown"]));
    let hidden = served
        .world
        .manager
        .view()
        .all::<outgate_model::object::Network>()
        .find(|n| n.name == "hidden")
        .unwrap()
        .id;
    served.world.guest(hidden, "vm").await;
    assert_eq!(
        networks(&served, "canusefordeploy=false").await,
        names(&["hidden"]),
        "no address is free there"
    );
    let count = served
        .ok("listNetworks", &[("retrieveonlyresourcecount", "true")])
        .await;
    assert_eq!(count, json!({"count": 2}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_address_is_reserved_associated_by_its_account_and_released() {
    let served = Served::new(3).await;
    let free = items(&served, "listPublicIpAddresses", "publicipaddress", "state=Free").await;
    assert_eq!(free.len(), 3);
    let (id, address) = (text(&free[1], "id"), text(&free[1], "ipaddress"));
    let kept = served.ok("reserveIpAddress", &[("id", id)]).await["ipaddress"].clone();
    assert_eq!((text(&kept, "id"), text(&kept, "state")), (id, "Reserved"));
    let again = served.call("reserveIpAddress", &[("id", id)]).await;
    assert_eq!(again.status, 431, "{}", again.body);
    let listed = items(
        &served,
        "listPublicIpAddresses",
        "publicipaddress",
        "state=Reserved",
    )
    .await;
    assert_eq!(listed.len(), 1);
    assert!(
        items(
            &served,
            "listPublicIpAddresses",
            "publicipaddress",
            "state=Allocated"
        )
        .await
        .is_empty()
    );
    let network = create(&served, OFFERING_DENY, "name=net").await;
    let params = [("networkid", text(&network, "id")), ("ipaddress", address)];
    let (_, job) = served.job("associateIpAddress", &params).await;
    let ip = &job["jobresult"]["ipaddress"];
    assert_eq!((text(ip, "id"), text(ip, "state")), (id, "Allocated"));
    let wrong = served.call("releaseIpAddress", &[("id", id)]).await;
    assert_eq!(wrong.status, 431, "{}", wrong.body);
    let other = text(&free[2], "id");
    served.ok("reserveIpAddress", &[("id", other)]).await;
    served.ok("releaseIpAddress", &[("id", other)]).await;
    let free = items(&served, "listPublicIpAddresses", "publicipaddress", "state=Free").await;
    assert_eq!(free.len(), 2, "{free:?}");
    let unknown = served
        .call(
            "reserveIpAddress",
            &[("id", "0f2f7880-3c52-4b8d-8f1a-2f0c3e3a1b11")],
        )
        .await;
    assert_eq!(unknown.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_hidden_and_filtered() {
    let served = Served::new(3).await;
    let network = create(&served, OFFERING_DENY, "name=net").await;
    let params = [("networkid", text(&network, "id"))];
    let (first, _) = served.job("associateIpAddress", &params).await;
    let id = text(&first, "id");
    let (_, job) = served
        .job("updateIpAddress", &[("id", id), ("fordisplay", "false")])
        .await;
    assert_eq!(job["jobresult"]["ipaddress"]["fordisplay"], false);
    let table = [
        ("", 1),
        ("fordisplay=true", 0),
        ("fordisplay=false", 1),
        ("forsystemvms=true", 0),
        ("forvirtualnetwork=false", 0),
        ("forloadbalancing=false", 1),
        ("forloadbalancing=true", 0),
        ("allocatedonly=false", 3),
        ("allocatedonly=false; fordisplay=false", 1),
        ("allocatedonly=false; issourcenat=true", 1),
        ("state=Free; forloadbalancing=true", 0),
        ("state=Releasing", 0),
    ];
    for (params, expected) in table {
        let found = items(&served, "listPublicIpAddresses", "publicipaddress", params).await;
        assert_eq!(found.len(), expected, "{params}: {found:?}");
    }
    let other = served
        .call(
            "updateIpAddress",
            &[("id", id), ("customid", "0f2f7880-3c52-4b8d-8f1a-2f0c3e3a1b11")],
        )
        .await;
    assert_eq!(other.status, 431, "{}", other.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn offerings_are_listed_in_their_order_and_those_that_a_network_can_change_to() {
    let served = Served::new(3).await;
    let network = create(&served, OFFERING_DENY, "name=net").await;
    let allow = served.world.offering(OFFERING_ALLOW).to_string();
    let params = [("id", allow.as_str()), ("sortkey", "-5")];
    served.ok("updateNetworkOffering", &params).await;
    let listed = items(&served, "listNetworkOfferings", "networkoffering", "").await;
    assert_eq!(listed[0]["id"], allow);
    let params = format!("networkid={}", text(&network, "id"));
    let fitting = items(&served, "listNetworkOfferings", "networkoffering", &params).await;
    assert!(
        fitting
            .iter()
            .all(|o| o["forvpc"] == false && o["id"] != network["networkofferingid"])
    );
    assert!(fitting.iter().any(|o| o["id"] == allow));
    let shared = [
        ("name", "shared"),
        ("displaytext", "shared"),
        ("guestiptype", "Shared"),
        ("traffictype", "Guest"),
    ];
    let refused = served.call("createNetworkOffering", &shared).await;
    assert!(
        refused.inner()["errortext"]
            .as_str()
            .unwrap()
            .contains("source NAT"),
        "{}",
        refused.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn services_and_the_region_are_listed() {
    let served = Served::new(1).await;
    let services = items(&served, "listSupportedNetworkServices", "networkservice", "").await;
    assert_eq!(services.len(), 10);
    let acl = items(
        &served,
        "listSupportedNetworkServices",
        "networkservice",
        "service=networkacl",
    )
    .await;
    assert_eq!(acl[0]["provider"], json!([{"name": "VpcVirtualRouter"}]));
    let of_router = "provider=VirtualRouter; keyword=nat";
    let found = items(
        &served,
        "listSupportedNetworkServices",
        "networkservice",
        of_router,
    )
    .await;
    assert_eq!(found.len(), 2, "{found:?}");
    let region = items(&served, "listRegions", "region", "id=1").await;
    assert_eq!(
        (&region[0]["id"], &region[0]["name"]),
        (&json!(1), &json!("Local"))
    );
    assert!(
        items(&served, "listRegions", "region", "name=other")
            .await
            .is_empty()
    );
}
