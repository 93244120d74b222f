// SPDX-License-Identifier: Apache-2.0
//! Routers: to start, stop, reboot and destroy. For admins.

use outgate_model::id::RouterId;
use outgate_model::job::Goal;
use outgate_model::object::{Power, Router};

use super::infra;
use super::provided;
use super::request::{
    DestroyRouter, RebootRouter, ScaleRouter, StartRouter, Started, StopRouter, UpgradeRouter,
};
use super::tx::Tx;
use crate::CommandError;
use crate::mirror::Stored;

/// `startRouter`.
pub(crate) fn start(tx: &mut Tx<'_>, request: StartRouter) -> Result<Started, CommandError> {
    let router = of_admin(tx, request.id)?;
    infra::host::starts(tx, router.host)?;
    Ok(change(
        tx,
        &router,
        ("startRouter", "ROUTER.START", "starting"),
        Power::On,
        router.boot,
    ))
}

/// `stopRouter`.
pub(crate) fn stop(tx: &mut Tx<'_>, request: StopRouter) -> Result<Started, CommandError> {
    let router = of_admin(tx, request.id)?;
    Ok(change(
        tx,
        &router,
        ("stopRouter", "ROUTER.STOP", "stopping"),
        Power::Off,
        router.boot,
    ))
}

/// `rebootRouter`: a fresh one takes its place, with the same rules.
pub(crate) fn reboot(tx: &mut Tx<'_>, request: RebootRouter) -> Result<Started, CommandError> {
    let router = of_admin(tx, request.id)?;
    if router.power != Power::On {
        return Err(CommandError::invalid(
            "id",
            router.id,
            "a router that is not stopped; use startRouter",
        ));
    }
    Ok(change(
        tx,
        &router,
        ("rebootRouter", "ROUTER.REBOOT", "rebooting"),
        Power::On,
        router.boot + 1,
    ))
}

/// `upgradeRouterTemplate` of one router: a fresh one of the server's own version takes its place.
pub(crate) fn upgrade(tx: &mut Tx<'_>, request: UpgradeRouter) -> Result<Started, CommandError> {
    let router = of_admin(tx, request.id)?;
    if router.power != Power::On || !tx.view.requires_upgrade(&router) {
        let expected = "a running router that requires an upgrade";
        return Err(CommandError::invalid("id", router.id, expected));
    }
    Ok(change(
        tx,
        &router,
        ("upgradeRouterTemplate", "ROUTER.UPGRADE", "upgrading"),
        Power::On,
        router.boot + 1,
    ))
}

/// `destroyRouter`: its network has none until it is restarted or a guest starts.
pub(crate) fn destroy(tx: &mut Tx<'_>, request: DestroyRouter) -> Result<Started, CommandError> {
    let router = of_admin(tx, request.id)?;
    Ok(change(
        tx,
        &router,
        ("destroyRouter", "ROUTER.DESTROY", "destroying"),
        Power::Gone,
        router.boot,
    ))
}

/// `changeServiceForRouter`, of a stopped router.
pub(crate) fn scale(tx: &mut Tx<'_>, request: ScaleRouter) -> Result<RouterId, CommandError> {
    let router = of_admin(tx, request.id)?;
    let offering = provided::router_size(tx, request.service_offering)?;
    if router.power != Power::Off {
        let expected = format!("a stopped router: stopRouter id={} first", router.id);
        return Err(CommandError::invalid("id", router.id, expected));
    }
    let next = Router {
        service_offering: Some(offering.id),
        ..Router::clone(&router)
    };
    tx.draft.update(&router, next);
    let text = format!("router {} has the size {}", router.name, offering.name);
    tx.event::<Router>("ROUTER.UPGRADE", router.account, router.id.0, text);
    Ok(router.id)
}

/// The router that parameter `id` names; only admins may act on routers.
pub(crate) fn of_admin(tx: &mut Tx<'_>, id: RouterId) -> Result<Stored<Router>, CommandError> {
    let router = tx.own::<Router>("id", id)?;
    if tx.caller.admin() {
        Ok(router)
    } else {
        Err(CommandError::permission("DomainRouter", id))
    }
}

fn change(
    tx: &mut Tx<'_>,
    router: &Stored<Router>,
    (command, event, doing): (&str, &str, &str),
    power: Power,
    boot: u64,
) -> Started {
    if (power, boot) != (router.power, router.boot) {
        tx.draft.update(
            router,
            Router {
                power,
                boot,
                ..Router::clone(router)
            },
        );
    }
    tx.event::<Router>(
        event,
        router.account,
        router.id.0,
        format!("{doing} router {}", router.name),
    );
    let goal = Goal::RouterSettled {
        router: router.id,
        boot,
    };
    Started {
        job: tx.job::<Router>(command, router.id.0, goal),
        id: None,
    }
}
