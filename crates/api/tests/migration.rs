// SPDX-License-Identifier: Apache-2.0
//! An isolated network becomes a tier of a VPC: what stays, what its rules become, and what is refused by name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::vpc::{Cloud, ISOLATED, TIER, has};
use common::{facts, pairs, text};
use serde_json::{Value, json};

/// An isolated network inside the VPC's CIDR, with a guest.
struct Before {
    cloud: Cloud,
    network: String,
    guest: Value,
    /// The offering for tiers.
    tier: String,
    source_nat: Value,
}

impl Before {
    async fn new() -> Self {
        let cloud = Cloud::new().await;
        let tier = cloud.list(&format!("listNetworkOfferings name={TIER}")).await;
        let isolated = cloud.list(&format!("listNetworkOfferings name={ISOLATED}")).await;
        let params = format!(
            "name=net; zoneid={}; networkofferingid={}; gateway=10.40.3.1; netmask=255.255.255.0",
            cloud.zone,
            text(&isolated[0], "id")
        );
        let made = cloud.checked.served.ok("createNetwork", &pairs(&params)).await;
        let network = text(&made["network"], "id").to_owned();
        let guest = cloud.checked.guest(&made["network"], "web").await;
        let found = cloud
            .list(&format!("listPublicIpAddresses associatednetworkid={network}"))
            .await;
        Self {
            cloud,
            network,
            guest,
            tier: text(&tier[0], "id").to_owned(),
            source_nat: found[0].clone(),
        }
    }

    async fn address(&self) -> String {
        let call = format!("associateIpAddress networkid={}", self.network);
        text(&self.cloud.job(&call).await, "id").to_owned()
    }

    /// Forwards a public port to a port of the guest, open to these sources.
    async fn forward(&self, address: &str, ports: (u16, u16), sources: &str) -> Value {
        let call = format!(
            "createPortForwardingRule ipaddressid={address}; protocol=tcp; publicport={}; privateport={}; \
             virtualmachineid={}; cidrlist={sources}",
            ports.0,
            ports.1,
            text(&self.guest, "id")
        );
        self.cloud.job(&call).await
    }

    /// The call that migrates the network.
    fn call(&self) -> String {
        format!(
            "migrateNetwork networkid={}; networkofferingid={}; vpcid={}",
            self.network, self.tier, self.cloud.vpc
        )
    }

    /// The items of the network's list as text, by number.
    async fn items(&self) -> Vec<String> {
        let call = format!("listNetworkACLs networkid={}", self.network);
        let items = self.cloud.list(&call).await;
        let field = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let line = |item: &Value| {
            let names = [
                "traffictype",
                "action",
                "protocol",
                "startport",
                "endport",
                "cidrlist",
            ];
            names.map(|name| field(item, name)).join(" ").replace("  ", "")
        };
        items.iter().map(line).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migrated_network_keeps_its_guests_addresses_and_forwards() {
    let before = Before::new().await;
    let (cloud, id) = (&before.cloud, before.network.as_str());
    let address = before.address().await;
    let forward = before.forward(&address, (80, 8080), "192.0.2.0/24").await;
    let egress = format!("createEgressFirewallRule networkid={id}; protocol=tcp; startport=443");
    cloud.job(&egress).await;
    let moved = cloud.job(&before.call()).await;
    let faults = facts::faults(&cloud.checked.reference, "listNetworks", &moved);
    assert_eq!(faults, Vec::<String>::new());
    has(
        &moved,
        json!({ "id": id, "vpcid": cloud.vpc, "cidr": "10.40.3.0/24", "gateway": "10.40.3.1", "state": "Implemented" }),
    );
    assert_eq!(moved["aclname"], "net before its migration");
    let guest = cloud.list(&format!("listVirtualMachines networkid={id}")).await;
    assert_eq!(
        guest[0]["nic"][0]["ipaddress"],
        before.guest["nic"][0]["ipaddress"]
    );
    let held = cloud.list(&format!("listPublicIpAddresses id={address}")).await;
    has(&held[0], json!({ "vpcid": cloud.vpc, "associatednetworkid": id }));
    let kept = cloud
        .list(&format!("listPortForwardingRules networkid={id}"))
        .await;
    has(
        &kept[0],
        json!({ "id": forward["id"], "privateport": "8080", "state": "Active", "ipaddressid": address }),
    );
    for call in ["listFirewallRules", "listEgressFirewallRules"] {
        assert!(
            cloud.list(call).await.is_empty(),
            "{call}: the list stands for them"
        );
    }
    assert_eq!(
        before.items().await,
        [
            "Egress Allow all 10.40.3.0/24",
            "Ingress Deny all 10.40.128.0/17,10.40.64.0/18,10.40.32.0/19,10.40.16.0/20,10.40.8.0/21,10.40.4.0/22,\
             10.40.0.0/23,10.40.2.0/24",
            "Egress Deny all 10.40.128.0/17,10.40.64.0/18,10.40.32.0/19,10.40.16.0/20,10.40.8.0/21,10.40.4.0/22,\
             10.40.0.0/23,10.40.2.0/24",
            "Ingress Allow tcp 8080 8080 192.0.2.0/24",
            "Egress Allow tcp 443 443 0.0.0.0/0",
            "Egress Deny all 0.0.0.0/0",
        ]
    );
    let routers = cloud.list("listRouters listall=true").await;
    assert_eq!(routers.len(), 1, "the network's own is gone: {routers:?}");
    assert_eq!(routers[0]["vpcid"], cloud.vpc);
    cloud
        .job(&format!("deletePortForwardingRule id={}", text(&forward, "id")))
        .await;
    cloud.job(&format!("deleteNetwork id={id}; forced=true")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_other_tiers_a_network_leaves_through_the_vpcs_address_and_alone_through_its_own() {
    let before = Before::new().await;
    let (cloud, own) = (&before.cloud, text(&before.source_nat, "id"));
    cloud.job(&before.call()).await;
    let now = cloud.list(&format!("listPublicIpAddresses id={own}")).await;
    has(&now[0], json!({ "issourcenat": false, "vpcid": cloud.vpc }));
    assert!(now[0].get("associatednetworkid").is_none());

    let before = Before::new().await;
    let (cloud, own) = (&before.cloud, text(&before.source_nat, "id"));
    for index in [0, 1] {
        cloud
            .job(&format!("deleteNetwork id={}", cloud.tier(index)))
            .await;
    }
    cloud.job(&before.call()).await;
    let now = cloud
        .list(&format!(
            "listPublicIpAddresses vpcid={}; issourcenat=true",
            cloud.vpc
        ))
        .await;
    assert_eq!(
        (now.len(), &now[0]["id"]),
        (1, &json!(own)),
        "who knows the guests by it goes on to"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_without_a_router_becomes_a_tier_as_well() {
    let cloud = Cloud::new().await;
    let network = cloud.checked.network("idle", ISOLATED).await;
    let tier = cloud.list(&format!("listNetworkOfferings name={TIER}")).await;
    let (id, tier, vpc) = (text(&network, "id"), text(&tier[0], "id"), cloud.vpc.as_str());
    let ids = [("$net", id), ("$tier", tier), ("$vpc", vpc)];
    let table = "431 | migrateNetwork networkid=$net; networkofferingid=$tier; vpcid=$vpc | 10.40.0.0/16";
    cloud.refuses(&ids, table).await;
    let made = cloud
        .checked
        .served
        .ok(
            "createNetwork",
            &pairs(&format!(
                "name=x; zoneid={}; networkofferingid={}; gateway=10.40.9.1; netmask=255.255.255.0",
                cloud.zone,
                text(&network, "networkofferingid")
            )),
        )
        .await;
    let id = text(&made["network"], "id");
    let deny = cloud.list("listNetworkACLLists name=default_deny").await;
    let deny = text(&deny[0], "id");
    let call = format!("migrateNetwork networkid={id}; networkofferingid={tier}; vpcid={vpc}; aclid={deny}");
    has(&cloud.job(&call).await, json!({ "vpcid": vpc, "aclid": deny }));
    assert_eq!(cloud.list("listRouters listall=true").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_list_can_mean_is_refused_by_name_and_an_own_list_stands_for_it() {
    let before = Before::new().await;
    let cloud = &before.cloud;
    let (one, two) = (before.address().await, before.address().await);
    let first = before.forward(&one, (80, 8080), "0.0.0.0/0").await;
    let second = before.forward(&two, (8081, 8080), "192.0.2.0/24").await;
    let allow = cloud.list("listNetworkACLLists name=default_allow").await;
    let isolated = cloud.list(&format!("listNetworkOfferings name={ISOLATED}")).await;
    let ids = [
        ("$call", "migrateNetwork networkid=$net; networkofferingid=$tier"),
        ("$net", before.network.as_str()),
        ("$tiernet", cloud.tier(0)),
        ("$tier", &before.tier),
        ("$isolated", text(&isolated[0], "id")),
        ("$vpc", &cloud.vpc),
        ("$second", text(&second, "id")),
    ];
    let table = "
        537 | $call; vpcid=$vpc | $second
        537 | $call; vpcid=$vpc | aclid
        431 | $call | vpcid
        431 | migrateNetwork networkid=$net; networkofferingid=$isolated; vpcid=$vpc | forvpc
    ";
    cloud.refuses(&ids, table).await;
    let (code, error) = cloud
        .refused(&format!(
            "migrateNetwork networkid={}; networkofferingid={}; vpcid={}",
            cloud.tier(0),
            before.tier,
            cloud.vpc
        ))
        .await;
    assert!(code == 431 && error.contains("isolated network"), "{error}");
    cloud
        .job(&format!("deletePortForwardingRule id={}", text(&second, "id")))
        .await;
    let some = format!(
        "createEgressFirewallRule networkid={}; protocol=tcp; startport=443; cidrlist=10.40.3.0/25",
        before.network
    );
    let some = cloud.job(&some).await;
    let (code, error) = cloud.refused(&before.call()).await;
    assert!(code == 431 && error.contains(text(&some, "id")), "{error}");
    let call = format!("{}; aclid={}", before.call(), text(&allow[0], "id"));
    has(&cloud.job(&call).await, json!({ "aclname": "default_allow" }));
    let kept = cloud.list("listPortForwardingRules").await;
    assert_eq!((kept.len(), &kept[0]["id"]), (1, &first["id"]));
}
