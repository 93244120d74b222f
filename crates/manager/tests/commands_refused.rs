// SPDX-License-Identifier: Apache-2.0
//! Every rule of refusal: its code, the words of its text, and that nothing was written.

#![allow(clippy::too_many_lines, reason = "tables")]

mod common;

use common::{World, ip, ports, tcp};
use outgate_manager::command::request::{
    AssociateIp, CreateEgressRule, CreateNetwork, DeleteEgressRule, DeleteFirewallRule, DeleteNetwork,
    DisableStaticNat, DisassociateIp, RebootRouter, RestartNetwork, StartGuest, StopRouter,
};
use outgate_model::id::{
    FirewallRuleId, GuestId, NetworkId, NetworkOfferingId, PublicIpId, RouterId, ServiceOfferingId,
    TemplateId, ZoneId,
};
use outgate_model::{IcmpMatch, Match};

#[tokio::test(flavor = "multi_thread")]
async fn a_network_with_a_wrong_field_is_refused_by_its_name() {
    let world = World::new(8).await;
    world.network("first").await;
    let base = world.create_network("second");
    let with = |change: fn(&mut CreateNetwork)| {
        let mut request = base.clone();
        change(&mut request);
        request
    };
    let subnet = |request: &mut CreateNetwork, gateway: &str, netmask: &str| {
        request.gateway = Some(ip(gateway));
        request.netmask = Some(ip(netmask));
    };
    let gateway = |gateway: &str, netmask: &str| {
        let mut request = base.clone();
        subnet(&mut request, gateway, netmask);
        request
    };
    let table: Vec<(CreateNetwork, Vec<&str>)> = vec![
        (with(|r| r.name = "  ".to_owned()), vec!["name", "255 characters"]),
        (with(|r| r.name = "x".repeat(256)), vec!["name"]),
        (
            with(|r| r.display_text = Some("a\nb".to_owned())),
            vec!["displaytext"],
        ),
        (
            with(|r| r.offering = NetworkOfferingId::new()),
            vec!["networkofferingid", "entity does not exist"],
        ),
        (
            with(|r| r.zone = ZoneId::new()),
            vec!["zoneid", "entity does not exist"],
        ),
        (
            with(|r| r.domain = Some("a..b".to_owned())),
            vec!["networkdomain", "a..b"],
        ),
        (
            with(|r| r.domain = Some("-a.b".to_owned())),
            vec!["networkdomain"],
        ),
        (
            with(|r| r.gateway = Some(ip("10.2.0.1"))),
            vec!["missing parameter netmask"],
        ),
        (
            with(|r| r.netmask = Some(ip("255.255.255.0"))),
            vec!["missing parameter gateway"],
        ),
        (
            with(|r| r.start_ip = Some(ip("10.99.0.1"))),
            vec!["startip", "10.99.0.1"],
        ),
        (
            with(|r| r.source_nat_address = Some(ip("192.0.2.1"))),
            vec!["sourcenatipaddress", "203.0.113.10"],
        ),
        (gateway("10.2.0.1", "255.0.255.0"), vec!["netmask", "255.0.255.0"]),
        (gateway("8.8.8.1", "255.255.255.0"), vec!["gateway", "RFC 1918"]),
        (
            gateway("10.2.0.0", "255.255.255.0"),
            vec!["gateway", "10.2.0.0/24"],
        ),
        (
            gateway("10.1.1.129", "255.255.255.128"),
            vec!["gateway", "10.1.1.0/24"],
        ),
    ];
    for (request, words) in table {
        world
            .refused(431, &words, world.manager.create_network(&world.admin, request))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_refused_in_the_words_that_clients_match() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    let (manager, admin) = (&world.manager, &world.admin);
    let words = |param: &str, id: String| {
        format!("Invalid parameter {param} value={id} due to incorrect long value format")
    };
    let id = NetworkId::new();
    let text = words("id", id.to_string());
    world
        .refused(
            431,
            &[&text],
            manager.delete_network(admin, DeleteNetwork { id, forced: false }),
        )
        .await;
    world
        .refused(
            431,
            &[&text],
            manager.restart_network(admin, RestartNetwork { id, cleanup: false }),
        )
        .await;
    let text = words("networkid", id.to_string());
    world.refused(431, &[&text], world.try_associate(id, None)).await;
    let egress = CreateEgressRule {
        network: id,
        matches: Match::All,
        sources: vec![],
        destinations: vec![],
    };
    world
        .refused(431, &[&text], manager.create_egress_rule(admin, egress))
        .await;
    let id = PublicIpId::new();
    let text = words("id", id.to_string());
    world
        .refused(
            431,
            &[&text],
            manager.disassociate_ip(admin, DisassociateIp { id }),
        )
        .await;
    let text = words("ipaddressid", id.to_string());
    world
        .refused(
            431,
            &[&text],
            manager.create_firewall_rule(admin, world.open(id, tcp(80, 80))),
        )
        .await;
    world
        .refused(
            431,
            &[&text],
            manager.disable_static_nat(admin, DisableStaticNat { public_ip: id }),
        )
        .await;
    let id = GuestId::new();
    world
        .refused(
            431,
            &[&words("id", id.to_string())],
            manager.start_guest(admin, StartGuest { id }),
        )
        .await;
    let id = RouterId::new();
    world
        .refused(
            431,
            &[&words("id", id.to_string())],
            manager.stop_router(admin, StopRouter { id }),
        )
        .await;
    let id = FirewallRuleId::new();
    let text = words("id", id.to_string());
    world
        .refused(
            431,
            &[&text],
            manager.delete_firewall_rule(admin, DeleteFirewallRule { id }),
        )
        .await;
    let mut deploy = world.deploy(network, "vm");
    deploy.template = TemplateId::new();
    world
        .refused(431, &["templateid"], manager.deploy_guest(admin, deploy))
        .await;
    let mut deploy = world.deploy(network, "vm");
    deploy.service_offering = ServiceOfferingId::new();
    world
        .refused(431, &["serviceofferingid"], manager.deploy_guest(admin, deploy))
        .await;
    world
        .refused(
            431,
            &["missing parameter networkid"],
            manager.associate_ip(
                admin,
                AssociateIp {
                    network: None,
                    zone: None,
                    address: None,
                    owner: None,
                },
            ),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_objects_are_as_if_they_were_not_there() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    let guest = world.guest(network, "vm-1").await;
    let address = world.address(network).await;
    let rule = world
        .manager
        .create_firewall_rule(&world.admin, world.open(address, tcp(80, 80)))
        .await
        .unwrap();
    let tenant = world.tenant("mallory").await;
    let (manager, who) = (&world.manager, &tenant);
    let refused = ["entity does not exist"];
    world
        .refused(
            431,
            &refused,
            manager.delete_network(
                who,
                DeleteNetwork {
                    id: network,
                    forced: true,
                },
            ),
        )
        .await;
    world
        .refused(431, &refused, manager.start_guest(who, StartGuest { id: guest }))
        .await;
    world
        .refused(
            431,
            &refused,
            manager.disassociate_ip(who, DisassociateIp { id: address }),
        )
        .await;
    world
        .refused(
            431,
            &refused,
            manager.create_firewall_rule(who, world.open(address, tcp(81, 81))),
        )
        .await;
    let forward = world.forward(address, guest, ports(80, 80), ports(80, 80));
    world
        .refused(431, &refused, manager.create_port_forwarding(who, forward))
        .await;
    world
        .refused(
            431,
            &refused,
            manager.deploy_guest(who, world.deploy(network, "vm-2")),
        )
        .await;
    let id = FirewallRuleId(rule.id.unwrap());
    world
        .refused(
            431,
            &refused,
            manager.delete_firewall_rule(who, DeleteFirewallRule { id }),
        )
        .await;
    let id = world.router_id(network);
    world
        .refused(431, &refused, manager.reboot_router(who, RebootRouter { id }))
        .await;
    world.refused(431, &refused, manager.verify_router(who, id)).await;
    let for_admin = CreateNetwork {
        owner: Some(world.admin.account),
        ..world.create_network("mine")
    };
    world
        .refused(431, &refused, manager.create_network(who, for_admin))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_own_router_is_not_the_tenants_to_act_on() {
    let world = World::new(8).await;
    let tenant = world.tenant("alice").await;
    let network = world
        .manager
        .create_network(&tenant, world.create_network("net"))
        .await
        .unwrap();
    world
        .manager
        .deploy_guest(&tenant, world.deploy(network, "vm"))
        .await
        .unwrap();
    let id = world.router_id(network);
    world
        .refused(
            531,
            &["DomainRouter"],
            world.manager.stop_router(&tenant, StopRouter { id }),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_taken_used_up_or_foreign_are_refused() {
    let world = World::new(2).await;
    let network = world.network("net").await;
    let first = world.address(network).await;
    let (manager, admin) = (&world.manager, &world.admin);
    assert!(
        world.public_ip(first).source_nat,
        "the first address of a network is its source NAT address"
    );
    world
        .refused(
            431,
            &["id", "source NAT"],
            manager.disassociate_ip(admin, DisassociateIp { id: first }),
        )
        .await;
    let taken = world.public_ip(first).address;
    world
        .refused(
            536,
            &[&taken.to_string(), "acquired already"],
            world.try_associate(network, Some(taken)),
        )
        .await;
    let foreign = ip("198.51.100.7");
    world
        .refused(
            431,
            &["ipaddress", "198.51.100.7", "203.0.113.10-203.0.113.11"],
            world.try_associate(network, Some(foreign)),
        )
        .await;
    world.address(network).await;
    world
        .refused(
            533,
            &["zone lab", "203.0.113.10-203.0.113.11"],
            world.try_associate(network, None),
        )
        .await;
    let other = world.network("other").await;
    world
        .refused(
            533,
            &["zone lab"],
            manager.deploy_guest(admin, world.deploy(other, "vm")),
        )
        .await;
    let wrong = AssociateIp {
        network: Some(network),
        zone: Some(ZoneId::new()),
        address: None,
        owner: None,
    };
    world
        .refused(431, &["zoneid"], manager.associate_ip(admin, wrong))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_rules_are_refused_by_field() {
    let world = World::new(8).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    let guest = world.guest(network, "vm-1").await;
    let address = world.address(network).await;
    let nets = |text: &[&str]| text.iter().map(|net| net.parse().unwrap()).collect::<Vec<_>>();
    let open = |matches, sources: &[&str]| {
        let mut request = world.open(address, matches);
        request.sources = nets(sources);
        manager.create_firewall_rule(admin, request)
    };
    world
        .refused(
            431,
            &["cidrlist", "10.0.0.0/8"],
            open(tcp(80, 80), &["10.1.0.0/8"]),
        )
        .await;
    let many: Vec<String> = (0..257)
        .map(|n| format!("10.{}.{}.0/24", n / 256, n % 256))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    world
        .refused(431, &["cidrlist", "257", "256"], open(tcp(80, 80), &many))
        .await;
    let code_only = Match::Icmp {
        icmp: IcmpMatch {
            kind: None,
            code: Some(3),
        },
    };
    world.refused(431, &["icmpcode", "3"], open(code_only, &[])).await;
    world
        .refused(431, &["protocol", "6"], open(Match::Number { number: 6 }, &[]))
        .await;
    let egress = |sources: &[&str], destinations: &[&str]| {
        let (sources, destinations) = (nets(sources), nets(destinations));
        manager.create_egress_rule(
            admin,
            CreateEgressRule {
                network,
                matches: tcp(80, 80),
                sources,
                destinations,
            },
        )
    };
    world
        .refused(
            431,
            &["cidrlist", "10.9.0.0/24", "10.1.1.0/24"],
            egress(&["10.9.0.0/24"], &[]),
        )
        .await;
    world
        .refused(
            431,
            &["destcidrlist", "192.0.2.0/24"],
            egress(&[], &["192.0.2.1/24"]),
        )
        .await;
    let forward = |public, private| world.forward(address, guest, public, private);
    let sizes = manager.create_port_forwarding(admin, forward(ports(80, 90), ports(80, 91)));
    world
        .refused(431, &["privateendport", "80-91", "11"], sizes)
        .await;
    let mut wrong = forward(ports(80, 80), ports(80, 80));
    wrong.guest_address = Some(ip("10.1.1.200"));
    world
        .refused(
            431,
            &["vmguestip", "10.1.1.200"],
            manager.create_port_forwarding(admin, wrong),
        )
        .await;
    let other = world.network("other").await;
    let mut wrong = forward(ports(80, 80), ports(80, 80));
    wrong.network = Some(other);
    world
        .refused(
            431,
            &["networkid", &network.to_string()],
            manager.create_port_forwarding(admin, wrong),
        )
        .await;
    let elsewhere = world.guest(other, "vm-2").await;
    let wrong = world.forward(address, elsewhere, ports(80, 80), ports(80, 80));
    world
        .refused(
            431,
            &["virtualmachineid", &network.to_string()],
            manager.create_port_forwarding(admin, wrong),
        )
        .await;
    let egress = manager
        .create_egress_rule(
            admin,
            CreateEgressRule {
                network,
                matches: tcp(80, 80),
                sources: vec![],
                destinations: vec![],
            },
        )
        .await
        .unwrap();
    let id = FirewallRuleId(egress.id.unwrap());
    world
        .refused(
            431,
            &["entity does not exist"],
            manager.delete_firewall_rule(admin, DeleteFirewallRule { id }),
        )
        .await;
    let id = FirewallRuleId(
        manager
            .create_firewall_rule(admin, world.open(address, tcp(1, 2)))
            .await
            .unwrap()
            .id
            .unwrap(),
    );
    world
        .refused(
            431,
            &["entity does not exist"],
            manager.delete_egress_rule(admin, DeleteEgressRule { id }),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_network_takes_no_firewall_rule() {
    let world = World::new(8).await;
    let request = AssociateIp {
        network: None,
        zone: Some(world.zone),
        address: None,
        owner: None,
    };
    let started = world.manager.associate_ip(&world.admin, request).await.unwrap();
    world.done(started).await;
    let id = PublicIpId(started.id.unwrap());
    let open = world
        .manager
        .create_firewall_rule(&world.admin, world.open(id, tcp(80, 80)));
    world
        .refused(431, &["ipaddressid", "associated with a network"], open)
        .await;
}
