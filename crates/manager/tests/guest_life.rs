// SPDX-License-Identifier: Apache-2.0
//! A guest's end in two steps, its names and size; sizes and templates; routers of other versions.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what a test cannot go on without"
)]

mod common;

use common::{World, ports};
use outgate_manager::command::request::{
    CreateServiceOffering, DeleteNetwork, DeleteServiceOffering, DeleteTemplate, DiscardGuest, ExpungeGuest,
    RecoverGuest, RegisterTemplate, ScaleGuest, ScaleRouter, StartGuest, StopGuest, StopRouter, UpdateGuest,
    UpgradeRouter,
};
use outgate_manager::{CommitError, GuestState};
use outgate_model::id::{GuestId, NetworkId, ServiceOfferingId, TemplateId};
use outgate_model::object::{Guest, PortForwardingRule, ServiceOffering, Setting, SettingScope, Template};

struct One {
    world: World,
    network: NetworkId,
    guest: GuestId,
}

impl One {
    async fn new() -> Self {
        let world = World::new(8).await;
        let network = world.network("net").await;
        let guest = world.guest(network, "vm-1").await;
        world.quiet().await;
        Self {
            world,
            network,
            guest,
        }
    }

    fn state(&self) -> GuestState {
        let view = self.world.manager.view();
        view.guest_state(view.get::<Guest>(self.guest).unwrap())
    }

    async fn stop(&self) {
        let request = StopGuest { id: self.guest };
        let started = self.world.manager.stop_guest(&self.world.admin, request).await;
        self.world.done(started.unwrap()).await;
    }

    async fn discard(&self) {
        let request = DiscardGuest { id: self.guest };
        let started = self.world.manager.discard_guest(&self.world.admin, request).await;
        self.world.done(started.unwrap()).await;
    }

    async fn set(&self, name: &str, value: &str) {
        let (name, value) = (name.to_owned(), value.to_owned());
        let set = self.world.manager.commit(move |_, draft| {
            draft.create(&Setting {
                id: outgate_model::id::SettingId::of(SettingScope::Global, &name),
                name: name.clone(),
                scope: SettingScope::Global,
                value: value.clone(),
            });
            Ok::<_, CommitError>(())
        });
        set.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_guest_is_off_and_kept_with_its_rules_until_it_is_recovered() {
    let one = One::new().await;
    let (manager, admin) = (&one.world.manager, &one.world.admin);
    let address = one.world.address(one.network).await;
    let forward = one
        .world
        .forward(address, one.guest, ports(80, 80), ports(80, 80));
    manager.create_port_forwarding(admin, forward).await.unwrap();
    let before = one.world.guest_now(one.guest);
    one.discard().await;
    assert_eq!(one.state(), GuestState::Destroyed);
    assert!(one.world.host.with(|h| h.guests.is_empty()));
    let router = one.world.router_id(one.network);
    one.world.quiet().await;
    // Its name and address are told to nobody, once the router has heard of it.
    let host = &one.world.host;
    let forgotten = || host.with(|h| h.routers[&router].1.guest_networks[0].leases.is_empty());
    one.world.when(|_| forgotten().then_some(())).await;
    assert_eq!(manager.view().all::<PortForwardingRule>().count(), 1);
    let start = manager.start_guest(admin, StartGuest { id: one.guest });
    one.world
        .refused(431, &["id", "recoverVirtualMachine"], start)
        .await;
    let forward = one
        .world
        .forward(address, one.guest, ports(81, 81), ports(81, 81));
    let refused = manager.create_port_forwarding(admin, forward);
    one.world
        .refused(431, &["virtualmachineid", "destroyed"], refused)
        .await;
    let delete = DeleteNetwork {
        id: one.network,
        forced: false,
    };
    let refused = manager.delete_network(admin, delete);
    one.world.refused(536, &["vm-1"], refused).await;
    manager
        .recover_guest(admin, RecoverGuest { id: one.guest })
        .await
        .unwrap();
    assert_eq!(
        (one.state(), one.world.guest_now(one.guest).nics),
        (GuestState::Stopped, before.nics)
    );
    let again = manager.recover_guest(admin, RecoverGuest { id: one.guest });
    one.world.refused(431, &["id", "Destroyed"], again).await;
    let started = manager
        .start_guest(admin, StartGuest { id: one.guest })
        .await
        .unwrap();
    one.world.done(started).await;
    assert_eq!(one.state(), GuestState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_guests_name_is_free_and_its_address_is_not() {
    let one = One::new().await;
    one.discard().await;
    let second = one.world.guest(one.network, "vm-1").await;
    one.world.quiet().await;
    let addresses = [one.guest, second].map(|id| one.world.guest_now(id).nics[0].address);
    assert_ne!(addresses[0], addresses[1]);
    let recover = one
        .world
        .manager
        .recover_guest(&one.world.admin, RecoverGuest { id: one.guest });
    one.world
        .refused(431, &["name", "vm-1", &second.to_string()], recover)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_expunged_when_asked_or_when_its_time_is_over() {
    let one = One::new().await;
    let (manager, admin) = (&one.world.manager, &one.world.admin);
    let expunge = |destroyed_only| ExpungeGuest {
        id: one.guest,
        destroyed_only,
    };
    let refused = manager.expunge_guest(admin, expunge(true));
    one.world
        .refused(431, &["id", "destroyVirtualMachine first"], refused)
        .await;
    one.discard().await;
    let started = manager.expunge_guest(admin, expunge(true)).await.unwrap();
    one.world.done(started).await;
    assert!(manager.view().get::<Guest>(one.guest).is_none());
    // Another one, with a second to live.
    one.set("expunge.delay", "1").await;
    let guest = one.world.guest(one.network, "vm-2").await;
    let request = DiscardGuest { id: guest };
    manager.discard_guest(admin, request).await.unwrap();
    let gone = one
        .world
        .when(|view| view.get::<Guest>(guest).is_none().then_some(()));
    tokio::time::timeout(std::time::Duration::from_secs(60), gone)
        .await
        .expect("it is expunged in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_expunge_and_recover_only_where_a_setting_allows_it() {
    let one = One::new().await;
    let bob = one.world.tenant("bob").await;
    let manager = &one.world.manager;
    let network = manager
        .create_network(&bob, one.world.create_network("bobs"))
        .await
        .unwrap();
    let started = manager
        .deploy_guest(&bob, one.world.deploy(network, "bobs"))
        .await
        .unwrap();
    let id = GuestId(one.world.done(started).await.unwrap());
    one.set("allow.user.expunge.recover.vm", "false").await;
    one.world.quiet().await;
    let request = ExpungeGuest {
        id,
        destroyed_only: false,
    };
    let words = ["allow.user.expunge.recover.vm"];
    one.world
        .refused(531, &words, manager.expunge_guest(&bob, request))
        .await;
    let started = manager.discard_guest(&bob, DiscardGuest { id }).await.unwrap();
    one.world.done(started).await;
    one.world
        .refused(531, &words, manager.recover_guest(&bob, RecoverGuest { id }))
        .await;
    manager
        .recover_guest(&one.world.admin, RecoverGuest { id })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_renamed_and_dns_knows_it() {
    let one = One::new().await;
    let (manager, admin) = (&one.world.manager, &one.world.admin);
    one.world.guest(one.network, "vm-2").await;
    one.world.quiet().await;
    let request = |name: &str| UpdateGuest {
        id: one.guest,
        name: Some(name.to_owned()),
        display_name: Some("The web".to_owned()),
    };
    let refused = manager.update_guest(admin, request("VM-2"));
    one.world.refused(431, &["name", "VM-2"], refused).await;
    let refused = manager.update_guest(admin, request("no name"));
    one.world.refused(431, &["name", "RFC 1123"], refused).await;
    manager.update_guest(admin, request("web")).await.unwrap();
    let guest = one.world.guest_now(one.guest);
    assert_eq!(
        (guest.name.as_str(), guest.display_name.as_str()),
        ("web", "The web")
    );
    let router = one.world.router_id(one.network);
    let known = || {
        one.world.host.with(|h| {
            let leases = &h.routers[&router].1.guest_networks[0].leases;
            leases.values().any(|lease| lease.hostname == "web")
        })
    };
    let told = async || known().then_some(());
    let deadline = std::time::Duration::from_secs(60);
    tokio::time::timeout(deadline, async {
        while told().await.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

fn size(name: &str, system: bool) -> CreateServiceOffering {
    CreateServiceOffering {
        name: name.to_owned(),
        display_text: name.to_owned(),
        cpu_number: 2,
        cpu_speed_mhz: 2_000,
        memory_mib: 1_024,
        system,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_guest_or_router_gets_another_size_and_a_deleted_size_is_nobodys_next() {
    let one = One::new().await;
    let (manager, admin) = (&one.world.manager, &one.world.admin);
    let big = manager
        .create_service_offering(admin, size("Big", false))
        .await
        .unwrap();
    let system = manager
        .create_service_offering(admin, size("Big router", true))
        .await
        .unwrap();
    let to = |service_offering: ServiceOfferingId| ScaleGuest {
        id: one.guest,
        service_offering,
    };
    one.world
        .refused(431, &["id", "stopped"], manager.scale_guest(admin, to(big)))
        .await;
    one.stop().await;
    let refused = manager.scale_guest(admin, to(system));
    one.world
        .refused(431, &["serviceofferingid", "system VMs"], refused)
        .await;
    manager.scale_guest(admin, to(big)).await.unwrap();
    assert_eq!(one.world.guest_now(one.guest).service_offering, big);
    let id = one.world.router_id(one.network);
    let resize = |service_offering| ScaleRouter { id, service_offering };
    let refused = manager.scale_router(admin, resize(system));
    one.world.refused(431, &["id", "stopRouter"], refused).await;
    let started = manager.stop_router(admin, StopRouter { id }).await.unwrap();
    one.world.done(started).await;
    let refused = manager.scale_router(admin, resize(big));
    one.world
        .refused(431, &["serviceofferingid", "for system VMs"], refused)
        .await;
    manager.scale_router(admin, resize(system)).await.unwrap();
    assert_eq!(
        one.world.router_of(one.network).unwrap().service_offering,
        Some(system)
    );
    manager
        .delete_service_offering(admin, DeleteServiceOffering { id: big })
        .await
        .unwrap();
    assert!(
        manager.view().get::<ServiceOffering>(big).unwrap().removed,
        "its guests keep it"
    );
    let mut request = one.world.deploy(one.network, "vm-2");
    request.service_offering = big;
    let refused = manager.deploy_guest(admin, request);
    one.world.refused(431, &["serviceofferingid"], refused).await;
}

fn template(public: bool, featured: bool) -> RegisterTemplate {
    RegisterTemplate {
        name: "debian".to_owned(),
        display_text: "Debian".to_owned(),
        format: "QCOW2".to_owned(),
        hypervisor: "simulator".to_owned(),
        url: "http://192.0.2.1/debian.qcow2".to_owned(),
        zones: Vec::new(),
        public,
        featured,
        owner: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_cannot_be_is_refused() {
    let one = One::new().await;
    let bob = one.world.tenant("bob").await;
    let manager = &one.world.manager;
    let featured = manager.register_template(&bob, template(true, true));
    one.world.refused(531, &["root admin"], featured).await;
    let mut elsewhere = template(false, false);
    elsewhere.hypervisor = "KVM".to_owned();
    let elsewhere = manager.register_template(&bob, elsewhere);
    one.world
        .refused(431, &["hypervisor", "Simulator"], elsewhere)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_its_owners_until_it_is_public() {
    let one = One::new().await;
    let (bob, eve) = (one.world.tenant("bob").await, one.world.tenant("eve").await);
    let manager = &one.world.manager;
    let own = manager
        .register_template(&bob, template(false, false))
        .await
        .unwrap();
    let shared = manager
        .register_template(&bob, template(true, false))
        .await
        .unwrap();
    assert_eq!((own.len(), shared.len()), (1, 1), "one for each zone");
    let network = manager
        .create_network(&eve, one.world.create_network("eves"))
        .await
        .unwrap();
    let deploy = |template: TemplateId, name: &str| {
        let mut request = one.world.deploy(network, name);
        request.template = template;
        manager.deploy_guest(&eve, request)
    };
    one.world
        .refused(431, &["templateid"], deploy(own[0], "vm-1"))
        .await;
    let started = deploy(shared[0], "vm-1").await.unwrap();
    one.world.done(started).await;
    let delete = |id| DeleteTemplate { id };
    let refused = manager.delete_template(&eve, delete(shared[0]));
    one.world.refused(531, &["Template"], refused).await;
    manager.delete_template(&bob, delete(shared[0])).await.unwrap();
    let kept = manager.view().get::<Template>(shared[0]).is_some();
    assert!(kept, "a guest runs it");
    one.world.quiet().await;
    one.world
        .refused(431, &["templateid"], deploy(shared[0], "vm-2"))
        .await;
    manager.delete_template(&bob, delete(own[0])).await.unwrap();
    assert!(manager.view().get::<Template>(own[0]).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_of_another_version_is_replaced_by_one_of_the_servers() {
    let world = World::new(8).await;
    world.host.with(|h| h.version = Some("0.0.9".to_owned()));
    let network = world.network("net").await;
    world.guest(network, "vm-1").await;
    world.quiet().await;
    let router = world.router_of(network).unwrap();
    let seen = || {
        let view = world.manager.view();
        (view.router_version(&router), view.requires_upgrade(&router))
    };
    assert_eq!(seen(), ("0.0.9".to_owned(), true));
    world.host.with(|h| h.version = None);
    let starts = world.host.with(|h| h.starts);
    let request = UpgradeRouter { id: router.id };
    let started = world.manager.upgrade_router(&world.admin, request).await.unwrap();
    world.done(started).await;
    assert_eq!(seen(), (env!("CARGO_PKG_VERSION").to_owned(), false));
    assert_eq!(world.host.with(|h| h.starts), starts + 1);
    let again = world.manager.upgrade_router(&world.admin, request);
    world.refused(431, &["id", "requires an upgrade"], again).await;
}
