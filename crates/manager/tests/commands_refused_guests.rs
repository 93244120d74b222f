// SPDX-License-Identifier: Apache-2.0
//! Refusals about guests, whole networks and the uses of addresses: code, words, and that nothing was written.

#![allow(clippy::too_many_lines, reason = "a table")]

mod common;

use common::{World, ip, ports};
use outgate_manager::Caller;
use outgate_manager::command::request::{
    DeleteNetwork, DisableStaticNat, EnableStaticNat, RestartNetwork, UpdateNetwork, WantedNic,
};
use outgate_model::object::ServiceOffering;

#[tokio::test(flavor = "multi_thread")]
async fn wrong_guests_are_refused_by_field() {
    let world = World::new(8).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    world.guest(network, "vm-1").await;
    let deploy = |change: &dyn Fn(&mut outgate_manager::command::request::DeployGuest)| {
        let mut request = world.deploy(network, "vm-2");
        change(&mut request);
        manager.deploy_guest(admin, request)
    };
    let nic = |address: &str| vec![WantedNic::on(network).at(ip(address))];
    world
        .refused(
            431,
            &["name", "bad name"],
            deploy(&|r| r.name = Some("bad name".to_owned())),
        )
        .await;
    world
        .refused(
            431,
            &["name", "VM-1"],
            deploy(&|r| r.name = Some("VM-1".to_owned())),
        )
        .await;
    for taken in ["10.1.1.1", "10.1.1.2", "10.1.1.0", "10.1.1.255", "10.1.2.7"] {
        world
            .refused(431, &["ipaddress", taken], deploy(&|r| r.nics = nic(taken)))
            .await;
    }
    let twice = deploy(&|r| r.nics = vec![WantedNic::on(network); 2]);
    world.refused(431, &["networkids", "once"], twice).await;
    let system = manager
        .view()
        .all::<ServiceOffering>()
        .find(|offering| offering.system)
        .map(|o| o.id);
    if let Some(system) = system {
        world
            .refused(
                431,
                &["serviceofferingid"],
                deploy(&|r| r.service_offering = system),
            )
            .await;
    }
    world.network("another").await;
    world
        .refused(431, &["networkids", "several"], deploy(&|r| r.nics.clear()))
        .await;
    let tenant: Caller = world.tenant("bob").await;
    let mut request = world.deploy(network, "vm-3");
    request.nics.clear();
    world
        .refused(
            431,
            &["missing parameter networkids"],
            manager.deploy_guest(&tenant, request),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_guest_network_is_insufficient_capacity() {
    let world = World::new(8).await;
    let mut request = world.create_network("tiny");
    request.gateway = Some(ip("192.168.0.1"));
    request.netmask = Some(ip("255.255.255.252"));
    let network = world.manager.create_network(&world.admin, request).await.unwrap();
    world.guest(network, "vm-1").await;
    let second = world
        .manager
        .deploy_guest(&world.admin, world.deploy(network, "vm-2"));
    world.refused(533, &["192.168.0.0/30"], second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_with_guests_is_not_deleted_unless_forced() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    world.guest(network, "vm-1").await;
    let delete = world.manager.delete_network(
        &world.admin,
        DeleteNetwork {
            id: network,
            forced: false,
        },
    );
    world.refused(536, &["vm-1", "forced=true"], delete).await;
    let request = DeleteNetwork {
        id: network,
        forced: true,
    };
    world.manager.delete_network(&world.admin, request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_was_never_implemented_is_not_restarted() {
    let world = World::new(8).await;
    let network = world.network("net").await;
    let restart = world.manager.restart_network(
        &world.admin,
        RestartNetwork {
            id: network,
            cleanup: true,
        },
    );
    world.refused(431, &["id", "Implemented"], restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_nat_address_of_others_or_in_use_is_refused() {
    let world = World::new(16).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    let guest = world.guest(network, "vm-1").await;
    let other = world.network("other").await;
    let foreign = world.address(other).await;
    let owned = world.address(network).await;
    let forwarding = world.address(network).await;
    world.static_nat(owned, guest).await.unwrap();
    let forward = world.forward(forwarding, guest, ports(80, 80), ports(80, 80));
    let rule = manager.create_port_forwarding(admin, forward).await.unwrap();
    let change = |address| {
        let request = UpdateNetwork {
            source_nat_address: Some(address),
            ..UpdateNetwork::of(network)
        };
        manager.update_network(admin, request)
    };
    let address = |id| world.public_ip(id).address;
    world
        .refused(
            431,
            &["sourcenatipaddress", &network.to_string()],
            change(address(foreign)),
        )
        .await;
    world
        .refused(537, &["static NAT", &guest.to_string()], change(address(owned)))
        .await;
    world
        .refused(537, &[&rule.id.unwrap().to_string()], change(address(forwarding)))
        .await;
    world
        .refused(431, &["sourcenatipaddress", "192.0.2.9"], change(ip("192.0.2.9")))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn static_nat_where_it_cannot_be_is_refused() {
    let world = World::new(16).await;
    let (manager, admin) = (&world.manager, &world.admin);
    let network = world.network("net").await;
    let guest = world.guest(network, "vm-1").await;
    let source_nat = world.source_nat(network).id;
    world
        .refused(
            431,
            &["ipaddressid", "source NAT"],
            world.static_nat(source_nat, guest),
        )
        .await;
    let plain = world.address(network).await;
    let disable = manager.disable_static_nat(admin, DisableStaticNat { public_ip: plain });
    world.refused(431, &["ipaddressid", "static NAT"], disable).await;
    let wrong = EnableStaticNat {
        public_ip: plain,
        guest,
        network: None,
        guest_address: Some(ip("10.1.1.99")),
    };
    world
        .refused(
            431,
            &["vmguestip", "10.1.1.99"],
            manager.enable_static_nat(admin, wrong),
        )
        .await;
}
