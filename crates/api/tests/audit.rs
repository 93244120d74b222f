// SPDX-License-Identifier: Apache-2.0
//! The audit and the hardening of networks over the API: what they answer, what they write, and for whom.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;

use common::{Served, pairs, text};
use outgate_manager::audit::Exposure;
use outgate_manager::diagnose::Patient;
use serde_json::Value;

async fn deviations(served: &Served, network: &str) -> BTreeSet<String> {
    let inner = served.ok("auditNetwork", &[("networkid", network)]).await;
    let audit = &inner["audit"];
    let all = audit["deviation"].as_array().unwrap();
    assert_eq!(audit["clean"], all.is_empty());
    all.iter().map(|d| text(d, "id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hardening_a_network_closes_its_egress_sets_its_limits_and_keeps_narrow_rules() {
    let served = Served::new(8).await;
    let network = served.world.network("net").await;
    served.world.guest(network, "vm").await;
    let id = network.to_string();
    served
        .job(
            "createEgressFirewallRule",
            &pairs(&format!("networkid={id}; protocol=all")),
        )
        .await;
    served
        .job(
            "createEgressFirewallRule",
            &pairs(&format!(
                "networkid={id}; protocol=tcp; startport=443; endport=444"
            )),
        )
        .await;
    let before = deviations(&served, &id).await;
    assert!(before.contains("egress-rule-any") && before.contains("no-guest-rate-limit"));
    for _ in 0..2 {
        let (_, job) = served.job("hardenNetwork", &[("id", &id)]).await;
        assert_eq!(job["jobresult"]["network"]["id"], id.as_str());
        let inner = served.ok("listEgressFirewallRules", &[("networkid", &id)]).await;
        let rules = inner["firewallrule"].as_array().unwrap().clone();
        let port = |rule: &Value| format!("{} {}", text(rule, "protocol"), rule["startport"]);
        let ports: BTreeSet<String> = rules.iter().map(port).collect();
        let expected = ["tcp 443", "tcp 53", "tcp 80", "udp 53"];
        assert_eq!(ports, expected.map(str::to_owned).into(), "{rules:?}");
        assert_eq!(deviations(&served, &id).await, BTreeSet::new());
    }
    let limit = pairs("name=router.guest.sessions.max");
    let inner = served
        .ok("listConfigurations", &[limit, vec![("networkid", &id)]].concat())
        .await;
    assert_eq!(inner["configuration"][0]["value"], "5000");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_audited_for_root_admins_only_and_networks_for_whoever_may_see_them() {
    let served = Served::new(8).await;
    let network = served.world.network("net").await;
    served.world.guest(network, "vm").await;
    served.world.manager.exposed(Exposure {
        listens: Some("0.0.0.0:8080".parse().unwrap()),
        integration: Some("127.0.0.1:8096".parse().unwrap()),
    });
    let found = deviations(&served, &network.to_string()).await;
    assert!(found.contains("api-without-tls") && found.contains("integration-port"));
    let stranger = served.world.tenant("alice").await;
    let audit = served.world.manager.audit(&stranger, Patient::Network(network));
    assert_eq!(audit.await.unwrap_err().code(), 431);
}
