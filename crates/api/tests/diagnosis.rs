// SPDX-License-Identifier: Apache-2.0
//! The doctor in the API: what it answers, and to whom.

mod common;

use common::World;
use outgate_manager::diagnose::{Patient, Wanted};

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_answers_whoever_may_see_the_network_and_nobody_else() {
    let world = World::new(8).await;
    let alice = world.tenant("alice").await;
    let network = world.network("admins").await;
    let guest = world.guest(network, "vm").await;
    let router = world.manager.view().router_of_network(network).unwrap().id;
    let patients = [
        Patient::Network(network),
        Patient::Guest(guest),
        Patient::Router(router),
    ];
    for patient in patients {
        let found = world
            .manager
            .diagnose(&world.admin, patient, Wanted::default())
            .await;
        assert_eq!(found.unwrap().router.unwrap().0, router, "{patient:?}");
        let refused = world.manager.diagnose(&alice, patient, Wanted::default()).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), 431, "as if it were not there: {patient:?}");
    }
    let refused = world.manager.renew_lease(&alice, guest).await.unwrap_err();
    assert_eq!(refused.code(), 431);
    for name in ["diagnoseNetwork", "renewVirtualMachineLease"] {
        assert!(outgate_api::command::find(name).is_some());
    }
}
