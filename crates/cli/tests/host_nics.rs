// SPDX-License-Identifier: Apache-2.0
//! NICs of running guests come, go and change places, with real packets. Needs root, since only root may make namespaces.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod host_world;

use std::net::{Ipv4Addr, SocketAddrV4};

use host_world::{LIMIT, OUTSIDE, World, in_world};
use outgate_host::{Host, NamespaceHost};
use outgate_model::MacAddr;
use outgate_model::guest_spec::{GuestNic, GuestSpec};
use outgate_model::id::NicId;
use outgate_model::router_spec::{Lease, RouterSpec};
use outgate_testkit::{Namespace, UdpEcho, UdpStream, poll_until};

/// A router of network 10.1.2.0/24 that has a lease for the guest's second NIC.
fn second_router(world: &World, guest: &GuestSpec) -> (RouterSpec, GuestNic) {
    let mut router = world.router(2);
    let network = &mut router.guest_networks[0];
    network.gateway = "10.1.2.1/24".parse().unwrap();
    let nic = GuestNic {
        id: NicId::new(),
        network: network.id,
        device: 1,
        mac: MacAddr([0x02, 1, 0x0a, 0x01, 1, 0]),
        address: Ipv4Addr::new(10, 1, 2, 44),
        mtu: network.mtu,
    };
    let lease = Lease {
        address: nic.address,
        hostname: guest.hostname.clone(),
        default_route: false,
    };
    network.leases = [(nic.mac, lease)].into();
    (router, nic)
}

async fn shown(world: &World, guest: &GuestSpec, argv: &[&str]) -> String {
    world.in_guest(guest, argv).await.stdout
}

async fn pings(world: &World, guest: &GuestSpec, address: &str) -> bool {
    let argv = ["ping", "-c", "2", "-i", "0.1", "-W", "1", address];
    world.in_guest(guest, &argv).await.code == Some(0)
}

/// The boot id of a guest is its process: a restart would show.
fn process(world: &World, guest: &GuestSpec) -> i32 {
    world.process_1(&guest.id.to_string())
}

#[test]
fn a_nic_comes_to_and_goes_from_a_running_guest_and_no_packet_of_its_first_nic_is_lost() {
    in_world(async |world| {
        let router = world.router(1);
        let mut guest = world.guest(&router, 1, 0);
        world.host.ensure_router(&router, 1).await.unwrap();
        world.host.ensure_guest(&guest).await.unwrap();
        let (other, nic) = second_router(&world, &guest);
        world.host.ensure_router(&other, 1).await.unwrap();
        let before = process(&world, &guest);
        let inside = Namespace::open(&format!("/proc/{before}/ns/net")).unwrap();
        let echo = UdpEcho::start(&world.internet, SocketAddrV4::new(OUTSIDE, 4_000)).unwrap();
        let stream = UdpStream::start(&inside, echo.address, 500).unwrap();

        let devices = world.devices().await;
        guest.nics.push(nic.clone());
        world.host.ensure_guest(&guest).await.unwrap();
        let addresses = shown(&world, &guest, &["ip", "-4", "addr", "show", "eth1"]).await;
        assert!(addresses.contains("inet 10.1.2.44/24"), "{addresses}");
        assert!(pings(&world, &guest, "10.1.2.1").await);
        let routes = shown(&world, &guest, &["ip", "route", "show", "default"]).await;
        assert!(
            routes.starts_with("default via 10.1.1.1 dev eth0") && routes.lines().count() == 1,
            "{routes}"
        );
        let resolver = shown(&world, &guest, &["cat", "/etc/resolv.conf"]).await;
        assert!(
            resolver.contains("nameserver 10.1.1.1") && !resolver.contains("10.1.2.1"),
            "{resolver}"
        );

        guest.nics.pop();
        world.host.ensure_guest(&guest).await.unwrap();
        let links = shown(&world, &guest, &["ip", "-br", "link"]).await;
        assert!(links.contains("eth0") && !links.contains("eth1"), "{links}");
        assert_eq!(world.devices().await, devices, "its cable is gone too");
        assert_eq!(process(&world, &guest), before, "it was never restarted");
        let lost = stream.stop();
        assert!(lost.sent > 50 && lost.lost() == 0, "{lost:?}");
        assert_eq!(echo.seen().len(), 1, "one session all the time");
    });
}

#[test]
fn the_default_route_of_a_running_guest_moves_with_its_default_nic() {
    in_world(async |world| {
        let mut router = world.router(1);
        let mut guest = world.guest(&router, 1, 0);
        let (mut other, nic) = second_router(&world, &guest);
        world.host.ensure_router(&router, 1).await.unwrap();
        world.host.ensure_router(&other, 1).await.unwrap();
        guest.nics.push(nic.clone());
        world.host.ensure_guest(&guest).await.unwrap();
        let before = process(&world, &guest);
        let default = async |gateway: &str, interface: &str| {
            let routes = shown(&world, &guest, &["ip", "route", "show", "default"]).await;
            let resolver = shown(&world, &guest, &["cat", "/etc/resolv.conf"]).await;
            assert!(
                routes.starts_with(&format!("default via {gateway} dev {interface}")),
                "{routes}"
            );
            assert_eq!(routes.lines().count(), 1, "{routes}");
            assert!(
                resolver.contains(&format!("nameserver {gateway}\n")),
                "{resolver}"
            );
            assert!(pings(&world, &guest, "8.8.8.8").await);
        };
        default("10.1.1.1", "eth0").await;
        let mut swapped = guest.clone();
        for first in [1, 0] {
            let of = |router: &mut RouterSpec, is_default| {
                router.generation += 1;
                let leases = router.guest_networks[0].leases.values_mut();
                leases.for_each(|lease| lease.default_route = is_default);
            };
            of(&mut router, first == 0);
            of(&mut other, first == 1);
            world.host.ensure_router(&router, 1).await.unwrap();
            world.host.ensure_router(&other, 1).await.unwrap();
            swapped.nics.swap(0, 1);
            world.host.ensure_guest(&swapped).await.unwrap();
            let (gateway, interface) = [("10.1.1.1", "eth0"), ("10.1.2.1", "eth1")][first];
            default(gateway, interface).await;
        }
        assert_eq!(process(&world, &guest), before);
    });
}

#[test]
fn an_address_that_a_guest_gave_itself_outlives_a_renewed_lease() {
    in_world(async |world| {
        let router = world.router(1);
        let guest = world.guest(&router, 1, 0);
        world.host.ensure_router(&router, 1).await.unwrap();
        world.host.ensure_guest(&guest).await.unwrap();
        let added = world
            .in_guest(&guest, &["ip", "addr", "add", "10.1.1.88/24", "dev", "eth0"])
            .await;
        assert_eq!(added.code, Some(0), "{added:?}");
        let leased = || {
            std::fs::metadata(
                world
                    .config
                    .run_dir
                    .join(format!("guests/{}/lease.json", guest.id)),
            )
        };
        let before = leased().unwrap().modified().unwrap();
        world
            .in_guest(&guest, &["busybox", "killall", "-USR1", "busybox"])
            .await;
        let renewed = async || (leased().ok()?.modified().ok()? > before).then_some(());
        poll_until(LIMIT, "the lease is renewed", renewed).await.unwrap();
        let addresses = shown(&world, &guest, &["ip", "-4", "addr", "show", "eth0"]).await;
        assert!(
            addresses.contains("10.1.1.88/24") && addresses.contains("10.1.1.11/24"),
            "{addresses}"
        );
    });
}

#[test]
fn a_nic_that_becomes_another_is_replaced_and_a_new_driver_finishes_what_an_earlier_one_began() {
    in_world(async |world| {
        let router = world.router(1);
        let mut guest = world.guest(&router, 1, 0);
        world.host.ensure_router(&router, 1).await.unwrap();
        world.host.ensure_guest(&guest).await.unwrap();
        let (other, nic) = second_router(&world, &guest);
        world.host.ensure_router(&other, 1).await.unwrap();
        guest.nics.push(nic);
        // The earlier driver wrote what is wanted and ended before it could say so or plug anything in.
        let file = world
            .config
            .run_dir
            .join(format!("guests/{}/guest.json", guest.id));
        std::fs::write(&file, serde_json::to_vec(&guest).unwrap()).unwrap();
        let before = process(&world, &guest);
        let host = NamespaceHost::start(world.config.clone()).await.unwrap();
        host.ensure_guest(&guest).await.unwrap();
        assert!(pings(&world, &guest, "10.1.2.1").await);
        // Another NIC in its place: same device, other Ethernet address and address.
        let mut changed = other.clone();
        changed.generation = 2;
        let second = &mut guest.nics[1];
        second.id = NicId::new();
        second.mac = MacAddr([0x02, 1, 0x0a, 0x01, 1, 9]);
        second.address = Ipv4Addr::new(10, 1, 2, 45);
        let lease = Lease {
            address: second.address,
            hostname: guest.hostname.clone(),
            default_route: false,
        };
        changed.guest_networks[0].leases = [(guest.nics[1].mac, lease)].into();
        host.ensure_router(&changed, 1).await.unwrap();
        host.ensure_guest(&guest).await.unwrap();
        let addresses = shown(&world, &guest, &["ip", "-4", "addr", "show", "eth1"]).await;
        assert!(
            addresses.contains("10.1.2.45/24") && !addresses.contains("10.1.2.44"),
            "{addresses}"
        );
        assert!(pings(&world, &guest, "10.1.2.1").await);
        assert_eq!(process(&world, &guest), before);
        host.remove_guest(guest.id).await.unwrap();
        host.remove_router(router.id).await.unwrap();
        host.remove_router(other.id).await.unwrap();
        assert_eq!(
            (world.devices().await, world.processes()),
            (Vec::new(), Vec::new())
        );
    });
}
