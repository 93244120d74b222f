// SPDX-License-Identifier: Apache-2.0
//! The namespace driver with routers of VPCs: tiers and private gateways come and go while the router runs. Needs root,
//! since only root may make namespaces.
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

mod host_world;

use std::net::Ipv4Addr;

use host_world::{LIMIT, World, in_world};
use ipnet::Ipv4Net;
use outgate_host::{Host, NamespaceHost};
use outgate_kernel::link::LinkChange;
use outgate_model::guest_spec::{GuestNic, GuestSpec};
use outgate_model::host::{HostEvent, Inventory, PrivateWire};
use outgate_model::id::{
    GuestId, NetworkAclItemId, NetworkAclListId, NetworkId, NicId, PhysicalNetworkId, PrivateGatewayId,
    StaticRouteId,
};
use outgate_model::router_spec::{
    AclAction, AclDirection, AclItem, GuestNetwork, Lease, NetworkAcl, PrivateGateway, RouterSpec,
    StaticRoute, VpcSide,
};
use outgate_model::{MacAddr, Match};
use outgate_testkit::poll_until;

fn net(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

fn allow_all() -> NetworkAcl {
    let item = |number, direction| AclItem {
        id: NetworkAclItemId::new(),
        number,
        direction,
        action: AclAction::Allow,
        matches: Match::All,
        cidrs: vec![Ipv4Net::default()],
    };
    NetworkAcl {
        id: NetworkAclListId::new(),
        items: vec![item(1, AclDirection::Ingress), item(2, AclDirection::Egress)],
    }
}

/// VPC `number`, 10.<number>.0.0/16, without tiers.
fn vpc(world: &World, number: u8) -> RouterSpec {
    let mut spec = world.router(number);
    spec.control.interface = "eth0".into();
    spec.public.interface = "eth1".into();
    spec.guest_networks.clear();
    spec.vpc = Some(VpcSide {
        cidr: net(10, number, 0, 0, 16),
        private_gateways: Vec::new(),
        static_routes: Vec::new(),
    });
    spec
}

/// Adds tier 10.<vpc>.<number>.0/24 on eth<number>, with a lease for its guest .11.
fn add_tier(spec: &mut RouterSpec, vpc: u8, number: u8) {
    let lease = Lease {
        address: Ipv4Addr::new(10, vpc, number, 11),
        hostname: format!("vm-{vpc}-{number}"),
        default_route: true,
    };
    spec.generation += 1;
    spec.guest_networks.push(GuestNetwork {
        id: NetworkId::new(),
        interface: format!("eth{number}"),
        mac: MacAddr([0x02, 1, 0, 0, vpc, number]),
        mtu: 1_500,
        gateway: net(10, vpc, number, 1, 24),
        domain: "vpc.internal".into(),
        upstream_dns: Vec::new(),
        egress: outgate_model::router_spec::Egress {
            default: outgate_model::router_spec::EgressPolicy::Allow,
            rules: Vec::new(),
        },
        acl: Some(allow_all()),
        leases: [(guest_mac(vpc, number), lease)].into(),
    });
}

fn guest_mac(vpc: u8, tier: u8) -> MacAddr {
    MacAddr([0x02, 2, 0, 0, vpc, tier])
}

/// The guest of the tier on eth<number>.
fn guest(spec: &RouterSpec, vpc: u8, number: u8) -> GuestSpec {
    let interface = format!("eth{number}");
    let tier = spec
        .guest_networks
        .iter()
        .find(|n| n.interface == interface)
        .unwrap();
    let mac = guest_mac(vpc, number);
    GuestSpec {
        id: GuestId::new(),
        instance_name: format!("i-2-{vpc}{number}-VM"),
        hostname: tier.leases[&mac].hostname.clone(),
        nics: vec![GuestNic {
            id: NicId::new(),
            network: tier.id,
            device: 0,
            mac,
            address: tier.leases[&mac].address,
            mtu: tier.mtu,
        }],
    }
}

/// Adds a private gateway 192.168.0.<vpc> on eth<number> and a route to the other VPC through it.
fn add_gateway(spec: &mut RouterSpec, wire: PrivateWire, number: u8, vpc: u8, other: u8) {
    spec.generation += 1;
    let via = Ipv4Addr::new(192, 168, 0, other);
    let side = spec.vpc.as_mut().unwrap();
    side.private_gateways.push(PrivateGateway {
        id: PrivateGatewayId::new(),
        physical_network: wire.physical_network,
        vlan: wire.vlan,
        interface: format!("eth{number}"),
        mac: MacAddr([0x02, 3, 0, 0, vpc, number]),
        mtu: 1_500,
        address: net(192, 168, 0, vpc, 24),
        gateway: via,
        source_nat: false,
        acl: allow_all(),
    });
    side.static_routes.push(StaticRoute {
        id: StaticRouteId::new(),
        to: net(10, other, 0, 0, 16),
        via,
    });
}

async fn pings(world: &World, guest: &GuestSpec, to: [u8; 4]) -> bool {
    let to = Ipv4Addr::from(to).to_string();
    world
        .in_guest(guest, &["ping", "-c", "1", "-W", "1", &to])
        .await
        .code
        == Some(0)
}

#[test]
fn tiers_come_and_go_while_the_router_runs() {
    in_world(async |world| {
        let mut spec = vpc(&world, 1);
        world.host.ensure_router(&spec, 1).await.unwrap();
        assert_eq!(world.devices().await.len(), 2, "control and public");
        let process = world.process_1(&spec.id.to_string());
        add_tier(&mut spec, 1, 2);
        world.host.ensure_router(&spec, 1).await.unwrap();
        let first = guest(&spec, 1, 2);
        world.host.ensure_guest(&first).await.unwrap();
        assert!(pings(&world, &first, [8, 8, 8, 8]).await);
        // The second, and one with the highest number that there is.
        add_tier(&mut spec, 1, 17);
        add_tier(&mut spec, 1, 254);
        world.host.ensure_router(&spec, 1).await.unwrap();
        let others = [guest(&spec, 1, 17), guest(&spec, 1, 254)];
        for other in &others {
            world.host.ensure_guest(other).await.unwrap();
            assert!(pings(&world, other, [10, 1, 2, 11]).await, "between tiers");
        }
        let resolver = world
            .in_guest(&others[1], &["cat", "/etc/resolv.conf"])
            .await
            .stdout;
        assert_eq!(resolver, "search vpc.internal\nnameserver 10.1.254.1\n");
        assert_eq!(world.devices().await.len(), 2 + 3 * 3);

        world.host.remove_guest(others[0].id).await.unwrap();
        spec.generation += 1;
        spec.guest_networks.remove(1);
        world.host.ensure_router(&spec, 1).await.unwrap();
        assert_eq!(
            world.devices().await.len(),
            2 + 2 * 3,
            "its cable and its bridge are gone"
        );
        assert!(pings(&world, &first, [10, 1, 254, 11]).await);
        assert_eq!(
            world.process_1(&spec.id.to_string()),
            process,
            "the same router all the time"
        );
        world.host.remove_guest(first.id).await.unwrap();
        world.host.remove_guest(others[1].id).await.unwrap();
        world.host.remove_router(spec.id).await.unwrap();
        assert_eq!(
            (world.devices().await, world.processes()),
            (Vec::new(), Vec::new())
        );
    });
}

#[test]
fn private_gateways_on_one_wire_connect_two_vpcs() {
    in_world(async |world| {
        let physical_network = PhysicalNetworkId::new();
        let wire = |vlan| PrivateWire {
            physical_network,
            vlan,
        };
        let (mut a, mut b) = (vpc(&world, 1), vpc(&world, 2));
        add_tier(&mut a, 1, 2);
        add_tier(&mut b, 2, 2);
        add_gateway(&mut b, wire(101), 3, 2, 1);
        world.host.ensure_router(&a, 1).await.unwrap();
        world.host.ensure_router(&b, 1).await.unwrap();
        let (here, there) = (guest(&a, 1, 2), guest(&b, 2, 2));
        world.host.ensure_guest(&here).await.unwrap();
        world.host.ensure_guest(&there).await.unwrap();
        // Another VLAN of the same physical network is another wire.
        let plain = a.clone();
        add_gateway(&mut a, wire(100), 3, 1, 2);
        world.host.ensure_router(&a, 1).await.unwrap();
        assert!(!pings(&world, &here, [10, 2, 2, 11]).await);
        a = plain.clone();
        add_gateway(&mut a, wire(101), 3, 1, 2);
        a.generation += 1;
        world.host.ensure_router(&a, 1).await.unwrap();
        poll_until(LIMIT, "the other VPC answers", async || {
            pings(&world, &here, [10, 2, 2, 11]).await.then_some(())
        })
        .await
        .unwrap();
        let keep = Inventory {
            routers: vec![a.id, b.id],
            guests: vec![here.id, there.id],
            networks: vec![a.guest_networks[0].id, b.guest_networks[0].id],
            wires: vec![wire(101)],
        };
        let removed = world.host.retain(&keep).await.unwrap();
        assert!(removed.len() == 1 && removed[0].contains("wire"), "{removed:#?}");
        assert!(
            pings(&world, &there, [10, 1, 2, 11]).await,
            "nothing else was touched"
        );
        assert_eq!(world.host.retain(&keep).await.unwrap(), Vec::<String>::new());
        // Without the gateway its cable goes; the other's keeps the wire.
        let before = world.devices().await.len();
        let generation = a.generation + 1;
        a = RouterSpec { generation, ..plain };
        world.host.ensure_router(&a, 1).await.unwrap();
        assert_eq!(world.devices().await.len(), before - 1);
        assert!(!pings(&world, &here, [10, 2, 2, 11]).await);
    });
}

#[test]
fn a_vpcs_router_is_repaired_and_restarted_with_all_of_its_tiers() {
    in_world(async |world| {
        let wire = PrivateWire {
            physical_network: PhysicalNetworkId::new(),
            vlan: 7,
        };
        let mut spec = vpc(&world, 1);
        add_tier(&mut spec, 1, 2);
        add_tier(&mut spec, 1, 3);
        add_gateway(&mut spec, wire, 4, 1, 9);
        world.host.ensure_router(&spec, 1).await.unwrap();
        let guests = [guest(&spec, 1, 2), guest(&spec, 1, 3)];
        for guest in &guests {
            world.host.ensure_guest(guest).await.unwrap();
        }
        let mut events = world.host.events();
        let down = LinkChange {
            up: Some(false),
            ..LinkChange::default()
        };
        for name in world.devices().await {
            if name.starts_with('p') || name.contains("e3.") || name.contains("e4.") {
                world.links.change(&name, &down).await.unwrap();
            }
        }
        let repaired = async {
            loop {
                if let HostEvent::Drift { differences, .. } = events.recv().await.unwrap()
                    && differences.iter().any(|d| d.contains("eth3"))
                    && differences.iter().any(|d| d.contains("the bridge of eth4"))
                {
                    return;
                }
            }
        };
        tokio::time::timeout(LIMIT, repaired).await.unwrap();
        let all_up = async || {
            let links = world.links.list().await.unwrap();
            let ours = |name: &str| name.starts_with('p') || name.contains("e3.") || name.contains("e4.");
            let mut ours = links.iter().filter(|(name, _)| ours(name));
            ours.all(|(_, link)| link.up).then_some(())
        };
        poll_until(LIMIT, "all cables are up", all_up).await.unwrap();
        // The next boot, started by a new driver, has every tier again.
        let second = NamespaceHost::start(world.config.clone()).await.unwrap();
        second.ensure_router(&spec, 2).await.unwrap();
        let reached = async || pings(&world, &guests[1], [10, 1, 2, 11]).await.then_some(());
        poll_until(LIMIT, "the tiers reach each other", reached)
            .await
            .unwrap();
        assert_eq!(world.devices().await.len(), 5 + 3 + 2);
    });
}

/// A crash came between plugging a tier in and telling the router of it, and then the tier was deleted.
#[test]
fn a_cable_that_its_router_has_no_more_is_an_orphan() {
    in_world(async |world| {
        let mut spec = vpc(&world, 1);
        add_tier(&mut spec, 1, 2);
        world.host.ensure_router(&spec, 1).await.unwrap();
        let before = world.devices().await;
        let mut refused = spec.clone();
        add_tier(&mut refused, 1, 3);
        // Plugged in, but not applied.
        refused.generation = 0;
        world.host.ensure_router(&refused, 1).await.unwrap_err();
        assert_eq!(world.devices().await.len(), before.len() + 2);
        let second = NamespaceHost::start(world.config.clone()).await.unwrap();
        let keep = Inventory {
            routers: vec![spec.id],
            networks: vec![spec.guest_networks[0].id],
            ..Inventory::default()
        };
        let removed = second.retain(&keep).await.unwrap();
        assert_eq!(
            (removed.len(), world.devices().await),
            (2, before),
            "{removed:#?}"
        );
        assert!(second.ensure_router(&spec, 1).await.unwrap().changes.is_empty());
    });
}
