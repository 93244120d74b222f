// SPDX-License-Identifier: Apache-2.0
//! NICs of guests: they come, go and change; secondary addresses; what leads to them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what a test cannot go on without"
)]

mod common;

use common::{World, ip, ports};
use outgate_manager::command::request::{
    AddIpToNic, AddNic, ChangeMembers, CreateLoadBalancer, DeletePortForwarding, DestroyGuest,
    DisableStaticNat, EnableStaticNat, RemoveIpFromNic, RemoveNic, StopGuest, UpdateDefaultNic, UpdateNicIp,
    WantedNic,
};
use outgate_manager::command::{NICS_PER_GUEST, SECONDARY_IPS_PER_NIC};
use outgate_manager::{CommandError, CommitError, Started};
use outgate_model::MacAddr;
use outgate_model::id::{GuestId, LoadBalancerRuleId, NetworkId, NicId, PublicIpId, SecondaryIpId, ZoneId};
use outgate_model::object::{
    LoadBalancerRule, Network, NetworkPhase, Nic, PortForwardingRule, PublicIp, Zone,
};
use outgate_model::router_spec::load_balancer::{LbAlgorithm, LbProtocol};

/// A running guest on network `one`, with network `two` beside it.
struct Two {
    world: World,
    one: NetworkId,
    two: NetworkId,
    guest: GuestId,
}

impl Two {
    async fn new() -> Self {
        let world = World::new(16).await;
        let (one, two) = (world.network("one").await, world.network("two").await);
        let guest = world.guest(one, "vm-1").await;
        world.quiet().await;
        Self {
            world,
            one,
            two,
            guest,
        }
    }

    fn nic(&self, network: NetworkId) -> Nic {
        let nics = self.world.guest_now(self.guest).nics;
        nics.into_iter().find(|nic| nic.network == network).unwrap()
    }

    async fn add(&self, nic: WantedNic) -> Result<Started, CommandError> {
        let request = AddNic {
            guest: self.guest,
            nic,
        };
        self.world.manager.add_nic(&self.world.admin, request).await
    }

    async fn remove(&self, nic: NicId) -> Result<Started, CommandError> {
        let request = RemoveNic {
            guest: self.guest,
            nic,
        };
        self.world.manager.remove_nic(&self.world.admin, request).await
    }

    async fn secondary(&self, nic: NicId, address: Option<&str>) -> Result<SecondaryIpId, CommandError> {
        let address = address.map(ip);
        let request = AddIpToNic { nic, address };
        let started = self
            .world
            .manager
            .add_ip_to_nic(&self.world.admin, request)
            .await?;
        Ok(SecondaryIpId(started.id.unwrap()))
    }

    async fn give_back(&self, id: SecondaryIpId) -> Result<Started, CommandError> {
        let request = RemoveIpFromNic { id };
        self.world
            .manager
            .remove_ip_from_nic(&self.world.admin, request)
            .await
    }

    async fn stop(&self) {
        let request = StopGuest { id: self.guest };
        let started = self.world.manager.stop_guest(&self.world.admin, request).await;
        self.world.done(started.unwrap()).await;
    }

    /// A load balancer rule of an address with one member.
    async fn balance(&self, public_ip: PublicIpId, port: u16, address: Option<&str>) -> LoadBalancerRuleId {
        let request = CreateLoadBalancer {
            name: format!("lb-{port}"),
            description: String::new(),
            public_ip: Some(public_ip),
            network: None,
            public_port: port,
            private_port: 8080,
            algorithm: LbAlgorithm::RoundRobin,
            protocol: LbProtocol::Tcp,
            sources: Vec::new(),
            open_firewall: Some(false),
        };
        let (manager, admin) = (&self.world.manager, &self.world.admin);
        let made = manager.create_load_balancer(admin, request).await.unwrap();
        let id = LoadBalancerRuleId(made.id.unwrap());
        let members = vec![(self.guest, address.map(ip))];
        let request = ChangeMembers { id, members };
        manager.assign_to_load_balancer(admin, request).await.unwrap();
        id
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_guest_gets_a_nic_and_its_network_a_router() {
    let two = Two::new().await;
    assert!(two.world.router_of(two.two).is_none());
    let started = two.add(WantedNic::on(two.two).at(ip("10.1.2.77"))).await.unwrap();
    two.world.done(started).await;
    let (guest, nic) = (two.world.guest_now(two.guest), two.nic(two.two));
    assert_eq!(
        (nic.address, nic.device, guest.nics[0].network),
        (ip("10.1.2.77"), 1, two.one)
    );
    assert_eq!(two.world.network_now(two.two).phase, NetworkPhase::Implemented);
    let host = &two.world.host;
    let devices = host.with(|h| {
        h.guests[&two.guest]
            .nics
            .iter()
            .map(|n| n.device)
            .collect::<Vec<_>>()
    });
    assert_eq!(devices, [0, 1], "the job is done once the host has it");
    let router = two.world.router_id(two.two);
    let lease = host.with(|h| h.routers[&router].1.guest_networks[0].leases[&nic.mac].clone());
    assert_eq!((lease.address, lease.default_route), (nic.address, false));
    let first = two.world.router_id(two.one);
    let of_first = host.with(|h| h.routers[&first].1.guest_networks[0].leases[&guest.nics[0].mac].clone());
    assert!(of_first.default_route);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nic_that_cannot_be_is_refused_with_what_is_wrong() {
    let two = Two::new().await;
    let on = WantedNic::on(two.two);
    let refused = async |code, words: &[&str], nic| two.world.refused(code, words, two.add(nic)).await;
    refused(431, &["networkid", "no NIC yet"], WantedNic::on(two.one)).await;
    refused(
        431,
        &["networkid", "incorrect long value format"],
        WantedNic::on(NetworkId::new()),
    )
    .await;
    refused(431, &["ipaddress", "10.1.2.1"], on.at(ip("10.1.2.1"))).await;
    refused(431, &["ipaddress", "10.1.3.1"], on.at(ip("10.1.3.1"))).await;
    let mac = |mac: [u8; 6]| WantedNic {
        mac: Some(MacAddr(mac)),
        ..on
    };
    refused(431, &["macaddress", "one station"], mac([0x03, 0, 0, 0, 0, 1])).await;
    refused(431, &["macaddress", "one station"], mac([0; 6])).await;
    let other = two.world.guest(two.two, "vm-2").await;
    two.world.quiet().await;
    let taken = two.world.guest_now(other).nics[0].mac;
    refused(431, &["macaddress", &other.to_string()], mac(taken.0)).await;
    let router = two.world.router_of(two.two).unwrap().macs[0];
    refused(431, &["macaddress", "its router"], mac(router.0)).await;
    refused(
        431,
        &["ipaddress"],
        on.at(two.world.guest_now(other).nics[0].address),
    )
    .await;
    // A guest of the same name would be told apart by nobody.
    two.world.guest(two.one, "vm-3").await;
    let third = two.world.guest(two.two, "vm-4").await;
    let request = AddNic {
        guest: third,
        nic: WantedNic::on(two.one),
    };
    let named = |name: &str| {
        let name = name.to_owned();
        two.world.manager.commit(move |view, draft| {
            let guest = view.get::<outgate_model::object::Guest>(third).unwrap();
            let mut next = (*guest.object).clone();
            next.name.clone_from(&name);
            draft.update(guest, next);
            Ok::<_, CommitError>(())
        })
    };
    named("VM-3").await.unwrap();
    let add = two.world.manager.add_nic(&two.world.admin, request);
    two.world.refused(431, &["name", "VM-3"], add).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nic_in_another_zone_or_on_anothers_network_is_refused() {
    let two = Two::new().await;
    let elsewhere = ZoneId::new();
    let one = two.one;
    let moved = two.world.manager.commit(move |view, draft| {
        let zone = view.all::<Zone>().next().unwrap();
        let network = view.get::<Network>(one).unwrap();
        draft.create(&Zone {
            id: elsewhere,
            name: "elsewhere".to_owned(),
            ..Zone::clone(zone)
        });
        let id = NetworkId::new();
        draft.create(&Network {
            id,
            zone: elsewhere,
            phase: NetworkPhase::Allocated,
            ..Network::clone(network)
        });
        Ok::<_, CommitError>(id)
    });
    let far = moved.await.unwrap();
    let add = two.add(WantedNic::on(far));
    two.world
        .refused(431, &["networkid", "a network of zone"], add)
        .await;
    let bob = two.world.tenant("bob").await;
    let theirs = {
        let request = two.world.create_network("theirs");
        two.world.manager.create_network(&bob, request).await.unwrap()
    };
    let add = two.add(WantedNic::on(theirs));
    two.world.refused(531, &["permission"], add).await;
    // Bob sees neither the guest nor its NIC nor that they exist.
    let nic = two.nic(two.one).id;
    let (manager, guest) = (&two.world.manager, two.guest);
    let request = RemoveNic { guest, nic };
    let gone = ["incorrect long value format"];
    two.world
        .refused(431, &gone, manager.remove_nic(&bob, request))
        .await;
    let request = AddIpToNic { nic, address: None };
    two.world
        .refused(431, &gone, manager.add_ip_to_nic(&bob, request))
        .await;
    let secondary = two.secondary(nic, None).await.unwrap();
    let request = RemoveIpFromNic { id: secondary };
    two.world
        .refused(431, &gone, manager.remove_ip_from_nic(&bob, request))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_has_so_many_nics_and_a_nic_so_many_addresses_and_no_more() {
    let two = Two::new().await;
    for n in 2..=NICS_PER_GUEST {
        let network = two.world.network(&format!("more-{n}")).await;
        two.add(WantedNic::on(network)).await.unwrap();
    }
    let add = two.add(WantedNic::on(two.two));
    two.world.refused(535, &["10 NICs"], add).await;
    let nic = two.nic(two.one).id;
    // All but one at once: one by one it would take long.
    let guest = two.guest;
    let filled = two.world.manager.commit(move |view, draft| {
        let stored = view.get::<outgate_model::object::Guest>(guest).unwrap();
        let mut next = (*stored.object).clone();
        next.nics[0].secondary = (0..SECONDARY_IPS_PER_NIC - 1)
            .map(|n| outgate_model::object::SecondaryIp {
                id: SecondaryIpId::new(),
                address: std::net::Ipv4Addr::from_bits(ip("10.9.0.0").to_bits() + u32::try_from(n).unwrap()),
            })
            .collect();
        draft.update(stored, next);
        Ok::<_, CommitError>(())
    });
    filled.await.unwrap();
    two.secondary(nic, None).await.unwrap();
    let add = two.secondary(nic, None);
    two.world.refused(535, &["256 secondary addresses"], add).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_nic_stays_and_a_nic_that_rules_lead_to_is_named_with_its_rule() {
    let two = Two::new().await;
    two.world
        .done(two.add(WantedNic::on(two.two)).await.unwrap())
        .await;
    let (first, second) = (two.nic(two.one), two.nic(two.two));
    two.world
        .refused(431, &["nicid", "default"], two.remove(first.id))
        .await;
    two.world.refused(431, &["nicid"], two.remove(NicId::new())).await;
    let (manager, admin) = (&two.world.manager, &two.world.admin);
    let address = two.world.address(two.two).await;
    let mut request = two
        .world
        .forward(address, two.guest, ports(80, 80), ports(80, 80));
    request.network = Some(two.two);
    let forward = manager
        .create_port_forwarding(admin, request)
        .await
        .unwrap()
        .id
        .unwrap();
    let words = ["port forwarding rule", &forward.to_string()];
    two.world.refused(431, &words, two.remove(second.id)).await;
    let id = outgate_model::id::PortForwardingRuleId(forward);
    manager
        .delete_port_forwarding(admin, DeletePortForwarding { id })
        .await
        .unwrap();
    let rule = two.balance(address, 81, None).await;
    let words = ["load balancer rule", &rule.to_string()];
    two.world.refused(431, &words, two.remove(second.id)).await;
    let id = rule;
    let request = outgate_manager::command::request::DeleteLoadBalancer { id };
    manager.delete_load_balancer(admin, request).await.unwrap();
    let owned = two.world.address(two.two).await;
    two.world.static_nat(owned, two.guest).await.unwrap();
    let words = ["static NAT", &owned.to_string()];
    two.world.refused(431, &words, two.remove(second.id)).await;
    let request = DisableStaticNat { public_ip: owned };
    manager.disable_static_nat(admin, request).await.unwrap();
    two.world.done(two.remove(second.id).await.unwrap()).await;
    assert_eq!(two.world.guest_now(two.guest).nics, [first]);
    assert_eq!(two.world.host.with(|h| h.guests[&two.guest].nics.len()), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_nic_is_free_again_only_when_the_nic_is_unplugged() {
    let two = Two::new().await;
    two.world
        .done(two.add(WantedNic::on(two.two)).await.unwrap())
        .await;
    let nic = two.nic(two.two);
    let extra = two.secondary(nic.id, Some("10.1.2.99")).await.unwrap();
    assert_eq!(two.nic(two.two).secondary[0].id, extra);
    let refusal = Some(outgate_host::HostError::NotRunning {
        what: "the host".to_owned(),
    });
    two.world.host.with(|h| h.guest_refusal = refusal);
    let started = two.remove(nic.id).await.unwrap();
    let (manager, admin) = (&two.world.manager, &two.world.admin);
    for held in [nic.address, ip("10.1.2.99")] {
        let mut request = two.world.deploy(two.two, "vm-2");
        request.nics = vec![WantedNic::on(two.two).at(held)];
        let deploy = manager.deploy_guest(admin, request);
        two.world
            .refused_meanwhile(431, &["ipaddress", &held.to_string()], deploy)
            .await;
    }
    assert!(
        manager.view().guest_observed(two.guest).unwrap().running,
        "it goes on as it was"
    );
    two.world.host.with(|h| h.guest_refusal = None);
    two.world.done(started).await;
    let next = two.world.guest(two.two, "vm-2").await;
    assert_eq!(two.world.guest_now(next).nics[0].address, nic.address);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_nic_becomes_the_default_one_and_the_devices_stay() {
    let two = Two::new().await;
    two.world
        .done(two.add(WantedNic::on(two.two)).await.unwrap())
        .await;
    let (first, second) = (two.nic(two.one), two.nic(two.two));
    let set = async |nic| {
        let request = UpdateDefaultNic {
            guest: two.guest,
            nic,
        };
        two.world
            .manager
            .update_default_nic(&two.world.admin, request)
            .await
    };
    two.world.refused(431, &["nicid", "already"], set(first.id)).await;
    two.world.done(set(second.id).await.unwrap()).await;
    let nics = two.world.guest_now(two.guest).nics;
    let seen: Vec<_> = nics.iter().map(|nic| (nic.id, nic.device)).collect();
    assert_eq!(seen, [(second.id, 1), (first.id, 0)]);
    let leads_out = |network, mac| {
        let router = two.world.router_id(network);
        two.world
            .host
            .with(|h| h.routers[&router].1.guest_networks[0].leases[&mac].default_route)
    };
    two.world
        .when(|_| (!leads_out(two.one, first.mac) && leads_out(two.two, second.mac)).then_some(()))
        .await;
    // The one that was the default may go now, and the guest is looked after by the other's network.
    two.world.done(two.remove(first.id).await.unwrap()).await;
    let devices = two.world.host.with(|h| {
        h.guests[&two.guest]
            .nics
            .iter()
            .map(|n| n.device)
            .collect::<Vec<_>>()
    });
    assert_eq!(devices, [1]);
    // The lowest free device is the next one's.
    two.world
        .done(two.add(WantedNic::on(two.one)).await.unwrap())
        .await;
    assert_eq!(two.nic(two.one).device, 0);
    let gone = DestroyGuest { id: two.guest };
    let started = two
        .world
        .manager
        .destroy_guest(&two.world.admin, gone)
        .await
        .unwrap();
    two.world.done(started).await;
    assert!(two.world.host.with(|h| h.guests.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_follow_a_stopped_guests_new_address() {
    let two = Two::new().await;
    let nic = two.nic(two.one);
    let (manager, admin) = (&two.world.manager, &two.world.admin);
    let request = |address: &str| UpdateNicIp {
        nic: nic.id,
        address: Some(ip(address)),
    };
    let running = manager.update_nic_ip(admin, request("10.1.1.200"));
    two.world.refused(431, &["nicid", "not Stopped"], running).await;
    let (shared, owned) = (two.world.address(two.one).await, two.world.address(two.one).await);
    let forward = two.world.forward(shared, two.guest, ports(80, 80), ports(80, 80));
    let forward = manager
        .create_port_forwarding(admin, forward)
        .await
        .unwrap()
        .id
        .unwrap();
    let balanced = two.balance(shared, 81, None).await;
    two.world.static_nat(owned, two.guest).await.unwrap();
    two.stop().await;
    let taken = manager.update_nic_ip(admin, request("10.1.1.1"));
    two.world.refused(431, &["ipaddress", "10.1.1.1"], taken).await;
    let started = manager.update_nic_ip(admin, request("10.1.1.200")).await.unwrap();
    two.world.done(started).await;
    let now = ip("10.1.1.200");
    assert_eq!(two.nic(two.one).address, now);
    let view = manager.view();
    let id = outgate_model::id::PortForwardingRuleId(forward);
    assert_eq!(view.get::<PortForwardingRule>(id).unwrap().guest_address, now);
    assert_eq!(
        view.get::<LoadBalancerRule>(balanced).unwrap().members[0].address,
        now
    );
    assert_eq!(
        view.get::<PublicIp>(owned).unwrap().static_nat.unwrap().address,
        now
    );
    drop(view);
    let router = two.world.router_id(two.one);
    let spec = two.world.host.with(|h| h.routers[&router].1.clone());
    let leads = spec
        .public
        .addresses
        .iter()
        .find(|a| a.static_nat.is_some())
        .unwrap();
    assert_eq!(leads.static_nat, Some(now));
    // Without an address it is the lowest free one.
    let any = UpdateNicIp {
        nic: nic.id,
        address: None,
    };
    let started = manager.update_nic_ip(admin, any).await.unwrap();
    two.world.done(started).await;
    assert_eq!(two.nic(two.one).address, ip("10.1.1.2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_address_is_one_guests_and_rules_of_others_do_not_lead_to_it() {
    let two = Two::new().await;
    let nic = two.nic(two.one).id;
    two.secondary(nic, Some("10.1.1.88")).await.unwrap();
    two.world.quiet().await;
    let again = two.secondary(nic, Some("10.1.1.88"));
    two.world.refused(431, &["ipaddress", "10.1.1.88"], again).await;
    let (manager, admin) = (&two.world.manager, &two.world.admin);
    let mut request = two.world.deploy(two.one, "vm-2");
    request.nics = vec![WantedNic::on(two.one).at(ip("10.1.1.88"))];
    let deploy = manager.deploy_guest(admin, request);
    two.world.refused(431, &["ipaddress", "10.1.1.88"], deploy).await;
    let other = two.world.guest(two.one, "vm-3").await;
    let public_ip = two.world.address(two.one).await;
    two.world.quiet().await;
    let mut forward = two.world.forward(public_ip, other, ports(80, 80), ports(80, 80));
    forward.guest_address = Some(ip("10.1.1.88"));
    let refused = manager.create_port_forwarding(admin, forward);
    two.world.refused(431, &["vmguestip", "10.1.1.88"], refused).await;
    let static_nat = EnableStaticNat {
        public_ip,
        guest: other,
        network: None,
        guest_address: Some(ip("10.1.1.88")),
    };
    let refused = manager.enable_static_nat(admin, static_nat);
    two.world.refused(431, &["vmguestip"], refused).await;
    let id = two.balance(public_ip, 81, None).await;
    two.world.quiet().await;
    let members = vec![(other, Some(ip("10.1.1.88")))];
    let refused = manager.assign_to_load_balancer(admin, ChangeMembers { id, members });
    two.world.refused(431, &["10.1.1.88"], refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_address_stays_while_a_rule_leads_to_it() {
    let two = Two::new().await;
    let id = two
        .secondary(two.nic(two.one).id, Some("10.1.1.88"))
        .await
        .unwrap();
    let (shared, owned) = (two.world.address(two.one).await, two.world.address(two.one).await);
    let (manager, admin) = (&two.world.manager, &two.world.admin);
    let mut forward = two.world.forward(shared, two.guest, ports(80, 80), ports(80, 80));
    forward.guest_address = Some(ip("10.1.1.88"));
    let rule = manager
        .create_port_forwarding(admin, forward)
        .await
        .unwrap()
        .id
        .unwrap();
    let static_nat = EnableStaticNat {
        public_ip: owned,
        guest: two.guest,
        network: None,
        guest_address: Some(ip("10.1.1.88")),
    };
    manager.enable_static_nat(admin, static_nat).await.unwrap();
    assert_eq!(
        two.world.public_ip(owned).static_nat.unwrap().address,
        ip("10.1.1.88")
    );
    let balanced = two.balance(shared, 81, Some("10.1.1.88")).await;
    let words = ["static NAT", &owned.to_string()];
    two.world.refused(431, &words, two.give_back(id)).await;
    let request = DisableStaticNat { public_ip: owned };
    manager.disable_static_nat(admin, request).await.unwrap();
    let words = ["port forwarding rule", &rule.to_string()];
    two.world.refused(431, &words, two.give_back(id)).await;
    let forward = outgate_model::id::PortForwardingRuleId(rule);
    let request = DeletePortForwarding { id: forward };
    manager.delete_port_forwarding(admin, request).await.unwrap();
    let words = ["load balancer rule", &balanced.to_string()];
    two.world.refused(431, &words, two.give_back(id)).await;
    let request = ChangeMembers {
        id: balanced,
        members: vec![(two.guest, Some(ip("10.1.1.88")))],
    };
    manager.remove_from_load_balancer(admin, request).await.unwrap();
    two.world.done(two.give_back(id).await.unwrap()).await;
    assert!(two.nic(two.one).secondary.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_ask_for_one_address_at_once_do_not_both_get_it() {
    let two = Two::new().await;
    two.world
        .done(two.add(WantedNic::on(two.two)).await.unwrap())
        .await;
    let nic = two.nic(two.two).id;
    let (manager, admin) = (two.world.manager.clone(), two.world.admin);
    for n in 0..10_u8 {
        let address = std::net::Ipv4Addr::new(10, 1, 2, 100 + n);
        let mut request = two.world.deploy(two.two, &format!("racer-{n}"));
        request.nics = vec![WantedNic::on(two.two).at(address)];
        let secondary = AddIpToNic {
            nic,
            address: Some(address),
        };
        let (deployed, added) = tokio::join!(
            manager.deploy_guest(&admin, request),
            manager.add_ip_to_nic(&admin, secondary)
        );
        assert!(
            deployed.is_ok() != added.is_ok(),
            "{address}: {deployed:?} {added:?}"
        );
    }
}
