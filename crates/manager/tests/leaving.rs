// SPDX-License-Identifier: Apache-2.0
//! Accounts that leave: all they own goes first, whatever happens to the server meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::World;
use outgate_host::HostError;
use outgate_manager::CommandError;
use outgate_model::id::AccountId;
use outgate_model::job::JobState;
use outgate_model::object::{Account, Guest, Network, PublicIp, Router, Vpc};

/// An account with two networks, each with a guest, and an address of no network.
async fn furnished(world: &World) -> AccountId {
    let alice = world.tenant("alice").await;
    for name in ["first", "second"] {
        let mut wanted = world.create_network(name);
        wanted.owner = Some(alice.account);
        let network = world.manager.create_network(&world.admin, wanted).await.unwrap();
        let mut deploy = world.deploy(network, name);
        deploy.owner = Some(alice.account);
        let started = world.manager.deploy_guest(&world.admin, deploy).await.unwrap();
        world.done(started).await;
    }
    let lone = outgate_manager::command::request::AssociateIp {
        network: None,
        zone: Some(world.zone),
        address: None,
        owner: Some(alice.account),
    };
    let started = world.manager.associate_ip(&world.admin, lone).await.unwrap();
    world.done(started).await;
    alice.account
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_goes_to_its_end_over_a_restart_of_the_server() {
    let world = World::new(8).await;
    let alice = furnished(&world).await;
    // Its host answers nothing for now, so that the removal is caught half-way.
    let what = "the host".to_owned();
    world
        .host
        .with(|host| host.refusal = Some(HostError::NotRunning { what }));
    let started = world.manager.delete_account(&world.admin, alice).await.unwrap();
    let half = world.when(|view| {
        let going = view
            .guests_of_account(alice)
            .any(|guest| guest.power == outgate_model::object::Power::Gone);
        going.then_some(())
    });
    half.await;
    assert!(world.manager.view().get::<Account>(alice).is_some());
    let world = world.restarted().await;
    assert_eq!(
        world.manager.view().job(started.job).unwrap().state,
        JobState::Pending
    );
    world.host.with(|host| host.refusal = None);
    world.done(started).await;
    assert!(world.claims().await.is_empty(), "{:?}", world.claims().await);
    let view = world.manager.view();
    assert_eq!(
        view.all::<Guest>().len() + view.all::<Network>().len() + view.all::<Vpc>().len(),
        0
    );
    assert_eq!(view.all::<PublicIp>().len() + view.all::<Router>().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_for_an_account_that_leaves() {
    let world = World::new(8).await;
    let alice = furnished(&world).await;
    let what = "the host".to_owned();
    world
        .host
        .with(|host| host.refusal = Some(HostError::NotRunning { what }));
    world.manager.delete_account(&world.admin, alice).await.unwrap();
    let mut wanted = world.create_network("late");
    wanted.owner = Some(alice);
    let refused = world
        .manager
        .create_network(&world.admin, wanted)
        .await
        .unwrap_err();
    assert!(matches!(refused, CommandError::Unavailable { .. }), "{refused}");
}
