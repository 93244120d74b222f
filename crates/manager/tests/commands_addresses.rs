// SPDX-License-Identifier: Apache-2.0
//! Public addresses: never twice, exactly as many as there are, and the change of the source NAT address.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use common::{FIRST_PUBLIC, World, ip, ports};
use outgate_manager::bootstrap::OFFERING_PERSISTENT;
use outgate_manager::command::request::{
    AssociateIp, CreateNetwork, DestroyRouter, DisassociateIp, RebootRouter, RestartNetwork, StopRouter,
    UpdateNetwork,
};
use outgate_manager::spec::{Source, router_spec};
use outgate_model::id::{NetworkId, PublicIpId};
use outgate_model::key;
use outgate_model::object::{NetworkPhase, Power, PublicIp};

async fn change_source_nat(world: &World, network: NetworkId, address: Ipv4Addr) -> outgate_manager::Started {
    let request = UpdateNetwork {
        source_nat_address: Some(address),
        ..UpdateNetwork::of(network)
    };
    world.manager.update_network(&world.admin, request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_concurrent_callers_never_get_an_address_twice_and_use_up_exactly_all() {
    let world = std::sync::Arc::new(World::new(60).await);
    let mut networks = Vec::new();
    for n in 0..5 {
        networks.push(world.network(&format!("net-{n}")).await);
    }
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..100 {
        let (world, network) = (std::sync::Arc::clone(&world), networks[n % 5]);
        callers.spawn(async move { world.try_associate(network, None).await });
    }
    let results = callers.join_all().await;
    let refused: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .collect();
    assert_eq!(refused.len(), 40);
    for error in refused {
        assert_eq!(error.code(), 533, "{error}");
    }
    let view = world.manager.view();
    let given: Vec<_> = view.all::<PublicIp>().map(|ip| ip.address).collect();
    let each: BTreeSet<_> = given.iter().copied().collect();
    assert_eq!((given.len(), each.len()), (60, 60));
    assert_eq!(
        (each.first(), each.last()),
        (Some(&FIRST_PUBLIC), Some(&ip("203.0.113.69")))
    );
    for network in networks {
        let source_nat = view
            .public_ips_of_network(network)
            .filter(|ip| ip.source_nat)
            .count();
        assert_eq!(
            source_nat, 1,
            "one source NAT address per network, whoever came first"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_address_is_handed_out_again_as_late_as_possible() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    let source_nat = world.address(network).await;
    let second = world.address(network).await;
    let address = |id| world.public_ip(id).address;
    assert_eq!(
        (address(source_nat), address(second)),
        (FIRST_PUBLIC, ip("203.0.113.11"))
    );
    let request = DisassociateIp { id: second };
    let started = world
        .manager
        .disassociate_ip(&world.admin, request)
        .await
        .unwrap();
    world.done(started).await;
    let mut next = Vec::new();
    for _ in 0..3 {
        next.push(address(world.address(network).await));
    }
    assert_eq!(next, [ip("203.0.113.12"), ip("203.0.113.13"), ip("203.0.113.11")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certain_address_can_be_asked_for() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    let wanted = ip("203.0.113.15");
    let started = world.try_associate(network, Some(wanted)).await.unwrap();
    assert_eq!(world.public_ip(PublicIpId(started.id.unwrap())).address, wanted);
    assert!(
        world
            .manager
            .view()
            .claimed(&key::ip_claim(world.zone, wanted))
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_address_implements_the_network() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    assert_eq!(world.network_now(network).phase, NetworkPhase::Allocated);
    assert!(world.router_of(network).is_none());
    world.address(network).await;
    assert_eq!(world.network_now(network).phase, NetworkPhase::Implemented);
    let router = world.router_of(network).unwrap();
    assert!(router.link_local.is_link_local() && router.power == Power::On);
    assert!(
        world
            .manager
            .view()
            .claimed(&key::link_local_claim(router.link_local))
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persistent_network_is_implemented_at_once() {
    let world = World::new(8).await;
    let request = CreateNetwork {
        offering: world.offering(OFFERING_PERSISTENT),
        source_nat_address: Some(ip("203.0.113.14")),
        ..world.create_network("net")
    };
    let network = world.manager.create_network(&world.admin, request).await.unwrap();
    assert_eq!(world.network_now(network).phase, NetworkPhase::Implemented);
    assert_eq!(world.source_nat(network).address, ip("203.0.113.14"));
    assert!(world.router_of(network).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_nat_address_changes_to_another_of_the_network_and_the_old_one_can_go() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    world.guest(network, "vm-1").await;
    let old = world.source_nat(network);
    let new = world.address(network).await;
    let new_address = world.public_ip(new).address;
    let before = world.network_now(network).generation;
    change_source_nat(&world, network, new_address).await;
    assert_eq!(world.source_nat(network).id, new);
    assert!(world.network_now(network).generation > before);
    let ordinary = world.public_ip(old.id);
    assert!(!ordinary.source_nat && ordinary.network == Some(network));
    {
        let view = world.manager.view();
        let spec = router_spec(
            Source::stored(&view),
            &world.manager.config().router,
            outgate_model::Realm::Network(network),
        )
        .unwrap()
        .unwrap();
        assert_eq!(spec.source_nat_address().unwrap().address.addr(), new_address);
        assert_eq!(spec.public.addresses[0].address.addr(), new_address);
        assert_eq!(spec.validate(), Ok(()));
    }
    world
        .manager
        .disassociate_ip(&world.admin, DisassociateIp { id: old.id })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_nat_address_changes_to_a_free_one_which_is_acquired() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    world.guest(network, "vm-1").await;
    change_source_nat(&world, network, ip("203.0.113.17")).await;
    assert_eq!(world.source_nat(network).address, ip("203.0.113.17"));
    assert_eq!(world.manager.view().public_ips_of_network(network).count(), 2);
    let before = world.manager.view().public_ips_of_network(network).count();
    change_source_nat(&world, network, ip("203.0.113.17")).await;
    assert_eq!(
        world.manager.view().public_ips_of_network(network).count(),
        before,
        "what is so already is fine"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_acquired_for_no_network_becomes_the_source_nat_address() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    world.guest(network, "vm-1").await;
    let request = AssociateIp {
        network: None,
        zone: Some(world.zone),
        address: None,
        owner: None,
    };
    let started = world.manager.associate_ip(&world.admin, request).await.unwrap();
    world.done(started).await;
    let id = PublicIpId(started.id.unwrap());
    change_source_nat(&world, network, world.public_ip(id).address).await;
    assert_eq!(world.source_nat(network).id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_with_since_is_of_the_generation_that_brings_it() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    let guest = world.guest(network, "vm-1").await;
    let address = world.address(network).await;
    let forward = world.forward(address, guest, ports(80, 80), ports(8080, 8080));
    world
        .manager
        .create_port_forwarding(&world.admin, forward)
        .await
        .unwrap();
    let generation = world.network_now(network).generation;
    let view = world.manager.view();
    assert!(
        view.forwards_of_network(network)
            .all(|rule| rule.since == generation)
    );
    assert!(
        view.firewall_rules_of_network(network)
            .all(|rule| rule.since == generation)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_with_cleanup_and_reboot_ask_for_a_fresh_router_and_restart_alone_does_not() {
    let world = World::new(8).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    world.guest(network, "vm-1").await;
    let boot = |world: &World| world.router_of(network).map(|router| (router.boot, router.power));
    assert_eq!(boot(&world), Some((1, Power::On)));
    manager
        .restart_network(
            admin,
            RestartNetwork {
                id: network,
                cleanup: false,
            },
        )
        .await
        .unwrap();
    assert_eq!(boot(&world), Some((1, Power::On)));
    manager
        .restart_network(
            admin,
            RestartNetwork {
                id: network,
                cleanup: true,
            },
        )
        .await
        .unwrap();
    assert_eq!(boot(&world), Some((2, Power::On)));
    let id = world.router_id(network);
    manager.reboot_router(admin, RebootRouter { id }).await.unwrap();
    assert_eq!(boot(&world), Some((3, Power::On)));
    manager.stop_router(admin, StopRouter { id }).await.unwrap();
    world
        .refused(
            431,
            &["startRouter"],
            manager.reboot_router(admin, RebootRouter { id }),
        )
        .await;
    manager
        .restart_network(
            admin,
            RestartNetwork {
                id: network,
                cleanup: false,
            },
        )
        .await
        .unwrap();
    assert_eq!(boot(&world), Some((3, Power::On)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_router_comes_back_fresh_by_a_restart_of_its_network() {
    let world = World::new(8).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    world.guest(network, "vm-1").await;
    let id = world.router_id(network);
    manager.destroy_router(admin, DestroyRouter { id }).await.unwrap();
    {
        let view = manager.view();
        assert!(view.restart_required(view.get(network).unwrap()));
    }
    manager
        .restart_network(
            admin,
            RestartNetwork {
                id: network,
                cleanup: false,
            },
        )
        .await
        .unwrap();
    let router = world.router_of(network).unwrap();
    assert!(router.power == Power::On && (router.id != id || router.boot == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_address_stays_claimed_until_its_router_has_let_it_go() {
    let world = World::new(3).await;
    let network = world.network("net").await;
    let started = world
        .manager
        .deploy_guest(&world.admin, world.deploy(network, "vm-1"))
        .await
        .unwrap();
    world.done(started).await;
    let id = world.address(network).await;
    world.quiet().await;
    let address = world.public_ip(id).address;
    let busy = outgate_host::HostError::Failed {
        doing: "applying".to_owned(),
        reason: "the router is busy".to_owned(),
    };
    world.host.with(|running| running.refusal = Some(busy));
    let started = world
        .manager
        .disassociate_ip(&world.admin, DisassociateIp { id })
        .await
        .unwrap();
    assert!(world.manager.view().get::<PublicIp>(id).is_none());
    world
        .refused_meanwhile(
            536,
            &["being released"],
            world.try_associate(network, Some(address)),
        )
        .await;
    world.host.with(|running| running.refusal = None);
    world.done(started).await;
    assert!(
        world
            .manager
            .view()
            .claimed(&key::ip_claim(world.zone, address))
            .is_none()
    );
    world.try_associate(network, Some(address)).await.unwrap();
}
