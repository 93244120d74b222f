// SPDX-License-Identifier: Apache-2.0
//! Network ACL lists and their items, private gateways and static routes, as clients call them; every reply against the
//! facts about CloudStack's fields.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::text;
use common::vpc::{Cloud, has};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_network_acl_list_lives_through_all_its_commands() {
    let cloud = Cloud::new().await;
    let (vpc, front) = (cloud.vpc.as_str(), cloud.tier(0));
    let acl = cloud.acl().await;
    let names = |lists: Vec<Value>| {
        lists
            .iter()
            .map(|l| text(l, "name").to_owned())
            .collect::<Vec<_>>()
    };
    let built_in = ["default_allow", "default_deny"];
    let mut all = names(cloud.list(&format!("listNetworkACLLists vpcid={vpc}")).await);
    all.sort();
    assert_eq!(
        all,
        [built_in[0], built_in[1], "own"],
        "a VPC's tiers can have the built-in ones too"
    );
    let of_tier = names(
        cloud
            .list(&format!("listNetworkACLLists networkid={front}"))
            .await,
    );
    assert_eq!(of_tier, ["default_deny"]);
    let deny = cloud.list("listNetworkACLLists name=default_deny").await;
    assert!(deny[0].get("vpcid").is_none(), "a built-in list has no VPC");
    cloud
        .job(&format!(
            "updateNetworkACLList id={acl}; name=ours; description=Of us"
        ))
        .await;
    let ours = cloud.list(&format!("listNetworkACLLists id={acl}")).await;
    has(
        &ours[0],
        json!({ "name": "ours", "description": "Of us", "vpcname": "v" }),
    );
    cloud
        .job(&format!("replaceNetworkACLList aclid={acl}; networkid={front}"))
        .await;
    let now = cloud.list(&format!("listNetworks id={front}")).await;
    has(&now[0], json!({ "aclid": acl, "aclname": "ours" }));
    let (code, error) = cloud.refused(&format!("deleteNetworkACLList id={acl}")).await;
    assert!(code == 536 && error.contains(front), "{error}");
    let deny = text(&deny[0], "id");
    let table = "
        431 | updateNetworkACLList id=$deny; name=x | built in
        431 | deleteNetworkACLList id=$deny | built in
        431 | createNetworkACL aclid=$deny; protocol=all | built in
        431 | replaceNetworkACLList aclid=$acl | networkid or gatewayid
    ";
    cloud.refuses(&[("$deny", deny), ("$acl", &acl)], table).await;
    cloud
        .job(&format!("replaceNetworkACLList aclid={deny}; networkid={front}"))
        .await;
    cloud.job(&format!("deleteNetworkACLList id={acl}")).await;
    cloud.checked.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_a_list_live_through_all_their_commands() {
    let cloud = Cloud::new().await;
    let acl = cloud.acl().await;
    let params =
        format!("aclid={acl}; protocol=TCP; startport=80; endport=81; cidrlist=10.40.1.0/24,192.0.2.0/24");
    let web = cloud.job(&format!("createNetworkACL {params}")).await;
    has(
        &web,
        json!({ "startport": "80", "endport": "81", "number": 1, "protocol": "tcp" }),
    );
    has(
        &web,
        json!({ "action": "Allow", "traffictype": "Ingress", "cidrlist": "10.40.1.0/24,192.0.2.0/24", "aclname": "own" }),
    );
    let params = format!(
        "aclid={acl}; protocol=icmp; icmptype=8; icmpcode=0; traffictype=egress; action=deny; number=9; reason=no"
    );
    let ping = cloud.job(&format!("createNetworkACL {params}")).await;
    has(
        &ping,
        json!({ "icmptype": 8, "icmpcode": 0, "action": "Deny", "reason": "no" }),
    );
    assert!(ping.get("startport").is_none());
    let (code, error) = cloud
        .refused(&format!("createNetworkACL aclid={acl}; protocol=all; number=9"))
        .await;
    assert!(code == 431 && error.contains(text(&ping, "id")), "{error}");
    partial_updates(&cloud, text(&web, "id"), text(&ping, "id")).await;
    moves_and_ends(&cloud, &acl, text(&web, "id"), text(&ping, "id")).await;
}

async fn moves_and_ends(cloud: &Cloud, acl: &str, web: &str, ping: &str) {
    let all = cloud
        .job(&format!("createNetworkACL aclid={acl}; protocol=all"))
        .await;
    assert_eq!(all["number"], 10);
    let moved = cloud
        .job(&format!(
            "moveNetworkAclItem id={}; previousaclruleid={}; nextaclruleid={}",
            text(&all, "id"),
            web,
            ping
        ))
        .await;
    assert_eq!(moved["number"], 2);
    let numbers: Vec<Value> = cloud
        .list(&format!("listNetworkACLs aclid={acl}"))
        .await
        .iter()
        .map(|item| item["number"].clone())
        .collect();
    assert_eq!(numbers, [json!(1), json!(2), json!(9)], "by their numbers");
    for (filter, count) in [
        ("traffictype=Egress", 1),
        ("action=Deny", 1),
        ("protocol=all", 1),
        ("keyword=udp", 1),
    ] {
        let found = cloud
            .list(&format!("listNetworkACLs aclid={acl}; {filter}"))
            .await;
        assert_eq!(found.len(), count, "{filter}");
    }
    assert_eq!(
        cloud.list("listNetworkACLs").await.len(),
        3,
        "without the built-in lists' items"
    );
    let of_tier = cloud
        .list(&format!("listNetworkACLs networkid={}", cloud.tier(0)))
        .await;
    assert!(of_tier.len() == 2 && of_tier.iter().all(|item| item["aclname"] == "default_deny"));
    cloud
        .job(&format!("deleteNetworkACL id={}", text(&all, "id")))
        .await;
    assert_eq!(cloud.list(&format!("listNetworkACLs aclid={acl}")).await.len(), 2);
    cloud.checked.done();
}

/// What is left out stays as it is, unless the update is a whole one.
async fn partial_updates(cloud: &Cloud, web: &str, ping: &str) {
    let changed = cloud
        .job(&format!("updateNetworkACLItem id={web}; endport=90"))
        .await;
    has(
        &changed,
        json!({ "startport": "80", "endport": "90", "cidrlist": "10.40.1.0/24,192.0.2.0/24" }),
    );
    let changed = cloud
        .job(&format!(
            "updateNetworkACLItem id={web}; protocol=udp; cidrlist=192.0.2.0/24"
        ))
        .await;
    has(
        &changed,
        json!({ "protocol": "udp", "endport": "90", "cidrlist": "192.0.2.0/24" }),
    );
    let params = format!("id={ping}; partialupgrade=false; protocol=icmp; traffictype=egress");
    let whole = cloud.job(&format!("updateNetworkACLItem {params}")).await;
    has(
        &whole,
        json!({ "icmptype": -1, "action": "Allow", "number": 9, "cidrlist": "0.0.0.0/0" }),
    );
    assert!(whole.get("reason").is_none());
    let params = format!("id={ping}; action=Deny; icmptype=0");
    assert_eq!(
        cloud.job(&format!("updateNetworkACLItem {params}")).await["icmptype"],
        0
    );
    let table = "
        431 | updateNetworkACLItem id=$web; icmptype=8 | icmptype
        431 | updateNetworkACLItem id=$ping; startport=8 | startport
        431 | updateNetworkACLItem id=$web; startport=99 | endport
        431 | updateNetworkACLItem id=$web; partialupgrade=false | protocol
        431 | updateNetworkACLItem id=$web; number=9 | 9
    ";
    cloud.refuses(&[("$web", web), ("$ping", ping)], table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn private_gateways_and_static_routes_live_through_all_their_commands() {
    let cloud = Cloud::new().await;
    let vpc = cloud.vpc.as_str();
    let new = "ipaddress=172.16.9.2; gateway=172.16.9.1; netmask=255.255.255.0";
    let gateway = cloud
        .job(&format!(
            "createPrivateGateway vpcid={vpc}; {new}; vlan=vlan://909"
        ))
        .await;
    has(
        &gateway,
        json!({ "vlan": "vlan://909", "netmask": "255.255.255.0", "aclname": "default_deny", "state": "Ready" }),
    );
    let id = text(&gateway, "id");
    let listed = cloud
        .list(&format!("listPrivateGateways vpcid={vpc}; vlan=909; state=Ready"))
        .await;
    assert_eq!(listed[0]["id"], id);
    let allow = cloud.list("listNetworkACLLists name=default_allow").await;
    let params = format!("aclid={}; gatewayid={id}", text(&allow[0], "id"));
    cloud.job(&format!("replaceNetworkACLList {params}")).await;
    assert_eq!(
        cloud.list(&format!("listPrivateGateways id={id}")).await[0]["aclname"],
        "default_allow"
    );
    static_routes(&cloud, id, new).await;
}

async fn static_routes(cloud: &Cloud, id: &str, new: &str) {
    let vpc = cloud.vpc.as_str();
    let route = cloud
        .job(&format!("createStaticRoute gatewayid={id}; cidr=192.168.7.0/24"))
        .await;
    has(
        &route,
        json!({ "vpcgatewayid": id, "nexthop": "172.16.9.1", "vpcid": vpc }),
    );
    let by_hop = cloud
        .job(&format!(
            "createStaticRoute vpcid={vpc}; nexthop=10.40.1.9; cidr=192.168.8.0/24"
        ))
        .await;
    assert!(by_hop.get("vpcgatewayid").is_none());
    assert_eq!(
        cloud
            .list(&format!("listStaticRoutes gatewayid={id}"))
            .await
            .len(),
        1
    );
    assert_eq!(
        cloud
            .list(&format!("listStaticRoutes vpcid={vpc}; state=Active"))
            .await
            .len(),
        2
    );
    assert_eq!(
        cloud.list("listStaticRoutes keyword=192.168.8").await[0]["id"],
        by_hop["id"]
    );
    let table = "
        431 | createPrivateGateway vpcid=$vpc; $new | vlan
        431 | createPrivateGateway vpcid=$vpc; $new; vlan=untagged | untagged
        431 | createStaticRoute vpcid=$vpc; nexthop=10.40.1.9; cidr=x | cidr
        431 | createStaticRoute cidr=192.168.9.0/24 | gatewayid
        536 | deletePrivateGateway id=$id | 192.168.7.0/24
    ";
    cloud
        .refuses(&[("$vpc", vpc), ("$new", new), ("$id", id)], table)
        .await;
    for route in [&route, &by_hop] {
        cloud
            .job(&format!("deleteStaticRoute id={}", text(route, "id")))
            .await;
    }
    cloud.job(&format!("deletePrivateGateway id={id}")).await;
    assert!(cloud.list("listPrivateGateways").await.is_empty());
    cloud.checked.done();
}
