// SPDX-License-Identifier: Apache-2.0
//! VPCs and their tiers, as clients call them; every reply against the facts about CloudStack's fields.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::checked::Checked;
use common::stranger::Stranger;
use common::vpc::{Cloud, ISOLATED, filled, has};
use common::{Served, facts, pairs, text};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_vpc_offering_lives_through_all_its_commands() {
    let checked = Checked::new(4).await;
    let params = "name=mine; displaytext=Mine; supportedservices=SourceNat,Dhcp,Dns,NetworkACL; \
                  serviceproviderlist[0].service=Dhcp; serviceproviderlist[0].provider=VpcVirtualRouter";
    let made = checked.job("createVPCOffering", &pairs(params)).await;
    has(&made, json!({ "state": "Disabled", "isdefault": false }));
    let names: Vec<&str> = made["service"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| text(s, "name"))
        .collect();
    assert_eq!(names, ["Dhcp", "Dns", "NetworkACL", "SourceNat"]);
    let id = text(&made, "id");
    let zone = checked.one("listZones", &[]).await;
    let params = format!(
        "id={id}; state=enabled; displaytext=Ours; zoneid={}",
        text(&zone, "id")
    );
    let changed = checked.job("updateVPCOffering", &pairs(&params)).await;
    has(&changed, json!({ "state": "Enabled", "zone": zone["name"] }));
    let found = pairs("state=Enabled; supportedservices=NetworkACL,Dns; isdefault=false; keyword=our");
    assert_eq!(checked.one("listVPCOfferings", &found).await["id"], id);
    assert_eq!(checked.list("listVPCOfferings", &[]).await.len(), 2);
    checked.job("deleteVPCOffering", &[("id", id)]).await;
    assert_eq!(checked.list("listVPCOfferings", &[]).await.len(), 1);
    for (wrong, said) in [
        ("supportedservices=Dhcp,Dns", "SourceNat"),
        (
            "serviceproviderlist[0].service=Dhcp; serviceproviderlist[0].provider=Netscaler",
            "VpcVirtualRouter",
        ),
        (
            "servicecapabilitylist[0].service=SourceNat; servicecapabilitylist[0].capabilitytype=RedundantRouter; \
             servicecapabilitylist[0].capabilityvalue=true",
            "RedundantRouter",
        ),
        ("networkmode=ROUTED", "NATTED"),
    ] {
        let params = format!("name=x; displaytext=x; {wrong}");
        let answer = checked.served.call("createVPCOffering", &pairs(&params)).await;
        assert!(
            answer.status == 431 && text(answer.inner(), "errortext").contains(said),
            "{}",
            answer.body
        );
    }
    checked.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vpc_lives_through_all_its_commands() {
    let cloud = Cloud::new().await;
    let (checked, id) = (&cloud.checked, cloud.vpc.as_str());
    let vpc = checked
        .one("listVPCs", &pairs("name=v; state=enabled; cidr=10.40.0.0/16"))
        .await;
    has(
        &vpc,
        json!({ "id": id, "networkdomain": "v.example", "publicmtu": 1400, "restartrequired": false }),
    );
    has(&vpc, json!({ "dns1": "192.0.2.53", "tags": [] }));
    let tiers: Vec<&Value> = vpc["network"].as_array().unwrap().iter().collect();
    assert_eq!(tiers.len(), 2);
    for tier in tiers {
        let faults = facts::faults(&checked.reference, "listNetworks", tier);
        checked.note("listNetworks", faults);
    }
    let source_nat = checked
        .one("listPublicIpAddresses", &[("vpcid", id), ("issourcenat", "true")])
        .await;
    has(&source_nat, json!({ "vpcid": id, "vpcname": "v" }));
    assert!(source_nat.get("associatednetworkid").is_none());
    let router = checked
        .one("listRouters", &[("vpcid", id), ("listall", "true")])
        .await;
    has(
        &router,
        json!({ "vpcid": id, "vpcname": "v", "publicip": source_nat["ipaddress"] }),
    );
    let kinds: Vec<&str> = router["nic"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| text(n, "traffictype"))
        .collect();
    assert_eq!(kinds, ["Control", "Public", "Guest", "Guest"]);
    changes_and_end(&cloud).await;
}

async fn changes_and_end(cloud: &Cloud) {
    let (checked, id) = (&cloud.checked, cloud.vpc.as_str());
    let second = cloud.job(&format!("associateIpAddress vpcid={id}")).await;
    has(&second, json!({ "vpcid": id, "issourcenat": false }));
    let params = format!(
        "id={id}; name=w; displaytext=Other; sourcenatipaddress={}",
        text(&second, "ipaddress")
    );
    let changed = cloud.job(&format!("updateVPC {params}")).await;
    has(&changed, json!({ "name": "w", "displaytext": "Other" }));
    let now = checked
        .one("listPublicIpAddresses", &[("vpcid", id), ("issourcenat", "true")])
        .await;
    assert_eq!(now["id"], second["id"]);
    cloud.job(&format!("restartVPC id={id}")).await;
    cloud.job(&format!("restartVPC id={id}; cleanup=true")).await;
    let (code, error) = cloud.refused(&format!("deleteVPC id={id}")).await;
    assert!(code == 536 && error.contains("2 tiers"), "{error}");
    for index in [0, 1] {
        cloud
            .job(&format!("deleteNetwork id={}", cloud.tier(index)))
            .await;
    }
    cloud.job(&format!("deleteVPC id={id}")).await;
    for command in ["listVPCs", "listRouters", "listPublicIpAddresses", "listNetworks"] {
        assert!(
            cloud.list(&format!("{command} listall=true")).await.is_empty(),
            "{command}"
        );
    }
    let (code, error) = cloud.refused(&format!("listVPCs id={id}")).await;
    assert!(
        code == 431 && error.contains("Invalid parameter id value="),
        "{error}"
    );
    checked.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn tiers_are_networks_with_a_vpc_and_a_list_and_other_networks_have_neither() {
    let cloud = Cloud::new().await;
    let (checked, vpc) = (&cloud.checked, cloud.vpc.as_str());
    let front = &cloud.tiers[0];
    has(
        front,
        json!({ "vpcid": vpc, "vpcname": "v", "aclname": "default_deny", "cidr": "10.40.1.0/24" }),
    );
    has(front, json!({ "publicmtu": 1400, "dns1": "192.0.2.53" }));
    let alone = checked.network("alone", ISOLATED).await;
    for key in ["vpcid", "vpcname", "aclid", "aclname"] {
        assert!(alone.get(key).is_none(), "{key}");
    }
    let count = |params: String| async move {
        let found = checked.list("listNetworks", &pairs(&params)).await;
        found.len()
    };
    assert_eq!(count(format!("vpcid={vpc}")).await, 2);
    assert_eq!(count("forvpc=true".to_owned()).await, 2);
    assert_eq!(count("forvpc=false".to_owned()).await, 1);
    assert_eq!(count(format!("forvpc=false; vpcid={vpc}")).await, 0);
    let guest = checked.guest(front, "web").await;
    assert_eq!(
        (&guest["nic"][0]["vpcid"], &guest["nic"][0]["vpcname"]),
        (&json!(vpc), &json!("v"))
    );
    let nic = checked
        .one("listNics", &[("virtualmachineid", text(&guest, "id"))])
        .await;
    assert_eq!(nic["vpcid"], vpc);
    let ids = [
        (
            "$new",
            "name=x; zoneid=$zone; networkofferingid=$tier; vpcid=$vpc; gateway",
        ),
        ("$zone", cloud.zone.as_str()),
        ("$tier", text(front, "networkofferingid")),
        ("$isolated", text(&alone, "networkofferingid")),
        ("$vpc", vpc),
        ("$acl", text(front, "aclid")),
    ];
    let table = "
        431 | createNetwork name=x; zoneid=$zone; networkofferingid=$isolated; vpcid=$vpc | forvpc
        431 | createNetwork name=x; zoneid=$zone; networkofferingid=$tier | tiers of VPCs
        431 | createNetwork name=x; zoneid=$zone; networkofferingid=$isolated; aclid=$acl | vpcid
        431 | createNetwork $new=10.41.0.1; netmask=255.255.255.0 | 10.40.0.0/16
        431 | createNetwork $new=10.40.1.129; netmask=255.255.255.128 | 10.40.1.0/24
    ";
    cloud.refuses(&ids, table).await;
    checked.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_a_tier_open_no_firewall() {
    let cloud = Cloud::new().await;
    let (vpc, front) = (cloud.vpc.as_str(), cloud.tier(0));
    let guest = cloud.checked.guest(&cloud.tiers[0], "web").await;
    let guest = text(&guest, "id");
    let address = cloud
        .job(&format!("associateIpAddress vpcid={vpc}; networkid={front}"))
        .await;
    let address = text(&address, "id");
    let new = format!(
        "ipaddressid={address}; protocol=tcp; publicport=80; privateport=8080; virtualmachineid={guest}; networkid={front}"
    );
    let (code, error) = cloud
        .refused(&format!("createPortForwardingRule {new}; openfirewall=true"))
        .await;
    assert!(code == 431 && error.contains("openfirewall"), "{error}");
    let forward = cloud.job(&format!("createPortForwardingRule {new}")).await;
    assert_eq!(forward["networkid"], front);
    assert!(
        cloud
            .list(&format!("listFirewallRules ipaddressid={address}"))
            .await
            .is_empty()
    );
    let held = cloud.list(&format!("listPublicIpAddresses id={address}")).await;
    has(&held[0], json!({ "associatednetworkid": front, "vpcid": vpc }));
    let table = "
        431 | createFirewallRule ipaddressid=$address; protocol=tcp; startport=80 | ACL
        431 | createEgressFirewallRule networkid=$front; protocol=all | ACL
    ";
    cloud
        .refuses(&[("$address", address), ("$front", front)], table)
        .await;
    cloud
        .job(&format!("deletePortForwardingRule id={}", text(&forward, "id")))
        .await;
    let params = format!("ipaddressid={address}; virtualmachineid={guest}; networkid={front}");
    cloud.checked.served.ok("enableStaticNat", &pairs(&params)).await;
    cloud
        .job(&format!("disableStaticNat ipaddressid={address}"))
        .await;
    let params = format!(
        "name=lb; publicipid={address}; publicport=80; privateport=80; algorithm=source; networkid={front}"
    );
    let balancer = cloud.job(&format!("createLoadBalancerRule {params}")).await;
    assert_eq!(balancer["networkid"], front);
    cloud
        .job(&format!("deleteLoadBalancerRule id={}", text(&balancer, "id")))
        .await;
    cloud.job(&format!("disassociateIpAddress id={address}")).await;
    cloud.checked.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_a_vpc_takes_tags() {
    let cloud = Cloud::new().await;
    let vpc = cloud.vpc.as_str();
    let acl = cloud.acl().await;
    let item = cloud
        .job(&format!("createNetworkACL aclid={acl}; protocol=all"))
        .await;
    let route = cloud
        .job(&format!(
            "createStaticRoute vpcid={vpc}; nexthop=10.40.1.9; cidr=192.168.8.0/24"
        ))
        .await;
    let new = "ipaddress=172.16.9.2; gateway=172.16.9.1; netmask=255.255.255.0; vlan=909";
    let gateway = cloud
        .job(&format!("createPrivateGateway vpcid={vpc}; {new}"))
        .await;
    let shown = [
        ("Vpc", vpc, Some("listVPCs")),
        ("NetworkACL", text(&item, "id"), Some("listNetworkACLs")),
        ("StaticRoute", text(&route, "id"), Some("listStaticRoutes")),
        ("NetworkACLList", acl.as_str(), None),
        ("PrivateGateway", text(&gateway, "id"), None),
    ];
    for (kind, id, command) in shown {
        let params = format!("resourcetype={kind}; resourceids={id}; tags[0].key=env; tags[0].value=prod");
        cloud.job(&format!("createTags {params}")).await;
        let listed = cloud
            .list(&format!("listTags resourceid={id}; resourcetype={kind}"))
            .await;
        assert_eq!(listed.len(), 1, "{kind}");
        if let Some(command) = command {
            let found = cloud
                .list(&format!("{command} tags[0].key=env; tags[0].value=prod"))
                .await;
            assert_eq!((found.len(), &found[0]["id"]), (1, &json!(id)), "{kind}");
            assert_eq!(found[0]["tags"][0]["key"], "env");
        }
    }
    let built_in = cloud.list("listNetworkACLLists name=default_deny").await;
    let params = format!(
        "resourcetype=NetworkACLList; resourceids={}; tags[0].key=a; tags[0].value=b",
        text(&built_in[0], "id")
    );
    let (code, error) = cloud.refused(&format!("createTags {params}")).await;
    assert!(code == 431, "{error}");
    cloud.job(&format!("deleteNetworkACLList id={acl}")).await;
    assert_eq!(cloud.list("listTags").await.len(), 3, "tags go with their object");
    cloud.checked.done();
}

/// Calls about what another account owns.
const FOREIGN: &[&str] = &[
    "listVPCs id=$vpc",
    "listNetworks vpcid=$vpc",
    "listNetworkACLLists id=$acl",
    "listNetworkACLLists vpcid=$vpc",
    "listNetworkACLs aclid=$acl",
    "listNetworkACLs id=$item",
    "listStaticRoutes id=$route",
    "listStaticRoutes vpcid=$vpc",
    "listPrivateGateways vpcid=$vpc",
    "listPublicIpAddresses vpcid=$vpc",
    "associateIpAddress vpcid=$vpc",
    "updateVPC id=$vpc",
    "restartVPC id=$vpc",
    "deleteVPC id=$vpc",
    "createNetworkACLList name=x; vpcid=$vpc",
    "updateNetworkACLList id=$acl",
    "deleteNetworkACLList id=$acl",
    "replaceNetworkACLList aclid=$acl; networkid=$tier",
    "createNetworkACL aclid=$acl; protocol=all",
    "updateNetworkACLItem id=$item",
    "moveNetworkAclItem id=$item; nextaclruleid=$item",
    "deleteNetworkACL id=$item",
    "createStaticRoute vpcid=$vpc; nexthop=10.40.1.9; cidr=192.168.9.0/24",
    "deleteStaticRoute id=$route",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_anothers_vpc_is_answered_like_what_is_not_there() {
    let cloud = Cloud::new().await;
    let acl = cloud.acl().await;
    let item = cloud
        .job(&format!("createNetworkACL aclid={acl}; protocol=all"))
        .await;
    let route = cloud
        .job(&format!(
            "createStaticRoute vpcid={}; nexthop=10.40.1.9; cidr=192.168.8.0/24",
            cloud.vpc
        ))
        .await;
    let served: &Served = &cloud.checked.served;
    let alice = Stranger::new(served, "alice").await;
    let unknown = uuid::Uuid::new_v4().to_string();
    let ids = [
        ("$vpc", cloud.vpc.as_str()),
        ("$tier", cloud.tier(0)),
        ("$acl", &acl),
        ("$item", text(&item, "id")),
        ("$route", text(&route, "id")),
    ];
    for call in FOREIGN {
        let (command, params) = call.split_once(' ').unwrap();
        let theirs = filled(params, &ids);
        let answer = alice.call(command, &pairs(&theirs)).await;
        let nothing = filled(params, &ids.map(|(name, _)| (name, unknown.as_str())));
        let expected = alice.call(command, &pairs(&nothing)).await;
        let erased = |body: &Value| {
            ids.iter()
                .fold(body.to_string(), |t, (_, id)| t.replace(id, &unknown))
        };
        assert_eq!(answer.status, 431, "{call}: {}", answer.body);
        assert_eq!(erased(&answer.body), expected.body.to_string(), "{call}");
    }
    let lists = alice.call("listNetworkACLLists", &[]).await;
    assert_eq!(lists.inner()["count"], 2, "the built-in ones are everybody's");
    for command in [
        "listVPCs",
        "listNetworkACLs",
        "listStaticRoutes",
        "listPrivateGateways",
    ] {
        let listed = alice.call(command, &[("listall", "true")]).await;
        assert_eq!(*listed.inner(), json!({}), "{command}");
    }
}
