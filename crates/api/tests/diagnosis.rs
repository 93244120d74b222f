// SPDX-License-Identifier: Apache-2.0
//! The doctor in the API: what it answers, and to whom.

mod common;

use common::World;
use outgate_manager::diagnose::{Patient, Wanted};
use outgate_model::trace::{TraceProtocol, TraceQuery};

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
    let query = TraceQuery {
        protocol: TraceProtocol::Icmp,
        interface: None,
        source: [10, 1, 1, 2].into(),
        source_port: None,
        destination: [198, 51, 100, 7].into(),
        destination_port: None,
        wait_millis: None,
    };
    for patient in patients {
        // Whoever may ask reaches the router; this host has none that could answer.
        let reached = world.manager.trace_flow(&world.admin, patient, &query).await;
        let reached = reached.unwrap_err().to_string();
        assert!(
            reached.contains(&format!("following a packet through router {router}")),
            "{reached}"
        );
        let refused = world.manager.trace_flow(&alice, patient, &query).await;
        assert_eq!(
            refused.unwrap_err().code(),
            431,
            "as if it were not there: {patient:?}"
        );
    }
    let refused = world.manager.renew_lease(&alice, guest).await.unwrap_err();
    assert_eq!(refused.code(), 431);
    for name in ["traceFlow", "diagnoseNetwork", "renewVirtualMachineLease"] {
        assert!(outgate_api::command::find(name).is_some());
    }
}
