// SPDX-License-Identifier: Apache-2.0
//! What the infrastructure's state means for networks, routers and guests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::World;
use outgate_manager::bootstrap::{ROUTER, VPC_ROUTER};
use outgate_manager::command::request::{
    AddCluster, ConfigureElement, CreatePod, DeleteProvider, MaintainHost, PodSubnet, StartGuest,
    StartRouter, StopGuest, StopRouter, UpdateCluster, UpdateHost, UpdateProvider, UpdateZone,
};
use outgate_model::id::{HostId, ServiceProviderId};
use outgate_model::object::{Cluster, Host, Network, ServiceProvider};

fn zone_change(world: &World) -> UpdateZone {
    UpdateZone {
        id: world.zone,
        name: None,
        dns: [None; 2],
        internal_dns: [None; 2],
        domain: None,
        guest_cidr: None,
        enable: None,
    }
}

fn provider(world: &World, name: &str) -> ServiceProviderId {
    let view = world.manager.view();
    let found = view.all::<ServiceProvider>().find(|p| p.name == name);
    found.unwrap().id
}

fn host(world: &World) -> HostId {
    world.manager.view().all::<Host>().next().unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_disabled_zone_only_a_root_admin_makes_networks_and_guests() {
    let world = World::new(4).await;
    let alice = world.tenant("alice").await;
    let change = UpdateZone {
        enable: Some(false),
        ..zone_change(&world)
    };
    world
        .manager
        .update_zone(&world.admin, change.clone())
        .await
        .unwrap();
    let words = ["Zone is currently disabled: lab"];
    let network = world.create_network("a");
    world
        .refused(531, &words, world.manager.create_network(&alice, network))
        .await;
    let network = world.network("by-root").await;
    world.guest(network, "web").await;
    let change = UpdateZone {
        enable: Some(true),
        ..change
    };
    world.manager.update_zone(&world.admin, change).await.unwrap();
    let network = world.create_network("a");
    world.manager.create_network(&alice, network).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_resolvers_of_a_zone_reach_its_routers() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    world.guest(network, "web").await;
    world.quiet().await;
    let before = world.network_now(network).generation;
    let change = UpdateZone {
        dns: [None, Some(common::ip("192.0.2.54"))],
        ..zone_change(&world)
    };
    world.manager.update_zone(&world.admin, change).await.unwrap();
    let router = world.router_id(network);
    let applied = world.when(|view| {
        let seen = view.router_observed(router)?.generation;
        (seen > before).then_some(())
    });
    applied.await;
    let spec = world.host.with(|running| running.routers[&router].1.clone());
    let resolvers = &spec.guest_networks[0].upstream_dns;
    assert_eq!(*resolvers, [common::ip("192.0.2.53"), common::ip("192.0.2.54")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_that_need_a_disabled_provider_are_refused_and_those_that_there_are_go_on() {
    let world = World::new(4).await;
    let network = world.network("before").await;
    let id = provider(&world, ROUTER);
    let disable = UpdateProvider {
        id,
        enable: Some(false),
    };
    let started = world
        .manager
        .update_provider(&world.admin, disable)
        .await
        .unwrap();
    world.done(started).await;
    let words = ["provider VirtualRouter is disabled", "state=Enabled"];
    let another = world.create_network("after");
    world
        .refused(534, &words, world.manager.create_network(&world.admin, another))
        .await;
    world.guest(network, "web").await;
    let configure = |enabled| ConfigureElement {
        id,
        enabled,
        internal_lb: false,
    };
    world
        .manager
        .configure_element(&world.admin, configure(false))
        .await
        .unwrap();
    let enable = UpdateProvider {
        id,
        enable: Some(true),
    };
    world
        .refused(
            431,
            &["not ready"],
            world.manager.update_provider(&world.admin, enable),
        )
        .await;
    world
        .manager
        .configure_element(&world.admin, configure(true))
        .await
        .unwrap();
    world.manager.update_provider(&world.admin, enable).await.unwrap();
    world.network("after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_networks_need_is_not_removed() {
    let world = World::new(4).await;
    world.network("net").await;
    let delete = |name| {
        let id = provider(&world, name);
        world.manager.delete_provider(&world.admin, DeleteProvider { id })
    };
    world
        .refused(536, &["provider VirtualRouter", "net"], delete(ROUTER))
        .await;
    world.done(delete(VPC_ROUTER).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_host_cluster_or_pod_takes_nothing_new_and_keeps_what_it_has() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    let guest = world.guest(network, "web").await;
    let id = host(&world);
    let change = |enable| UpdateHost {
        id,
        enable: Some(enable),
    };
    world
        .manager
        .update_host(&world.admin, change(false))
        .await
        .unwrap();
    let words = ["host host-1 is disabled", "allocationstate=Enable"];
    let deploy = world.deploy(network, "db");
    world
        .refused(533, &words, world.manager.deploy_guest(&world.admin, deploy))
        .await;
    let other = world.network("other").await;
    world.refused(533, &words, world.try_associate(other, None)).await;
    let stopped = world
        .manager
        .stop_guest(&world.admin, StopGuest { id: guest })
        .await
        .unwrap();
    world.done(stopped).await;
    let started = world
        .manager
        .start_guest(&world.admin, StartGuest { id: guest })
        .await
        .unwrap();
    world.done(started).await;
    world
        .manager
        .update_host(&world.admin, change(true))
        .await
        .unwrap();
    let cluster = world.manager.view().all::<Cluster>().next().unwrap().id;
    let change = UpdateCluster {
        id: cluster,
        name: None,
        enable: Some(false),
        managed: None,
    };
    world.manager.update_cluster(&world.admin, change).await.unwrap();
    world
        .refused(
            533,
            &["disabled or unmanaged cluster"],
            world.try_associate(other, None),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_goes_into_maintenance_only_when_nothing_runs_on_it_and_starts_nothing_then() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    let guest = world.guest(network, "web").await;
    let id = host(&world);
    let prepare = || world.manager.prepare_host(&world.admin, MaintainHost { id });
    world
        .refused(536, &["host host-1", "1 running routers: r-"], prepare())
        .await;
    let stopped = world
        .manager
        .stop_guest(&world.admin, StopGuest { id: guest })
        .await
        .unwrap();
    world.done(stopped).await;
    let router = world.router_id(network);
    let stopped = world
        .manager
        .stop_router(&world.admin, StopRouter { id: router })
        .await
        .unwrap();
    world.done(stopped).await;
    world.done(prepare().await.unwrap()).await;
    let words = ["host host-1 is in maintenance"];
    let start = world
        .manager
        .start_router(&world.admin, StartRouter { id: router });
    world.refused(534, &words, start).await;
    let start = world.manager.start_guest(&world.admin, StartGuest { id: guest });
    world.refused(534, &words, start).await;
    let cancel = || {
        world
            .manager
            .cancel_host_maintenance(&world.admin, MaintainHost { id })
    };
    world.done(cancel().await.unwrap()).await;
    world.refused(431, &["a host in maintenance"], cancel()).await;
    let started = world
        .manager
        .start_guest(&world.admin, StartGuest { id: guest })
        .await
        .unwrap();
    world.done(started).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_hosts_and_a_pod_with_clusters_stay() {
    let world = World::new(4).await;
    let pod = world
        .manager
        .create_pod(
            &world.admin,
            CreatePod {
                zone: world.zone,
                name: "p".to_owned(),
                subnet: PodSubnet {
                    gateway: Some(common::ip("10.20.0.1")),
                    netmask: Some(common::ip("255.255.255.0")),
                    ..PodSubnet::default()
                },
                enable: true,
            },
        )
        .await
        .unwrap();
    let add = AddCluster {
        zone: world.zone,
        pod,
        name: "c".to_owned(),
        hypervisor: "KVM".to_owned(),
        enable: true,
    };
    world
        .manager
        .add_cluster(&world.admin, add.clone())
        .await
        .unwrap();
    let again = world.manager.add_cluster(&world.admin, add);
    world
        .refused(431, &["no other cluster of the pod has"], again)
        .await;
    let with_host = world
        .manager
        .view()
        .all::<Cluster>()
        .find(|c| c.name == "lab-cluster")
        .unwrap()
        .id;
    let delete = outgate_manager::command::request::DeleteCluster { id: with_host };
    let delete = world.manager.delete_cluster(&world.admin, delete);
    world.refused(536, &["host-1"], delete).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_in_a_zone_and_its_deletion_never_pass_each_other() {
    for turn in 0..10 {
        let world = World::new(4).await;
        let wanted = outgate_manager::command::request::CreateZone {
            name: "north".to_owned(),
            dns: vec![common::ip("192.0.2.53")],
            internal_dns: Vec::new(),
            domain: None,
            guest_cidr: None,
            enable: true,
        };
        let zone = world.manager.create_zone(&world.admin, wanted).await.unwrap();
        let mut pod = CreatePod {
            zone,
            name: format!("p{turn}"),
            subnet: PodSubnet::default(),
            enable: true,
        };
        pod.subnet.gateway = Some(common::ip("10.20.0.1"));
        pod.subnet.netmask = Some(common::ip("255.255.255.0"));
        let delete = outgate_manager::command::request::DeleteZone { id: zone };
        let (made, deleted) = tokio::join!(
            world.manager.create_pod(&world.admin, pod),
            world.manager.delete_zone(&world.admin, delete),
        );
        assert!(made.is_ok() != deleted.is_ok(), "{made:?} {deleted:?}");
        assert_eq!(world.manager.view().all::<Network>().count(), 0);
    }
}
