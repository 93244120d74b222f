// SPDX-License-Identifier: Apache-2.0
//! Every command's reply, through the real HTTP server, against the facts about CloudStack's fields: names, JSON
//! types, dates, ids, envelopes and the shape of jobs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;

use common::checked::Checked;
use common::{Served, facts, pairs, text};
use outgate_api::command;
use serde_json::{Value, json};

const DENY: &str = "DefaultIsolatedNetworkOfferingWithSourceNatService";

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_has_cloudstacks_fields_and_types() {
    let checked = Checked::new(12).await;
    what_is_provided(&checked).await;
    network_offerings(&checked).await;
    let network = checked.network("net", DENY).await;
    assert_eq!(network["state"], "Allocated");
    assert!(
        network.get("vpcid").is_none(),
        "a network outside a VPC has no vpcid"
    );
    let vm = checked.guest(&network, "web").await;
    assert_eq!(
        (&vm["state"], &vm["nic"][0]["gateway"]),
        (&json!("Running"), &json!("10.1.1.1"))
    );
    let id = text(&network, "id");
    let network = checked.one("listNetworks", &[("id", id)]).await;
    assert_eq!(network["state"], "Implemented");
    rules_out(&checked, id).await;
    let ip = addresses_and_rules_in(&checked, id, text(&vm, "id")).await;
    static_nat(&checked, &ip, text(&vm, "id")).await;
    guests(&checked, text(&vm, "id")).await;
    routers(&checked, id).await;
    what_happened(&checked, text(&vm, "account")).await;
    removal(&checked, id, text(&vm, "id"), &ip).await;
    checked.done();
    let called = checked.called.lock().unwrap().clone();
    let missed: Vec<&str> = command::all()
        .map(|c| c.name)
        .filter(|name| !called.contains(*name) && !named_elsewhere(name))
        .collect();
    assert!(missed.is_empty(), "no test calls {missed:?}");
}

/// Whether another test of this crate names a command: each reply that a test gets is checked.
fn named_elsewhere(name: &str) -> bool {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (quoted, in_query) = (format!("\"{name}\""), format!("command={name}\""));
    let with_parameters = format!("\"{name} ");
    let files = [tests.clone(), tests.join("common")].map(|folder| std::fs::read_dir(folder).unwrap());
    files.into_iter().flatten().any(|file| {
        let path = file.unwrap().path();
        let is_test = path.extension().is_some_and(|e| e == "rs");
        // The table's test names commands without calling them.
        if !is_test || path.ends_with("table.rs") {
            return false;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        [&quoted, &in_query, &with_parameters]
            .iter()
            .any(|call| text.contains(*call))
    })
}

async fn what_is_provided(checked: &Checked) {
    let inner = checked.served.ok("listCapabilities", &[]).await;
    assert!(inner["capability"]["cloudstackversion"].is_string());
    checked.note("listCapabilities", []);
    let apis = checked.list("listApis", &[]).await;
    assert_eq!(apis.len(), command::all().count());
    let network = apis.iter().find(|api| api["name"] == "createNetwork").unwrap();
    let name = network["params"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["name"] == "name")
        .unwrap();
    assert_eq!(
        (&name["required"], &name["type"]),
        (&json!(true), &json!("string"))
    );
    let key = checked.served.admin.api_key.clone();
    let inner = checked.served.ok("getUser", &[("userapikey", &key)]).await;
    checked.note(
        "getUser",
        facts::faults(&checked.reference, "getUser", &inner["user"]),
    );
    assert_eq!(
        (&inner["user"]["account"], inner["user"].get("secretkey")),
        (&json!("admin"), None)
    );
    assert_eq!(
        checked.one("listHosts", &[("type", "Routing")]).await["state"],
        "Up"
    );
    assert!(checked.list("listIpForwardingRules", &[]).await.is_empty());
    let offering = checked.one("listNetworkOfferings", &[("name", DENY)]).await;
    let read_unguarded = ["displaytext", "guestiptype", "forvpc", "serviceofferingid"];
    assert!(
        read_unguarded.iter().all(|field| offering.get(field).is_some()),
        "{offering}"
    );
    assert_eq!(offering["egressdefaultpolicy"], false);
}

async fn network_offerings(checked: &Checked) {
    let params = "name=mine; displaytext=Mine; guestiptype=isolated; traffictype=GUEST; \
                  supportedservices=Dhcp,dns,SourceNat,PortForwarding; egressdefaultpolicy=true; \
                  serviceproviderlist[0].service=Dhcp; serviceproviderlist[0].provider=virtualrouter; \
                  servicecapabilitylist[0].service=SourceNat; \
                  servicecapabilitylist[0].capabilitytype=SupportedSourceNatTypes; \
                  servicecapabilitylist[0].capabilityvalue=peraccount; details[0].colour=blue";
    let inner = checked.served.ok("createNetworkOffering", &pairs(params)).await;
    let made = &inner["networkoffering"];
    checked.note(
        "createNetworkOffering",
        facts::faults(&checked.reference, "createNetworkOffering", made),
    );
    assert_eq!(
        (&made["state"], &made["conservemode"], &made["details"]["colour"]),
        (&json!("Disabled"), &json!(true), &json!("blue"))
    );
    let names: Vec<&str> = made["service"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| text(s, "name"))
        .collect();
    assert_eq!(names, ["Dhcp", "Dns", "PortForwarding", "SourceNat"]);
    let id = text(made, "id");
    let params = [("id", id), ("state", "enabled"), ("displaytext", "Ours")];
    let inner = checked.served.ok("updateNetworkOffering", &params).await;
    checked.note(
        "updateNetworkOffering",
        facts::faults(
            &checked.reference,
            "updateNetworkOffering",
            &inner["networkoffering"],
        ),
    );
    let filters = [("name", "mine"), ("supportedservices", "SourceNat,Dns")];
    assert_eq!(
        checked.one("listNetworkOfferings", &filters).await["displaytext"],
        "Ours"
    );
    let inner = checked.served.ok("deleteNetworkOffering", &[("id", id)]).await;
    checked.note("deleteNetworkOffering", []);
    assert_eq!(inner, json!({"success": true}));
    assert_eq!(
        checked
            .list("listNetworkOfferings", &[("forvpc", "true")])
            .await
            .len(),
        2
    );
}

async fn rules_out(checked: &Checked, network: &str) {
    let params = [
        ("networkid", network),
        ("protocol", "TCP"),
        ("startport", "80"),
        ("endport", "90"),
    ];
    let rule = checked.job("createEgressFirewallRule", &params).await;
    assert_eq!(
        (&rule["startport"], &rule["endport"], &rule["protocol"]),
        (&json!(80), &json!(90), &json!("tcp"))
    );
    assert_eq!(
        (&rule["state"], &rule["traffictype"]),
        (&json!("Active"), &json!("Egress"))
    );
    let cidrs = "10.1.1.64/26,10.1.1.0/28";
    let params = [
        ("networkid", network),
        ("protocol", "icmp"),
        ("icmptype", "-1"),
        ("icmpcode", "-1"),
        ("cidrlist", cidrs),
    ];
    let icmp = checked.job("createEgressFirewallRule", &params).await;
    assert_eq!((&icmp["icmptype"], &icmp["icmpcode"]), (&json!(-1), &json!(-1)));
    assert_eq!(icmp["cidrlist"], cidrs, "CIDRs stay in the caller's order");
    assert!(icmp.get("startport").is_none());
    assert_eq!(
        checked
            .list("listEgressFirewallRules", &[("networkid", network)])
            .await
            .len(),
        2
    );
    checked
        .job("deleteEgressFirewallRule", &[("id", text(&icmp, "id"))])
        .await;
    let left = checked
        .one("listEgressFirewallRules", &[("networkid", network)])
        .await;
    assert_eq!(left["id"], rule["id"]);
}

async fn addresses_and_rules_in(checked: &Checked, network: &str, vm: &str) -> Value {
    let ip = checked.job("associateIpAddress", &[("networkid", network)]).await;
    assert_eq!(
        (&ip["issourcenat"], &ip["associatednetworkid"]),
        (&json!(false), &json!(network))
    );
    assert!(ip.get("virtualmachineid").is_none());
    let id = text(&ip, "id");
    let params = format!("ipaddressid={id}; protocol=tcp; startport=22; cidrlist=192.0.2.0/24");
    let rule = checked.job("createFirewallRule", &pairs(&params)).await;
    assert_eq!(
        (&rule["ipaddress"], &rule["cidrlist"]),
        (&ip["ipaddress"], &json!("192.0.2.0/24"))
    );
    let params =
        format!("ipaddressid={id}; protocol=tcp; publicport=8080; privateport=80; virtualmachineid={vm}");
    let forward = checked.job("createPortForwardingRule", &pairs(&params)).await;
    let ports = (&forward["publicport"], &forward["privateendport"]);
    assert_eq!(ports, (&json!("8080"), &json!("80")), "strings");
    assert_eq!(forward["virtualmachinename"], "web");
    let listed = checked
        .one("listPortForwardingRules", &[("ipaddressid", id)])
        .await;
    assert_eq!(listed["id"], forward["id"]);
    let rules = checked.list("listFirewallRules", &[("ipaddressid", id)]).await;
    assert_eq!(rules.len(), 2, "one was opened");
    checked
        .job("deletePortForwardingRule", &[("id", text(&forward, "id"))])
        .await;
    assert!(
        checked
            .list("listPortForwardingRules", &[("networkid", network)])
            .await
            .is_empty()
    );
    checked
        .job("deleteFirewallRule", &[("id", text(&rule, "id"))])
        .await;
    assert!(
        checked
            .list("listFirewallRules", &[("networkid", network)])
            .await
            .is_empty()
    );
    ip
}

async fn static_nat(checked: &Checked, ip: &Value, vm: &str) {
    let id = text(ip, "id");
    let inner = checked
        .served
        .ok(
            "enableStaticNat",
            &[("ipaddressid", id), ("virtualmachineid", vm)],
        )
        .await;
    assert_eq!(inner, json!({"success": true}));
    checked.note("enableStaticNat", []);
    let now = checked.one("listPublicIpAddresses", &[("id", id)]).await;
    assert_eq!(
        (&now["isstaticnat"], &now["virtualmachineid"]),
        (&json!(true), &json!(vm))
    );
    assert_eq!(
        (&now["vmipaddress"], &now["virtualmachinename"]),
        (&json!("10.1.1.2"), &json!("web"))
    );
    checked.job("disableStaticNat", &[("ipaddressid", id)]).await;
    assert_eq!(
        checked.one("listPublicIpAddresses", &[("id", id)]).await["isstaticnat"],
        false
    );
}

async fn guests(checked: &Checked, vm: &str) {
    assert_eq!(
        checked.one("listNics", &[("virtualmachineid", vm)]).await["isdefault"],
        true
    );
    assert_eq!(
        checked.job("stopVirtualMachine", &[("id", vm)]).await["state"],
        "Stopped"
    );
    assert_eq!(
        checked.job("startVirtualMachine", &[("id", vm)]).await["state"],
        "Running"
    );
    assert_eq!(
        checked.job("rebootVirtualMachine", &[("id", vm)]).await["state"],
        "Running"
    );
    assert_eq!(
        checked.one("listVirtualMachines", &[("keyword", "WE")]).await["id"],
        vm
    );
}

async fn routers(checked: &Checked, network: &str) {
    let params = [("networkid", network), ("listall", "true")];
    let router = checked.one("listRouters", &params).await;
    assert_eq!(
        (&router["state"], &router["role"]),
        (&json!("Running"), &json!("VIRTUAL_ROUTER"))
    );
    assert!(
        router["vpcid"].is_null() && router.get("vpcid").is_some(),
        "libcloud reads vpcid unguarded"
    );
    assert_eq!(router["nic"].as_array().unwrap().len(), 3);
    let source_nat = checked
        .one("listPublicIpAddresses", &[("issourcenat", "true")])
        .await;
    assert_eq!(router["publicip"], source_nat["ipaddress"]);
    let id = text(&router, "id");
    assert_eq!(checked.job("stopRouter", &[("id", id)]).await["state"], "Stopped");
    assert_eq!(
        checked.job("startRouter", &[("id", id)]).await["state"],
        "Running"
    );
    assert_eq!(
        checked.job("rebootRouter", &[("id", id)]).await["state"],
        "Running"
    );
    let inner = checked.served.ok("verifyRouter", &[("id", id)]).await;
    checked.note("verifyRouter", []);
    let verification = &inner["verification"];
    assert_eq!(
        (&verification["routerid"], &verification["pass"]),
        (&json!(id), &json!(true))
    );
    for field in ["step", "title", "command", "seen", "pass", "remedy"] {
        assert!(
            verification["check"][0].get(field).is_some(),
            "{field}: {verification}"
        );
    }
    checked.job("destroyRouter", &[("id", id)]).await;
    checked
        .job("restartNetwork", &[("id", network), ("cleanup", "true")])
        .await;
    assert_eq!(checked.one("listRouters", &params).await["state"], "Running");
}

async fn what_happened(checked: &Checked, account: &str) {
    let events = checked
        .list("listEvents", &[("listall", "true"), ("level", "INFO")])
        .await;
    assert!(!events.is_empty() && events.iter().any(|e| e["account"] == account));
    let jobs = checked.list("listAsyncJobs", &[("listall", "true")]).await;
    assert!(
        jobs.iter().any(|job| job["cmd"] == "deployVirtualMachine"),
        "{jobs:?}"
    );
    let later = checked
        .list("listAsyncJobs", &[("startdate", "2999-01-01")])
        .await;
    assert!(later.is_empty());
}

async fn removal(checked: &Checked, network: &str, vm: &str, ip: &Value) {
    let address = text(ip, "ipaddress");
    let changed = checked
        .job(
            "updateNetwork",
            &[("id", network), ("sourcenatipaddress", address)],
        )
        .await;
    assert_eq!(changed["id"], network);
    let now = checked
        .one(
            "listPublicIpAddresses",
            &[("associatednetworkid", network), ("issourcenat", "true")],
        )
        .await;
    assert_eq!(now["ipaddress"], address);
    let old = checked
        .one("listPublicIpAddresses", &[("issourcenat", "false")])
        .await;
    checked
        .job("disassociateIpAddress", &[("id", text(&old, "id"))])
        .await;
    let gone = checked
        .job("destroyVirtualMachine", &[("id", vm), ("expunge", "true")])
        .await;
    assert_eq!(gone["id"], vm);
    checked.job("deleteNetwork", &[("id", network)]).await;
    for command in [
        "listNetworks",
        "listVirtualMachines",
        "listRouters",
        "listPublicIpAddresses",
    ] {
        assert!(
            checked.list(command, &[("listall", "true")]).await.is_empty(),
            "{command}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_together_hold_every_object_once() {
    let checked = Checked::new(12).await;
    for number in 0..7 {
        checked.network(&format!("net-{number}"), DENY).await;
    }
    let mut seen = BTreeSet::new();
    for page in ["1", "2", "3"] {
        let inner = checked
            .served
            .ok("listNetworks", &[("page", page), ("pagesize", "3")])
            .await;
        assert_eq!(inner["count"], 7, "the total, not the page's length");
        let items = inner["network"].as_array().unwrap();
        assert_eq!(items.len(), if page == "3" { 1 } else { 3 });
        seen.extend(items.iter().map(|item| text(item, "id").to_owned()));
    }
    assert_eq!(seen.len(), 7);
    let past = checked
        .served
        .ok("listNetworks", &[("page", "4"), ("pagesize", "3")])
        .await;
    assert_eq!(past, json!({"count": 7}));
    let all = checked.served.ok("listNetworks", &[("pagesize", "-1")]).await;
    assert_eq!(all["network"].as_array().unwrap().len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_an_empty_object() {
    let served = Served::new(4).await;
    for command in [
        "listNetworks",
        "listPublicIpAddresses",
        "listEgressFirewallRules",
        "listRouters",
    ] {
        assert_eq!(served.ok(command, &[]).await, json!({}), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn free_addresses_are_listed_when_asked_for() {
    let checked = Checked::new(4).await;
    let network = checked.network("net", DENY).await;
    let ip = checked
        .job("associateIpAddress", &[("networkid", text(&network, "id"))])
        .await;
    assert_eq!(
        ip["issourcenat"], true,
        "the first address of a network is its source NAT address"
    );
    let all = checked
        .list("listPublicIpAddresses", &[("allocatedonly", "false")])
        .await;
    let free: Vec<&Value> = all.iter().filter(|ip| ip["state"] == "Free").collect();
    assert_eq!((all.len(), free.len()), (4, 3));
    assert!(
        free.iter()
            .all(|f| f["ipaddress"] != ip["ipaddress"] && f.get("virtualmachineid").is_none())
    );
    let again = checked
        .list("listPublicIpAddresses", &[("allocatedonly", "false")])
        .await;
    assert_eq!(all, again, "their ids stay the same");
    // One that its router has not let go yet is nobody's, and not free either.
    let params = [("networkid", text(&network, "id"))];
    let second = checked.job("associateIpAddress", &params).await;
    let what = "the router".to_owned();
    let refusal = Some(outgate_host::HostError::NotRunning { what });
    checked.served.world.host.with(|host| host.refusal = refusal);
    let params = [("id", text(&second, "id"))];
    checked.served.ok("disassociateIpAddress", &params).await;
    let all = checked.list("listPublicIpAddresses", &[("allocatedonly", "false")]);
    assert_eq!(all.await.len(), 3);
    checked.done();
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_lists() {
    let checked = Checked::new(12).await;
    let (a, b) = (
        checked.network("alpha", DENY).await,
        checked.network("beta", DENY).await,
    );
    let (va, vb) = (checked.guest(&a, "vm-a").await, checked.guest(&b, "vm-b").await);
    let names = |items: Vec<Value>| {
        items
            .iter()
            .map(|i| text(i, "name").to_owned())
            .collect::<BTreeSet<_>>()
    };
    let filled = |params: &str| {
        let ids = [
            ("$a", &a["id"]),
            ("$va", &va["id"]),
            ("$vb", &vb["id"]),
            ("$domain", &va["domainid"]),
        ];
        ids.iter().fold(params.to_owned(), |text, (name, id)| {
            text.replace(name, id.as_str().unwrap())
        })
    };
    let table: [(&str, &str, &str); 12] = [
        ("listNetworks", "keyword=ALPH", "alpha"),
        ("listNetworks", "name=beta; type=isolated", "beta"),
        ("listNetworks", "name=bet", ""),
        ("listNetworks", "forvpc=true", ""),
        ("listNetworks", "tags[0].key=x; tags[0].value=y", ""),
        ("listNetworks", "projectid=-1; keyword=beta", "beta"),
        ("listNetworks", "supportedservices=SourceNat,Vpn", ""),
        ("listNetworks", "domainid=$domain; isrecursive=true", "alpha beta"),
        ("listVirtualMachines", "networkid=$a", "vm-a"),
        ("listVirtualMachines", "ids=$vb; state=running", "vm-b"),
        ("listVirtualMachines", "id=$va; state=Stopped", ""),
        (
            "listVirtualMachines",
            "account=admin; domainid=$domain; name=-a",
            "vm-a",
        ),
    ];
    for (command, params, expected) in table {
        let found = names(checked.list(command, &pairs(&filled(params))).await);
        let expected: BTreeSet<String> = expected.split_whitespace().map(str::to_owned).collect();
        assert_eq!(found, expected, "{command} {params}");
    }
    checked.done();
}
