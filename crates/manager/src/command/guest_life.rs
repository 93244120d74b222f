// SPDX-License-Identifier: Apache-2.0
//! A guest's names and size, and its end in two steps: destroyed it is kept, off, until it is recovered, expunged, or its
//! time (`expunge.delay`) is over.

use jiff::{SignedDuration, Timestamp};
use outgate_model::id::{GuestId, ServiceOfferingId};
use outgate_model::job::Goal;
use outgate_model::object::{Guest, Network, Power, RoleType, ServiceOffering};

use super::request::{DiscardGuest, ExpungeGuest, RecoverGuest, ScaleGuest, Started, UpdateGuest};
use super::tx::{Owned, Tx};
use super::{checks, guest};
use crate::CommandError;
use crate::draft::Draft;
use crate::mirror::{Stored, View};
use crate::settings;

/// `destroyVirtualMachine` without `expunge`. Its addresses and the rules that lead to it stay its own; its host name is
/// free for others.
pub(crate) fn discard(tx: &mut Tx<'_>, request: DiscardGuest) -> Result<Started, CommandError> {
    let guest = tx.own::<Guest>("id", request.id)?;
    if guest.destroyed.is_none() {
        touch_networks(tx, &guest)?;
        let next = Guest {
            power: Power::Off,
            destroyed: Some(Timestamp::now()),
            ..Guest::clone(&guest)
        };
        tx.draft.update(&guest, next);
        let text = format!("destroying guest {}; it can be recovered", guest.name);
        tx.event::<Guest>("VM.DESTROY", guest.account, guest.id.0, text);
    }
    Ok(guest::settled(
        tx,
        "destroyVirtualMachine",
        guest.id,
        guest.generation,
    ))
}

/// `recoverVirtualMachine`: it is stopped, with the addresses and rules it had.
pub(crate) fn recover(tx: &mut Tx<'_>, request: RecoverGuest) -> Result<GuestId, CommandError> {
    let guest = tx.own::<Guest>("id", request.id)?;
    may_expunge(tx, "recovering a guest")?;
    if guest.destroyed.is_none() {
        return Err(CommandError::invalid(
            "id",
            guest.id,
            "a guest in state Destroyed",
        ));
    }
    for nic in &guest.nics {
        let network = tx.known::<Network>(nic.network)?;
        guest::unused_name(tx, &network, &guest.name, Some(guest.id))?;
    }
    touch_networks(tx, &guest)?;
    let next = Guest {
        destroyed: None,
        ..Guest::clone(&guest)
    };
    tx.draft.update(&guest, next);
    let text = format!("recovered guest {}", guest.name);
    tx.event::<Guest>("VM.RECOVER", guest.account, guest.id.0, text);
    Ok(guest.id)
}

/// `expungeVirtualMachine`, and `destroyVirtualMachine` with `expunge`.
pub(crate) fn expunge(tx: &mut Tx<'_>, request: ExpungeGuest) -> Result<Started, CommandError> {
    let guest = tx.own::<Guest>("id", request.id)?;
    may_expunge(tx, "expunging a guest")?;
    if request.destroyed_only && guest.destroyed.is_none() {
        let expected = "a guest in state Destroyed: destroyVirtualMachine first";
        return Err(CommandError::invalid("id", guest.id, expected));
    }
    guest::leave(tx, &guest)?;
    let command = if request.destroyed_only {
        "expungeVirtualMachine"
    } else {
        "destroyVirtualMachine"
    };
    Ok(guest::settled(tx, command, guest.id, guest.generation))
}

/// Users recover and expunge only where a setting allows it, in CloudStack's manner.
fn may_expunge(tx: &Tx<'_>, doing: &str) -> Result<(), CommandError> {
    let allowed = tx.view.setting_is_on(&settings::USERS_EXPUNGE);
    if allowed || tx.caller.role != RoleType::User {
        return Ok(());
    }
    let what = format!(
        "{doing} can only be done by an admin, or when {} is true",
        settings::USERS_EXPUNGE.name
    );
    Err(CommandError::Forbidden { what })
}

/// Sends guests on their way out whose time is over; the reconciler does the rest.
pub(crate) fn expunge_due(view: &View<'_>, draft: &mut Draft) {
    let delay = SignedDuration::from_secs(view.setting(&settings::EXPUNGE_DELAY));
    let latest = Timestamp::now().checked_sub(delay).unwrap_or(Timestamp::MIN);
    for guest in due(view, latest) {
        for network in guest
            .nics
            .iter()
            .filter_map(|nic| view.get::<Network>(nic.network))
        {
            draft.touch(view, network.realm());
        }
        let next = Guest {
            power: Power::Gone,
            ..Guest::clone(guest)
        };
        draft.update(guest, next);
    }
}

fn due<'v>(view: &'v View<'_>, latest: Timestamp) -> impl Iterator<Item = &'v Stored<Guest>> {
    let guests = view.all::<Guest>();
    guests.filter(move |guest| !guest.leaving() && guest.destroyed.is_some_and(|at| at <= latest))
}

/// `updateVirtualMachine`. A running guest calls itself by its new name from its next start on; DNS does at once.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateGuest) -> Result<GuestId, CommandError> {
    let guest = guest::kept(tx, "id", request.id)?;
    let mut next = Guest::clone(&guest);
    if let Some(name) = &request.display_name {
        checks::name("displayname", name)?;
        next.display_name.clone_from(name);
    }
    if let Some(name) = request.name.as_ref().filter(|name| **name != guest.name) {
        checks::hostname("name", name)?;
        for nic in &guest.nics {
            let network = tx.known::<Network>(nic.network)?;
            guest::unused_name(tx, &network, name, Some(guest.id))?;
        }
        touch_networks(tx, &guest)?;
        next.name.clone_from(name);
    }
    let text = format!("updated guest {}", next.name);
    tx.draft.update(&guest, next);
    tx.event::<Guest>("VM.UPDATE", guest.account, guest.id.0, text);
    Ok(guest.id)
}

/// `changeServiceForVirtualMachine` and `scaleVirtualMachine`, of a stopped guest.
pub(crate) fn scale(tx: &mut Tx<'_>, request: ScaleGuest) -> Result<GuestId, CommandError> {
    let guest = guest::kept(tx, "id", request.id)?;
    let offering = size(tx, request.service_offering)?;
    let runs = tx.view.guest_observed(guest.id).is_some_and(|seen| seen.running);
    if guest.power == Power::On || runs {
        let expected = format!(
            "a stopped guest; {} runs, and guests here are not scaled while they run",
            guest.name
        );
        return Err(CommandError::invalid("id", guest.id, expected));
    }
    let next = Guest {
        service_offering: offering.id,
        ..Guest::clone(&guest)
    };
    tx.draft.update(&guest, next);
    let text = format!("guest {} has the size {}", guest.name, offering.name);
    tx.event::<Guest>("VM.UPGRADE", guest.account, guest.id.0, text);
    Ok(guest.id)
}

/// The same as a job that is done at once.
pub(crate) fn scale_by_job(tx: &mut Tx<'_>, request: ScaleGuest) -> Result<Started, CommandError> {
    let id = scale(tx, request)?;
    Ok(Started {
        job: tx.job::<Guest>("scaleVirtualMachine", id.0, Goal::Stored),
        id: None,
    })
}

/// A service offering that a guest may be given.
pub(crate) fn size(tx: &mut Tx<'_>, id: ServiceOfferingId) -> Result<Stored<ServiceOffering>, CommandError> {
    const FIELD: &str = "serviceofferingid";
    let offering = tx.provided::<ServiceOffering>(FIELD, id)?;
    if offering.removed {
        return Err(CommandError::not_found(FIELD, id));
    }
    if offering.system {
        let expected = "an offering for guests, not for system VMs";
        return Err(CommandError::invalid(FIELD, id, expected));
    }
    Ok(offering)
}

fn touch_networks(tx: &mut Tx<'_>, guest: &Guest) -> Result<(), CommandError> {
    for nic in &guest.nics {
        let network = tx.known::<Network>(nic.network)?;
        tx.touch(&network);
    }
    Ok(())
}
