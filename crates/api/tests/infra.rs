// SPDX-License-Identifier: Apache-2.0
//! What a zone is built of, through the real HTTP server: made, listed, changed, refused while used, and deleted, each
//! reply with CloudStack's fields and types.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Served, facts, pairs, text};
use serde_json::{Value, json};

/// What a command at once answers under `key`, checked against CloudStack's fields where the facts cover it.
async fn at_once(served: &Served, command: &str, params: &str, key: &str) -> Value {
    let inner = served.ok(command, &pairs(params)).await;
    let object = inner[key].clone();
    let each = object.as_array().cloned().unwrap_or_else(|| vec![object.clone()]);
    each.iter().for_each(|object| faultless(command, object));
    object
}

fn faultless(command: &str, object: &Value) {
    let reference = facts::reference();
    // CloudStack's own table has another list's fields for this one.
    if object.is_object() && reference.get(command).is_some() && command != "listTrafficTypes" {
        assert_eq!(facts::faults(&reference, command, object), Vec::<String>::new());
    }
}

/// What a job results in, checked likewise.
async fn by_job(served: &Served, command: &str, params: &str, key: &str) -> Value {
    let (first, job) = served.job(command, &pairs(params)).await;
    let object = job["jobresult"][key].clone();
    if object.is_object() {
        faultless(command, &object);
        if let Some(id) = first.get("id") {
            assert_eq!(object["id"], *id, "{command}");
        }
    }
    object
}

/// The code and the text of a refusal.
async fn refused(served: &Served, command: &str, params: &str) -> (u16, String) {
    let answer = served.call(command, &pairs(params)).await;
    let text = answer.inner()["errortext"].as_str().unwrap_or_default();
    (answer.status, text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_made_changed_and_deleted_only_when_nothing_is_left_of_it() {
    let served = Served::new(4).await;
    let wanted = "name=north; networktype=Advanced; dns1=192.0.2.53; internaldns1=192.0.2.54";
    let zone = at_once(&served, "createZone", wanted, "zone").await;
    assert_eq!(
        (
            &zone["allocationstate"],
            &zone["domain"],
            &zone["guestcidraddress"]
        ),
        (
            &json!("Disabled"),
            &json!("cs1cloud.internal"),
            &json!("10.1.1.0/24")
        )
    );
    let id = text(&zone, "id");
    let (code, why) = refused(&served, "createZone", &wanted.replace("north", "NORTH")).await;
    assert_eq!(code, 431);
    assert!(why.contains(id), "{why}");
    let changes = format!("id={id}; allocationstate=Enabled; dns2=192.0.2.55; domain=north.example");
    let zone = at_once(&served, "updateZone", &changes, "zone").await;
    assert_eq!(
        (&zone["allocationstate"], &zone["dns2"], &zone["domain"]),
        (&json!("Enabled"), &json!("192.0.2.55"), &json!("north.example"))
    );
    let subnet = "gateway=10.20.0.1; netmask=255.255.255.0; startip=10.20.0.10; endip=10.20.0.20";
    let pod = at_once(
        &served,
        "createPod",
        &format!("zoneid={id}; name=p; {subnet}"),
        "pod",
    )
    .await;
    assert_eq!(
        (&pod["startip"], &pod["allocationstate"]),
        (&json!(["10.20.0.10"]), &json!("Enabled"))
    );
    let (code, why) = refused(&served, "deleteZone", &format!("id={id}")).await;
    assert_eq!(code, 536);
    assert!(why.contains("1 pods: p"), "{why}");
    at_once(
        &served,
        "deletePod",
        &format!("id={}", text(&pod, "id")),
        "success",
    )
    .await;
    at_once(&served, "deleteZone", &format!("id={id}"), "success").await;
    assert_eq!(refused(&served, "updateZone", &format!("id={id}")).await.0, 431);
    let (code, why) = refused(&served, "deleteZone", &format!("id={}", served.world.zone)).await;
    assert_eq!(code, 536);
    assert!(why.contains("zone lab is in use"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_zone_cannot_be_is_refused_with_the_reason() {
    let served = Served::new(4).await;
    let wanted = "name=n; networktype=Advanced; dns1=192.0.2.53; internaldns1=192.0.2.54";
    for (more, words) in [
        ("; guestcidraddress=192.0.2.0/24", "private network"),
        ("; guestcidraddress=10.1.1.7/24", "10.1.1.0/24"),
        ("; domain=-", "DNS domain"),
        ("; securitygroupenabled=true", "firewall rules"),
    ] {
        let (code, why) = refused(&served, "createZone", &format!("{wanted}{more}")).await;
        assert_eq!(code, 431, "{more}");
        assert!(why.contains(words), "{why}");
    }
    let (code, why) = refused(&served, "createZone", &wanted.replace("Advanced", "Basic")).await;
    assert!(code == 431 && why.contains("Advanced"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_and_clusters_are_made_changed_and_refused_while_used() {
    let served = Served::new(4).await;
    let zone = served.world.zone;
    let pod = at_once(
        &served,
        "createPod",
        &format!("zoneid={zone}; name=p; gateway=10.20.0.1; netmask=255.255.255.0; startip=10.20.0.10"),
        "pod",
    )
    .await;
    let pod_id = text(&pod, "id");
    let overlapping = format!("zoneid={zone}; name=q; gateway=10.20.0.129; netmask=255.255.255.128");
    let (code, why) = refused(&served, "createPod", &overlapping).await;
    assert!(code == 431 && why.contains("pod p's 10.20.0.0/24"), "{why}");
    let outside = format!("id={pod_id}; endip=10.20.1.5");
    assert_eq!(refused(&served, "updatePod", &outside).await.0, 431);
    let pod = at_once(
        &served,
        "updatePod",
        &format!("id={pod_id}; endip=10.20.0.99; name=pp"),
        "pod",
    )
    .await;
    assert_eq!(
        (&pod["endip"], &pod["name"]),
        (&json!(["10.20.0.99"]), &json!("pp"))
    );
    let add =
        format!("zoneid={zone}; podid={pod_id}; clustername=c; clustertype=CloudManaged; hypervisor=kvm");
    let cluster = at_once(&served, "addCluster", &add, "cluster").await[0].clone();
    assert_eq!(
        (&cluster["hypervisortype"], &cluster["podname"]),
        (&json!("KVM"), &json!("pp"))
    );
    let id = text(&cluster, "id");
    let (code, why) = refused(&served, "deletePod", &format!("id={pod_id}")).await;
    assert!(code == 536 && why.contains("1 clusters: c"), "{why}");
    let changes = format!("id={id}; allocationstate=Disabled; managedstate=Unmanaged");
    let cluster = at_once(&served, "updateCluster", &changes, "cluster").await;
    assert_eq!(
        (&cluster["allocationstate"], &cluster["managedstate"]),
        (&json!("Disabled"), &json!("Unmanaged"))
    );
    let listed = at_once(&served, "listClusters", "managedstate=Unmanaged", "cluster").await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    at_once(&served, "deleteCluster", &format!("id={id}"), "success").await;
    at_once(&served, "deletePod", &format!("id={pod_id}"), "success").await;
    let built_in = at_once(&served, "listPods", "", "pod").await;
    assert_eq!(built_in.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_disabled_maintained_and_neither_added_nor_removed() {
    let served = Served::new(4).await;
    let host = at_once(&served, "listHosts", "type=Routing", "host").await[0].clone();
    assert_eq!(
        (&host["state"], &host["resourcestate"], &host["podname"]),
        (&json!("Up"), &json!("Enabled"), &json!("lab-pod"))
    );
    let id = text(&host, "id");
    let host = at_once(
        &served,
        "updateHost",
        &format!("id={id}; allocationstate=Disable"),
        "host",
    )
    .await;
    assert_eq!(host["resourcestate"], "Disabled");
    at_once(
        &served,
        "updateHost",
        &format!("id={id}; allocationstate=Enable"),
        "host",
    )
    .await;
    let host = by_job(&served, "prepareHostForMaintenance", &format!("id={id}"), "host").await;
    assert_eq!(host["resourcestate"], "Maintenance");
    let host = by_job(&served, "cancelHostMaintenance", &format!("id={id}"), "host").await;
    assert_eq!(host["resourcestate"], "Enabled");
    let pod = text(&host, "podid");
    let add = format!(
        "zoneid={}; podid={pod}; hypervisor=KVM; url=http://192.0.2.7",
        served.world.zone
    );
    let (code, why) = refused(&served, "addHost", &add).await;
    assert!(code == 534 && why.contains("one host"), "{why}");
    let (code, why) = refused(&served, "deleteHost", &format!("id={id}")).await;
    assert!(code == 534 && why.contains("allocationstate=Disable"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_physical_network_gets_traffic_types_and_providers() {
    let served = Served::new(4).await;
    let zone = served.world.zone;
    let create = format!("zoneid={zone}; name=second; vlan=300-399,100-199; tags=a,b; networkspeed=10G");
    let physical = by_job(&served, "createPhysicalNetwork", &create, "physicalnetwork").await;
    assert_eq!(
        (&physical["state"], &physical["vlan"], &physical["tags"]),
        (&json!("Disabled"), &json!("100-199,300-399"), &json!("a,b"))
    );
    let id = text(&physical, "id");
    let overlapping = format!("id={id}; vlan=100-199,150");
    let answer = refused(&served, "updatePhysicalNetwork", &overlapping).await;
    assert!(answer.0 == 431 && answer.1.contains("100-199"), "{answer:?}");
    let enable = format!("id={id}; state=Enabled");
    let physical = by_job(&served, "updatePhysicalNetwork", &enable, "physicalnetwork").await;
    assert_eq!(physical["state"], "Enabled");
    let add = format!("physicalnetworkid={id}; traffictype=Guest; kvmnetworklabel=cloudbr1");
    let traffic = by_job(&served, "addTrafficType", &add, "traffictype").await;
    assert_eq!(traffic["kvmnetworklabel"], "cloudbr1");
    let (code, why) = refused(&served, "addTrafficType", &add.replace("Guest", "Public")).await;
    assert!(code == 431 && why.contains("does not carry"), "{why}");
    let change = format!("id={}; kvmnetworklabel=cloudbr2", text(&traffic, "id"));
    let traffic = by_job(&served, "updateTrafficType", &change, "traffictype").await;
    assert_eq!(traffic["kvmnetworklabel"], "cloudbr2");
    let of_it = format!("physicalnetworkid={id}");
    let listed = at_once(&served, "listTrafficTypes", &of_it, "traffictype").await;
    assert_eq!(listed[0]["id"], traffic["id"]);
    providers(&served, id).await;
    by_job(
        &served,
        "deleteTrafficType",
        &format!("id={}", text(&traffic, "id")),
        "success",
    )
    .await;
    by_job(&served, "deletePhysicalNetwork", &format!("id={id}"), "success").await;
    let left = at_once(
        &served,
        "listPhysicalNetworks",
        &format!("zoneid={zone}"),
        "physicalnetwork",
    )
    .await;
    assert_eq!(left.as_array().unwrap().len(), 1);
}

async fn providers(served: &Served, physical: &str) {
    let of_it = format!("physicalnetworkid={physical}");
    let key = "networkserviceprovider";
    let listed = at_once(served, "listNetworkServiceProviders", &of_it, key).await;
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .all(|p| p["state"] == "Disabled")
    );
    let named = |name: &str| {
        let mut each = listed.as_array().unwrap().iter();
        text(each.find(|p| p["name"] == name).unwrap(), "id").to_owned()
    };
    let (router, lb) = (named("VirtualRouter"), named("InternalLbVm"));
    let enable = format!("id={router}; state=Enabled");
    let (code, why) = refused(served, "updateNetworkServiceProvider", &enable).await;
    assert!(code == 431 && why.contains("Provider is not ready"), "{why}");
    let of_provider = format!("nspid={router}");
    let element = at_once(
        served,
        "listVirtualRouterElements",
        &of_provider,
        "virtualrouterelement",
    )
    .await;
    assert_eq!(
        (&element[0]["nspid"], &element[0]["enabled"]),
        (&json!(router), &json!(false))
    );
    let made = by_job(
        served,
        "createVirtualRouterElement",
        &of_provider,
        "virtualrouterelement",
    )
    .await;
    assert_eq!(made["id"], element[0]["id"]);
    let on = format!("id={}; enabled=true", text(&made, "id"));
    let element = by_job(
        served,
        "configureVirtualRouterElement",
        &on,
        "virtualrouterelement",
    )
    .await;
    assert_eq!(element["enabled"], true);
    let provider = by_job(served, "updateNetworkServiceProvider", &enable, key).await;
    assert_eq!(provider["state"], "Enabled");
    internal_lb(served, &lb).await;
    removed_and_added(served, physical, &lb).await;
}

async fn removed_and_added(served: &Served, physical: &str, lb: &str) {
    let (of_it, key) = (format!("physicalnetworkid={physical}"), "networkserviceprovider");
    by_job(
        served,
        "deleteNetworkServiceProvider",
        &format!("id={lb}"),
        "success",
    )
    .await;
    let again = format!("{of_it}; name=internallbvm");
    let added = by_job(served, "addNetworkServiceProvider", &again, key).await;
    assert_eq!(
        (&added["name"], &added["state"]),
        (&json!("InternalLbVm"), &json!("Disabled"))
    );
    let (code, why) = refused(served, "addNetworkServiceProvider", &again).await;
    assert!(code == 431 && why.contains(text(&added, "id")), "{why}");
}

async fn internal_lb(served: &Served, lb: &str) {
    let key = "internalloadbalancerelement";
    let element = at_once(
        served,
        "listInternalLoadBalancerElements",
        &format!("nspid={lb}"),
        key,
    )
    .await;
    assert_eq!(element[0]["enabled"], false);
    let made = by_job(
        served,
        "createInternalLoadBalancerElement",
        &format!("nspid={lb}"),
        key,
    )
    .await;
    let off = format!("id={}; enabled=false", text(&made, "id"));
    by_job(served, "configureInternalLoadBalancerElement", &off, key).await;
    let (code, why) = refused(
        served,
        "configureInternalLoadBalancerElement",
        &off.replace("false", "true"),
    )
    .await;
    assert!(code == 431 && why.contains("no internal load balancers"), "{why}");
    let (code, _) = refused(served, "configureVirtualRouterElement", &off).await;
    assert_eq!(code, 431, "it is no virtual router element");
}

#[tokio::test(flavor = "multi_thread")]
async fn capacity_is_told_per_zone_with_percentages_as_strings() {
    let served = Served::new(8).await;
    let network = served.world.network("net").await;
    served.world.address(network).await;
    served.world.quiet().await;
    let listed = at_once(&served, "listCapacity", "", "capacity").await;
    let public = &listed[0];
    assert_eq!(
        (
            &public["type"],
            &public["capacityused"],
            &public["capacitytotal"],
            &public["percentused"]
        ),
        (&json!(4), &json!(1), &json!(8), &json!("12.5"))
    );
    assert_eq!(
        (&listed[1]["type"], &listed[1]["capacityused"]),
        (&json!(5), &json!(1))
    );
    assert_eq!(
        listed.as_array().unwrap().len(),
        2,
        "no physical network names VLANs"
    );
    let zone = at_once(&served, "listZones", "showcapacities=true", "zone").await;
    assert_eq!(zone[0]["capacity"][0], *public);
    let physical = at_once(&served, "listPhysicalNetworks", "", "physicalnetwork").await;
    let vlans = format!("id={}; vlan=100-109", text(&physical[0], "id"));
    by_job(&served, "updatePhysicalNetwork", &vlans, "physicalnetwork").await;
    let listed = at_once(&served, "listCapacity", "type=7", "capacity").await;
    assert_eq!(
        (&listed[0]["capacitytotal"], &listed[0]["percentused"]),
        (&json!(10), &json!("0"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn this_cloud_has_no_system_vms() {
    let served = Served::new(4).await;
    assert_eq!(served.ok("listSystemVms", &[]).await, json!({}));
    assert_eq!(
        served
            .ok("listSystemVms", &[("systemvmtype", "consoleproxy")])
            .await,
        json!({})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn public_ranges_are_made_dedicated_listed_and_deleted() {
    let served = Served::new(4).await;
    let (zone, domain) = (served.world.zone, served.world.admin.domain);
    let create = format!("zoneid={zone}; gateway=198.51.100.1; netmask=255.255.255.0; startip=198.51.100.10");
    let range = at_once(
        &served,
        "createVlanIpRange",
        &format!("{create}; endip=198.51.100.12"),
        "vlan",
    )
    .await;
    assert_eq!(
        (&range["vlan"], &range["cidr"], &range["forvirtualnetwork"]),
        (&json!("vlan://untagged"), &json!("198.51.100.0/24"), &json!(true))
    );
    let id = text(&range, "id");
    let (code, why) = refused(&served, "createVlanIpRange", &create).await;
    assert!(code == 537 && why.contains(id), "{why}");
    let changed = at_once(
        &served,
        "updateVlanIpRange",
        &format!("id={id}; endip=198.51.100.20"),
        "vlan",
    )
    .await;
    assert_eq!(changed["endip"], "198.51.100.20");
    let to = format!("id={id}; domainid={domain}; account=admin");
    let kept = at_once(&served, "dedicatePublicIpRange", &to, "vlan").await;
    assert_eq!(
        (&kept["account"], &kept["domain"]),
        (&json!("admin"), &json!("ROOT"))
    );
    let of_account = format!("domainid={domain}; account=admin");
    let listed = at_once(&served, "listVlanIpRanges", &of_account, "vlaniprange").await;
    assert_eq!(listed[0]["id"], range["id"]);
    at_once(&served, "releasePublicIpRange", &format!("id={id}"), "success").await;
    assert_eq!(
        served.ok("listVlanIpRanges", &pairs(&of_account)).await,
        json!({})
    );
    at_once(&served, "deleteVlanIpRange", &format!("id={id}"), "success").await;
    let left = at_once(
        &served,
        "listVlanIpRanges",
        &format!("zoneid={zone}"),
        "vlaniprange",
    )
    .await;
    assert_eq!(left.as_array().unwrap().len(), 1);
    let shared = format!("{create}; forvirtualnetwork=false");
    assert_eq!(refused(&served, "createVlanIpRange", &shared).await.0, 431);
}
