// SPDX-License-Identifier: Apache-2.0
//! Network offerings: the built-in ones, those that admins make, and what a network may do by its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{World, ip, offering_with, ports, tcp};
use outgate_manager::bootstrap::{OFFERING_DENY, OFFERING_TIER, OFFERING_TIER_NO_LB};
use outgate_manager::command::request::{
    CreateEgressRule, CreateFirewallRule, DeleteNetworkOffering, EnableStaticNat, UpdateNetworkOffering,
};
use outgate_model::object::{NetworkOffering, OfferingState, Service};

fn named(world: &World, name: &str) -> NetworkOffering {
    let view = world.manager.view();
    let found = view.all::<NetworkOffering>().find(|o| o.name == name);
    NetworkOffering::clone(found.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_offerings_are_those_of_isolated_networks_and_of_tiers() {
    let world = World::new(2).await;
    assert_eq!(named(&world, OFFERING_DENY).services, Service::of_isolated());
    let tier = named(&world, OFFERING_TIER);
    assert!(tier.for_vpc && tier.has(Service::NetworkAcl) && tier.has(Service::Lb));
    assert!(!named(&world, OFFERING_TIER_NO_LB).has(Service::Lb));
    let mut request = world.create_network("n");
    request.offering = tier.id;
    let refused = world
        .manager
        .create_network(&world.admin, request)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 431, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_makes_no_built_in_offering_twice_even_if_it_was_renamed() {
    let world = World::new(2).await;
    let id = named(&world, OFFERING_TIER).id;
    let rename = UpdateNetworkOffering {
        name: Some("renamed".to_owned()),
        ..UpdateNetworkOffering::of(id)
    };
    world
        .manager
        .update_network_offering(&world.admin, rename)
        .await
        .unwrap();
    let world = world.restarted().await;
    let count = world.manager.view().all::<NetworkOffering>().count();
    assert_eq!((count, named(&world, "renamed").id), (5, id));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_offering_lacks_its_networks_refuse_naming_both() {
    let world = World::new(4).await;
    let bare = world.make_offering(offering_with("bare", &[])).await;
    let mut request = world.create_network("n");
    request.offering = bare;
    let network = world.manager.create_network(&world.admin, request).await.unwrap();
    let guest = world.guest(network, "web").await;
    let address = world.address(network).await;
    let egress = CreateEgressRule {
        network,
        matches: tcp(80, 80),
        sources: Vec::new(),
        destinations: Vec::new(),
    };
    let firewall = CreateFirewallRule {
        public_ip: address,
        matches: tcp(80, 80),
        sources: Vec::new(),
    };
    let static_nat = EnableStaticNat {
        public_ip: address,
        guest,
        network: None,
        guest_address: None,
    };
    let (manager, admin) = (&world.manager, &world.admin);
    let refusals = [
        (
            manager.create_egress_rule(admin, egress).await.unwrap_err(),
            "Firewall",
        ),
        (
            manager.create_firewall_rule(admin, firewall).await.unwrap_err(),
            "Firewall",
        ),
        (
            manager.enable_static_nat(admin, static_nat).await.unwrap_err(),
            "StaticNat",
        ),
        (
            manager
                .create_port_forwarding(admin, world.forward(address, guest, ports(80, 80), ports(80, 80)))
                .await
                .unwrap_err(),
            "PortForwarding",
        ),
    ];
    for (error, service) in refusals {
        assert_eq!(error.code(), 431);
        let text = error.to_string();
        assert!(text.contains(service) && text.contains("bare"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_conserve_mode_an_address_serves_one_purpose() {
    let world = World::new(4).await;
    let mut offering = offering_with("single", &[Service::PortForwarding, Service::Firewall]);
    offering.conserve_mode = false;
    let mut request = world.create_network("n");
    request.offering = world.make_offering(offering).await;
    request.source_nat_address = Some(ip("203.0.113.10"));
    let network = world.manager.create_network(&world.admin, request).await.unwrap();
    let guest = world.guest(network, "web").await;
    let source_nat = {
        let view = world.manager.view();
        view.public_ips_of_network(network)
            .find(|ip| ip.source_nat)
            .unwrap()
            .id
    };
    let forward = world.forward(source_nat, guest, ports(80, 80), ports(80, 80));
    let refused = world
        .manager
        .create_port_forwarding(&world.admin, forward)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 537, "{refused}");
    let other = world.address(network).await;
    let forward = world.forward(other, guest, ports(80, 80), ports(80, 80));
    world
        .manager
        .create_port_forwarding(&world.admin, forward)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offering_goes_only_when_nothing_uses_it_and_no_network_is_made_from_a_disabled_one() {
    let world = World::new(4).await;
    let id = world.make_offering(offering_with("mine", &[])).await;
    let mut request = world.create_network("n");
    request.offering = id;
    world
        .manager
        .create_network(&world.admin, request.clone())
        .await
        .unwrap();
    let delete = DeleteNetworkOffering { id };
    let refused = world
        .manager
        .delete_network_offering(&world.admin, delete)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 536, "{refused}");
    let disable = UpdateNetworkOffering {
        state: Some(OfferingState::Disabled),
        ..UpdateNetworkOffering::of(id)
    };
    world
        .manager
        .update_network_offering(&world.admin, disable)
        .await
        .unwrap();
    request.name = "second".to_owned();
    let refused = world
        .manager
        .create_network(&world.admin, request)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 431, "{refused}");
    let unused = world.make_offering(offering_with("unused", &[])).await;
    let delete = DeleteNetworkOffering { id: unused };
    world
        .manager
        .delete_network_offering(&world.admin, delete)
        .await
        .unwrap();
    let built_in = DeleteNetworkOffering {
        id: named(&world, OFFERING_DENY).id,
    };
    let refused = world
        .manager
        .delete_network_offering(&world.admin, built_in)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 431, "{refused}");
}
