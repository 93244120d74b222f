// SPDX-License-Identifier: Apache-2.0
//! VPCs, their tiers, network ACLs, private gateways and static routes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what a test cannot go on without"
)]

mod common;

use std::net::Ipv4Addr;

use common::{World, ip, ports, tcp};
use outgate_manager::bootstrap::OFFERING_TIER;
use outgate_manager::command::request::{
    AclUser, AssociateIpToVpc, CreateAclItem, CreateAclList, CreateEgressRule, CreateNetwork,
    CreatePrivateGateway, CreateStaticRoute, CreateTier, CreateVpc, DeleteAclItem, DeleteAclList,
    DeleteNetwork, DeletePortForwarding, DeletePrivateGateway, DeleteStaticRoute, DeleteVpc, DestroyGuest,
    DisassociateIp, MatchChange, MoveAclItem, ReplaceAclList, RestartVpc, UpdateAclItem, UpdateVpc,
};
use outgate_model::id::{
    NetworkAclItemId, NetworkAclListId, NetworkId, PortForwardingRuleId, PrivateGatewayId, PublicIpId,
    StaticRouteId, VpcId,
};
use outgate_model::object::{NetworkAclItem, NetworkAclList, VpcOffering};
use outgate_model::router_spec::{AclAction, AclDirection};
use outgate_model::{Match, Realm, RouterSpec};

fn vpc_request(w: &World, cidr: &str) -> CreateVpc {
    CreateVpc {
        name: "vpc".to_owned(),
        display_text: None,
        offering: w.manager.view().all::<VpcOffering>().next().unwrap().id,
        zone: w.zone,
        cidr: cidr.parse().unwrap(),
        domain: None,
        dns: Vec::new(),
        public_mtu: None,
        source_nat_address: None,
        start: true,
        owner: None,
    }
}

async fn vpc(w: &World) -> VpcId {
    let started = w
        .manager
        .create_vpc(&w.admin, vpc_request(w, "10.4.0.0/16"))
        .await;
    VpcId(w.done(started.unwrap()).await.unwrap())
}

fn tier_request(w: &World, vpc: VpcId, name: &str, gateway: &str) -> CreateTier {
    CreateTier {
        vpc,
        acl: None,
        network: CreateNetwork {
            offering: w.offering(OFFERING_TIER),
            gateway: Some(ip(gateway)),
            netmask: Some(ip("255.255.255.0")),
            ..w.create_network(name)
        },
    }
}

async fn tier(w: &World, vpc: VpcId, name: &str, gateway: &str) -> NetworkId {
    let request = tier_request(w, vpc, name, gateway);
    w.manager.create_tier(&w.admin, request).await.unwrap()
}

async fn list(w: &World, vpc: VpcId) -> NetworkAclListId {
    let request = CreateAclList {
        name: "web".to_owned(),
        description: None,
        vpc,
    };
    let started = w.manager.create_acl_list(&w.admin, request).await.unwrap();
    NetworkAclListId(w.done(started).await.unwrap())
}

fn item_request(list: NetworkAclListId, number: Option<u16>) -> CreateAclItem {
    CreateAclItem {
        list: Some(list),
        network: None,
        number,
        direction: AclDirection::Ingress,
        action: AclAction::Allow,
        matches: tcp(80, 80),
        cidrs: Vec::new(),
        reason: "web".to_owned(),
    }
}

async fn item(w: &World, list: NetworkAclListId, number: Option<u16>) -> NetworkAclItemId {
    let request = item_request(list, number);
    let started = w.manager.create_acl_item(&w.admin, request).await.unwrap();
    NetworkAclItemId(w.done(started).await.unwrap())
}

fn numbers(w: &World, list: NetworkAclListId) -> Vec<(NetworkAclItemId, u16)> {
    let view = w.manager.view();
    view.acl_items_of_list(list)
        .map(|item| (item.id, item.number))
        .collect()
}

/// What the VPC's router was last given, once it has all there is.
async fn spec(w: &World, vpc: VpcId) -> RouterSpec {
    let realm = Realm::Vpc(vpc);
    let router = w
        .when(|view| {
            let router = view.router_of(realm)?;
            let wanted = view.standing(realm)?.generation;
            (view.router_observed(router.id)?.generation >= wanted).then_some(router.id)
        })
        .await;
    w.host.with(|running| running.routers[&router].1.clone())
}

async fn vpc_address(w: &World, vpc: VpcId) -> PublicIpId {
    let request = AssociateIpToVpc { vpc, address: None };
    let started = w.manager.associate_ip_to_vpc(&w.admin, request).await.unwrap();
    PublicIpId(w.done(started).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vpc_has_its_router_at_once_and_tiers_come_as_interfaces() {
    let w = World::new(10).await;
    let vpc = vpc(&w).await;
    let before = spec(&w, vpc).await;
    assert_eq!(
        (
            before.control.interface.as_str(),
            before.public.interface.as_str()
        ),
        ("eth0", "eth1")
    );
    assert!(before.guest_networks.is_empty() && before.source_nat_address().is_some());
    let web = tier(&w, vpc, "web", "10.4.1.1").await;
    let db = tier(&w, vpc, "db", "10.4.2.1").await;
    let spec = spec(&w, vpc).await;
    let tiers: Vec<_> = spec
        .guest_networks
        .iter()
        .map(|tier| (tier.id, tier.interface.as_str(), tier.acl.as_ref().unwrap().id))
        .collect();
    let deny = NetworkAclList::DEFAULT_DENY;
    assert_eq!(tiers, [(web, "eth2", deny), (db, "eth3", deny)]);
    assert_eq!(w.router_id(web), w.router_id(db));
    let guest = w.guest(web, "g").await;
    w.quiet().await;
    assert!(w.host.with(|running| running.guests.contains_key(&guest)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_must_fit_into_its_vpc() {
    let w = World::new(10).await;
    let vpc = vpc(&w).await;
    tier(&w, vpc, "web", "10.4.1.1").await;
    let m = &w.manager;
    let outside = tier_request(&w, vpc, "a", "10.5.1.1");
    w.refused(431, &["10.4.0.0/16"], m.create_tier(&w.admin, outside))
        .await;
    let twice = tier_request(&w, vpc, "a", "10.4.1.129");
    w.refused(431, &["10.4.1.0/24"], m.create_tier(&w.admin, twice))
        .await;
    let mut offering = tier_request(&w, vpc, "a", "10.4.3.1");
    offering.network.offering = w.create_network("a").offering;
    w.refused(
        431,
        &["networkofferingid", "forvpc"],
        m.create_tier(&w.admin, offering),
    )
    .await;
    let other = w.tenant("other").await;
    let foreign = tier_request(&w, vpc, "a", "10.4.3.1");
    w.refused(431, &["vpcid"], m.create_tier(&other, foreign)).await;
    // Without a subnet the first free one is taken.
    let mut free = tier_request(&w, vpc, "free", "10.4.3.1");
    (free.network.gateway, free.network.netmask) = (None, None);
    let free = m.create_tier(&w.admin, free).await.unwrap();
    assert_eq!(w.network_now(free).gateway.to_string(), "10.4.0.1/24");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vpcs_cidr_is_private_and_has_no_host_bits() {
    let w = World::new(10).await;
    for cidr in ["8.8.0.0/16", "10.4.0.1/16", "10.0.0.0/7", "10.4.0.0/30"] {
        let request = w.manager.create_vpc(&w.admin, vpc_request(&w, cidr));
        w.refused(431, &["cidr"], request).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_a_vpc_is_tied_to_a_tier_while_a_rule_leads_there() {
    let w = World::new(10).await;
    let vpc = vpc(&w).await;
    let (web, db) = (
        tier(&w, vpc, "web", "10.4.1.1").await,
        tier(&w, vpc, "db", "10.4.2.1").await,
    );
    let (on_web, on_db) = (w.guest(web, "g1").await, w.guest(db, "g2").await);
    w.quiet().await;
    let address = vpc_address(&w, vpc).await;
    assert_eq!(
        (w.public_ip(address).network, w.public_ip(address).vpc),
        (None, Some(vpc))
    );
    let mut forward = w.forward(address, on_web, ports(80, 80), ports(80, 80));
    forward.open_firewall = Some(false);
    let started = w.manager.create_port_forwarding(&w.admin, forward).await.unwrap();
    let rule = PortForwardingRuleId(w.done(started).await.unwrap());
    assert_eq!(w.public_ip(address).network, Some(web));
    let given = spec(&w, vpc).await;
    let forwards: Vec<_> = given
        .public
        .addresses
        .iter()
        .flat_map(|a| &a.port_forwarding)
        .collect();
    assert_eq!(forwards.len(), 1);
    let mut second = w.forward(address, on_db, ports(81, 81), ports(80, 80));
    second.open_firewall = Some(false);
    w.refused(
        431,
        &["virtualmachineid"],
        w.manager.create_port_forwarding(&w.admin, second.clone()),
    )
    .await;
    let started = w
        .manager
        .delete_port_forwarding(&w.admin, DeletePortForwarding { id: rule });
    w.done(started.await.unwrap()).await;
    assert_eq!(w.public_ip(address).network, None);
    let started = w.manager.create_port_forwarding(&w.admin, second).await.unwrap();
    w.done(started).await;
    assert_eq!(w.public_ip(address).network, Some(db));
    // The guest takes the rule, and the rule the tie, along.
    let started = w
        .manager
        .destroy_guest(&w.admin, DestroyGuest { id: on_db })
        .await
        .unwrap();
    w.done(started).await;
    assert_eq!(w.public_ip(address).network, None);
    w.static_nat(address, on_web).await.unwrap();
    assert_eq!(w.public_ip(address).network, Some(web));
}

#[tokio::test(flavor = "multi_thread")]
async fn firewall_and_egress_rules_are_refused_in_a_vpc() {
    let w = World::new(10).await;
    let vpc = vpc(&w).await;
    let web = tier(&w, vpc, "web", "10.4.1.1").await;
    let address = vpc_address(&w, vpc).await;
    let open = w
        .manager
        .create_firewall_rule(&w.admin, w.open(address, tcp(80, 80)));
    w.refused(431, &["createNetworkACL"], open).await;
    let egress = CreateEgressRule {
        network: web,
        matches: Match::All,
        sources: Vec::new(),
        destinations: Vec::new(),
    };
    let egress = w.manager.create_egress_rule(&w.admin, egress);
    w.refused(431, &["createNetworkACL"], egress).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acl_items_have_unique_numbers_and_reach_the_router() {
    let w = World::new(10).await;
    let vpc = vpc(&w).await;
    let web = tier(&w, vpc, "web", "10.4.1.1").await;
    let list = list(&w, vpc).await;
    let user = AclUser::Tier(web);
    let replace = ReplaceAclList { list, user };
    w.done(w.manager.replace_acl_list(&w.admin, replace).await.unwrap())
        .await;
    let first = item(&w, list, None).await;
    let second = item(&w, list, Some(7)).await;
    let third = item(&w, list, None).await;
    assert_eq!(numbers(&w, list), [(first, 1), (second, 7), (third, 8)]);
    let m = &w.manager;
    w.refused(
        431,
        &["number", "7"],
        m.create_acl_item(&w.admin, item_request(list, Some(7))),
    )
    .await;
    let given = spec(&w, vpc).await;
    let acl = given.guest_networks[0].acl.as_ref().unwrap();
    assert_eq!((acl.id, acl.items.len()), (list, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn acl_items_move_change_and_go_but_not_the_list_of_a_tier() {
    let w = World::new(10).await;
    let vpc = vpc(&w).await;
    let web = tier(&w, vpc, "web", "10.4.1.1").await;
    let list = list(&w, vpc).await;
    let user = AclUser::Tier(web);
    let m = &w.manager;
    let replace = ReplaceAclList { list, user };
    w.done(m.replace_acl_list(&w.admin, replace).await.unwrap()).await;
    let first = item(&w, list, None).await;
    let second = item(&w, list, Some(7)).await;
    let third = item(&w, list, None).await;
    let shift = MoveAclItem {
        id: third,
        previous: Some(first),
        next: Some(second),
    };
    w.done(m.move_acl_item(&w.admin, shift).await.unwrap()).await;
    assert_eq!(numbers(&w, list), [(first, 1), (third, 2), (second, 7)]);
    let stale = MoveAclItem { id: second, ..shift };
    w.refused(
        431,
        &["previousaclruleid"],
        m.move_acl_item(
            &w.admin,
            MoveAclItem {
                previous: Some(second),
                ..stale
            },
        ),
    )
    .await;
    let update = UpdateAclItem {
        id: third,
        number: None,
        direction: Some(AclDirection::Egress),
        action: Some(AclAction::Deny),
        matches: MatchChange::default(),
        cidrs: None,
        reason: None,
    };
    w.done(m.update_acl_item(&w.admin, update).await.unwrap()).await;
    let now = NetworkAclItem::clone(m.view().get::<NetworkAclItem>(third).unwrap());
    assert_eq!(
        (now.action, now.matches, now.number),
        (AclAction::Deny, tcp(80, 80), 2)
    );
    w.done(
        m.delete_acl_item(&w.admin, DeleteAclItem { id: first })
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(numbers(&w, list), [(third, 2), (second, 7)]);
    w.refused(
        536,
        &["web"],
        m.delete_acl_list(&w.admin, DeleteAclList { id: list }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_lists_cannot_change_and_a_list_serves_its_own_vpc_only() {
    let w = World::new(10).await;
    let (here, there) = (vpc(&w).await, vpc(&w).await);
    let web = tier(&w, here, "web", "10.4.1.1").await;
    let m = &w.manager;
    let allow = NetworkAclList::DEFAULT_ALLOW;
    w.refused(
        431,
        &["built in"],
        m.create_acl_item(&w.admin, item_request(allow, None)),
    )
    .await;
    w.refused(
        431,
        &["built in"],
        m.delete_acl_list(&w.admin, DeleteAclList { id: allow }),
    )
    .await;
    let foreign = list(&w, there).await;
    let user = AclUser::Tier(web);
    let replace = ReplaceAclList { list: foreign, user };
    w.refused(431, &["aclid"], m.replace_acl_list(&w.admin, replace))
        .await;
    let stranger = w.tenant("stranger").await;
    w.refused(
        431,
        &["does not exist"],
        m.create_acl_item(&stranger, item_request(foreign, None)),
    )
    .await;
}

fn gateway_request(vpc: VpcId) -> CreatePrivateGateway {
    CreatePrivateGateway {
        vpc,
        physical_network: None,
        vlan: 500,
        address: ip("172.20.0.2"),
        netmask: ip("255.255.255.0"),
        gateway: ip("172.20.0.1"),
        source_nat: false,
        acl: None,
    }
}

fn route_request(vpc: VpcId, hop: Ipv4Addr, cidr: &str) -> CreateStaticRoute {
    CreateStaticRoute {
        gateway: None,
        vpc: Some(vpc),
        next_hop: Some(hop),
        cidr: cidr.parse().unwrap(),
    }
}

/// What a static route may not lead to.
async fn refused_routes(w: &World, through: CreateStaticRoute) {
    for cidr in [
        "10.4.9.0/24",
        "169.254.3.0/24",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "0.0.0.0/0",
        "203.0.113.0/25",
    ] {
        let wrong = w.manager.create_static_route(
            &w.admin,
            CreateStaticRoute {
                cidr: cidr.parse().unwrap(),
                ..through
            },
        );
        w.refused(431, &["cidr"], wrong).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn private_gateways_and_static_routes_depend_on_each_other() {
    let w = World::new(10).await;
    let (here, there) = (vpc(&w).await, vpc(&w).await);
    let m = &w.manager;
    let started = m
        .create_private_gateway(&w.admin, gateway_request(here))
        .await
        .unwrap();
    let gateway = PrivateGatewayId(w.done(started).await.unwrap());
    w.refused(
        536,
        &["172.20.0.2"],
        m.create_private_gateway(&w.admin, gateway_request(there)),
    )
    .await;
    let inside = CreatePrivateGateway {
        address: ip("10.4.9.2"),
        gateway: ip("10.4.9.1"),
        ..gateway_request(there)
    };
    w.refused(
        431,
        &["ipaddress", "10.4.0.0/16"],
        m.create_private_gateway(&w.admin, inside),
    )
    .await;
    let through = CreateStaticRoute {
        gateway: Some(gateway),
        ..route_request(here, ip("172.20.0.1"), "192.168.7.0/24")
    };
    let started = m.create_static_route(&w.admin, through).await.unwrap();
    let route = StaticRouteId(w.done(started).await.unwrap());
    let given = spec(&w, here).await.vpc.unwrap();
    assert_eq!(given.private_gateways[0].interface, "eth2");
    assert_eq!(given.static_routes[0].via, ip("172.20.0.1"));
    refused_routes(&w, through).await;
    let nowhere = m.create_static_route(&w.admin, route_request(here, ip("172.21.0.1"), "192.168.9.0/24"));
    w.refused(431, &["nexthop"], nowhere).await;
    let delete = DeletePrivateGateway { id: gateway };
    w.refused(536, &["static route"], m.delete_private_gateway(&w.admin, delete))
        .await;
    w.done(
        m.delete_static_route(&w.admin, DeleteStaticRoute { id: route })
            .await
            .unwrap(),
    )
    .await;
    w.done(m.delete_private_gateway(&w.admin, delete).await.unwrap())
        .await;
    assert!(spec(&w, here).await.vpc.unwrap().private_gateways.is_empty());
    // Its address is free again.
    let again = m
        .create_private_gateway(&w.admin, gateway_request(there))
        .await
        .unwrap();
    w.done(again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_nat_address_of_a_vpc_changes_and_cannot_be_released() {
    let w = World::new(10).await;
    let vpc = vpc(&w).await;
    let old = w.manager.view().source_nat_of(Realm::Vpc(vpc)).unwrap().id;
    let release = w.manager.disassociate_ip(&w.admin, DisassociateIp { id: old });
    w.refused(431, &["updateVPC"], release).await;
    let update = UpdateVpc {
        id: vpc,
        name: Some("renamed".to_owned()),
        display_text: None,
        public_mtu: None,
        source_nat_address: Some(ip("203.0.113.15")),
    };
    w.done(w.manager.update_vpc(&w.admin, update).await.unwrap())
        .await;
    let given = spec(&w, vpc).await;
    assert_eq!(
        given.source_nat_address().unwrap().address.addr(),
        ip("203.0.113.15")
    );
    assert_eq!(given.public.addresses.len(), 2, "the old one stays the VPC's");
    w.done(
        w.manager
            .disassociate_ip(&w.admin, DisassociateIp { id: old })
            .await
            .unwrap(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_cleanup_replaces_the_router() {
    let w = World::new(10).await;
    let vpc = vpc(&w).await;
    let restart = RestartVpc {
        id: vpc,
        cleanup: true,
    };
    w.done(w.manager.restart_vpc(&w.admin, restart).await.unwrap())
        .await;
    let router = w.manager.view().router_of(Realm::Vpc(vpc)).unwrap().id;
    assert_eq!(w.host.with(|running| running.routers[&router].0), 2);
}

/// What the store holds besides jobs and counters.
async fn kept(w: &World) -> Vec<String> {
    let keys = w.written().await.into_iter().map(|(key, _)| key);
    keys.filter(|key| !key.starts_with("jobs/") && !key.starts_with("counters/"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tier_takes_its_rules_along_and_a_deleted_vpc_leaves_nothing() {
    let w = World::new(10).await;
    let before = kept(&w).await;
    let vpc = vpc(&w).await;
    let (web, db) = (
        tier(&w, vpc, "web", "10.4.1.1").await,
        tier(&w, vpc, "db", "10.4.2.1").await,
    );
    let guest = w.guest(web, "g").await;
    w.quiet().await;
    let address = vpc_address(&w, vpc).await;
    w.static_nat(address, guest).await.unwrap();
    let list = list(&w, vpc).await;
    item(&w, list, None).await;
    w.done(
        w.manager
            .create_private_gateway(&w.admin, gateway_request(vpc))
            .await
            .unwrap(),
    )
    .await;
    let m = &w.manager;
    w.refused(536, &["tiers"], m.delete_vpc(&w.admin, DeleteVpc { id: vpc }))
        .await;
    w.refused(
        536,
        &["guests"],
        m.delete_network(
            &w.admin,
            DeleteNetwork {
                id: web,
                forced: false,
            },
        ),
    )
    .await;
    for (id, forced) in [(web, true), (db, false)] {
        w.done(
            m.delete_network(&w.admin, DeleteNetwork { id, forced })
                .await
                .unwrap(),
        )
        .await;
    }
    assert_eq!(
        (w.public_ip(address).network, w.public_ip(address).static_nat),
        (None, None)
    );
    assert!(spec(&w, vpc).await.guest_networks.is_empty());
    w.done(m.delete_vpc(&w.admin, DeleteVpc { id: vpc }).await.unwrap())
        .await;
    assert!(w.claims().await.is_empty() && w.host.with(|running| running.routers.is_empty()));
    assert_eq!(kept(&w).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_finishes_the_deletion_of_a_vpc() {
    let w = World::new(10).await;
    let vpc = vpc(&w).await;
    w.manager
        .delete_vpc(&w.admin, DeleteVpc { id: vpc })
        .await
        .unwrap();
    let w = w.restarted().await;
    w.quiet().await;
    assert!(w.manager.view().standing(Realm::Vpc(vpc)).is_none());
    assert!(w.claims().await.is_empty());
    assert!(w.host.with(|running| running.routers.is_empty()));
}
