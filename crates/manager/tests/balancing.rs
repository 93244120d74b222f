// SPDX-License-Identifier: Apache-2.0
//! Load balancer rules: what their router gets, what goes with them, and how many there may be.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what a test cannot go on without"
)]

mod common;

use common::{World, ports};
use outgate_manager::CommandError;
use outgate_manager::bootstrap::OFFERING_TIER;
use outgate_manager::command::request::{
    AssociateIpToVpc, ChangeMembers, CreateLoadBalancer, CreateNetwork, CreateTier, CreateVpc,
    DeleteLoadBalancer, DestroyGuest,
};
use outgate_manager::command::{BALANCERS_PER_NETWORK, MEMBERS_PER_NETWORK};
use outgate_model::Realm;
use outgate_model::id::{GuestId, LoadBalancerRuleId, NetworkId, PublicIpId, VpcId};
use outgate_model::object::{LoadBalancerRule, VpcOffering};
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
async fn a_network_has_so_many_load_balancer_rules_and_members_and_no_more() {
    let net = Net::new().await;
    let mut guests = vec![(net.guest, None)];
    let each = MEMBERS_PER_NETWORK / BALANCERS_PER_NETWORK;
    for n in 1..each {
        let guest = net.world.guest(net.network, &format!("more-{n}")).await;
        guests.push((guest, None));
    }
    let (manager, admin) = (&net.world.manager, &net.world.admin);
    let mut last = None;
    for port in (1..).take(BALANCERS_PER_NETWORK) {
        let id = net.balance(port, false).await.unwrap();
        let members = guests.clone();
        let request = ChangeMembers { id, members };
        manager.assign_to_load_balancer(admin, request).await.unwrap();
        last = Some(id);
    }
    let one_more = net.world.guest(net.network, "one-more").await;
    let request = ChangeMembers {
        id: last.unwrap(),
        members: vec![(one_more, None)],
    };
    let member = manager.assign_to_load_balancer(admin, request).await.unwrap_err();
    let rule = net.balance(60_000, false).await.unwrap_err();
    for error in [member, rule] {
        assert_eq!(error.code(), 535, "{error}");
        assert!(error.to_string().contains(&net.network.to_string()), "{error}");
    }
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

/// A VPC with a tier, a guest on it and an address of the VPC's.
async fn vpc(world: &World) -> (VpcId, NetworkId, GuestId, PublicIpId) {
    let (manager, admin) = (&world.manager, &world.admin);
    let request = CreateVpc {
        name: "vpc".to_owned(),
        display_text: None,
        offering: manager.view().all::<VpcOffering>().next().unwrap().id,
        zone: world.zone,
        cidr: "10.4.0.0/16".parse().unwrap(),
        domain: None,
        dns: Vec::new(),
        public_mtu: None,
        source_nat_address: None,
        start: true,
        owner: None,
    };
    let started = manager.create_vpc(admin, request).await.unwrap();
    let vpc = VpcId(world.done(started).await.unwrap());
    let request = CreateTier {
        vpc,
        acl: None,
        network: CreateNetwork {
            offering: world.offering(OFFERING_TIER),
            gateway: Some([10, 4, 1, 1].into()),
            netmask: Some([255, 255, 255, 0].into()),
            ..world.create_network("tier")
        },
    };
    let tier = manager.create_tier(admin, request).await.unwrap();
    let guest = world.guest(tier, "vm-1").await;
    let request = AssociateIpToVpc { vpc, address: None };
    let started = manager.associate_ip_to_vpc(admin, request).await.unwrap();
    (vpc, tier, guest, PublicIpId(world.done(started).await.unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_vpc_a_rule_ties_its_address_to_a_tier_until_it_goes() {
    let world = World::new(16).await;
    let (vpc, tier, guest, address) = vpc(&world).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let request = |network, open_firewall| CreateLoadBalancer {
        name: "lb".to_owned(),
        description: String::new(),
        public_ip: Some(address),
        network,
        public_port: 80,
        private_port: 8080,
        algorithm: LbAlgorithm::RoundRobin,
        protocol: LbProtocol::Tcp,
        sources: vec!["198.51.100.0/24".parse().unwrap()],
        open_firewall,
    };
    for wrong in [request(None, None), request(Some(tier), Some(true))] {
        let error = manager.create_load_balancer(admin, wrong).await.unwrap_err();
        assert_eq!(error.code(), 431, "{error}");
    }
    let started = manager
        .create_load_balancer(admin, request(Some(tier), None))
        .await
        .unwrap();
    let id = LoadBalancerRuleId(world.done(started).await.unwrap());
    assert_eq!(world.public_ip(address).network, Some(tier));
    let members = ChangeMembers {
        id,
        members: vec![(guest, None)],
    };
    let started = manager.assign_to_load_balancer(admin, members).await.unwrap();
    world.done(started).await;
    let router = manager.view().router_of(Realm::Vpc(vpc)).unwrap().id;
    let given = world.host.with(|running| running.routers[&router].1.clone());
    let balanced: Vec<_> = given
        .public
        .addresses
        .iter()
        .flat_map(|a| &a.load_balancers)
        .collect();
    assert_eq!((balanced.len(), balanced[0].members.len()), (1, 1));
    assert!(given.public.addresses.iter().all(|a| a.firewall.is_empty()));
    let started = manager
        .delete_load_balancer(admin, DeleteLoadBalancer { id })
        .await
        .unwrap();
    world.done(started).await;
    assert_eq!(world.public_ip(address).network, None);
}
