// SPDX-License-Identifier: Apache-2.0
//! VPCs with their tiers, network ACLs, private gateways and static routes, as clients call them; every reply against
//! the facts about CloudStack's fields.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::checked::Checked;
use common::stranger::Stranger;
use common::{Served, facts, pairs, text};
use serde_json::{Value, json};

const TIER: &str = "DefaultIsolatedNetworkOfferingForVpcNetworks";
const ISOLATED: &str = "DefaultIsolatedNetworkOfferingWithSourceNatService";

/// A VPC with two tiers.
struct Cloud {
    checked: Checked,
    zone: String,
    vpc: String,
    tiers: [Value; 2],
}

impl Cloud {
    async fn new() -> Self {
        let checked = Checked::new(12).await;
        let zone = text(&checked.one("listZones", &[]).await, "id").to_owned();
        let vpc = vpc(&checked, &zone, "10.40.0.0/16").await;
        let id = text(&vpc, "id").to_owned();
        let tiers = [
            tier(&checked, &zone, &id, "front", "10.40.1.1").await,
            tier(&checked, &zone, &id, "back", "10.40.2.1").await,
        ];
        Self {
            checked,
            zone,
            vpc: id,
            tiers,
        }
    }

    fn tier(&self, index: usize) -> &str {
        text(&self.tiers[index], "id")
    }

    /// The code and the text of a refusal.
    async fn refused(&self, command: &str, params: &str) -> (u16, String) {
        let answer = self.checked.served.call(command, &pairs(params)).await;
        (answer.status, text(answer.inner(), "errortext").to_owned())
    }

    async fn job(&self, command: &str, params: &str) -> Value {
        self.checked.job(command, &pairs(params)).await
    }

    async fn list(&self, command: &str, params: &str) -> Vec<Value> {
        self.checked.list(command, &pairs(params)).await
    }

    async fn acl(&self) -> String {
        let params = format!("name=own; description=Of tests; vpcid={}", self.vpc);
        let made = self.job("createNetworkACLList", &params).await;
        text(&made, "id").to_owned()
    }
}

async fn vpc(checked: &Checked, zone: &str, cidr: &str) -> Value {
    let offering = checked
        .one("listVPCOfferings", &[("isdefault", "true"), ("zoneid", zone)])
        .await;
    let params = format!(
        "name=v; displaytext=A VPC; vpcofferingid={}; zoneid={zone}; cidr={cidr}; networkdomain=v.example; \
         dns1=192.0.2.53; publicmtu=1400",
        text(&offering, "id")
    );
    checked.job("createVPC", &pairs(&params)).await
}

async fn tier(checked: &Checked, zone: &str, vpc: &str, name: &str, gateway: &str) -> Value {
    let offering = checked.one("listNetworkOfferings", &[("name", TIER)]).await;
    let params = format!(
        "name={name}; zoneid={zone}; vpcid={vpc}; gateway={gateway}; netmask=255.255.255.0; networkofferingid={}",
        text(&offering, "id")
    );
    let inner = checked.served.ok("createNetwork", &pairs(&params)).await;
    let network = inner["network"].clone();
    let faults = facts::faults(&checked.reference, "createNetwork", &network);
    checked.note("createNetwork", faults);
    network
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vpc_offering_lives_through_all_its_commands() {
    let checked = Checked::new(4).await;
    let params = "name=mine; displaytext=Mine; supportedservices=SourceNat,Dhcp,Dns,NetworkACL; \
                  serviceproviderlist[0].service=Dhcp; serviceproviderlist[0].provider=VpcVirtualRouter";
    let made = checked.job("createVPCOffering", &pairs(params)).await;
    assert_eq!(
        (&made["state"], &made["isdefault"]),
        (&json!("Disabled"), &json!(false))
    );
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
    assert_eq!(
        (&changed["state"], &changed["zone"]),
        (&json!("Enabled"), &zone["name"])
    );
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
    assert_eq!(
        (
            &vpc["id"],
            &vpc["networkdomain"],
            &vpc["publicmtu"],
            &vpc["restartrequired"]
        ),
        (&json!(id), &json!("v.example"), &json!(1400), &json!(false))
    );
    assert_eq!((&vpc["dns1"], &vpc["tags"]), (&json!("192.0.2.53"), &json!([])));
    let tiers: Vec<&Value> = vpc["network"].as_array().unwrap().iter().collect();
    assert_eq!(tiers.len(), 2);
    for tier in tiers {
        let faults = facts::faults(&checked.reference, "listNetworks", tier);
        checked.note("listNetworks", faults);
    }
    let source_nat = checked
        .one("listPublicIpAddresses", &[("vpcid", id), ("issourcenat", "true")])
        .await;
    assert_eq!(
        (&source_nat["vpcid"], &source_nat["vpcname"]),
        (&json!(id), &json!("v"))
    );
    assert!(source_nat.get("associatednetworkid").is_none());
    let router = checked
        .one("listRouters", &[("vpcid", id), ("listall", "true")])
        .await;
    assert_eq!(
        (&router["vpcid"], &router["vpcname"], &router["publicip"]),
        (&json!(id), &json!("v"), &source_nat["ipaddress"])
    );
    let kinds: Vec<&str> = router["nic"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| text(n, "traffictype"))
        .collect();
    assert_eq!(kinds, ["Control", "Public", "Guest", "Guest"]);
    let second = cloud.job("associateIpAddress", &format!("vpcid={id}")).await;
    assert_eq!(
        (&second["vpcid"], &second["issourcenat"]),
        (&json!(id), &json!(false))
    );
    let params = format!(
        "id={id}; name=w; displaytext=Other; sourcenatipaddress={}",
        text(&second, "ipaddress")
    );
    let changed = cloud.job("updateVPC", &params).await;
    assert_eq!(
        (&changed["name"], &changed["displaytext"]),
        (&json!("w"), &json!("Other"))
    );
    let now = checked
        .one("listPublicIpAddresses", &[("vpcid", id), ("issourcenat", "true")])
        .await;
    assert_eq!(now["id"], second["id"]);
    cloud.job("restartVPC", &format!("id={id}")).await;
    cloud.job("restartVPC", &format!("id={id}; cleanup=true")).await;
    let (code, error) = cloud.refused("deleteVPC", &format!("id={id}")).await;
    assert!(code == 536 && error.contains("2 tiers"), "{error}");
    for index in [0, 1] {
        cloud
            .job("deleteNetwork", &format!("id={}", cloud.tier(index)))
            .await;
    }
    cloud.job("deleteVPC", &format!("id={id}")).await;
    for command in ["listVPCs", "listRouters", "listPublicIpAddresses", "listNetworks"] {
        assert!(cloud.list(command, "listall=true").await.is_empty(), "{command}");
    }
    let (code, error) = cloud.refused("listVPCs", &format!("id={id}")).await;
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
    assert_eq!(
        (
            &front["vpcid"],
            &front["vpcname"],
            &front["aclname"],
            &front["cidr"]
        ),
        (
            &json!(vpc),
            &json!("v"),
            &json!("default_deny"),
            &json!("10.40.1.0/24")
        )
    );
    assert_eq!(
        (&front["publicmtu"], &front["dns1"]),
        (&json!(1400), &json!("192.0.2.53"))
    );
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
    let (tier_offering, isolated) = (
        text(front, "networkofferingid"),
        text(&alone, "networkofferingid"),
    );
    let zone = &cloud.zone;
    let new = format!("name=x; zoneid={zone}");
    for (params, said) in [
        (
            format!("{new}; networkofferingid={isolated}; vpcid={vpc}"),
            "forvpc",
        ),
        (
            format!("{new}; networkofferingid={tier_offering}"),
            "tiers of VPCs",
        ),
        (
            format!(
                "{new}; networkofferingid={isolated}; aclid={}",
                text(front, "aclid")
            ),
            "vpcid",
        ),
        (
            format!(
                "{new}; networkofferingid={tier_offering}; vpcid={vpc}; gateway=10.41.0.1; netmask=255.255.255.0"
            ),
            "10.40.0.0/16",
        ),
        (
            format!(
                "{new}; networkofferingid={tier_offering}; vpcid={vpc}; gateway=10.40.1.129; netmask=255.255.255.128"
            ),
            "10.40.1.0/24",
        ),
    ] {
        let (code, error) = cloud.refused("createNetwork", &params).await;
        assert!(code == 431 && error.contains(said), "{params}: {error}");
    }
    checked.done();
}

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
    let mut all = names(cloud.list("listNetworkACLLists", &format!("vpcid={vpc}")).await);
    all.sort();
    assert_eq!(
        all,
        [built_in[0], built_in[1], "own"],
        "a VPC's tiers can have the built-in ones too"
    );
    let of_tier = names(
        cloud
            .list("listNetworkACLLists", &format!("networkid={front}"))
            .await,
    );
    assert_eq!(of_tier, ["default_deny"]);
    let deny = cloud.list("listNetworkACLLists", "name=default_deny").await;
    assert!(deny[0].get("vpcid").is_none(), "a built-in list has no VPC");
    cloud
        .job(
            "updateNetworkACLList",
            &format!("id={acl}; name=ours; description=Of us"),
        )
        .await;
    let ours = cloud.list("listNetworkACLLists", &format!("id={acl}")).await;
    assert_eq!(
        (&ours[0]["name"], &ours[0]["description"], &ours[0]["vpcname"]),
        (&json!("ours"), &json!("Of us"), &json!("v"))
    );
    cloud
        .job(
            "replaceNetworkACLList",
            &format!("aclid={acl}; networkid={front}"),
        )
        .await;
    let now = cloud.list("listNetworks", &format!("id={front}")).await;
    assert_eq!(
        (&now[0]["aclid"], &now[0]["aclname"]),
        (&json!(acl), &json!("ours"))
    );
    let (code, error) = cloud.refused("deleteNetworkACLList", &format!("id={acl}")).await;
    assert!(code == 536 && error.contains(front), "{error}");
    let deny = text(&deny[0], "id");
    for (command, params) in [
        ("updateNetworkACLList", format!("id={deny}; name=x")),
        ("deleteNetworkACLList", format!("id={deny}")),
        ("createNetworkACL", format!("aclid={deny}; protocol=all")),
        ("replaceNetworkACLList", format!("aclid={acl}")),
    ] {
        let (code, error) = cloud.refused(command, &params).await;
        assert_eq!(code, 431, "{command}: {error}");
    }
    cloud
        .job(
            "replaceNetworkACLList",
            &format!("aclid={deny}; networkid={front}"),
        )
        .await;
    cloud.job("deleteNetworkACLList", &format!("id={acl}")).await;
    cloud.checked.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_a_list_live_through_all_their_commands() {
    let cloud = Cloud::new().await;
    let acl = cloud.acl().await;
    let params =
        format!("aclid={acl}; protocol=TCP; startport=80; endport=81; cidrlist=10.40.1.0/24,192.0.2.0/24");
    let web = cloud.job("createNetworkACL", &params).await;
    assert_eq!(
        (
            &web["startport"],
            &web["endport"],
            &web["number"],
            &web["protocol"]
        ),
        (&json!("80"), &json!("81"), &json!(1), &json!("tcp")),
        "ports are strings, the number is not"
    );
    assert_eq!(
        (
            &web["action"],
            &web["traffictype"],
            &web["cidrlist"],
            &web["aclname"]
        ),
        (
            &json!("Allow"),
            &json!("Ingress"),
            &json!("10.40.1.0/24,192.0.2.0/24"),
            &json!("own")
        )
    );
    let params = format!(
        "aclid={acl}; protocol=icmp; icmptype=8; icmpcode=0; traffictype=egress; action=deny; number=9; reason=no"
    );
    let ping = cloud.job("createNetworkACL", &params).await;
    assert_eq!(
        (
            &ping["icmptype"],
            &ping["icmpcode"],
            &ping["action"],
            &ping["reason"]
        ),
        (&json!(8), &json!(0), &json!("Deny"), &json!("no"))
    );
    assert!(ping.get("startport").is_none());
    let (code, error) = cloud
        .refused(
            "createNetworkACL",
            &format!("aclid={acl}; protocol=all; number=9"),
        )
        .await;
    assert!(code == 431 && error.contains(text(&ping, "id")), "{error}");
    partial_updates(&cloud, text(&web, "id"), text(&ping, "id")).await;
    let all = cloud
        .job("createNetworkACL", &format!("aclid={acl}; protocol=all"))
        .await;
    assert_eq!(all["number"], 10);
    let moved = cloud
        .job(
            "moveNetworkAclItem",
            &format!(
                "id={}; previousaclruleid={}; nextaclruleid={}",
                text(&all, "id"),
                text(&web, "id"),
                text(&ping, "id")
            ),
        )
        .await;
    assert_eq!(moved["number"], 2);
    let numbers: Vec<Value> = cloud
        .list("listNetworkACLs", &format!("aclid={acl}"))
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
            .list("listNetworkACLs", &format!("aclid={acl}; {filter}"))
            .await;
        assert_eq!(found.len(), count, "{filter}");
    }
    assert_eq!(
        cloud.list("listNetworkACLs", "").await.len(),
        3,
        "without the built-in lists' items"
    );
    let of_tier = cloud
        .list("listNetworkACLs", &format!("networkid={}", cloud.tier(0)))
        .await;
    assert!(of_tier.len() == 2 && of_tier.iter().all(|item| item["aclname"] == "default_deny"));
    cloud
        .job("deleteNetworkACL", &format!("id={}", text(&all, "id")))
        .await;
    assert_eq!(
        cloud.list("listNetworkACLs", &format!("aclid={acl}")).await.len(),
        2
    );
    cloud.checked.done();
}

/// What is left out stays as it is, unless the update is a whole one.
async fn partial_updates(cloud: &Cloud, web: &str, ping: &str) {
    let changed = cloud
        .job("updateNetworkACLItem", &format!("id={web}; endport=90"))
        .await;
    assert_eq!(
        (&changed["startport"], &changed["endport"], &changed["cidrlist"]),
        (&json!("80"), &json!("90"), &json!("10.40.1.0/24,192.0.2.0/24"))
    );
    let changed = cloud
        .job(
            "updateNetworkACLItem",
            &format!("id={web}; protocol=udp; cidrlist=192.0.2.0/24"),
        )
        .await;
    assert_eq!(
        (&changed["protocol"], &changed["endport"], &changed["cidrlist"]),
        (&json!("udp"), &json!("90"), &json!("192.0.2.0/24"))
    );
    let params = format!("id={ping}; partialupgrade=false; protocol=icmp; traffictype=egress");
    let whole = cloud.job("updateNetworkACLItem", &params).await;
    assert_eq!(
        (
            &whole["icmptype"],
            &whole["action"],
            &whole["number"],
            &whole["cidrlist"]
        ),
        (&json!(-1), &json!("Allow"), &json!(9), &json!("0.0.0.0/0"))
    );
    assert!(whole.get("reason").is_none());
    let params = format!("id={ping}; action=Deny; icmptype=0");
    assert_eq!(cloud.job("updateNetworkACLItem", &params).await["icmptype"], 0);
    for (params, said) in [
        (format!("id={web}; icmptype=8"), "icmptype"),
        (format!("id={ping}; startport=8"), "startport"),
        (format!("id={web}; startport=99"), "endport"),
        (format!("id={web}; partialupgrade=false"), "protocol"),
        (format!("id={web}; number=9"), "9"),
    ] {
        let (code, error) = cloud.refused("updateNetworkACLItem", &params).await;
        assert!(code == 431 && error.contains(said), "{params}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn private_gateways_and_static_routes_live_through_all_their_commands() {
    let cloud = Cloud::new().await;
    let vpc = cloud.vpc.as_str();
    let new = "ipaddress=172.16.9.2; gateway=172.16.9.1; netmask=255.255.255.0";
    let gateway = cloud
        .job(
            "createPrivateGateway",
            &format!("vpcid={vpc}; {new}; vlan=vlan://909"),
        )
        .await;
    assert_eq!(
        (
            &gateway["vlan"],
            &gateway["netmask"],
            &gateway["aclname"],
            &gateway["state"]
        ),
        (
            &json!("vlan://909"),
            &json!("255.255.255.0"),
            &json!("default_deny"),
            &json!("Ready")
        )
    );
    let id = text(&gateway, "id");
    let listed = cloud
        .list(
            "listPrivateGateways",
            &format!("vpcid={vpc}; vlan=909; state=Ready"),
        )
        .await;
    assert_eq!(listed[0]["id"], id);
    let allow = cloud.list("listNetworkACLLists", "name=default_allow").await;
    let params = format!("aclid={}; gatewayid={id}", text(&allow[0], "id"));
    cloud.job("replaceNetworkACLList", &params).await;
    assert_eq!(
        cloud.list("listPrivateGateways", &format!("id={id}")).await[0]["aclname"],
        "default_allow"
    );
    let route = cloud
        .job(
            "createStaticRoute",
            &format!("gatewayid={id}; cidr=192.168.7.0/24"),
        )
        .await;
    assert_eq!(
        (&route["vpcgatewayid"], &route["nexthop"], &route["vpcid"]),
        (&json!(id), &json!("172.16.9.1"), &json!(vpc))
    );
    let by_hop = cloud
        .job(
            "createStaticRoute",
            &format!("vpcid={vpc}; nexthop=10.40.1.9; cidr=192.168.8.0/24"),
        )
        .await;
    assert!(by_hop.get("vpcgatewayid").is_none());
    assert_eq!(
        cloud
            .list("listStaticRoutes", &format!("gatewayid={id}"))
            .await
            .len(),
        1
    );
    assert_eq!(
        cloud
            .list("listStaticRoutes", &format!("vpcid={vpc}; state=Active"))
            .await
            .len(),
        2
    );
    assert_eq!(
        cloud.list("listStaticRoutes", "keyword=192.168.8").await[0]["id"],
        by_hop["id"]
    );
    for (command, params, code, said) in [
        ("createPrivateGateway", format!("vpcid={vpc}; {new}"), 431, "vlan"),
        (
            "createPrivateGateway",
            format!("vpcid={vpc}; {new}; vlan=untagged"),
            431,
            "untagged",
        ),
        (
            "createStaticRoute",
            format!("vpcid={vpc}; nexthop=10.40.1.9; cidr=x"),
            431,
            "cidr",
        ),
        (
            "createStaticRoute",
            "cidr=192.168.9.0/24".to_owned(),
            431,
            "gatewayid",
        ),
        ("deletePrivateGateway", format!("id={id}"), 536, "192.168.7.0/24"),
    ] {
        let (got, error) = cloud.refused(command, &params).await;
        assert!(got == code && error.contains(said), "{command} {params}: {error}");
    }
    for route in [&route, &by_hop] {
        cloud
            .job("deleteStaticRoute", &format!("id={}", text(route, "id")))
            .await;
    }
    cloud.job("deletePrivateGateway", &format!("id={id}")).await;
    assert!(cloud.list("listPrivateGateways", "").await.is_empty());
    cloud.checked.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_a_tier_open_no_firewall() {
    let cloud = Cloud::new().await;
    let (vpc, front) = (cloud.vpc.as_str(), cloud.tier(0));
    let guest = cloud.checked.guest(&cloud.tiers[0], "web").await;
    let guest = text(&guest, "id");
    let address = cloud
        .job("associateIpAddress", &format!("vpcid={vpc}; networkid={front}"))
        .await;
    let address = text(&address, "id");
    let new = format!(
        "ipaddressid={address}; protocol=tcp; publicport=80; privateport=8080; virtualmachineid={guest}; networkid={front}"
    );
    let (code, error) = cloud
        .refused("createPortForwardingRule", &format!("{new}; openfirewall=true"))
        .await;
    assert!(code == 431 && error.contains("openfirewall"), "{error}");
    let forward = cloud.job("createPortForwardingRule", &new).await;
    assert_eq!(forward["networkid"], front);
    assert!(
        cloud
            .list("listFirewallRules", &format!("ipaddressid={address}"))
            .await
            .is_empty()
    );
    let held = cloud
        .list("listPublicIpAddresses", &format!("id={address}"))
        .await;
    assert_eq!(
        (&held[0]["associatednetworkid"], &held[0]["vpcid"]),
        (&json!(front), &json!(vpc))
    );
    for (command, params) in [
        (
            "createFirewallRule",
            format!("ipaddressid={address}; protocol=tcp; startport=80"),
        ),
        (
            "createEgressFirewallRule",
            format!("networkid={front}; protocol=all"),
        ),
    ] {
        let (code, error) = cloud.refused(command, &params).await;
        assert!(code == 431 && error.contains("ACL"), "{command}: {error}");
    }
    cloud
        .job(
            "deletePortForwardingRule",
            &format!("id={}", text(&forward, "id")),
        )
        .await;
    let params = format!("ipaddressid={address}; virtualmachineid={guest}; networkid={front}");
    cloud.checked.served.ok("enableStaticNat", &pairs(&params)).await;
    cloud
        .job("disableStaticNat", &format!("ipaddressid={address}"))
        .await;
    let params = format!(
        "name=lb; publicipid={address}; publicport=80; privateport=80; algorithm=source; networkid={front}"
    );
    let balancer = cloud.job("createLoadBalancerRule", &params).await;
    assert_eq!(balancer["networkid"], front);
    cloud
        .job("deleteLoadBalancerRule", &format!("id={}", text(&balancer, "id")))
        .await;
    cloud.job("disassociateIpAddress", &format!("id={address}")).await;
    cloud.checked.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_a_vpc_takes_tags() {
    let cloud = Cloud::new().await;
    let vpc = cloud.vpc.as_str();
    let acl = cloud.acl().await;
    let item = cloud
        .job("createNetworkACL", &format!("aclid={acl}; protocol=all"))
        .await;
    let route = cloud
        .job(
            "createStaticRoute",
            &format!("vpcid={vpc}; nexthop=10.40.1.9; cidr=192.168.8.0/24"),
        )
        .await;
    let new = "ipaddress=172.16.9.2; gateway=172.16.9.1; netmask=255.255.255.0; vlan=909";
    let gateway = cloud
        .job("createPrivateGateway", &format!("vpcid={vpc}; {new}"))
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
        cloud.job("createTags", &params).await;
        let listed = cloud
            .list("listTags", &format!("resourceid={id}; resourcetype={kind}"))
            .await;
        assert_eq!(listed.len(), 1, "{kind}");
        if let Some(command) = command {
            let found = cloud.list(command, "tags[0].key=env; tags[0].value=prod").await;
            assert_eq!((found.len(), &found[0]["id"]), (1, &json!(id)), "{kind}");
            assert_eq!(found[0]["tags"][0]["key"], "env");
        }
    }
    let built_in = cloud.list("listNetworkACLLists", "name=default_deny").await;
    let params = format!(
        "resourcetype=NetworkACLList; resourceids={}; tags[0].key=a; tags[0].value=b",
        text(&built_in[0], "id")
    );
    let (code, error) = cloud.refused("createTags", &params).await;
    assert!(code == 431, "{error}");
    cloud.job("deleteNetworkACLList", &format!("id={acl}")).await;
    assert_eq!(
        cloud.list("listTags", "").await.len(),
        3,
        "tags go with their object"
    );
    cloud.checked.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_anothers_vpc_is_answered_like_what_is_not_there() {
    let cloud = Cloud::new().await;
    let acl = cloud.acl().await;
    let item = cloud
        .job("createNetworkACL", &format!("aclid={acl}; protocol=all"))
        .await;
    let route = cloud
        .job(
            "createStaticRoute",
            &format!("vpcid={}; nexthop=10.40.1.9; cidr=192.168.8.0/24", cloud.vpc),
        )
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
    let calls = [
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
    for call in calls {
        let (command, params) = call.split_once(' ').unwrap();
        let filled = |with: &dyn Fn(&str) -> String| {
            ids.iter().fold(params.to_owned(), |text, (name, id)| {
                text.replace(name, &with(id))
            })
        };
        let theirs = filled(&|id| id.to_owned());
        let answer = alice.call(command, &pairs(&theirs)).await;
        let nothing = filled(&|_| unknown.clone());
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
