// SPDX-License-Identifier: Apache-2.0
//! Ranges of public addresses: added to a live zone, dedicated, and never taken away from under somebody.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::net::Ipv4Addr;

use common::{World, ip};
use outgate_manager::Caller;
use outgate_manager::command::request::{
    AssociateIp, CreateRange, DedicateRange, DisassociateIp, RangeId, UpdateNetwork, UpdateRange,
};
use outgate_model::id::{NetworkId, PublicIpId, PublicIpRangeId};
use outgate_model::object::{Dedicated, PublicIp, PublicIpRange};

fn wanted(world: &World, gateway: &str, start: &str, end: &str) -> CreateRange {
    CreateRange {
        zone: Some(world.zone),
        physical_network: None,
        gateway: ip(gateway),
        netmask: ip("255.255.255.0"),
        start: ip(start),
        end: ip(end),
        vlan: "vlan://untagged".to_owned(),
        dedicated: None,
    }
}

async fn add(world: &World, gateway: &str, start: &str, end: &str) -> PublicIpRangeId {
    let wanted = wanted(world, gateway, start, end);
    world.manager.create_range(&world.admin, wanted).await.unwrap()
}

fn first_range(world: &World) -> PublicIpRangeId {
    world.manager.view().all::<PublicIpRange>().next().unwrap().id
}

/// An address of the zone for nobody's network.
async fn associate(world: &World, caller: &Caller) -> Result<Ipv4Addr, u16> {
    let request = AssociateIp {
        network: None,
        zone: Some(world.zone),
        address: None,
        owner: None,
    };
    match world.manager.associate_ip(caller, request).await {
        Ok(started) => Ok(world.public_ip(PublicIpId(started.id.unwrap())).address),
        Err(error) => Err(error.code()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_added_to_a_live_zone_gives_addresses_at_once() {
    let world = World::new(1).await;
    let network = world.network("net").await;
    world.address(network).await;
    world
        .refused(533, &["no free address"], world.try_associate(network, None))
        .await;
    add(&world, "203.0.113.1", "203.0.113.100", "203.0.113.101").await;
    let second = world.address(network).await;
    assert_eq!(world.public_ip(second).address.octets()[3] / 2, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_with_an_address_of_another_subnet_has_its_gateway_and_netmask() {
    let world = World::new(1).await;
    let old = world.network("old").await;
    world.address(old).await;
    let mut wanted = wanted(&world, "198.51.100.129", "198.51.100.140", "198.51.100.150");
    wanted.netmask = ip("255.255.255.128");
    world.manager.create_range(&world.admin, wanted).await.unwrap();
    let new = world.network("new").await;
    world.address(new).await;
    world.quiet().await;
    let router = world.router_id(new);
    let public = world
        .host
        .with(|running| running.routers[&router].1.public.clone());
    assert_eq!(public.gateway, ip("198.51.100.129"));
    assert_eq!(public.addresses[0].address.prefix_len(), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routers_addresses_are_of_one_subnet() {
    let world = World::new(1).await;
    let network = world.network("net").await;
    world.address(network).await;
    add(&world, "198.51.100.1", "198.51.100.10", "198.51.100.20").await;
    let words = ["203.0.113.0/24, the one subnet of the router's public addresses"];
    world
        .refused(533, &words, world.try_associate(network, None))
        .await;
    let other = Some(ip("198.51.100.12"));
    let words = ["one upstream gateway"];
    world
        .refused(431, &words, world.try_associate(network, other))
        .await;
    let free = associate(&world, &world.admin).await.unwrap();
    let guest = world.guest(network, "web").await;
    let free = world.manager.view().public_ip_at(world.zone, free).unwrap().id;
    let mut forward = world.forward(free, guest, common::ports(80, 80), common::ports(80, 80));
    forward.network = Some(network);
    world
        .refused(
            431,
            &words,
            world.manager.create_port_forwarding(&world.admin, forward),
        )
        .await;
    let change = source_nat(network, world.public_ip(free).address);
    world
        .refused(431, &words, world.manager.update_network(&world.admin, change))
        .await;
}

fn source_nat(id: NetworkId, address: Ipv4Addr) -> UpdateNetwork {
    UpdateNetwork {
        source_nat_address: Some(address),
        ..UpdateNetwork::of(id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_range_cannot_be_is_refused_naming_what_is_in_the_way() {
    let world = World::new(10).await;
    let network = world.network("net").await;
    let create = |gateway, start, end| {
        let wanted = wanted(&world, gateway, start, end);
        world.manager.create_range(&world.admin, wanted)
    };
    let old = first_range(&world).to_string();
    let overlap = create("203.0.113.1", "203.0.113.19", "203.0.113.30");
    world
        .refused(537, &[&old, "203.0.113.10-203.0.113.19"], overlap)
        .await;
    let other = create("203.0.113.2", "203.0.113.40", "203.0.113.50");
    world.refused(431, &["gateway 203.0.113.1", &old], other).await;
    let with_gateway = create("198.51.100.5", "198.51.100.1", "198.51.100.9");
    world.refused(431, &["without the gateway"], with_gateway).await;
    let outside = create("198.51.100.1", "198.51.101.1", "198.51.101.9");
    world.refused(431, &["startip"], outside).await;
    let guests = create("10.1.1.1", "10.1.1.10", "10.1.1.20");
    world.refused(536, &["net (10.1.1.0/24)"], guests).await;
    let mut tagged = wanted(&world, "198.51.100.1", "198.51.100.10", "198.51.100.20");
    tagged.vlan = "vlan://100".to_owned();
    let tagged = world.manager.create_range(&world.admin, tagged);
    world
        .refused(431, &["vlan://untagged", "public bridge"], tagged)
        .await;
    world
        .manager
        .view()
        .get::<outgate_model::object::Network>(network)
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_stays_while_one_of_its_addresses_is_in_use() {
    let world = World::new(10).await;
    let network = world.network("net").await;
    world.address(network).await;
    let used = world.source_nat(network).address;
    let second = world.address(network).await;
    let id = first_range(&world);
    let delete = || world.manager.delete_range(&world.admin, RangeId { id });
    world
        .refused(536, &["2 addresses in use", &used.to_string()], delete())
        .await;
    let shrink = UpdateRange {
        id,
        gateway: None,
        netmask: None,
        start: Some(ip("203.0.113.19")),
        end: None,
    };
    let update = world.manager.update_range(&world.admin, shrink);
    world.refused(536, &[&used.to_string()], update).await;
    let grow = UpdateRange {
        start: None,
        end: Some(ip("203.0.113.29")),
        ..shrink
    };
    world.manager.update_range(&world.admin, grow).await.unwrap();
    world
        .try_associate(network, Some(ip("203.0.113.29")))
        .await
        .unwrap();
    let release = DisassociateIp { id: second };
    world
        .manager
        .disassociate_ip(&world.admin, release)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_a_range_is_kept_for_gets_its_addresses_first_and_nobody_else_ever() {
    let world = World::new(3).await;
    let (alice, bob) = (world.tenant("alice").await, world.tenant("bob").await);
    let id = add(&world, "203.0.113.1", "203.0.113.100", "203.0.113.101").await;
    let to = Dedicated::Account(alice.account);
    world
        .manager
        .dedicate_range(&world.admin, DedicateRange { id, to })
        .await
        .unwrap();
    for _ in 0..2 {
        assert!(associate(&world, &alice).await.unwrap() >= ip("203.0.113.100"));
    }
    assert!(
        associate(&world, &alice).await.unwrap() < ip("203.0.113.100"),
        "then everybody's"
    );
    assert!(associate(&world, &bob).await.unwrap() < ip("203.0.113.100"));
    assert!(associate(&world, &bob).await.unwrap() < ip("203.0.113.100"));
    assert_eq!(associate(&world, &bob).await, Err(533));
    let again = DedicateRange {
        id,
        to: Dedicated::Account(bob.account),
    };
    let again = world.manager.dedicate_range(&world.admin, again);
    world
        .refused(536, &["account alice", "releasePublicIpRange"], again)
        .await;
    let theirs = DedicateRange {
        id: first_of(&world),
        to: Dedicated::Account(bob.account),
    };
    let theirs = world.manager.dedicate_range(&world.admin, theirs);
    world
        .refused(536, &["1 addresses that others hold"], theirs)
        .await;
    let release = || world.manager.release_range(&world.admin, RangeId { id });
    release().await.unwrap();
    world
        .refused(431, &["a range that is dedicated"], release())
        .await;
}

/// The range that the first start made.
fn first_of(world: &World) -> PublicIpRangeId {
    let view = world.manager.view();
    let mut ranges = view.all::<PublicIpRange>();
    ranges.find(|r| r.range.first() == ip("203.0.113.10")).unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domains_range_is_for_its_accounts() {
    let world = World::new(1).await;
    let alice = world.tenant("alice").await;
    let id = first_range(&world);
    let to = Dedicated::Domain(alice.domain);
    world
        .manager
        .dedicate_range(&world.admin, DedicateRange { id, to })
        .await
        .unwrap();
    assert_eq!(associate(&world, &alice).await, Ok(ip("203.0.113.10")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acquisition_and_a_deletion_or_dedication_never_pass_each_other() {
    let world = World::new(1).await;
    let (alice, bob) = (world.tenant("alice").await, world.tenant("bob").await);
    world
        .manager
        .delete_range(
            &world.admin,
            RangeId {
                id: first_range(&world),
            },
        )
        .await
        .unwrap();
    for turn in 0..20 {
        let id = add(&world, "203.0.113.1", "203.0.113.100", "203.0.113.100").await;
        if turn % 2 == 0 {
            let delete = world.manager.delete_range(&world.admin, RangeId { id });
            let (got, deleted) = tokio::join!(associate(&world, &bob), delete);
            assert!(got.is_ok() != deleted.is_ok(), "{got:?} {deleted:?}");
        } else {
            let to = Dedicated::Account(alice.account);
            let dedicate = world
                .manager
                .dedicate_range(&world.admin, DedicateRange { id, to });
            let (got, kept) = tokio::join!(associate(&world, &bob), dedicate);
            assert!(got.is_ok() != kept.is_ok(), "{got:?} {kept:?}");
        }
        let held: Vec<_> = world.manager.view().all::<PublicIp>().map(|ip| ip.id).collect();
        for id in held {
            world
                .manager
                .disassociate_ip(&world.admin, DisassociateIp { id })
                .await
                .unwrap();
        }
        world.quiet().await;
        if world.manager.view().get::<PublicIpRange>(id).is_some() {
            world
                .manager
                .delete_range(&world.admin, RangeId { id })
                .await
                .unwrap();
        }
    }
}
