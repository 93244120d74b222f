// SPDX-License-Identifier: Apache-2.0
//! Commands to their end, with a host that is always content: jobs end, states follow, and deletions leave nothing.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{World, ports, tcp};
use outgate_manager::command::request::{
    DeleteNetwork, DestroyGuest, DestroyRouter, EnableStaticNat, RebootGuest, RestartNetwork, StartGuest,
    StopGuest, StopRouter, UpdateNetwork, WantedNic,
};
use outgate_manager::read::GuestState;
use outgate_manager::{CommandError, NetworkState};
use outgate_model::event::Event;
use outgate_model::object::{Guest, Network, PortForwardingRule, PublicIp, Router, RouterState, RuleState};

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_network_takes_everything_of_it_along() {
    let world = World::new(8).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    let guest = world.guest(network, "vm-1").await;
    let other = world.guest(network, "vm-2").await;
    let (forwarding, owned) = (world.address(network).await, world.address(network).await);
    manager
        .create_port_forwarding(
            admin,
            world.forward(forwarding, guest, ports(80, 80), ports(80, 80)),
        )
        .await
        .unwrap();
    manager
        .create_firewall_rule(admin, world.open(owned, tcp(22, 22)))
        .await
        .unwrap();
    world.static_nat(owned, other).await.unwrap();
    let started = manager
        .delete_network(
            admin,
            DeleteNetwork {
                id: network,
                forced: true,
            },
        )
        .await
        .unwrap();
    world.done(started).await;
    assert_eq!(world.claims().await, Vec::<String>::new());
    let view = manager.view();
    let left = view.all::<Network>().len() + view.all::<Router>().len() + view.all::<PublicIp>().len();
    assert_eq!(
        left + view.all::<Guest>().len() + view.all::<PortForwardingRule>().len(),
        0
    );
    assert!(
        world
            .host
            .with(|running| running.routers.is_empty() && running.guests.is_empty())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn destroying_a_guest_takes_its_forwards_and_static_nat_along_and_nothing_else() {
    let world = World::new(8).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    let (going, staying) = (
        world.guest(network, "vm-1").await,
        world.guest(network, "vm-2").await,
    );
    let (forwarding, owned) = (world.address(network).await, world.address(network).await);
    for (guest, port) in [(going, 80), (staying, 81)] {
        let request = world.forward(forwarding, guest, ports(port, port), ports(port, port));
        manager.create_port_forwarding(admin, request).await.unwrap();
    }
    world.static_nat(owned, going).await.unwrap();
    let started = manager
        .destroy_guest(admin, DestroyGuest { id: going })
        .await
        .unwrap();
    assert_eq!(world.public_ip(owned).static_nat, None);
    world.done(started).await;
    let view = manager.view();
    let forwards: Vec<_> = view.forwards_of_network(network).map(|rule| rule.guest).collect();
    assert_eq!(forwards, [staying]);
    let open: Vec<_> = view
        .firewall_rules_of_ip(forwarding)
        .map(|rule| rule.matches)
        .collect();
    assert_eq!(open, [tcp(81, 81)]);
    assert!(view.get::<Guest>(going).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn states_follow_what_is_observed() {
    let world = World::new(8).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    let started = manager
        .deploy_guest(admin, world.deploy(network, "vm-1"))
        .await
        .unwrap();
    let guest = outgate_model::id::GuestId(world.done(started).await.unwrap());
    let states = |world: &World| {
        let view = world.manager.view();
        let router = view.router_of_network(network).unwrap();
        (
            view.network_state(view.get(network).unwrap()),
            view.router_state(router),
            view.guest_state(view.get(guest).unwrap()),
        )
    };
    assert_eq!(
        states(&world),
        (
            NetworkState::Implemented,
            RouterState::Running,
            GuestState::Running
        )
    );
    let started = manager.stop_guest(admin, StopGuest { id: guest }).await.unwrap();
    world.done(started).await;
    assert_eq!(states(&world).2, GuestState::Stopped);
    let started = manager
        .start_guest(admin, StartGuest { id: guest })
        .await
        .unwrap();
    world.done(started).await;
    let started = manager
        .stop_router(
            admin,
            StopRouter {
                id: world.router_id(network),
            },
        )
        .await
        .unwrap();
    world.done(started).await;
    assert_eq!(
        states(&world),
        (
            NetworkState::Implemented,
            RouterState::Stopped,
            GuestState::Running
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebooted_guest_is_switched_off_and_on() {
    let world = World::new(8).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    let started = manager
        .deploy_guest(admin, world.deploy(network, "vm-1"))
        .await
        .unwrap();
    let guest = outgate_model::id::GuestId(world.done(started).await.unwrap());
    let started = manager
        .reboot_guest(admin, RebootGuest { id: guest })
        .await
        .unwrap();
    world.done(started).await;
    assert!(world.host.with(|running| running.guests.contains_key(&guest)));
    let started = manager.stop_guest(admin, StopGuest { id: guest }).await.unwrap();
    world.done(started).await;
    world
        .refused(
            431,
            &["id", "stopped"],
            manager.reboot_guest(admin, RebootGuest { id: guest }),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn static_nat_is_in_the_router_when_the_command_returns() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    let guest = world.guest(network, "vm-1").await;
    let public_ip = world.address(network).await;
    let request = EnableStaticNat {
        public_ip,
        guest,
        network: None,
        guest_address: None,
    };
    world
        .manager
        .enable_static_nat(&world.admin, request)
        .await
        .unwrap();
    let router = world.router_id(network);
    let owned = world.host.with(|running| {
        let (_, spec) = &running.routers[&router];
        spec.public
            .addresses
            .iter()
            .filter(|address| address.static_nat.is_some())
            .count()
    });
    assert_eq!(owned, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_becomes_active_with_its_job() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    let guest = world.guest(network, "vm-1").await;
    let address = world.address(network).await;
    let request = world.forward(address, guest, ports(80, 80), ports(80, 80));
    let started = world
        .manager
        .create_port_forwarding(&world.admin, request)
        .await
        .unwrap();
    world.done(started).await;
    let view = world.manager.view();
    assert!(
        view.forwards_of_ip(address)
            .all(|rule| view.forward_state(rule) == RuleState::Active)
    );
    assert!(
        view.firewall_rules_of_ip(address)
            .all(|rule| view.firewall_rule_state(rule) == RuleState::Active)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_router_takes_the_place_of_the_old_one() {
    let world = World::new(8).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    let started = manager
        .deploy_guest(admin, world.deploy(network, "vm-1"))
        .await
        .unwrap();
    world.done(started).await;
    let starts = || world.host.with(|running| running.starts);
    assert_eq!(starts(), 1);
    let started = manager
        .restart_network(
            admin,
            RestartNetwork {
                id: network,
                cleanup: false,
            },
        )
        .await
        .unwrap();
    world.done(started).await;
    assert_eq!(starts(), 1);
    let started = manager
        .restart_network(
            admin,
            RestartNetwork {
                id: network,
                cleanup: true,
            },
        )
        .await
        .unwrap();
    world.done(started).await;
    assert_eq!(starts(), 2);
    let source_nat = world.source_nat(network).address;
    let started = manager
        .destroy_router(
            admin,
            DestroyRouter {
                id: world.router_id(network),
            },
        )
        .await
        .unwrap();
    world.done(started).await;
    assert!(world.router_of(network).is_none() && world.host.with(|running| running.routers.is_empty()));
    let started = manager
        .restart_network(
            admin,
            RestartNetwork {
                id: network,
                cleanup: false,
            },
        )
        .await
        .unwrap();
    world.done(started).await;
    assert_eq!((starts(), world.source_nat(network).address), (3, source_nat));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_may_have_nics_on_several_networks() {
    let world = World::new(8).await;
    let (first, second) = (world.network("one").await, world.network("two").await);
    let mut request = world.deploy(first, "vm-1");
    request
        .nics
        .push(WantedNic::on(second).at(common::ip("10.1.2.77")));
    let started = world.manager.deploy_guest(&world.admin, request).await.unwrap();
    let guest = outgate_model::id::GuestId(world.done(started).await.unwrap());
    let nics: Vec<_> = world
        .guest_now(guest)
        .nics
        .iter()
        .map(|nic| (nic.network, nic.address.to_string()))
        .collect();
    assert_eq!(
        nics,
        [(first, "10.1.1.2".to_owned()), (second, "10.1.2.77".to_owned())]
    );
    assert!(world.router_of(first).is_some() && world.router_of(second).is_some());
    assert_ne!(world.source_nat(first).address, world.source_nat(second).address);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_leaves_an_event_of_its_job() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    let started = world
        .manager
        .deploy_guest(&world.admin, world.deploy(network, "vm-1"))
        .await
        .unwrap();
    world.done(started).await;
    let view = world.manager.view();
    let of_job: Vec<&Event> = view
        .events()
        .filter(|event| event.job == Some(started.job))
        .map(|event| &**event)
        .collect();
    for kind in ["VM.CREATE", "NETWORK.IMPLEMENT", "ROUTER.CREATE", "NET.IPASSIGN"] {
        assert!(of_job.iter().any(|event| event.kind == kind), "{kind}");
    }
    assert!(view.events().any(|event| event.kind == "NETWORK.CREATE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_tells_what_the_manager_believes_first_and_sorts_the_steps() {
    let world = World::new(8).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    let started = manager
        .deploy_guest(admin, world.deploy(network, "vm-1"))
        .await
        .unwrap();
    world.done(started).await;
    let id = world.router_id(network);
    let checks = manager.verify_router(admin, id).await.unwrap();
    assert_eq!(
        checks.iter().map(|check| check.step).collect::<Vec<_>>(),
        [1, 3, 7]
    );
    assert!(checks.iter().all(|check| check.pass), "{checks:?}");
    assert!(
        checks[0]
            .seen
            .contains(&world.source_nat(network).address.to_string())
    );
    let started = manager.stop_router(admin, StopRouter { id }).await.unwrap();
    world.done(started).await;
    let checks = manager.verify_router(admin, id).await.unwrap();
    assert!(!checks[0].pass && checks[0].seen.contains("Stopped") && !checks[0].remedy.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_does_all_of_it_with_what_is_the_tenants() -> Result<(), CommandError> {
    let world = World::new(8).await;
    let tenant = world.tenant("alice").await;
    let manager = &world.manager;
    let network = manager
        .create_network(&tenant, world.create_network("net"))
        .await?;
    assert_eq!(world.network_now(network).cidr().to_string(), "10.1.1.0/24");
    manager
        .deploy_guest(&tenant, world.deploy(network, "vm-1"))
        .await?;
    let name = Some("renamed".to_owned());
    let request = UpdateNetwork {
        name,
        ..UpdateNetwork::of(network)
    };
    let started = manager.update_network(&tenant, request).await?;
    world.done(started).await;
    assert_eq!(world.network_now(network).name, "renamed");
    let started = manager
        .delete_network(
            &tenant,
            DeleteNetwork {
                id: network,
                forced: true,
            },
        )
        .await?;
    world.done(started).await;
    Ok(())
}
