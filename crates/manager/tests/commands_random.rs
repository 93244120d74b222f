// SPDX-License-Identifier: Apache-2.0
//! Whatever users do in whatever order, what is stored fits together, and nothing is left when everything is deleted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use common::{World, ports, tcp};
use outgate_manager::command::request::{AddSourceNat, RemoveSourceNat, WantedAddress};
use outgate_manager::command::request::{
    AssociateIp, CreateEgressRule, DeleteEgressRule, DeleteFirewallRule, DeleteNetwork, DeletePortForwarding,
    DestroyGuest, DestroyRouter, DisableStaticNat, DisassociateIp, RebootGuest, RebootRouter, RestartNetwork,
    StartGuest, StartRouter, StopGuest, StopRouter, UpdateNetwork,
};
use outgate_manager::command::request::{
    ChangeMembers, CreateIpForwarding, CreateLoadBalancer, DeleteIpForwarding, DeleteLoadBalancer,
};
use outgate_manager::spec::{Source, router_spec};
use outgate_manager::{CommandError, Row, Started, View};
use outgate_model::Protocol;
use outgate_model::key;
use outgate_model::object::{
    Direction, FirewallRule, Guest, Network, NetworkPhase, PortForwardingRule, Power, PublicIp, Router,
};
use outgate_model::object::{IpForwardingRule, LoadBalancerRule};
use outgate_model::router_spec::load_balancer::{LbAlgorithm, LbProtocol};
use proptest::prelude::*;

/// What a user does; the numbers choose among what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    CreateNetwork,
    Deploy(u8),
    StopGuest(u8),
    StartGuest(u8),
    RebootGuest(u8),
    DestroyGuest(u8),
    Associate(u8),
    AssociateToZone,
    Disassociate(u8),
    Open(u8, u16),
    Egress(u8, u16),
    Close(u8),
    Forward(u8, u8, u16),
    Unforward(u8),
    Balance(u8, u16),
    Assign(u8, u8),
    Unassign(u8, u8),
    Unbalance(u8),
    IpForward(u8, u16),
    NoIpForward(u8),
    StaticNat(u8, u8),
    NoStaticNat(u8),
    SourceNat(u8, u8),
    AddSourceNat(u8, Option<u8>),
    RemoveSourceNat(u8),
    Restart(u8, bool),
    StopRouter(u8),
    StartRouter(u8),
    RebootRouter(u8),
    DestroyRouter(u8),
    DeleteNetwork(u8, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let n = any::<u8>;
    let port = || 1u16..6;
    prop_oneof![
        2 => Just(Step::CreateNetwork),
        4 => n().prop_map(Step::Deploy),
        1 => n().prop_map(Step::StopGuest),
        1 => n().prop_map(Step::StartGuest),
        1 => n().prop_map(Step::RebootGuest),
        2 => n().prop_map(Step::DestroyGuest),
        4 => n().prop_map(Step::Associate),
        1 => Just(Step::AssociateToZone),
        2 => n().prop_map(Step::Disassociate),
        3 => (n(), port()).prop_map(|(a, p)| Step::Open(a, p)),
        2 => (n(), port()).prop_map(|(a, p)| Step::Egress(a, p)),
        2 => n().prop_map(Step::Close),
        5 => (n(), n(), port()).prop_map(|(a, b, p)| Step::Forward(a, b, p)),
        2 => n().prop_map(Step::Unforward),
        4 => (n(), port()).prop_map(|(a, p)| Step::Balance(a, p)),
        4 => (n(), n()).prop_map(|(a, b)| Step::Assign(a, b)),
        1 => (n(), n()).prop_map(|(a, b)| Step::Unassign(a, b)),
        1 => n().prop_map(Step::Unbalance),
        3 => (n(), port()).prop_map(|(a, p)| Step::IpForward(a, p)),
        1 => n().prop_map(Step::NoIpForward),
        4 => (n(), n()).prop_map(|(a, b)| Step::StaticNat(a, b)),
        1 => n().prop_map(Step::NoStaticNat),
        3 => (n(), n()).prop_map(|(a, b)| Step::SourceNat(a, b)),
        3 => (n(), proptest::option::of(n())).prop_map(|(a, b)| Step::AddSourceNat(a, b)),
        2 => n().prop_map(Step::RemoveSourceNat),
        1 => (n(), any::<bool>()).prop_map(|(a, b)| Step::Restart(a, b)),
        1 => n().prop_map(Step::StopRouter),
        1 => n().prop_map(Step::StartRouter),
        1 => n().prop_map(Step::RebootRouter),
        1 => n().prop_map(Step::DestroyRouter),
        1 => (n(), any::<bool>()).prop_map(|(a, b)| Step::DeleteNetwork(a, b)),
    ]
}

/// One of the objects of a kind, in the order of their keys.
fn pick<O: Row>(world: &World, n: u8) -> Option<O> {
    let view = world.manager.view();
    let all: Vec<_> = view.all::<O>().collect();
    let chosen = all.get(usize::from(n).checked_rem(all.len())?)?;
    Some(O::clone(&chosen.object))
}

/// Does one step; `None` when there is nothing to do it to.
async fn take(world: &World, step: Step) -> Option<Result<(), CommandError>> {
    match step {
        Step::CreateNetwork => {
            let result = world
                .manager
                .create_network(&world.admin, world.create_network("net"))
                .await;
            Some(result.map(|_| ()))
        }
        Step::StaticNat(ip, guest) => {
            let (ip, guest) = (pick::<PublicIp>(world, ip)?, pick::<Guest>(world, guest)?);
            Some(world.static_nat(ip.id, guest.id).await)
        }
        Step::Deploy(_)
        | Step::StopGuest(_)
        | Step::StartGuest(_)
        | Step::RebootGuest(_)
        | Step::DestroyGuest(_)
        | Step::StopRouter(_)
        | Step::StartRouter(_)
        | Step::RebootRouter(_)
        | Step::DestroyRouter(_) => Some(machine(world, step).await?.map(|_| ())),
        _ => Some(wire(world, step).await?.map(|_| ())),
    }
}

/// Steps on guests and routers.
async fn machine(world: &World, step: Step) -> Option<Result<Started, CommandError>> {
    let (manager, admin) = (&world.manager, &world.admin);
    let guest = |n| pick::<Guest>(world, n).map(|guest| guest.id);
    let router = |n| pick::<Router>(world, n).map(|router| router.id);
    Some(match step {
        Step::Deploy(n) => {
            let network = pick::<Network>(world, n)?;
            let name = format!("vm-{}", uuid::Uuid::new_v4());
            manager.deploy_guest(admin, world.deploy(network.id, &name)).await
        }
        Step::StopGuest(n) => manager.stop_guest(admin, StopGuest { id: guest(n)? }).await,
        Step::StartGuest(n) => manager.start_guest(admin, StartGuest { id: guest(n)? }).await,
        Step::RebootGuest(n) => manager.reboot_guest(admin, RebootGuest { id: guest(n)? }).await,
        Step::DestroyGuest(n) => manager.destroy_guest(admin, DestroyGuest { id: guest(n)? }).await,
        Step::StopRouter(n) => manager.stop_router(admin, StopRouter { id: router(n)? }).await,
        Step::StartRouter(n) => manager.start_router(admin, StartRouter { id: router(n)? }).await,
        Step::RebootRouter(n) => {
            manager
                .reboot_router(admin, RebootRouter { id: router(n)? })
                .await
        }
        Step::DestroyRouter(n) => {
            manager
                .destroy_router(admin, DestroyRouter { id: router(n)? })
                .await
        }
        _ => return None,
    })
}

/// Steps on networks and addresses.
async fn wire(world: &World, step: Step) -> Option<Result<Started, CommandError>> {
    let (manager, admin) = (&world.manager, &world.admin);
    let network = |n| pick::<Network>(world, n).map(|network| network.id);
    let ip = |n| pick::<PublicIp>(world, n).map(|ip| ip.id);
    Some(match step {
        Step::Associate(n) => world.try_associate(network(n)?, None).await,
        Step::AssociateToZone => {
            let request = AssociateIp {
                network: None,
                zone: Some(world.zone),
                address: None,
                owner: None,
            };
            manager.associate_ip(admin, request).await
        }
        Step::Disassociate(n) => {
            manager
                .disassociate_ip(admin, DisassociateIp { id: ip(n)? })
                .await
        }
        Step::Restart(n, cleanup) => {
            manager
                .restart_network(
                    admin,
                    RestartNetwork {
                        id: network(n)?,
                        cleanup,
                    },
                )
                .await
        }
        Step::DeleteNetwork(n, forced) => {
            manager
                .delete_network(
                    admin,
                    DeleteNetwork {
                        id: network(n)?,
                        forced,
                    },
                )
                .await
        }
        _ => source_nat(world, step).await?,
    })
}

/// Steps on source NAT addresses.
async fn source_nat(world: &World, step: Step) -> Option<Result<Started, CommandError>> {
    let (manager, admin) = (&world.manager, &world.admin);
    let network = |n| pick::<Network>(world, n).map(|network| network.id);
    let ip = |n| pick::<PublicIp>(world, n).map(|ip| ip.id);
    Some(match step {
        Step::SourceNat(n, address) => {
            let source_nat_address = Some(pick::<PublicIp>(world, address)?.address);
            let (name, display_text, domain) = (None, None, None);
            let request = UpdateNetwork {
                name,
                display_text,
                domain,
                source_nat_address,
                ..UpdateNetwork::of(network(n)?)
            };
            manager.update_network(admin, request).await
        }
        Step::AddSourceNat(n, address) => {
            let address = match address {
                Some(n) => Some(WantedAddress::Id(ip(n)?)),
                None => None,
            };
            let (network, vpc) = (Some(network(n)?), None);
            let request = AddSourceNat {
                network,
                vpc,
                address,
            };
            manager.add_source_nat(admin, request).await
        }
        Step::RemoveSourceNat(n) => {
            let request = RemoveSourceNat { id: ip(n)? };
            manager.remove_source_nat(admin, request).await
        }
        _ => rule(world, step).await?,
    })
}

/// Steps on rules.
async fn rule(world: &World, step: Step) -> Option<Result<Started, CommandError>> {
    let (manager, admin) = (&world.manager, &world.admin);
    let ip = |n| pick::<PublicIp>(world, n).map(|ip| ip.id);
    Some(match step {
        Step::NoStaticNat(n) => {
            manager
                .disable_static_nat(admin, DisableStaticNat { public_ip: ip(n)? })
                .await
        }
        Step::Open(n, port) => {
            manager
                .create_firewall_rule(admin, world.open(ip(n)?, tcp(port, port + 1)))
                .await
        }
        Step::Egress(n, port) => {
            let (matches, sources, destinations) = (tcp(port, port), Vec::new(), Vec::new());
            let network = pick::<Network>(world, n)?.id;
            manager
                .create_egress_rule(
                    admin,
                    CreateEgressRule {
                        network,
                        matches,
                        sources,
                        destinations,
                    },
                )
                .await
        }
        Step::Close(n) => {
            let rule = pick::<FirewallRule>(world, n)?;
            match rule.direction {
                Direction::Egress => {
                    manager
                        .delete_egress_rule(admin, DeleteEgressRule { id: rule.id })
                        .await
                }
                Direction::Ingress { .. } => {
                    manager
                        .delete_firewall_rule(admin, DeleteFirewallRule { id: rule.id })
                        .await
                }
            }
        }
        Step::Forward(n, guest, port) => {
            let guest = pick::<Guest>(world, guest)?.id;
            let request = world.forward(ip(n)?, guest, ports(port, port + 1), ports(port, port + 1));
            manager.create_port_forwarding(admin, request).await
        }
        Step::Unforward(n) => {
            let id = pick::<PortForwardingRule>(world, n)?.id;
            manager
                .delete_port_forwarding(admin, DeletePortForwarding { id })
                .await
        }
        _ => balance(world, step).await?,
    })
}

/// Steps on load balancer rules and IP forwarding rules.
async fn balance(world: &World, step: Step) -> Option<Result<Started, CommandError>> {
    let (manager, admin) = (&world.manager, &world.admin);
    let ip = |n| pick::<PublicIp>(world, n).map(|ip| ip.id);
    let balancer = |n| pick::<LoadBalancerRule>(world, n).map(|rule| rule.id);
    let members = |n, guest| {
        let members = vec![(pick::<Guest>(world, guest)?.id, None)];
        Some(ChangeMembers {
            id: balancer(n)?,
            members,
        })
    };
    Some(match step {
        Step::Balance(n, port) => {
            let request = CreateLoadBalancer {
                name: "lb".to_owned(),
                description: String::new(),
                public_ip: Some(ip(n)?),
                network: None,
                public_port: port,
                private_port: port,
                algorithm: LbAlgorithm::RoundRobin,
                protocol: LbProtocol::Tcp,
                sources: Vec::new(),
                open_firewall: None,
            };
            manager.create_load_balancer(admin, request).await
        }
        Step::Assign(n, guest) => manager.assign_to_load_balancer(admin, members(n, guest)?).await,
        Step::Unassign(n, guest) => manager.remove_from_load_balancer(admin, members(n, guest)?).await,
        Step::Unbalance(n) => {
            let id = balancer(n)?;
            manager
                .delete_load_balancer(admin, DeleteLoadBalancer { id })
                .await
        }
        Step::IpForward(n, port) => {
            let request = CreateIpForwarding {
                public_ip: ip(n)?,
                protocol: Protocol::Tcp,
                ports: ports(port, port + 1),
                open_firewall: true,
                sources: Vec::new(),
            };
            manager.create_ip_forwarding(admin, request).await
        }
        Step::NoIpForward(n) => {
            let id = pick::<IpForwardingRule>(world, n)?.id;
            manager
                .delete_ip_forwarding(admin, DeleteIpForwarding { id })
                .await
        }
        _ => return None,
    })
}

/// What must hold after each step.
fn check(world: &World) {
    let view = world.manager.view();
    let mut seen = BTreeSet::new();
    for ip in view.all::<PublicIp>() {
        assert!(seen.insert(ip.address), "{} has two owners", ip.address);
        assert!(
            view.claimed(&key::ip_claim(ip.zone, ip.address)).is_some(),
            "{} has no claim",
            ip.address
        );
        let forwards = view.forwards_of_ip(ip.id).count() + view.balancers_of_ip(ip.id).count();
        let ip_forwards = view.ip_forwards_of_ip(ip.id).count();
        assert!(
            ip.static_nat.is_some() || ip_forwards == 0,
            "{} forwards to nobody",
            ip.address
        );
        assert!(
            view.balancers_of_ip(ip.id)
                .all(|rule| Some(rule.network) == ip.network)
        );
        assert!(
            ip.static_nat.is_none() || forwards == 0,
            "{} has static NAT and forwards",
            ip.address
        );
        assert!(
            !(ip.is_source_nat() && ip.static_nat.is_some() || ip.source_nat && ip.source_nat_pool),
            "{} is source NAT and static NAT",
            ip.address
        );
        assert!(
            view.forwards_of_ip(ip.id)
                .all(|rule| Some(rule.network) == ip.network)
        );
        assert!(
            view.firewall_rules_of_ip(ip.id)
                .all(|rule| Some(rule.network) == ip.network)
        );
    }
    for router in view.all::<Router>() {
        assert!(view.claimed(&key::link_local_claim(router.link_local)).is_some());
    }
    for network in view.all::<Network>() {
        check_network(world, &view, network);
    }
}

fn check_network(world: &World, view: &View<'_>, network: &Network) {
    let source_nat = view
        .public_ips_of_network(network.id)
        .filter(|ip| ip.source_nat)
        .count();
    let pool = view.source_nat_pool_of(network.realm()).len();
    assert!(pool >= source_nat && pool <= outgate_model::router_spec::POOL_MAX);
    match network.phase {
        NetworkPhase::Implemented => assert_eq!(source_nat, 1, "network {}", network.id),
        NetworkPhase::Allocated | NetworkPhase::Destroyed => assert!(source_nat <= 1),
    }
    let mut used: Vec<Ipv4Addr> = vec![network.gateway.addr()];
    for guest in view.guests_of_network(network.id) {
        used.extend(
            guest
                .nics
                .iter()
                .filter(|nic| nic.network == network.id)
                .map(|nic| nic.address),
        );
    }
    let each: BTreeSet<_> = used.iter().collect();
    assert_eq!(each.len(), used.len(), "a guest address is used twice");
    let spec = router_spec(
        Source::stored(view),
        &world.manager.config().router,
        network.realm(),
    )
    .unwrap();
    if let Some(spec) = spec {
        assert_eq!(spec.validate(), Ok(()));
    }
    for rule in view.balancers_of_network(network.id) {
        for member in &rule.members {
            let guest = view.get::<Guest>(member.guest);
            assert!(
                guest.is_some_and(|guest| guest.power != Power::Gone),
                "a load balancer rule has a member that is going"
            );
        }
    }
    for forward in view.forwards_of_network(network.id) {
        let guest = view
            .get::<Guest>(forward.guest)
            .expect("a forward's guest exists");
        assert!(
            guest.power != Power::Gone,
            "a forward leads to a guest that is going"
        );
    }
}

/// Deletes everything and sees that nothing is left.
async fn clear(world: &World) {
    let networks: Vec<_> = world
        .manager
        .view()
        .all::<Network>()
        .map(|network| network.id)
        .collect();
    for id in networks {
        match world
            .manager
            .delete_network(&world.admin, DeleteNetwork { id, forced: true })
            .await
        {
            Ok(_) | Err(CommandError::NotFound { .. }) => {}
            Err(error) => panic!("network {id} is not deleted: {error}"),
        }
    }
    world.quiet().await;
    let free: Vec<_> = world.manager.view().all::<PublicIp>().map(|ip| ip.id).collect();
    for id in free {
        world
            .manager
            .disassociate_ip(&world.admin, DisassociateIp { id })
            .await
            .unwrap();
    }
    assert_eq!(world.claims().await, Vec::<String>::new());
    let view = world.manager.view();
    assert_eq!(
        view.all::<Network>().len() + view.all::<Guest>().len() + view.all::<Router>().len(),
        0
    );
    assert_eq!(view.all::<PublicIp>().len() + view.all::<FirewallRule>().len(), 0);
    assert_eq!(view.all::<PortForwardingRule>().len(), 0);
    assert_eq!(
        view.all::<LoadBalancerRule>().len() + view.all::<IpForwardingRule>().len(),
        0
    );
    assert!(
        world
            .host
            .with(|running| running.routers.is_empty() && running.guests.is_empty())
    );
}

async fn play(steps: Vec<Step>) {
    let world = World::new(8).await;
    let network = world.network("first").await;
    world.guest(network, "vm-1").await;
    world.address(network).await;
    for step in steps {
        if let Some(Err(error)) = take(&world, step).await {
            assert_ne!(error.code(), 530, "{step:?}: {error}");
        }
        check(&world);
    }
    clear(&world).await;
    world.manager.shutdown().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_commands_leaves_a_state_that_fits_together(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}
