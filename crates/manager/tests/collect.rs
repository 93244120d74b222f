// SPDX-License-Identifier: Apache-2.0
//! Networks without running guests give their router back, and get it again with all that was theirs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::{Duration, Instant};

use common::{World, ports, tcp};
use outgate_manager::NetworkState;
use outgate_manager::bootstrap::OFFERING_PERSISTENT;
use outgate_manager::collect::Idle;
use outgate_manager::command::request::{CreateNetwork, DeleteNetwork, DestroyGuest, StartGuest, StopGuest};
use outgate_model::id::{GuestId, NetworkId, RouterId};
use outgate_model::object::NetworkPhase;

const WAIT: Duration = Duration::from_secs(600);

async fn stop(world: &World, id: GuestId) {
    let started = world.manager.stop_guest(&world.admin, StopGuest { id }).await;
    world.done(started.unwrap()).await;
}

async fn start(world: &World, id: GuestId) {
    let started = world.manager.start_guest(&world.admin, StartGuest { id }).await;
    world.done(started.unwrap()).await;
}

async fn look(world: &World, idle: &mut Idle, now: Instant) -> Vec<NetworkId> {
    world.manager.shut_down_idle(idle, now, WAIT).await.unwrap()
}

/// Waits until the network is in this state.
async fn reaches(world: &World, network: NetworkId, state: NetworkState) {
    let reached = world.when(|view| {
        let network = view.get(network)?;
        (view.network_state(network) == state).then_some(())
    });
    tokio::time::timeout(Duration::from_secs(60), reached)
        .await
        .unwrap_or_else(|_| panic!("the network does not become {}", state.name()));
}

fn runs(world: &World, router: RouterId) -> bool {
    world.host.with(|running| running.routers.contains_key(&router))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_without_running_guests_is_shut_down_after_the_wait_and_keeps_what_is_its_own() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    let guest = world.guest(network, "vm").await;
    world.quiet().await;
    let (router, source_nat) = (world.router_id(network), world.source_nat(network));
    let forward = world.forward(source_nat.id, guest, ports(80, 80), ports(8080, 8080));
    let started = world.manager.create_port_forwarding(&world.admin, forward).await;
    world.done(started.unwrap()).await;
    let mut idle = Idle::default();
    let begin = Instant::now();
    assert!(
        look(&world, &mut idle, begin + 10 * WAIT).await.is_empty(),
        "a guest runs"
    );

    stop(&world, guest).await;
    assert!(look(&world, &mut idle, begin).await.is_empty(), "the wait begins");
    let almost = begin + WAIT - Duration::from_secs(1);
    assert!(look(&world, &mut idle, almost).await.is_empty(), "not yet");
    assert!(runs(&world, router));
    assert_eq!(look(&world, &mut idle, begin + WAIT).await, [network]);
    reaches(&world, network, NetworkState::Allocated).await;
    assert!(!runs(&world, router) && world.router_of(network).is_none());
    assert_eq!(world.source_nat(network).id, source_nat.id);
    let kinds: Vec<String> = {
        let view = world.manager.view();
        assert_eq!(view.forwards_of_network(network).count(), 1);
        assert_eq!(view.firewall_rules_of_network(network).count(), 1);
        view.events().map(|event| event.kind.clone()).collect()
    };
    for kind in ["NETWORK.SHUTDOWN", "ROUTER.DESTROY"] {
        assert_eq!(kinds.iter().filter(|k| *k == kind).count(), 1, "{kind}");
    }
    assert_eq!(
        world.claims().await.len(),
        1,
        "the address stays claimed, the control address not"
    );
    assert!(
        look(&world, &mut idle, begin + 9 * WAIT).await.is_empty(),
        "once is enough"
    );

    start(&world, guest).await;
    let spec = world
        .host
        .with(|running| running.routers.values().next().unwrap().1.clone());
    let address = &spec.public.addresses[0];
    assert_eq!(address.address.addr(), source_nat.address);
    assert_eq!((address.port_forwarding.len(), address.firewall.len()), (1, 1));
    reaches(&world, network, NetworkState::Implemented).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_begins_the_wait_anew_and_a_guest_ends_it() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    let guest = world.guest(network, "vm").await;
    world.quiet().await;
    stop(&world, guest).await;
    let mut idle = Idle::default();
    let begin = Instant::now();
    look(&world, &mut idle, begin).await;
    let address = world.source_nat(network).id;
    let open = world.open(address, tcp(22, 22));
    world
        .manager
        .create_firewall_rule(&world.admin, open)
        .await
        .unwrap();
    assert!(
        look(&world, &mut idle, begin + WAIT).await.is_empty(),
        "it changed"
    );
    start(&world, guest).await;
    assert!(
        look(&world, &mut idle, begin + 5 * WAIT).await.is_empty(),
        "it is in use"
    );
    let destroy = DestroyGuest { id: guest };
    let started = world.manager.destroy_guest(&world.admin, destroy).await.unwrap();
    world.done(started).await;
    assert!(look(&world, &mut idle, begin + 6 * WAIT).await.is_empty());
    assert_eq!(look(&world, &mut idle, begin + 7 * WAIT).await, [network]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persistent_network_keeps_its_router() {
    let world = World::new(4).await;
    let request = CreateNetwork {
        offering: world.offering(OFFERING_PERSISTENT),
        ..world.create_network("net")
    };
    world.manager.create_network(&world.admin, request).await.unwrap();
    let mut idle = Idle::default();
    let begin = Instant::now();
    look(&world, &mut idle, begin).await;
    assert!(look(&world, &mut idle, begin + 9 * WAIT).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_brings_the_router_back() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    let first = world.address(network).await;
    world.quiet().await;
    let mut idle = Idle::default();
    let begin = Instant::now();
    look(&world, &mut idle, begin).await;
    assert_eq!(look(&world, &mut idle, begin + WAIT).await, [network]);
    reaches(&world, network, NetworkState::Allocated).await;
    let started = world.try_associate(network, None).await.unwrap();
    world.done(started).await;
    reaches(&world, network, NetworkState::Implemented).await;
    assert_eq!(
        world.source_nat(network).id,
        first,
        "the source NAT address stays"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_was_to_go_goes_although_the_server_ends_meanwhile() {
    let world = World::new(4).await;
    let network = world.network("net").await;
    world.address(network).await;
    world.quiet().await;
    let router = world.router_id(network);
    let mut idle = Idle::default();
    let begin = Instant::now();
    look(&world, &mut idle, begin).await;
    assert_eq!(look(&world, &mut idle, begin + WAIT).await, [network]);
    let world = world.restarted().await;
    reaches(&world, network, NetworkState::Allocated).await;
    assert!(!runs(&world, router));
    assert_eq!(world.network_now(network).phase, NetworkPhase::Allocated);
    let request = DeleteNetwork {
        id: network,
        forced: false,
    };
    let started = world.manager.delete_network(&world.admin, request).await.unwrap();
    world.done(started).await;
    assert_eq!(world.claims().await, Vec::<String>::new());
}
