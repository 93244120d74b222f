// SPDX-License-Identifier: Apache-2.0
//! Load balancer rules with their policies, legacy IP forwarding rules and updates of rules, as clients call them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Served, pairs, text};
use serde_json::{Value, json};

const ALLOW: &str = "DefaultIsolatedNetworkOfferingWithSourceNatServiceEgressAllow";

/// A network with two guests and an address.
struct Cloud {
    served: Served,
    network: String,
    guests: [String; 2],
    address: String,
}

impl Cloud {
    async fn new() -> Self {
        let served = Served::new(8).await;
        let first = |inner: &Value, key: &str| text(&inner[key][0], "id").to_owned();
        let zone = first(&served.ok("listZones", &[]).await, "zone");
        let offerings = served.ok("listNetworkOfferings", &[("state", "Enabled")]).await;
        let offerings = offerings["networkoffering"].as_array().unwrap();
        let offering = offerings
            .iter()
            .find(|o| o["name"] == ALLOW)
            .or_else(|| offerings.iter().find(|o| o["forvpc"] != json!(true)))
            .unwrap();
        let made = [
            ("name", "net"),
            ("networkofferingid", text(offering, "id")),
            ("zoneid", &zone),
        ];
        let network = text(&served.ok("createNetwork", &made).await["network"], "id").to_owned();
        let size = first(&served.ok("listServiceOfferings", &[]).await, "serviceoffering");
        let templates = [("templatefilter", "executable")];
        let template = first(&served.ok("listTemplates", &templates).await, "template");
        let mut guests = Vec::new();
        for name in ["one", "two"] {
            let params = [
                ("zoneid", zone.as_str()),
                ("serviceofferingid", &size),
                ("templateid", &template),
                ("networkids", &network),
                ("name", name),
            ];
            let (_, job) = served.job("deployVirtualMachine", &params).await;
            guests.push(text(&job["jobresult"]["virtualmachine"], "id").to_owned());
        }
        let (started, _) = served.job("associateIpAddress", &[("networkid", &network)]).await;
        let address = text(&started, "id").to_owned();
        let guests = guests.try_into().unwrap();
        Self {
            served,
            network,
            guests,
            address,
        }
    }

    async fn done(&self, command: &str, params: &[(&str, &str)], key: &str) -> Value {
        let (_, job) = self.served.job(command, params).await;
        job["jobresult"][key].clone()
    }

    async fn list(&self, command: &str, params: &[(&str, &str)], key: &str) -> Vec<Value> {
        let inner = self.served.ok(command, params).await;
        inner[key].as_array().cloned().unwrap_or_default()
    }

    /// The code and the text of a refusal.
    async fn refused(&self, command: &str, params: &[(&str, &str)]) -> (u16, String) {
        let answer = self.served.call(command, params).await;
        (answer.status, text(answer.inner(), "errortext").to_owned())
    }

    async fn balancer(&self, port: &str) -> Value {
        let params = [
            ("name", "web"),
            ("publicipid", self.address.as_str()),
            ("publicport", port),
            ("privateport", "8080"),
            ("algorithm", "roundrobin"),
        ];
        self.done("createLoadBalancerRule", &params, "loadbalancer").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_rule_lives_through_all_its_commands() {
    let cloud = Cloud::new().await;
    let rule = cloud.balancer("80").await;
    let id = text(&rule, "id");
    assert_eq!(
        (
            &rule["publicport"],
            &rule["privateport"],
            &rule["cidrlist"],
            &rule["protocol"]
        ),
        (&json!("80"), &json!("8080"), &json!("0.0.0.0/0"), &json!("tcp"))
    );
    let both = cloud.guests.join(",");
    let members = [("id", id), ("virtualmachineids", both.as_str())];
    cloud.done("assignToLoadBalancerRule", &members, "success").await;
    let (code, error) = cloud.refused("assignToLoadBalancerRule", &members).await;
    assert!(code == 431 && error.contains(&cloud.guests[0]), "{error}");
    let instances = |params: Vec<(&'static str, String)>| {
        let cloud = &cloud;
        async move {
            let mut all = vec![("id", id)];
            all.extend(params.iter().map(|(name, value)| (*name, value.as_str())));
            cloud
                .list("listLoadBalancerRuleInstances", &all, "loadbalancerruleinstance")
                .await
                .len()
        }
    };
    assert_eq!(instances(Vec::new()).await, 2);
    assert_eq!(instances(vec![("applied", "false".to_owned())]).await, 0);
    let with = [("id", id), ("lbvmips", "true")];
    let answer = cloud.served.call("listLoadBalancerRuleInstances", &with).await;
    assert!(answer.inner()["lbrulevmidip"][0]["lbvmipaddresses"][0].is_string());
    let one = [("id", id), ("vmidipmap[0].vmid", cloud.guests[0].as_str())];
    cloud.done("removeFromLoadBalancerRule", &one, "success").await;
    assert_eq!(instances(vec![("applied", "false".to_owned())]).await, 1);
    changes_and_ends(&cloud, id).await;
}

async fn changes_and_ends(cloud: &Cloud, id: &str) {
    let change = [
        ("id", id),
        ("algorithm", "source"),
        ("cidrlist", "192.0.2.0/24"),
        ("name", "other"),
    ];
    let changed = cloud
        .done("updateLoadBalancerRule", &change, "loadbalancer")
        .await;
    assert_eq!(
        (&changed["algorithm"], &changed["cidrlist"], &changed["name"]),
        (&json!("source"), &json!("192.0.2.0/24"), &json!("other"))
    );
    for filter in ["name=other", "algorithm=x", "keyword=oth"] {
        let mut filter = pairs(filter);
        filter.extend([
            ("virtualmachineid", cloud.guests[1].as_str()),
            ("networkid", &cloud.network),
        ]);
        let found = cloud
            .list("listLoadBalancerRules", &filter, "loadbalancerrule")
            .await;
        assert_eq!(found.len(), 1, "{filter:?}");
    }
    let of_none = [("virtualmachineid", cloud.guests[0].as_str())];
    assert!(
        cloud
            .list("listLoadBalancerRules", &of_none, "loadbalancerrule")
            .await
            .is_empty()
    );
    let counted = cloud
        .served
        .call("getLoadBalancerStatistics", &[("id", id)])
        .await;
    assert!([200, 534].contains(&counted.status), "{}", counted.body);
    cloud
        .done("deleteLoadBalancerRule", &[("id", id)], "success")
        .await;
    let opened = [("ipaddressid", cloud.address.as_str())];
    assert!(
        cloud
            .list("listFirewallRules", &opened, "firewallrule")
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_rule_has_at_most_one_policy_of_each_kind() {
    let cloud = Cloud::new().await;
    let rule = cloud.balancer("80").await;
    let id = text(&rule, "id");
    let mut stick = pairs("name=stay; methodname=sourcebased; param[0].name=tablesize; param[0].value=200k");
    stick.push(("lbruleid", id));
    let made = cloud
        .done("createLBStickinessPolicy", &stick, "stickinesspolicies")
        .await;
    let policy = &made["stickinesspolicy"][0];
    assert_eq!(
        (&policy["methodname"], &policy["params"]["tablesize"]),
        (&json!("SourceBased"), &json!("200k"))
    );
    let (code, error) = cloud.refused("createLBStickinessPolicy", &stick).await;
    assert!(code == 536 && error.contains(text(policy, "id")), "{error}");
    let policy = [("id", text(policy, "id"))];
    cloud
        .done("updateLBStickinessPolicy", &policy, "stickinesspolicies")
        .await;
    let of_rule = [("lbruleid", id)];
    let listed = cloud
        .list("listLBStickinessPolicies", &of_rule, "stickinesspolicies")
        .await;
    assert_eq!(listed[0]["stickinesspolicy"].as_array().unwrap().len(), 1);
    cloud.done("deleteLBStickinessPolicy", &policy, "success").await;
    let wrong = pairs("name=x; methodname=LbCookie; param[0].name=cookie-name; param[0].value=a b");
    let wrong: Vec<_> = wrong.into_iter().chain(of_rule).collect();
    assert_eq!(cloud.refused("createLBStickinessPolicy", &wrong).await.0, 431);

    let mut check = pairs("pingpath=/health; intervaltime=10; unhealthythreshold=3");
    check.push(("lbruleid", id));
    let made = cloud
        .done("createLBHealthCheckPolicy", &check, "healthcheckpolicies")
        .await;
    let policy = &made["healthcheckpolicy"][0];
    assert_eq!(
        (
            &policy["pingpath"],
            &policy["healthcheckinterval"],
            &policy["unhealthcheckthresshold"]
        ),
        (&json!("/health"), &json!(10), &json!(3))
    );
    let policy = [("id", text(policy, "id"))];
    cloud
        .done("updateLBHealthCheckPolicy", &policy, "healthcheckpolicies")
        .await;
    let listed = cloud
        .list("listLBHealthCheckPolicies", &policy, "healthcheckpolicies")
        .await;
    assert_eq!(listed[0]["lbruleid"], *id);
    cloud.done("deleteLBHealthCheckPolicy", &policy, "success").await;
    let mut wrong = pairs("pingpath=/a\"b");
    wrong.push(("lbruleid", id));
    assert_eq!(cloud.refused("createLBHealthCheckPolicy", &wrong).await.0, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_an_address_has_one_user_and_each_refusal_names_it() {
    let cloud = Cloud::new().await;
    let rule = cloud.balancer("80").await;
    let (id, address) = (text(&rule, "id"), cloud.address.as_str());
    let balance = [
        ("name", "again"),
        ("publicipid", address),
        ("publicport", "80"),
        ("privateport", "1"),
        ("algorithm", "source"),
    ];
    let forward = [
        ("ipaddressid", address),
        ("protocol", "tcp"),
        ("publicport", "70"),
        ("publicendport", "90"),
        ("privateport", "70"),
        ("virtualmachineid", cloud.guests[0].as_str()),
    ];
    let static_nat = [
        ("ipaddressid", address),
        ("virtualmachineid", cloud.guests[0].as_str()),
    ];
    for (command, params) in [
        ("createLoadBalancerRule", &balance[..]),
        ("createPortForwardingRule", &forward),
        ("enableStaticNat", &static_nat),
    ] {
        let (code, error) = cloud.refused(command, params).await;
        assert!(code == 537 && error.contains(id), "{command}: {code} {error}");
    }
    cloud
        .done("deleteLoadBalancerRule", &[("id", id)], "success")
        .await;
    let forwarded = cloud
        .done("createPortForwardingRule", &forward, "portforwardingrule")
        .await;
    let (code, error) = cloud.refused("createLoadBalancerRule", &balance).await;
    assert!(
        code == 537 && error.contains(text(&forwarded, "id")),
        "{code} {error}"
    );
    let (code, error) = cloud
        .refused("createRemoteAccessVpn", &[("publicipid", address)])
        .await;
    assert!(code == 431 && error.contains("no remote access VPN"), "{error}");
    assert_eq!(cloud.served.ok("listRemoteAccessVpns", &[]).await, json!({}));
    for protocol in ["udp", "ssl", "quic"] {
        let params: Vec<_> = balance.into_iter().chain([("protocol", protocol)]).collect();
        let (code, error) = cloud.refused("createLoadBalancerRule", &params).await;
        assert!(code == 431 && error.contains("tcp or tcp-proxy"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_updated_and_ip_forwarding_opens_a_static_nat_address() {
    let cloud = Cloud::new().await;
    let address = cloud.address.as_str();
    let forward = [
        ("ipaddressid", address),
        ("protocol", "tcp"),
        ("publicport", "80"),
        ("publicendport", "81"),
        ("privateport", "8080"),
        ("virtualmachineid", cloud.guests[0].as_str()),
    ];
    let made = cloud
        .done("createPortForwardingRule", &forward, "portforwardingrule")
        .await;
    let id = text(&made, "id");
    let change = [
        ("id", id),
        ("privateport", "90"),
        ("virtualmachineid", &cloud.guests[1]),
        ("cidrlist", "192.0.2.0/24"),
    ];
    let changed = cloud
        .done("updatePortForwardingRule", &change, "portforwardingrule")
        .await;
    assert_eq!(
        (
            &changed["privateport"],
            &changed["privateendport"],
            &changed["virtualmachineid"],
            &changed["cidrlist"]
        ),
        (
            &json!("90"),
            &json!("91"),
            &json!(cloud.guests[1]),
            &json!("192.0.2.0/24")
        )
    );
    let wrong = [("id", id), ("privateendport", "99")];
    assert_eq!(cloud.refused("updatePortForwardingRule", &wrong).await.0, 431);
    let rules = cloud
        .list("listFirewallRules", &[("ipaddressid", address)], "firewallrule")
        .await;
    let opened = [("id", text(&rules[0], "id")), ("cidrlist", "198.51.100.0/24")];
    let changed = cloud.done("updateFirewallRule", &opened, "firewallrule").await;
    assert_eq!(changed["cidrlist"], "198.51.100.0/24");
    egress_is_updated(&cloud).await;
    cloud
        .done("deletePortForwardingRule", &[("id", id)], "success")
        .await;

    ip_forwarding(&cloud).await;
}

async fn egress_is_updated(cloud: &Cloud) {
    let egress = [("networkid", cloud.network.as_str()), ("protocol", "all")];
    let made = cloud
        .done("createEgressFirewallRule", &egress, "firewallrule")
        .await;
    let change = [
        ("id", text(&made, "id")),
        ("destcidrlist", "192.0.2.0/24"),
        ("fordisplay", "true"),
    ];
    let changed = cloud
        .done("updateEgressFirewallRule", &change, "firewallrule")
        .await;
    assert_eq!(changed["destcidrlist"], "192.0.2.0/24");
    assert_eq!(
        cloud.refused("updateFirewallRule", &change).await.0,
        431,
        "it is an egress rule"
    );
}

async fn ip_forwarding(cloud: &Cloud) {
    let address = cloud.address.as_str();
    let ports = [
        ("ipaddressid", address),
        ("protocol", "udp"),
        ("startport", "500"),
        ("endport", "501"),
    ];
    assert_eq!(
        cloud.refused("createIpForwardingRule", &ports).await.0,
        431,
        "no static NAT yet"
    );
    let static_nat = [
        ("ipaddressid", address),
        ("virtualmachineid", cloud.guests[0].as_str()),
    ];
    cloud.served.ok("enableStaticNat", &static_nat).await;
    let made = cloud
        .done("createIpForwardingRule", &ports, "ipforwardingrule")
        .await;
    assert_eq!(made["publicendport"], "501");
    let (code, error) = cloud.refused("createIpForwardingRule", &ports).await;
    assert!(code == 537 && error.contains(text(&made, "id")), "{error}");
    let of_guest = [("virtualmachineid", cloud.guests[0].as_str())];
    assert_eq!(
        cloud
            .list("listIpForwardingRules", &of_guest, "ipforwardingrule")
            .await
            .len(),
        1
    );
    cloud
        .done("deleteIpForwardingRule", &[("id", text(&made, "id"))], "success")
        .await;
    assert!(
        cloud
            .list("listFirewallRules", &[("ipaddressid", address)], "firewallrule")
            .await
            .is_empty()
    );
}
