// SPDX-License-Identifier: Apache-2.0
//! Who sees what: an account sees its own objects, an admin with `listall` everybody's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::World;
use outgate_api::command::{self, Handler};
use outgate_api::view::Look;
use outgate_api::wire::envelope::Object;
use outgate_api::wire::error::ApiError;
use outgate_api::wire::params::Params;
use outgate_api::wire::request::RawParameters;
use outgate_manager::Caller;

fn read(world: &World, caller: &Caller, name: &str, params: &[(&str, &str)]) -> Result<Object, ApiError> {
    let command = command::find(name).unwrap();
    let given = RawParameters::from_pairs(params.iter().copied()).fold().unwrap();
    let params = Params::parse(command.name, command.parameters(), &given)?;
    let view = world.manager.view();
    match command.handler {
        Handler::Read(read) => read(&Look { view: &view, caller }, &params),
        _ => panic!("{name} is no list"),
    }
}

fn count(result: Result<Object, ApiError>) -> u64 {
    result
        .unwrap()
        .get("count")
        .map_or(0, |count| count.as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_sees_its_own_and_only_an_admin_sees_everything() {
    let world = World::new(8).await;
    let alice = world.tenant("alice").await;
    let network = world.network("admins").await;
    let mut request = world.create_network("alices");
    request.owner = Some(alice.account);
    world.manager.create_network(&world.admin, request).await.unwrap();
    let domain = world.admin.domain.to_string();
    let id = network.to_string();
    let everything: &[(&str, &str)] = &[("listall", "true")];
    let of_alice: &[(&str, &str)] = &[("account", "alice"), ("domainid", &domain)];
    let of_admin: &[(&str, &str)] = &[("account", "admin"), ("domainid", &domain)];
    let in_domain: &[(&str, &str)] = &[("domainid", &domain)];
    let by_id: &[(&str, &str)] = &[("id", &id)];
    for (caller, params, expected) in [
        (&world.admin, &[][..], 1),
        (&world.admin, everything, 2),
        (&world.admin, of_alice, 1),
        (&world.admin, in_domain, 2),
        (&world.admin, by_id, 1),
        (&alice, &[][..], 1),
        (&alice, everything, 1),
        (&alice, of_alice, 1),
        (&alice, in_domain, 1),
        (&alice, by_id, 0),
    ] {
        let found = count(read(&world, caller, "listNetworks", params));
        assert_eq!(found, expected, "{:?}: {params:?}", caller.role);
    }
    let refused = read(&world, &alice, "listNetworks", of_admin).unwrap_err();
    let nobody: &[(&str, &str)] = &[("account", "nobody"), ("domainid", &domain)];
    let unknown = read(&world, &alice, "listNetworks", nobody).unwrap_err();
    assert_eq!(refused.code, 431);
    assert_eq!(refused.text, unknown.text.replace("nobody", "admin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_own_looks_as_if_it_did_not_exist() {
    let world = World::new(8).await;
    let alice = world.tenant("alice").await;
    let network = world.network("admins").await;
    let vm = world.guest(network, "vm").await.to_string();
    let refused = read(&world, &alice, "listNics", &[("virtualmachineid", &vm)]).unwrap_err();
    assert!(
        refused.code == 431 && refused.text.contains("entity does not exist"),
        "{refused}"
    );
    let job = world.manager.view().jobs().next().unwrap().id.to_string();
    let refused = read(&world, &alice, "queryAsyncJobResult", &[("jobid", &job)]).unwrap_err();
    assert_eq!(refused.code, 431);
    let key = world.manager.admin_credentials().unwrap().api_key;
    assert_eq!(
        read(&world, &alice, "getUser", &[("userapikey", &key)])
            .unwrap_err()
            .code,
        431
    );
    assert_eq!(count(read(&world, &alice, "listEvents", &[])), 0);
    let apis = read(&world, &alice, "listApis", &[]).unwrap();
    let names: Vec<&str> = apis["api"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["name"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"listNetworks") && !names.contains(&"listRouters"),
        "{names:?}"
    );
}
