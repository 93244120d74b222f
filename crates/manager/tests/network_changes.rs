// SPDX-License-Identifier: Apache-2.0
//! What may be chosen for a network, and what of it changes while it runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{World, ip, offering_with, ports, tcp};
use outgate_manager::bootstrap::{OFFERING_ALLOW, OFFERING_PERSISTENT, OFFERING_TIER};
use outgate_manager::command::request::{
    ChosenSettings, CreateEgressRule, CreateNetwork, CreateNetworkOffering, DeleteNetwork, UpdateNetwork,
};
use outgate_manager::{CommandError, Started};
use outgate_model::RouterSpec;
use outgate_model::id::{NetworkId, NetworkOfferingId};
use outgate_model::object::{NetworkPhase, RoleType, RouterState, Service};
use outgate_model::router_spec::EgressPolicy;

async fn update(world: &World, request: UpdateNetwork) -> Result<Started, CommandError> {
    world.manager.update_network(&world.admin, request).await
}

async fn updated(world: &World, request: UpdateNetwork) {
    let started = update(world, request).await.unwrap();
    world.done(started).await;
}

async fn create(world: &World, request: CreateNetwork) -> NetworkId {
    world.manager.create_network(&world.admin, request).await.unwrap()
}

/// What the network's router has.
fn spec(world: &World, network: NetworkId) -> RouterSpec {
    let router = world.router_id(network);
    world.host.with(|running| running.routers[&router].1.clone())
}

fn migrate(network: NetworkId, offering: NetworkOfferingId) -> UpdateNetwork {
    UpdateNetwork {
        offering: Some(offering),
        ..UpdateNetwork::of(network)
    }
}

fn reserve(network: NetworkId, cidr: &str) -> UpdateNetwork {
    UpdateNetwork {
        guest_cidr: Some(cidr.parse().unwrap()),
        ..UpdateNetwork::of(network)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mtus_and_resolvers_reach_the_router_and_change_live() {
    let world = World::new(4).await;
    let settings = ChosenSettings {
        dns1: Some(ip("192.0.2.1")),
        dns2: Some(ip("192.0.2.2")),
        public_mtu: Some(1400),
        ..ChosenSettings::default()
    };
    let request = CreateNetwork {
        settings,
        ..world.create_network("net")
    };
    let network = create(&world, request).await;
    world.guest(network, "vm").await;
    world.quiet().await;
    let now = spec(&world, network);
    assert_eq!((now.public.mtu, now.guest_networks[0].mtu), (1400, 1400));
    assert_eq!(
        now.guest_networks[0].upstream_dns,
        [ip("192.0.2.1"), ip("192.0.2.2")]
    );
    let settings = ChosenSettings {
        dns1: Some(ip("192.0.2.9")),
        public_mtu: Some(1300),
        ..ChosenSettings::default()
    };
    let request = UpdateNetwork {
        settings,
        ..UpdateNetwork::of(network)
    };
    updated(&world, request).await;
    let now = spec(&world, network);
    assert_eq!((now.public.mtu, now.guest_networks[0].mtu), (1300, 1300));
    assert_eq!(
        now.guest_networks[0].upstream_dns,
        [ip("192.0.2.9"), ip("192.0.2.2")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_guest_mtu_is_above_the_public_one_and_no_public_one_above_the_zones() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    let chosen = |public_mtu, private_mtu| ChosenSettings {
        public_mtu,
        private_mtu,
        ..ChosenSettings::default()
    };
    let table = [
        (Some(1501), None, "publicmtu"),
        (Some(67), None, "publicmtu"),
        (Some(1400), Some(1401), "privatemtu"),
        (None, Some(1501), "privatemtu"),
        (None, Some(67), "privatemtu"),
    ];
    for (public, private, field) in table {
        let request = CreateNetwork {
            settings: chosen(public, private),
            ..world.create_network("other")
        };
        let creating = world.manager.create_network(&world.admin, request);
        world.refused(431, &[field, "68 to"], creating).await;
        let request = UpdateNetwork {
            settings: chosen(public, private),
            ..UpdateNetwork::of(network)
        };
        world.refused(431, &[field], update(&world, request)).await;
    }
    let alone = ChosenSettings {
        dns2: Some(ip("192.0.2.2")),
        ..ChosenSettings::default()
    };
    let request = UpdateNetwork {
        settings: alone,
        ..UpdateNetwork::of(network)
    };
    world
        .refused(431, &["dns2", "dns1"], update(&world, request))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_get_addresses_from_startip_to_endip_only() {
    let world = World::new(4).await;
    let request = CreateNetwork {
        start_ip: Some(ip("10.1.1.20")),
        end_ip: Some(ip("10.1.1.21")),
        ..world.create_network("net")
    };
    let network = create(&world, request).await;
    let mut wanted = world.deploy(network, "outside");
    wanted.nics[0].address = Some(ip("10.1.1.5"));
    let deploying = world.manager.deploy_guest(&world.admin, wanted);
    world
        .refused(431, &["ipaddress", "10.1.1.20 to 10.1.1.21"], deploying)
        .await;
    let first = world.guest(network, "first").await;
    assert_eq!(world.guest_now(first).nics[0].address, ip("10.1.1.20"));
    let network_now = world.network_now(network);
    assert!(world.manager.view().can_use_for_deploy(&network_now));
    world.guest(network, "second").await;
    assert!(
        !world.manager.view().can_use_for_deploy(&network_now),
        "it is full"
    );
    let deploying = world
        .manager
        .deploy_guest(&world.admin, world.deploy(network, "third"));
    world.refused(533, &["10.1.1.20 to 10.1.1.21"], deploying).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserved_range_is_kept_from_guests_until_it_is_lifted() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    let guest = world.guest(network, "web").await;
    world.quiet().await;
    let address = world.guest_now(guest).nics[0].address.to_string();
    let named = [address.as_str(), "web", "guestvmcidr"];
    world
        .refused(431, &named, update(&world, reserve(network, "10.1.1.64/26")))
        .await;
    for wrong in ["10.2.1.0/25", "10.1.1.3/25", "10.1.0.0/16", "10.1.1.0/31"] {
        let refused = update(&world, reserve(network, wrong));
        world.refused(431, &["guestvmcidr", wrong], refused).await;
    }
    let both = UpdateNetwork {
        offering: Some(world.offering(OFFERING_ALLOW)),
        ..reserve(network, "10.1.1.0/26")
    };
    world
        .refused(431, &["guestvmcidr", "networkofferingid"], update(&world, both))
        .await;
    updated(&world, reserve(network, "10.1.1.0/29")).await;
    let now = world.network_now(network);
    assert_eq!(now.guest_cidr().to_string(), "10.1.1.0/29");
    assert_eq!(now.cidr().to_string(), "10.1.1.0/24");
    for n in 0..4 {
        world.guest(network, &format!("vm-{n}")).await;
    }
    let deploying = world
        .manager
        .deploy_guest(&world.admin, world.deploy(network, "full"));
    world.refused(533, &["10.1.1.1 to 10.1.1.6"], deploying).await;
    updated(&world, reserve(network, "10.1.1.0/24")).await;
    assert_eq!(world.network_now(network).settings.guests, None);
    world.guest(network, "more").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_of_a_service_that_the_new_offering_lacks_is_named_or_goes_when_forced() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    let guest = world.guest(network, "web").await;
    world.quiet().await;
    let source_nat = world.source_nat(network).id;
    let forward = world.forward(source_nat, guest, ports(80, 80), ports(80, 80));
    let forward = world.manager.create_port_forwarding(&world.admin, forward).await;
    let forward = world.done(forward.unwrap()).await.unwrap().to_string();
    let egress = CreateEgressRule {
        network,
        matches: tcp(443, 443),
        sources: Vec::new(),
        destinations: Vec::new(),
    };
    let egress = world
        .manager
        .create_egress_rule(&world.admin, egress)
        .await
        .unwrap();
    let egress = world.done(egress).await.unwrap().to_string();
    let bare = world
        .make_offering(offering_with("bare", &[Service::StaticNat]))
        .await;
    let names = [
        "bare",
        "Firewall",
        "PortForwarding",
        &forward,
        &egress,
        "forced=true",
    ];
    world
        .refused(536, &names, update(&world, migrate(network, bare)))
        .await;
    let forced = UpdateNetwork {
        forced: true,
        ..migrate(network, bare)
    };
    updated(&world, forced).await;
    {
        let view = world.manager.view();
        assert_eq!(view.count_rules(network), 0);
        let router = view.router_of_network(network).unwrap();
        assert_eq!(view.router_state(router), RouterState::Running);
    }
    let now = spec(&world, network);
    assert_eq!(now.guest_networks[0].egress.default, EgressPolicy::Allow);
    assert!(now.public.addresses[0].port_forwarding.is_empty());
    assert_eq!(world.source_nat(network).id, source_nat, "the address stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_egress_policy_comes_live_with_another_offering() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    world.guest(network, "vm").await;
    world.quiet().await;
    let router = world.router_of(network).unwrap();
    assert_eq!(
        spec(&world, network).guest_networks[0].egress.default,
        EgressPolicy::Deny
    );
    updated(&world, migrate(network, world.offering(OFFERING_ALLOW))).await;
    assert_eq!(
        spec(&world, network).guest_networks[0].egress.default,
        EgressPolicy::Allow
    );
    let after = world.router_of(network).unwrap();
    assert_eq!(
        (after.id, after.boot),
        (router.id, router.boot),
        "the router runs on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offering_of_another_kind_is_refused_and_a_persistent_one_implements() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    let vlan = CreateNetworkOffering {
        specify_vlan: true,
        ..offering_with("vlan", &[])
    };
    let vlan = world.make_offering(vlan).await;
    for other in [world.offering(OFFERING_TIER), vlan] {
        let refused = update(&world, migrate(network, other));
        world.refused(431, &["networkofferingid"], refused).await;
    }
    updated(&world, migrate(network, world.offering(OFFERING_PERSISTENT))).await;
    assert_eq!(world.network_now(network).phase, NetworkPhase::Implemented);
    assert_eq!(
        world.network_now(network).offering,
        world.offering(OFFERING_PERSISTENT)
    );
    assert!(world.router_of(network).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_two_purposes_keeps_its_network_from_an_offering_without_conserve_mode() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    let guest = world.guest(network, "web").await;
    world.quiet().await;
    let source_nat = world.source_nat(network);
    let forward = world.forward(source_nat.id, guest, ports(80, 80), ports(80, 80));
    world
        .manager
        .create_port_forwarding(&world.admin, forward)
        .await
        .unwrap();
    let strict = CreateNetworkOffering {
        conserve_mode: false,
        ..offering_with("strict", &[Service::PortForwarding, Service::Firewall])
    };
    let strict = world.make_offering(strict).await;
    let address = source_nat.address.to_string();
    let names = [address.as_str(), "source NAT", "port forwarding rule"];
    world
        .refused(536, &names, update(&world, migrate(network, strict)))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vlan_is_named_by_root_admins_where_the_offering_wants_it_and_never_twice() {
    let world = World::new(4).await;
    let offering = CreateNetworkOffering {
        specify_vlan: true,
        ..offering_with("vlan", &[])
    };
    let offering = world.make_offering(offering).await;
    let named = |name: &str, vlan| CreateNetwork {
        offering,
        vlan,
        ..world.create_network(name)
    };
    let network = create(&world, named("first", Some(100))).await;
    let id = network.to_string();
    let (manager, admin) = (&world.manager, &world.admin);
    let again = manager.create_network(admin, named("second", Some(100)));
    world.refused(536, &["VLAN 100", &id], again).await;
    let without = manager.create_network(admin, named("second", None));
    world.refused(431, &["vlan"], without).await;
    let unwanted = CreateNetwork {
        vlan: Some(100),
        ..world.create_network("second")
    };
    let unwanted = manager.create_network(admin, unwanted);
    world.refused(431, &["vlan", "specifyvlan"], unwanted).await;
    let tenant = world.tenant("tenant").await;
    assert_eq!(tenant.role, RoleType::User);
    let by_tenant = manager.create_network(&tenant, named("second", Some(101)));
    world.refused(531, &["root admins"], by_tenant).await;
    let request = DeleteNetwork {
        id: network,
        forced: false,
    };
    let started = manager.delete_network(admin, request).await.unwrap();
    world.done(started).await;
    create(&world, named("second", Some(100))).await;
}
