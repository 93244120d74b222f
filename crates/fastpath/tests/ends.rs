// SPDX-License-Identifier: Apache-2.0
//! What sessions cost that are short, and that conntrack sees the end of those that are not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod support;

use std::net::SocketAddrV4;
use std::time::Duration;

use outgate_fastpath::{FastPath, Hook, Reason, Settings};
use outgate_testkit::{Namespace, TcpEcho, TcpProbe, UdpEcho, UdpStream, wait_until};
use support::{FAR, GUEST, PUBLIC, World, on_one_cpu, with_both};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn sessions_that_only_open_and_close_take_no_lease() {
    with_both(|world, fast| {
        let server = TcpEcho::start(&world.far, SocketAddrV4::new(FAR, 7)).unwrap();
        for _ in 0..20 {
            drop(TcpProbe::connect(&world.guest, server.address, LIMIT).unwrap());
        }
        all_have_ended(world);
        let counters = fast.counters().unwrap();
        let count = |reason| counters.get(reason);
        assert_eq!((count(Reason::Leased), count(Reason::Hit)), (0, 0), "{counters}");
        assert!(
            count(Reason::First) >= 20 && count(Reason::TcpFlags) >= 60,
            "{counters}"
        );
    });
}

/// Every TCP session has seen the end of both sides: the last ACK too, which has no flag that the fast path leaves alone.
fn all_have_ended(world: &World) {
    let sessions = || world.router.check(&["conntrack", "-L", "-p", "tcp"]).unwrap();
    wait_until(LIMIT, "conntrack sees every session's last packet", || {
        let listing = sessions();
        let mut all = listing.lines().filter(|line| line.starts_with("tcp"));
        all.all(|line| line.contains("TIME_WAIT")).then_some(())
    })
    .unwrap_or_else(|e| panic!("{e}: {}", sessions()));
}

/// A session is carried both ways, then ends: nothing of it is carried any more, and conntrack sees all of the end.
fn ends_in_the_kernel(
    world: &World,
    fast: &FastPath,
    client: &Namespace,
    to: SocketAddrV4,
    server: (&Namespace, SocketAddrV4),
) {
    let server = TcpEcho::start(server.0, server.1).unwrap();
    let count = |reason| fast.counters().unwrap().get(reason);
    let mut probe = TcpProbe::connect(client, to, LIMIT).unwrap();
    let before = count(Reason::Hit);
    wait_until(LIMIT, "both directions take the fast path", || {
        probe.echo(b"again").unwrap();
        (count(Reason::Hit) > before + 40).then_some(())
    })
    .unwrap_or_else(|e| panic!("to {to}: {e}: {}", fast.counters().unwrap()));
    // A lease is as fresh as it can be: the filter of ends must know it, and it would be good for a second.
    probe.echo(b"last").unwrap();
    let carried = count(Reason::Hit);
    drop(probe);
    all_have_ended(world);
    assert!(
        count(Reason::Hit) <= carried + 1,
        "to {to}: one ACK may have been under way, {} hits more",
        count(Reason::Hit) - carried
    );
    drop(server);
}

#[test]
fn the_end_of_a_session_is_seen_by_conntrack_on_whatever_side_its_addresses_change() {
    with_both(|world, fast| {
        let (inside, public) = (SocketAddrV4::new(GUEST, 80), SocketAddrV4::new(PUBLIC, 8080));
        let outside = SocketAddrV4::new(FAR, 7);
        ends_in_the_kernel(world, fast, &world.guest, outside, (&world.far, outside));
        ends_in_the_kernel(world, fast, &world.far, public, (&world.guest, inside));
        // Both endpoints of the two directions differ here.
        ends_in_the_kernel(world, fast, &world.guest, public, (&world.guest, inside));
    });
}

#[test]
fn a_full_table_keeps_the_sessions_that_it_has_and_leaves_others_to_the_kernel() {
    for hook in [Hook::Tcx, Hook::Xdp] {
        on_one_cpu(hook);
        let world = World::new();
        // One set for each CPU.
        let fast = world.fast_with(Settings {
            hook,
            leases: 1,
            ..Settings::default()
        });
        let count = |reason| fast.counters().unwrap().get(reason);
        let echo = UdpEcho::start(&world.far, SocketAddrV4::new(FAR, 7)).unwrap();
        let streams: Vec<_> = (0..16)
            .map(|_| UdpStream::start(&world.guest, echo.address, 100).unwrap())
            .collect();
        let went_on = || {
            let wanted = [(Reason::Hit, 800), (Reason::NoRoom, 200), (Reason::Renewed, 8)];
            let is_there = wanted.iter().all(|(reason, least)| count(*reason) > *least);
            is_there.then_some(())
        };
        wait_until(LIMIT, "some go on being carried, others are not", went_on)
            .unwrap_or_else(|e| panic!("{hook}: {e}: {}", fast.counters().unwrap()));
        // Nobody was thrown out: eight leases at first, and some again when a neighbour had been asked.
        assert!(count(Reason::Leased) < 200, "{}", fast.counters().unwrap());
        for stream in streams {
            let loss = stream.stop();
            assert_eq!(loss.lost(), 0, "{hook}: {loss:?}");
        }
    }
}
