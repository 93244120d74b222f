// SPDX-License-Identifier: Apache-2.0
//! The source NAT pool as clients see it: the commands that add and remove an address, and what lists show.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::checked::Checked;
use common::text;
use common::vpc::{Cloud, has};
use serde_json::{Value, json};

const DENY: &str = "DefaultIsolatedNetworkOfferingWithSourceNatService";

#[tokio::test(flavor = "multi_thread")]
async fn a_networks_pool_grows_and_shrinks_and_lists_show_it() {
    let checked = Checked::new(8).await;
    let network = checked.network("net", DENY).await;
    checked.guest(&network, "web").await;
    let id = text(&network, "id");
    let shown = async || checked.one("listNetworks", &[("id", id)]).await["sourcenataddresses"].clone();
    assert_eq!(shown().await, json!(["203.0.113.10"]));
    let added = checked
        .job(
            "addSourceNatAddress",
            &[("networkid", id), ("ipaddress", "203.0.113.14")],
        )
        .await;
    has(
        &added,
        json!({"ipaddress": "203.0.113.14", "issourcenat": true, "sourcenatrole": "additional", "associatednetworkid": id}),
    );
    assert_eq!(shown().await, json!(["203.0.113.10", "203.0.113.14"]));
    let all = checked
        .list("listPublicIpAddresses", &[("issourcenat", "true")])
        .await;
    let mut roles: Vec<&Value> = all.iter().map(|ip| &ip["sourcenatrole"]).collect();
    roles.sort_by_key(|role| role.as_str());
    assert_eq!(roles, ["additional", "default"]);
    let removed = checked
        .job("removeSourceNatAddress", &[("ipaddressid", text(&added, "id"))])
        .await;
    has(&removed, json!({"issourcenat": false, "associatednetworkid": id}));
    assert!(removed.get("sourcenatrole").is_none());
    assert_eq!(shown().await, json!(["203.0.113.10"]));
    let events = checked.list("listEvents", &[("listall", "true")]).await;
    for kind in ["NETWORK.SOURCENAT.ADD", "NETWORK.SOURCENAT.REMOVE"] {
        assert!(events.iter().any(|event| event["type"] == kind), "{kind}");
    }
    checked.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vpcs_tiers_share_its_pool() {
    let cloud = Cloud::new().await;
    let vpc = cloud.vpc.clone();
    let added = cloud.job(&format!("addSourceNatAddress vpcid={vpc}")).await;
    has(&added, json!({"vpcid": vpc, "sourcenatrole": "additional"}));
    let shown = cloud.list(&format!("listVPCs id={vpc}")).await;
    let pool = shown[0]["sourcenataddresses"].as_array().unwrap().clone();
    assert_eq!(pool.len(), 2);
    assert_eq!(pool[1], added["ipaddress"]);
    for tier in shown[0]["network"].as_array().unwrap() {
        assert_eq!(tier["sourcenataddresses"], json!(pool));
        let refused = cloud
            .refused(&format!("addSourceNatAddress networkid={}", text(tier, "id")))
            .await;
        assert!(refused.1.contains(&format!("vpcid={vpc}")), "{refused:?}");
    }
    let id = text(&added, "id");
    cloud
        .job(&format!("removeSourceNatAddress ipaddressid={id}"))
        .await;
    cloud.job(&format!("disassociateIpAddress id={id}")).await;
}
