// SPDX-License-Identifier: Apache-2.0
//! The source NAT pool of a network: what may be added and removed, and what its router is told.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::net::Ipv4Addr;

use common::{World, ip, ports};
use outgate_manager::command::request::{
    AddSourceNat, DisassociateIp, RemoveSourceNat, UpdateNetwork, WantedAddress,
};
use outgate_manager::spec::{Source, router_spec};
use outgate_manager::{CommandError, Started};
use outgate_model::Realm;
use outgate_model::id::{NetworkId, PublicIpId};
use outgate_model::router_spec::POOL_MAX;

/// A network with a router behind 203.0.113.10.
async fn world() -> (World, NetworkId) {
    let world = World::new(24).await;
    let network = world.network("net").await;
    world.guest(network, "vm-1").await;
    (world, network)
}

async fn try_add(
    world: &World,
    network: NetworkId,
    address: Option<WantedAddress>,
) -> Result<Started, CommandError> {
    let request = AddSourceNat {
        network: Some(network),
        vpc: None,
        address,
    };
    world.manager.add_source_nat(&world.admin, request).await
}

async fn add(world: &World, network: NetworkId, address: Option<WantedAddress>) -> PublicIpId {
    let started = try_add(world, network, address).await.unwrap();
    PublicIpId(world.done(started).await.unwrap())
}

async fn remove(world: &World, id: PublicIpId) -> Result<Started, CommandError> {
    world
        .manager
        .remove_source_nat(&world.admin, RemoveSourceNat { id })
        .await
}

/// The pool that the network's router is told of.
fn pool(world: &World, network: NetworkId) -> Vec<Ipv4Addr> {
    let view = world.manager.view();
    let settings = &world.manager.config().router;
    let spec = router_spec(Source::stored(&view), settings, Realm::Network(network))
        .unwrap()
        .unwrap();
    assert_eq!(spec.validate(), Ok(()));
    spec.source_nat_pool().collect()
}

fn addresses(last: &[u8]) -> Vec<Ipv4Addr> {
    last.iter().map(|n| Ipv4Addr::new(203, 0, 113, *n)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_holds_the_default_first_then_free_named_and_acquired_addresses() {
    let (world, network) = world().await;
    assert_eq!(pool(&world, network), addresses(&[10]));
    add(&world, network, Some(WantedAddress::Address(ip("203.0.113.20")))).await;
    let started = world
        .try_associate(network, Some(ip("203.0.113.15")))
        .await
        .unwrap();
    let acquired = PublicIpId(world.done(started).await.unwrap());
    add(&world, network, Some(WantedAddress::Id(acquired))).await;
    assert_eq!(pool(&world, network), addresses(&[10, 15, 20]));
    let any = add(&world, network, None).await;
    assert!(world.public_ip(any).source_nat_pool);
    let all = pool(&world, network);
    assert!(
        all.len() == 4 && all.contains(&world.public_ip(any).address),
        "{all:?}"
    );
    assert_eq!(all[0], ip("203.0.113.10"));
    assert_eq!(world.source_nat(network).address, ip("203.0.113.10"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_was_removed_stays_the_networks_until_it_is_released() {
    let (world, network) = world().await;
    let id = add(&world, network, None).await;
    let refused = world
        .manager
        .disassociate_ip(&world.admin, DisassociateIp { id })
        .await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("removeSourceNatAddress"), "{text}");
    let started = remove(&world, id).await.unwrap();
    world.done(started).await;
    assert_eq!(pool(&world, network), addresses(&[10]));
    assert_eq!(world.public_ip(id).network, Some(network));
    let text = remove(&world, id).await.unwrap_err().to_string();
    assert!(text.contains("addSourceNatAddress"), "{text}");
    let default = world.source_nat(network).id;
    let text = remove(&world, default).await.unwrap_err().to_string();
    assert!(text.contains("updateNetwork"), "{text}");
    let request = DisassociateIp { id };
    let started = world
        .manager
        .disassociate_ip(&world.admin, request)
        .await
        .unwrap();
    world.done(started).await;
    let kinds: Vec<_> = {
        let view = world.manager.view();
        let events = view.events();
        events.map(|event| event.kind.clone()).collect()
    };
    for kind in ["NETWORK.SOURCENAT.ADD", "NETWORK.SOURCENAT.REMOVE"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} in {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_the_pool_becomes_the_default() {
    let (world, network) = world().await;
    add(&world, network, Some(WantedAddress::Address(ip("203.0.113.20")))).await;
    let request = UpdateNetwork {
        source_nat_address: Some(ip("203.0.113.20")),
        ..UpdateNetwork::of(network)
    };
    let started = world.manager.update_network(&world.admin, request).await.unwrap();
    world.done(started).await;
    assert_eq!(
        pool(&world, network),
        addresses(&[20]),
        "the old default is an ordinary address"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_the_pool_may_forward_ports_but_is_nobodys_static_nat_address() {
    let (world, network) = world().await;
    let guest = world.guest(network, "vm-2").await;
    let (forwards, owned) = (world.address(network).await, world.address(network).await);
    world.static_nat(owned, guest).await.unwrap();
    let forward = |ip| world.forward(ip, guest, ports(80, 80), ports(8080, 8080));
    let (manager, admin) = (&world.manager, &world.admin);
    manager
        .create_port_forwarding(admin, forward(forwards))
        .await
        .unwrap();
    for (id, holder) in [(forwards, "port forwarding rule"), (owned, "static NAT of")] {
        let refused = try_add(&world, network, Some(WantedAddress::Id(id))).await;
        let error = refused.unwrap_err();
        assert_eq!(error.code(), 537, "{error}");
        assert!(error.to_string().contains(holder), "{error}");
    }
    let id = add(&world, network, None).await;
    let text = world.static_nat(id, guest).await.unwrap_err().to_string();
    assert!(text.contains("source NAT"), "{text}");
    // As with the default address.
    manager.create_port_forwarding(admin, forward(id)).await.unwrap();
    assert_eq!(pool(&world, network).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_pool_can_have_is_refused_by_name() {
    let (world, network) = world().await;
    let other = world.network("other").await;
    let text = |result: Result<Started, CommandError>| result.unwrap_err().to_string();
    assert!(
        text(try_add(&world, other, None).await).contains("associateIpAddress"),
        "a network without its first address"
    );
    world.guest(other, "vm-3").await;
    let others = WantedAddress::Id(world.address(other).await);
    assert!(text(try_add(&world, network, Some(others)).await).contains("ipaddressid"));
    let default = WantedAddress::Id(world.source_nat(network).id);
    assert!(text(try_add(&world, network, Some(default)).await).contains("not yet"));
    for _ in 1..POOL_MAX {
        add(&world, network, None).await;
    }
    let error = try_add(&world, network, None).await.unwrap_err();
    assert!(
        error.code() == 535 && error.to_string().contains("16 addresses"),
        "{error}"
    );
    let neither = AddSourceNat {
        network: None,
        vpc: None,
        address: None,
    };
    let error = world.manager.add_source_nat(&world.admin, neither).await;
    assert!(text(error).contains("networkid or vpcid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_is_the_same_after_the_server_was_restarted() {
    let (world, network) = world().await;
    add(&world, network, None).await;
    let world = world.restarted().await;
    assert_eq!(pool(&world, network), addresses(&[10, 11]));
}
