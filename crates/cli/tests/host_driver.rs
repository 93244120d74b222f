// SPDX-License-Identifier: Apache-2.0
//! The namespace driver with real routers and guests. Needs root, since only root may make namespaces.

mod host_world;

use std::collections::BTreeSet;
use std::time::Instant;

use host_world::{LIMIT, OUTSIDE, in_world, run};
use outgate_host::{Host, NamespaceHost};
use outgate_testkit::{Namespace, Sniffer, Stopwatch, poll_until};

#[test]
fn a_router_and_two_guests_come_up_and_the_guests_reach_the_outside() {
    in_world(async |world| {
        let (started, watch) = (Instant::now(), Stopwatch::start());
        let router = world.router(1);
        let applied = world.host.ensure_router(&router, 1).await.unwrap();
        assert_eq!(applied.generation, 1);
        let router_took = started.elapsed();
        let guests = [world.guest(&router, 1, 0), world.guest(&router, 1, 1)];
        world.host.ensure_guest(&guests[0]).await.unwrap();
        let (both_took, fair) = (started.elapsed(), watch.fair());
        eprintln!("router {router_took:?}, router and first guest with its lease {both_took:?}");
        world.host.ensure_guest(&guests[1]).await.unwrap();
        for (guest, address) in guests.iter().zip(["10.1.1.11/24", "10.1.1.12/24"]) {
            let shown = world
                .in_guest(guest, &["ip", "-4", "addr", "show", "eth0"])
                .await
                .stdout;
            assert!(shown.contains(&format!("inet {address}")), "{shown}");
            let ping = world
                .in_guest(guest, &["ping", "-c", "3", "-i", "0.1", "8.8.8.8"])
                .await;
            assert_eq!(ping.code, Some(0), "{ping:?}");
            let resolver = world.in_guest(guest, &["cat", "/etc/resolv.conf"]).await.stdout;
            assert_eq!(resolver, "search cs1cloud.internal\nnameserver 10.1.1.1\n");
            assert_eq!(
                world.in_guest(guest, &["hostname"]).await.stdout.trim(),
                guest.hostname
            );
        }
        assert!(fair.as_secs() < 2, "{fair:?}, by the clock {both_took:?}");
        // Again, and again nothing to do.
        let again = Instant::now();
        assert_eq!(
            world.host.ensure_router(&router, 1).await.unwrap().changes,
            Vec::<String>::new()
        );
        world.host.ensure_guest(&guests[0]).await.unwrap();
        eprintln!("both again, with nothing to do: {:?}", again.elapsed());
    });
}

#[test]
fn a_guest_without_a_router_is_refused_with_a_reason_and_can_be_removed_meanwhile() {
    in_world(async |world| {
        let guest = world.guest(&world.router(1), 1, 0);
        let (host, spec) = (world.host.clone(), guest.clone());
        let waiting = tokio::spawn(async move { host.ensure_guest(&spec).await });
        let runs = async || (world.host.observe().await.unwrap().guests.len() == 1).then_some(());
        poll_until(LIMIT, "the guest runs", runs).await.unwrap();
        world.host.remove_guest(guest.id).await.unwrap();
        // Had the removal waited for the lease, the reason would be that there was none.
        let error = waiting.await.unwrap().unwrap_err().to_string();
        assert!(
            error.starts_with("starting guest i-2-10-VM failed: it ended"),
            "{error}"
        );
        assert_eq!(
            (world.devices().await, world.processes()),
            (Vec::new(), Vec::new())
        );
    });
}

#[test]
fn the_seven_steps_pass_on_a_router_with_a_guest() {
    in_world(async |world| {
        let router = world.router(1);
        world.host.ensure_router(&router, 1).await.unwrap();
        let guest = world.guest(&router, 1, 0);
        world.host.ensure_guest(&guest).await.unwrap();
        let checks = world
            .host
            .verify_router(router.id, Some(guest.id), OUTSIDE)
            .await
            .unwrap();
        assert_eq!(
            checks.iter().map(|check| check.step).collect::<BTreeSet<_>>(),
            (2..=7).collect()
        );
        let failed: Vec<_> = checks.iter().filter(|check| !check.pass).collect();
        assert!(failed.is_empty(), "{failed:#?}");
        world.host.remove_guest(guest.id).await.unwrap();
        let checks = world
            .host
            .verify_router(router.id, Some(guest.id), OUTSIDE)
            .await
            .unwrap();
        let ping = checks.last().unwrap();
        assert!(!ping.pass && !ping.remedy.is_empty(), "{ping:?}");
    });
}

#[test]
fn routers_cannot_reach_each_other_over_the_control_network() {
    in_world(async |world| {
        let (first, second) = (world.router(1), world.router(2));
        world.host.ensure_router(&first, 1).await.unwrap();
        world.host.ensure_router(&second, 1).await.unwrap();
        let ping = |address: &str| run(&["ping", "-c", "1", "-W", "5", "-I", "eth1", address]);
        let host = world
            .host
            .run_in_router(first.id, &ping("169.254.0.1"))
            .await
            .unwrap();
        assert_eq!(host.code, Some(0), "{host:?}");
        let other = world
            .host
            .run_in_router(first.id, &ping("169.254.1.2"))
            .await
            .unwrap();
        assert_eq!(other.code, Some(1), "{other:?}");
    });
}

#[test]
fn twenty_routers_side_by_side_do_not_collide() {
    in_world(async |world| {
        let specs: Vec<_> = (1..=20).map(|number| world.router(number)).collect();
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for spec in specs.clone() {
            let host = world.host.clone();
            tasks.spawn(async move { host.ensure_router(&spec, 1).await });
        }
        for applied in tasks.join_all().await {
            applied.unwrap();
        }
        eprintln!("20 routers side by side: {:?}", started.elapsed());
        // Each has a bridge and three cables of its own.
        assert_eq!(world.devices().await.len(), 80);
        for spec in &specs {
            let output = world
                .host
                .run_in_router(spec.id, &run(&["ip", "-4", "addr", "show", "eth2"]))
                .await
                .unwrap();
            let address = spec.public.addresses[0].address.to_string();
            assert!(output.stdout.contains(&address), "{output:?}");
        }
    });
}

#[test]
fn a_guest_hears_nothing_of_another_networks_broadcasts() {
    in_world(async |world| {
        let (first, second) = (world.router(1), world.router(2));
        world.host.ensure_router(&first, 1).await.unwrap();
        world.host.ensure_router(&second, 1).await.unwrap();
        let guests = [
            world.guest(&first, 1, 0),
            world.guest(&first, 1, 1),
            world.guest(&second, 2, 0),
        ];
        for guest in &guests {
            world.host.ensure_guest(guest).await.unwrap();
        }
        let network = |number: usize| {
            let pid = world.process_1(&guests[number].id.to_string());
            Namespace::open(&format!("/proc/{pid}/ns/net")).unwrap()
        };
        let (neighbour, stranger) = (
            Sniffer::start(&network(1)).unwrap(),
            Sniffer::start(&network(2)).unwrap(),
        );
        let argv = ["ping", "-b", "-c", "3", "-i", "0.1", "-W", "1", "10.1.1.255"];
        world.in_guest(&guests[0], &argv).await;
        let broadcast =
            |sniffer: &Sniffer| sniffer.count(|p| p.protocol == 1 && p.destination.octets()[3] == 255);
        let heard = async || (broadcast(&neighbour) >= 3).then_some(());
        poll_until(LIMIT, "the neighbour hears the broadcasts", heard)
            .await
            .unwrap();
        assert_eq!(broadcast(&stranger), 0);
    });
}

#[test]
fn a_missing_public_bridge_is_named() {
    in_world(async |world| {
        let mut config = world.config.clone();
        config.public_bridge = "nowhere".into();
        let error = NamespaceHost::start(config).await.unwrap_err().to_string();
        assert!(
            error.contains("there is no bridge nowhere in this network namespace"),
            "{error}"
        );
    });
}
