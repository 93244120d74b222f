// SPDX-License-Identifier: Apache-2.0
//! Load balancer rules: what their router gets, what goes with them, and how many there may be.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{World, ports};
use outgate_manager::CommandError;
use outgate_manager::command::BALANCERS_PER_NETWORK;
use outgate_manager::command::request::{ChangeMembers, CreateLoadBalancer, DestroyGuest};
use outgate_model::id::{GuestId, LoadBalancerRuleId, NetworkId, PublicIpId};
use outgate_model::object::LoadBalancerRule;
use outgate_model::router_spec::load_balancer::{LbAlgorithm, LbProtocol};

struct Net {
    world: World,
    network: NetworkId,
    guest: GuestId,
    address: PublicIpId,
}

impl Net {
    async fn new() -> Self {
        let world = World::new(16).await;
        let network = world.network("net").await;
        let guest = world.guest(network, "vm-1").await;
        let address = world.address(network).await;
        Self {
            world,
            network,
            guest,
            address,
        }
    }

    async fn balance(&self, port: u16, firewall: bool) -> Result<LoadBalancerRuleId, CommandError> {
        let request = CreateLoadBalancer {
            name: format!("lb-{port}"),
            description: String::new(),
            public_ip: Some(self.address),
            network: None,
            public_port: port,
            private_port: 8080,
            algorithm: LbAlgorithm::RoundRobin,
            protocol: LbProtocol::Tcp,
            sources: Vec::new(),
            open_firewall: Some(firewall),
        };
        let manager = &self.world.manager;
        let started = manager.create_load_balancer(&self.world.admin, request).await?;
        Ok(LoadBalancerRuleId(started.id.unwrap()))
    }

    fn rule(&self, id: LoadBalancerRuleId) -> LoadBalancerRule {
        let view = self.world.manager.view();
        LoadBalancerRule::clone(view.get::<LoadBalancerRule>(id).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_has_so_many_load_balancer_rules_and_no_more() {
    let net = Net::new().await;
    for port in (1..).take(BALANCERS_PER_NETWORK) {
        net.balance(port, false).await.unwrap();
    }
    let error = net.balance(60_000, false).await.unwrap_err();
    assert_eq!(error.code(), 535, "{error}");
    assert!(error.to_string().contains(&net.network.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_guest_leaves_its_rules_and_they_stay() {
    let net = Net::new().await;
    let id = net.balance(80, true).await.unwrap();
    let members = ChangeMembers {
        id,
        members: vec![(net.guest, None)],
    };
    let (manager, admin) = (&net.world.manager, &net.world.admin);
    manager.assign_to_load_balancer(admin, members).await.unwrap();
    assert_eq!(net.rule(id).members.len(), 1);
    let error = manager
        .create_port_forwarding(
            admin,
            net.world
                .forward(net.address, net.guest, ports(79, 81), ports(79, 81)),
        )
        .await
        .unwrap_err();
    assert_eq!(error.code(), 537);
    assert!(error.to_string().contains(&id.to_string()), "{error}");
    let gone = DestroyGuest { id: net.guest };
    manager.destroy_guest(admin, gone).await.unwrap();
    assert!(net.rule(id).members.is_empty());
}
