// SPDX-License-Identifier: Apache-2.0
//! Guests, their NICs, sizes, templates and routers, as clients call them, against the facts about CloudStack's fields.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Served, facts, text};
use serde_json::{Value, json};

const ALLOW: &str = outgate_manager::bootstrap::OFFERING_ALLOW;

/// Two networks, the first with a guest.
struct Cloud {
    served: Served,
    reference: Value,
    zone: String,
    one: String,
    two: String,
    guest: String,
}

impl Cloud {
    async fn new() -> Self {
        let served = Served::new(8).await;
        let zone = text(&served.ok("listZones", &[]).await["zone"][0], "id").to_owned();
        let mut cloud = Self {
            served,
            reference: facts::reference(),
            zone,
            one: String::new(),
            two: String::new(),
            guest: String::new(),
        };
        cloud.one = cloud.network("one").await;
        cloud.two = cloud.network("two").await;
        let one = cloud.one.clone();
        let made = cloud.deploy(&[("networkids", &one), ("name", "vm-1")]).await;
        cloud.guest = text(&made, "id").to_owned();
        cloud
    }

    async fn network(&self, name: &str) -> String {
        let offerings = self.served.ok("listNetworkOfferings", &[("name", ALLOW)]).await;
        let params = [
            ("name", name),
            ("networkofferingid", text(&offerings["networkoffering"][0], "id")),
            ("zoneid", &self.zone),
        ];
        text(&self.served.ok("createNetwork", &params).await["network"], "id").to_owned()
    }

    async fn deploy(&self, more: &[(&str, &str)]) -> Value {
        let sizes = self.served.ok("listServiceOfferings", &[]).await;
        let templates = self
            .served
            .ok("listTemplates", &[("templatefilter", "executable")])
            .await;
        let mut params = vec![
            ("zoneid", self.zone.as_str()),
            ("serviceofferingid", text(&sizes["serviceoffering"][0], "id")),
            ("templateid", text(&templates["template"][0], "id")),
        ];
        params.extend_from_slice(more);
        self.done("deployVirtualMachine", &params, "virtualmachine").await
    }

    /// What a job makes, checked against CloudStack's fields.
    async fn done(&self, command: &str, params: &[(&str, &str)], key: &str) -> Value {
        let (_, job) = self.served.job(command, params).await;
        let made = job["jobresult"][key].clone();
        if made.is_object() && self.reference.get(command).is_some() {
            assert_eq!(
                facts::faults(&self.reference, command, &made),
                Vec::<String>::new()
            );
        }
        made
    }

    /// What a command makes at once.
    async fn now(&self, command: &str, params: &[(&str, &str)], key: &str) -> Value {
        let made = self.served.ok(command, params).await[key].clone();
        if made.is_object() && self.reference.get(command).is_some() {
            assert_eq!(
                facts::faults(&self.reference, command, &made),
                Vec::<String>::new()
            );
        }
        made
    }

    async fn list(&self, command: &str, params: &[(&str, &str)], key: &str) -> Vec<Value> {
        let inner = self.served.ok(command, params).await;
        let items = inner[key].as_array().cloned().unwrap_or_default();
        for item in &items {
            assert_eq!(
                facts::faults(&self.reference, command, item),
                Vec::<String>::new()
            );
        }
        items
    }

    /// The code and the text of a refusal.
    async fn refused(&self, command: &str, params: &[(&str, &str)]) -> (u16, String) {
        let answer = self.served.call(command, params).await;
        assert_ne!(answer.status, 200, "{command} {params:?}: {}", answer.body);
        (answer.status, text(answer.inner(), "errortext").to_owned())
    }

    async fn routers(&self, more: &[(&str, &str)]) -> Vec<Value> {
        let params: Vec<_> = [("listall", "true")].iter().chain(more).copied().collect();
        self.list("listRouters", &params, "router").await
    }

    async fn nics(&self) -> Vec<Value> {
        self.list("listNics", &[("virtualmachineid", &self.guest)], "nic")
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nic_comes_becomes_the_default_one_and_goes() {
    let cloud = Cloud::new().await;
    let add = [
        ("virtualmachineid", cloud.guest.as_str()),
        ("networkid", &cloud.two),
        ("ipaddress", "10.1.2.77"),
        ("macaddress", "1e:00:00:00:00:77"),
    ];
    let guest = cloud.done("addNicToVirtualMachine", &add, "virtualmachine").await;
    let nic = &guest["nic"][1];
    assert_eq!(
        (
            &nic["ipaddress"],
            &nic["macaddress"],
            &nic["isdefault"],
            &nic["deviceid"]
        ),
        (
            &json!("10.1.2.77"),
            &json!("1e:00:00:00:00:77"),
            &json!(false),
            &json!("1")
        )
    );
    let (code, text_) = cloud.refused("addNicToVirtualMachine", &add).await;
    assert!(code == 431 && text_.contains("networkid"), "{code} {text_}");
    let id = text(nic, "id");
    let which = [("virtualmachineid", cloud.guest.as_str()), ("nicid", id)];
    let guest = cloud
        .done("updateDefaultNicForVirtualMachine", &which, "virtualmachine")
        .await;
    assert_eq!(
        (&guest["nic"][0]["id"], &guest["ipaddress"]),
        (&json!(id), &json!("10.1.2.77"))
    );
    let (code, text_) = cloud.refused("removeNicFromVirtualMachine", &which).await;
    assert!(code == 431 && text_.contains("default"), "{code} {text_}");
    let first = cloud.nics().await[1].clone();
    let which = [
        ("virtualmachineid", cloud.guest.as_str()),
        ("nicid", text(&first, "id")),
    ];
    let guest = cloud
        .done("removeNicFromVirtualMachine", &which, "virtualmachine")
        .await;
    assert_eq!(guest["nic"].as_array().unwrap().len(), 1);
    let on_two = [("networkid", cloud.two.as_str())];
    let found = cloud.list("listVirtualMachines", &on_two, "virtualmachine").await;
    assert_eq!(found.len(), 1);
    let wrong = [add[0], add[1], ("macaddress", "nonsense")];
    let (code, text_) = cloud.refused("addNicToVirtualMachine", &wrong).await;
    assert!(
        code == 431 && text_.contains("six hexadecimal bytes"),
        "{code} {text_}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn secondary_addresses_are_listed_and_static_nat_leads_to_them() {
    let cloud = Cloud::new().await;
    let nic = cloud.nics().await[0].clone();
    let nic = text(&nic, "id");
    let params = [("nicid", nic), ("ipaddress", "10.1.1.88")];
    let (started, job) = cloud.served.job("addIpToNic", &params).await;
    let made = &job["jobresult"]["nicsecondaryip"];
    assert_eq!(
        facts::faults(&cloud.reference, "addIpToNic", made),
        Vec::<String>::new()
    );
    assert_eq!((&made["id"], &made["nicid"]), (&started["id"], &json!(nic)));
    assert_eq!(job["jobinstancetype"], "IpAddress");
    let listed = cloud.nics().await[0].clone();
    assert_eq!(
        listed["secondaryip"],
        json!([{ "id": started["id"], "ipaddress": "10.1.1.88" }])
    );
    let params = [("virtualmachineid", cloud.guest.as_str()), ("keyword", "1.88")];
    assert_eq!(cloud.list("listNics", &params, "nic").await.len(), 1);
    let ip = cloud
        .done("associateIpAddress", &[("networkid", &cloud.one)], "ipaddress")
        .await;
    let to = [
        ("ipaddressid", text(&ip, "id")),
        ("virtualmachineid", &cloud.guest),
        ("vmguestip", "10.1.1.88"),
    ];
    cloud.served.ok("enableStaticNat", &to).await;
    let (code, text_) = cloud
        .refused("removeIpFromNic", &[("id", text(&started, "id"))])
        .await;
    assert!(code == 431 && text_.contains(text(&ip, "id")), "{code} {text_}");
    cloud
        .done("disableStaticNat", &[("ipaddressid", text(&ip, "id"))], "success")
        .await;
    cloud
        .done("removeIpFromNic", &[("id", text(&started, "id"))], "success")
        .await;
    let (code, text_) = cloud
        .refused("removeIpFromNic", &[("id", text(&started, "id"))])
        .await;
    assert!(
        code == 431 && text_.contains("entity does not exist"),
        "{code} {text_}"
    );
    let change = [("nicid", nic), ("ipaddress", "10.1.1.99")];
    let (code, text_) = cloud.refused("updateVmNicIp", &change).await;
    assert!(code == 431 && text_.contains("Stopped"), "{code} {text_}");
    cloud
        .done(
            "stopVirtualMachine",
            &[("id", &cloud.guest), ("forced", "true")],
            "virtualmachine",
        )
        .await;
    let guest = cloud.done("updateVmNicIp", &change, "virtualmachine").await;
    assert_eq!(guest["nic"][0]["ipaddress"], "10.1.1.99");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_deployed_on_several_networks_with_addresses_of_both_kinds() {
    let cloud = Cloud::new().await;
    let guest = cloud
        .deploy(&[
            ("iptonetworklist[0].networkid", &cloud.two),
            ("iptonetworklist[0].ip", "10.1.2.50"),
            ("iptonetworklist[0].mac", "1e:00:00:00:00:50"),
            ("iptonetworklist[1].networkid", &cloud.one),
            ("name", "both"),
            ("displayname", "On both"),
            ("startvm", "false"),
            ("hypervisor", "simulator"),
        ])
        .await;
    assert_eq!(
        (&guest["state"], &guest["displayname"]),
        (&json!("Stopped"), &json!("On both"))
    );
    let nics = guest["nic"].as_array().unwrap();
    assert_eq!(
        (
            &nics[0]["ipaddress"],
            &nics[0]["macaddress"],
            &nics[1]["networkid"]
        ),
        (
            &json!("10.1.2.50"),
            &json!("1e:00:00:00:00:50"),
            &json!(cloud.one)
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_cannot_be_is_refused_by_its_parameter() {
    let cloud = Cloud::new().await;
    let templates = cloud
        .served
        .ok("listTemplates", &[("templatefilter", "all")])
        .await;
    let sizes = cloud.served.ok("listServiceOfferings", &[]).await;
    let base = [
        ("zoneid", cloud.zone.as_str()),
        ("serviceofferingid", text(&sizes["serviceoffering"][0], "id")),
        ("templateid", text(&templates["template"][0], "id")),
    ];
    let network = ("networkids", cloud.one.as_str());
    for (params, word) in [
        (vec![("macaddress", "1e:00:00:00:00:51")], "networkids"),
        (vec![network, ("macaddress", "01:00:00:00:00:51")], "macaddress"),
        (vec![network, ("hypervisor", "KVM")], "hypervisor"),
        (vec![network, ("name", "vm-1")], "name"),
        (
            vec![
                ("iptonetworklist[0].networkid", network.1),
                ("ipaddress", "10.1.1.9"),
            ],
            "iptonetworklist",
        ),
        (
            vec![
                ("iptonetworklist[0].networkid", network.1),
                ("iptonetworklist[0].ip", "x"),
            ],
            "iptonetworklist",
        ),
    ] {
        let all: Vec<_> = base.iter().copied().chain(params).collect();
        let (code, text_) = cloud.refused("deployVirtualMachine", &all).await;
        assert!(code == 431 && text_.contains(word), "{word}: {code} {text_}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_guest_is_recovered_or_expunged() {
    let cloud = Cloud::new().await;
    let id = [("id", cloud.guest.as_str())];
    let gone = cloud.done("destroyVirtualMachine", &id, "virtualmachine").await;
    assert_eq!(gone["state"], "Destroyed");
    let states = async |state| {
        let params = [("state", state), ("listall", "true")];
        cloud
            .list("listVirtualMachines", &params, "virtualmachine")
            .await
            .len()
    };
    assert_eq!((states("Destroyed").await, states("Present").await), (1, 0));
    let (code, text_) = cloud.refused("startVirtualMachine", &id).await;
    assert!(
        code == 431 && text_.contains("recoverVirtualMachine"),
        "{code} {text_}"
    );
    let back = cloud.now("recoverVirtualMachine", &id, "virtualmachine").await;
    assert_eq!(back["state"], "Stopped");
    let (code, _) = cloud.refused("expungeVirtualMachine", &id).await;
    assert_eq!(code, 431);
    cloud.done("destroyVirtualMachine", &id, "virtualmachine").await;
    cloud.done("expungeVirtualMachine", &id, "success").await;
    assert_eq!(states("Destroyed").await, 0);
    let (code, text_) = cloud.refused("recoverVirtualMachine", &id).await;
    assert!(
        code == 431 && text_.contains("entity does not exist"),
        "{code} {text_}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_renamed_resized_and_told_without_its_nics() {
    let cloud = Cloud::new().await;
    let names = [
        ("id", cloud.guest.as_str()),
        ("name", "web"),
        ("displayname", "The web"),
    ];
    let guest = cloud.now("updateVirtualMachine", &names, "virtualmachine").await;
    assert_eq!(
        (&guest["name"], &guest["displayname"]),
        (&json!("web"), &json!("The web"))
    );
    let params = [
        ("name", "Big"),
        ("displaytext", "Big"),
        ("cpunumber", "4"),
        ("memory", "4096"),
    ];
    let size = cloud
        .now("createServiceOffering", &params, "serviceoffering")
        .await;
    assert_eq!((&size["cpunumber"], &size["memory"]), (&json!(4), &json!(4096)));
    let to = [
        ("id", cloud.guest.as_str()),
        ("serviceofferingid", text(&size, "id")),
    ];
    let (code, text_) = cloud.refused("changeServiceForVirtualMachine", &to).await;
    assert!(code == 431 && text_.contains("stopped"), "{code} {text_}");
    cloud
        .done("stopVirtualMachine", &[("id", &cloud.guest)], "virtualmachine")
        .await;
    let guest = cloud
        .now("changeServiceForVirtualMachine", &to, "virtualmachine")
        .await;
    assert_eq!(
        (&guest["serviceofferingname"], &guest["memory"]),
        (&json!("Big"), &json!(4096))
    );
    cloud.done("scaleVirtualMachine", &to, "success").await;
    let id = [("id", text(&size, "id"))];
    let renamed = [id[0], ("name", "Bigger")];
    let size = cloud
        .now("updateServiceOffering", &renamed, "serviceoffering")
        .await;
    assert_eq!(size["name"], "Bigger");
    cloud.served.ok("deleteServiceOffering", &id).await;
    let left = cloud
        .list("listServiceOfferings", &[("name", "Bigger")], "serviceoffering")
        .await;
    assert!(left.is_empty());
    for (details, told) in [("nics,stats", true), ("all", true), ("min", false)] {
        let params = [("details", details)];
        let guest = cloud.list("listVirtualMachines", &params, "virtualmachine").await;
        assert_eq!(guest[0].get("nic").is_some(), told, "{details}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_registered_listed_and_deleted() {
    let cloud = Cloud::new().await;
    let params = [
        ("name", "debian"),
        ("displaytext", "Debian"),
        ("format", "qcow2"),
        ("hypervisor", "Simulator"),
        ("url", "http://192.0.2.1/debian.qcow2"),
        ("zoneid", "-1"),
        ("ispublic", "true"),
    ];
    let made = cloud.list("registerTemplate", &params, "template").await;
    let id = text(&made[0], "id");
    assert_eq!(
        (&made[0]["format"], &made[0]["account"]),
        (&json!("QCOW2"), &json!("admin"))
    );
    let names = async |filter| {
        let listed = cloud
            .list("listTemplates", &[("templatefilter", filter)], "template")
            .await;
        listed
            .iter()
            .map(|t| text(t, "name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("self").await, ["debian"]);
    assert_eq!(names("community").await, ["debian"]);
    assert_eq!(names("featured").await, ["namespace-guest"]);
    assert_eq!(names("executable").await.len(), 2);
    let renamed = cloud
        .now(
            "updateTemplate",
            &[("id", id), ("displaytext", "Stable")],
            "template",
        )
        .await;
    assert_eq!(renamed["displaytext"], "Stable");
    cloud.done("deleteTemplate", &[("id", id)], "success").await;
    assert!(names("self").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_tells_its_version_its_place_and_its_size() {
    let cloud = Cloud::new().await;
    let router = cloud.routers(&[]).await.remove(0);
    for field in [
        "podid",
        "podname",
        "hostid",
        "hostname",
        "serviceofferingid",
        "networkdomain",
    ] {
        assert!(router[field].is_string(), "{field}: {router}");
    }
    assert_eq!(
        (
            &router["requiresupgrade"],
            &router["hostcontrolstate"],
            &router["redundantstate"]
        ),
        (&json!(false), &json!("Enabled"), &json!("UNKNOWN"))
    );
    let version = text(&router, "version");
    assert_eq!(
        cloud
            .routers(&[("version", version), ("podid", text(&router, "podid"))])
            .await
            .len(),
        1
    );
    assert!(cloud.routers(&[("version", "0.0.9")]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_of_another_version_says_so_and_is_upgraded() {
    let cloud = Cloud::new().await;
    let router = cloud.routers(&[]).await.remove(0);
    assert_eq!(
        cloud.served.ok("upgradeRouterTemplate", &[]).await,
        json!({}),
        "none needs it"
    );
    let id = text(&router, "id");
    cloud
        .served
        .world
        .host
        .with(|h| h.version = Some("0.0.9".to_owned()));
    cloud.done("rebootRouter", &[("id", id)], "router").await;
    let old = cloud.routers(&[("id", id)]).await.remove(0);
    assert_eq!(
        (&old["version"], &old["requiresupgrade"]),
        (&json!("0.0.9"), &json!(true))
    );
    cloud.served.world.host.with(|h| h.version = None);
    let jobs = cloud
        .served
        .ok("upgradeRouterTemplate", &[("zoneid", &cloud.zone)])
        .await;
    let job: outgate_model::id::JobId = text(&jobs["asyncjobs"][0], "jobid").parse().unwrap();
    cloud.served.world.ended(job).await;
    assert_eq!(
        cloud.routers(&[("id", id)]).await[0]["requiresupgrade"],
        json!(false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_router_gets_another_size() {
    let cloud = Cloud::new().await;
    let router = cloud.routers(&[]).await.remove(0);
    let id = text(&router, "id");
    let params = [
        ("name", "Big router"),
        ("displaytext", "Big router"),
        ("issystem", "true"),
    ];
    let size = cloud
        .now("createServiceOffering", &params, "serviceoffering")
        .await;
    let to = [("id", id), ("serviceofferingid", text(&size, "id"))];
    let (code, text_) = cloud.refused("changeServiceForRouter", &to).await;
    assert!(code == 431 && text_.contains("stopRouter"), "{code} {text_}");
    cloud.done("stopRouter", &[("id", id)], "router").await;
    let router = cloud.now("changeServiceForRouter", &to, "router").await;
    assert_eq!(router["serviceofferingname"], "Big router");
}
