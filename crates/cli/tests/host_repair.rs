// SPDX-License-Identifier: Apache-2.0
//! What the namespace driver does about crashes, orphans and other hands. Needs root, since only root may make
//! namespaces.
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

mod host_world;

use std::net::Ipv4Addr;
use std::time::Duration;

use host_world::{LIMIT, in_world, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outgate_host::{Host, HostEvents, NamespaceHost};
use outgate_kernel::link::LinkChange;
use outgate_model::host::{HostEvent, Inventory};
use outgate_testkit::{Stopwatch, poll_until};

#[test]
fn killing_a_routers_process_1_leaves_nothing_behind_and_is_reported() {
    in_world(async |world| {
        let (router, other) = (world.router(1), world.router(2));
        world.host.ensure_router(&router, 1).await.unwrap();
        world.host.ensure_router(&other, 1).await.unwrap();
        let pid = world.process_1(&router.id.to_string());
        let namespace = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        let mut events = world.host.events();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        let lost = HostEvent::RouterLost { router: router.id };
        let heard = async { while events.recv().await.unwrap() != lost {} };
        tokio::time::timeout(LIMIT, heard).await.expect("RouterLost");
        assert_eq!(
            std::fs::read_dir("/proc")
                .unwrap()
                .flatten()
                .filter(|entry| {
                    std::fs::read_link(entry.path().join("ns/net")).is_ok_and(|link| link == namespace)
                })
                .count(),
            0,
            "a process in the router's namespace"
        );
        // The other router's three cables and bridge; this one's bridge, which has no port any more.
        poll_until(LIMIT, "the cables are gone", async || {
            (world.devices().await.len() <= 5).then_some(())
        })
        .await
        .unwrap();
        let running = world.host.observe().await.unwrap().routers;
        assert_eq!(
            running.iter().map(|router| router.id).collect::<Vec<_>>(),
            [other.id]
        );
        world.host.remove_router(router.id).await.unwrap();
        world.host.remove_router(other.id).await.unwrap();
        assert_eq!(
            (world.devices().await, world.processes()),
            (Vec::new(), Vec::new())
        );
    });
}

#[test]
fn a_lost_guest_is_reported_and_comes_back_with_its_lease() {
    in_world(async |world| {
        let router = world.router(1);
        world.host.ensure_router(&router, 1).await.unwrap();
        let guest = world.guest(&router, 1, 0);
        world.host.ensure_guest(&guest).await.unwrap();
        let mut events = world.host.events();
        kill(
            Pid::from_raw(world.process_1(&guest.id.to_string())),
            Signal::SIGKILL,
        )
        .unwrap();
        let lost = HostEvent::GuestLost { guest: guest.id };
        let heard = async { while events.recv().await.unwrap() != lost {} };
        tokio::time::timeout(LIMIT, heard).await.expect("GuestLost");
        world.host.ensure_guest(&guest).await.unwrap();
        assert_eq!(
            world.in_guest(&guest, &["ping", "-c", "1", "8.8.8.8"]).await.code,
            Some(0)
        );
    });
}

#[test]
fn an_unplugged_cable_is_plugged_in_again() {
    in_world(async |world| {
        let router = world.router(1);
        world.host.ensure_router(&router, 1).await.unwrap();
        let guest = world.guest(&router, 1, 0);
        world.host.ensure_guest(&guest).await.unwrap();
        for name in world.devices().await {
            world.links.delete(&name).await.unwrap_or_default();
        }
        world.host.ensure_router(&router, 1).await.unwrap();
        world.host.ensure_guest(&guest).await.unwrap();
        let reached = async || {
            let ping = world
                .in_guest(&guest, &["ping", "-c", "1", "-W", "1", "8.8.8.8"])
                .await;
            (ping.code == Some(0)).then_some(())
        };
        poll_until(LIMIT, "the guest reaches the outside again", reached)
            .await
            .unwrap();
    });
}

#[test]
fn what_is_changed_on_the_hosts_side_of_a_cable_is_noticed_and_repaired() {
    in_world(async |world| {
        let router = world.router(1);
        world.host.ensure_router(&router, 1).await.unwrap();
        let guest = world.guest(&router, 1, 0);
        world.host.ensure_guest(&guest).await.unwrap();
        let mut events = world.host.events();
        let devices = world.devices().await;
        let down = LinkChange {
            up: Some(false),
            ..LinkChange::default()
        };
        let unplugged = LinkChange {
            master: Some(0),
            ..LinkChange::default()
        };
        for name in &devices {
            let change = if name.starts_with('g') || name.contains("e0") {
                &down
            } else {
                &unplugged
            };
            world.links.change(name, change).await.unwrap();
        }
        world.links.delete("control").await.unwrap();
        let watch = Stopwatch::start();
        let drift = next_drift(&mut events);
        tokio::time::timeout(LIMIT, drift)
            .await
            .expect("the drift is reported");
        let healed = async || {
            let ping = world
                .in_guest(&guest, &["ping", "-c", "1", "-W", "1", "8.8.8.8"])
                .await;
            let address = Ipv4Addr::new(169, 254, 1, 1).to_string();
            let control = tokio::process::Command::new("ping")
                .args(["-c1", "-W1", &address])
                .output()
                .await
                .unwrap();
            (ping.code == Some(0) && control.status.success()).then_some(())
        };
        poll_until(
            LIMIT,
            "the guest reaches the outside and the host the router",
            healed,
        )
        .await
        .unwrap();
        let took = watch.fair();
        assert!(took < Duration::from_secs(5), "{took:?}");
    });
}

/// Waits until the driver reports that it has repaired something on the host.
#[test]
fn a_control_port_that_lets_routers_speak_to_each_other_is_set_apart_again() {
    in_world(async |world| {
        let router = world.router(1);
        world.host.ensure_router(&router, 1).await.unwrap();
        let ports = world.devices().await;
        let port = ports.iter().find(|name| name.contains("e1.")).unwrap();
        let apart = async || world.links.get(port).await.unwrap().isolated;
        assert!(apart().await, "{port}");
        let together = [
            "link",
            "set",
            "dev",
            port,
            "type",
            "bridge_slave",
            "isolated",
            "off",
        ];
        let mut events = world.host.events();
        let done = tokio::process::Command::new("ip").args(together).status().await;
        assert!(done.unwrap().success());
        tokio::time::timeout(LIMIT, next_drift(&mut events))
            .await
            .expect("the drift is reported");
        let again = async || apart().await.then_some(());
        poll_until(LIMIT, "the port is set apart again", again)
            .await
            .unwrap();
    });
}

async fn next_drift(events: &mut HostEvents) {
    loop {
        if let HostEvent::Drift {
            differences,
            error: None,
            ..
        } = events.recv().await.unwrap()
            && differences
                .iter()
                .any(|sentence| sentence.contains("on the host"))
        {
            return;
        }
    }
}

#[test]
fn an_interface_that_a_crash_left_half_made_does_not_stand_in_the_way() {
    in_world(async |world| {
        let router = world.router(1);
        world.host.ensure_router(&router, 1).await.unwrap();
        // As if the driver had ended between making each and writing on it what it is.
        for name in world.devices().await {
            let nameless = LinkChange {
                alias: Some(String::new()),
                ..LinkChange::default()
            };
            world.links.change(&name, &nameless).await.unwrap();
        }
        let second = NamespaceHost::start(world.config.clone()).await.unwrap();
        second.ensure_router(&router, 1).await.unwrap();
        let guest = world.guest(&router, 1, 0);
        second.ensure_guest(&guest).await.unwrap();
        let keep = Inventory {
            routers: vec![router.id],
            guests: vec![guest.id],
            networks: vec![router.guest_networks[0].id],
            ..Inventory::default()
        };
        second.retain(&keep).await.unwrap();
        assert_eq!(world.devices().await.len(), 5);
        let ping = second
            .run_in_guest(guest.id, &run(&["ping", "-c", "1", "8.8.8.8"]))
            .await
            .unwrap();
        assert_eq!(ping.code, Some(0), "{ping:?}");
    });
}

#[test]
fn a_restarted_driver_finds_what_runs_and_changes_nothing() {
    in_world(async |world| {
        let router = world.router(1);
        world.host.ensure_router(&router, 3).await.unwrap();
        let guest = world.guest(&router, 1, 0);
        world.host.ensure_guest(&guest).await.unwrap();
        let ids = [router.id.to_string(), guest.id.to_string()];
        let before = ids.each_ref().map(|id| world.process_1(id));
        let second = NamespaceHost::start(world.config.clone()).await.unwrap();
        let observed = second.observe().await.unwrap();
        assert_eq!((observed.routers.len(), observed.guests.len()), (1, 1));
        assert_eq!(
            (observed.routers[0].boot, observed.routers[0].generation),
            (3, Some(1))
        );
        assert!(second.ensure_router(&router, 3).await.unwrap().changes.is_empty());
        second.ensure_guest(&guest).await.unwrap();
        assert_eq!(ids.each_ref().map(|id| world.process_1(id)), before);
        // A higher boot is another process.
        second.ensure_router(&router, 4).await.unwrap();
        assert_ne!(world.process_1(&ids[0]), before[0]);
        assert_eq!(second.observe().await.unwrap().routers[0].boot, 4);
    });
}

#[test]
fn orphans_are_removed_and_named_and_what_is_wanted_stays() {
    in_world(async |world| {
        let (wanted, orphan) = (world.router(1), world.router(2));
        world.host.ensure_router(&wanted, 1).await.unwrap();
        world.host.ensure_router(&orphan, 1).await.unwrap();
        let guest = world.guest(&orphan, 2, 0);
        world.host.ensure_guest(&guest).await.unwrap();
        let before = world.devices().await;
        let keep = Inventory {
            routers: vec![wanted.id],
            guests: Vec::new(),
            networks: vec![wanted.guest_networks[0].id],
            ..Inventory::default()
        };
        let second = NamespaceHost::start(world.config.clone()).await.unwrap();
        let removed = second.retain(&keep).await.unwrap();
        for id in [orphan.id.to_string(), guest.id.to_string()] {
            assert!(
                removed.iter().any(|sentence| sentence.contains(&id)),
                "{removed:#?}"
            );
        }
        let after = world.devices().await;
        assert_eq!((before.len(), after.len()), (9, 4), "{after:?}");
        assert_eq!(second.observe().await.unwrap().routers.len(), 1);
        assert!(second.retain(&keep).await.unwrap().is_empty());
        assert!(second.ensure_router(&wanted, 1).await.unwrap().changes.is_empty());
    });
}

#[test]
fn callers_that_give_up_in_the_middle_lose_and_double_nothing() {
    in_world(async |world| {
        let router = world.router(1);
        for attempt in 0..30 {
            let limit = Duration::from_millis(attempt * 7);
            // Whether it is done by then does not matter.
            let _ = tokio::time::timeout(limit, world.host.ensure_router(&router, attempt)).await;
            if attempt % 5 == 4 {
                let _ = tokio::time::timeout(limit, world.host.remove_router(router.id)).await;
            }
        }
        let guest = world.guest(&router, 1, 0);
        let _ = tokio::time::timeout(Duration::from_millis(20), world.host.ensure_guest(&guest)).await;
        world.host.ensure_router(&router, 30).await.unwrap();
        world.host.ensure_guest(&guest).await.unwrap();
        let ping = world.in_guest(&guest, &["ping", "-c", "1", "8.8.8.8"]).await;
        assert_eq!(ping.code, Some(0), "{ping:?}");
        let first = |pid: &i32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status
                .lines()
                .any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
        };
        assert_eq!(world.processes().iter().filter(|pid| first(pid)).count(), 2);
        assert_eq!(world.devices().await.len(), 5);
    });
}
