// SPDX-License-Identifier: Apache-2.0
//! A guest's names and size, and its end in two steps: destroyed, then expunged.

use outgate_manager::Started;
use outgate_manager::command::request::{DiscardGuest, ExpungeGuest, RecoverGuest, ScaleGuest, UpdateGuest};
use outgate_model::id::{GuestId, ServiceOfferingId};

use super::{Answers, Call, Command, Entity, Refused};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "destroyVirtualMachine",
        "Destroys a guest: it is off and kept for a while, or with expunge gone for good, with the rules that lead to it.",
        &[ID, EXPUNGE],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(destroy(call)),
    ),
    Command::start(
        "expungeVirtualMachine",
        "Removes a destroyed guest for good, with its addresses and the rules that lead to it.",
        &[ID],
        Answers::Success,
        |call| Box::pin(expunge(call)),
    ),
    Command::act(
        "recoverVirtualMachine",
        "Takes a destroyed guest back: it is stopped, with the addresses and rules that it had.",
        &[ID],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(recover(call)),
    ),
    Command::act(
        "updateVirtualMachine",
        "Changes a guest's names. A running guest calls itself by its new host name from its next start on.",
        &[ID, UPDATE],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(update(call)),
    ),
    Command::act(
        "changeServiceForVirtualMachine",
        "Gives a stopped guest another size.",
        &[ID, SIZE],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(change_size(call)),
    ),
    Command::start(
        "scaleVirtualMachine",
        "Gives a stopped guest another size.",
        &[ID, SIZE],
        Answers::Success,
        |call| Box::pin(scale(call)),
    ),
];

const ID: &[Param] = &[Param::required("id", Kind::Uuid(Of::Guest), "the guest")];
const EXPUNGE: &[Param] = &[Param::optional(
    "expunge",
    Kind::Bool,
    "whether it goes for good at once (false when left out)",
)];
const UPDATE: &[Param] = &[
    Param::optional("name", Kind::Text(63), "its host name"),
    Param::optional("displayname", Kind::Text(255), "what users read"),
];
const SIZE: &[Param] = &[Param::required(
    "serviceofferingid",
    Kind::Uuid(Of::ServiceOffering),
    "the size",
)];

impl Call<'_> {
    /// The guest that parameter `id` names.
    pub(super) fn guest(&self) -> Result<GuestId, ApiError> {
        self.params.need_id("id").map(GuestId)
    }
}

async fn destroy(call: &Call<'_>) -> Result<Started, Refused> {
    let id = call.guest()?;
    Ok(if call.params.flag("expunge").unwrap_or(false) {
        let request = ExpungeGuest {
            id,
            destroyed_only: false,
        };
        call.manager.expunge_guest(&call.caller, request).await?
    } else {
        call.manager
            .discard_guest(&call.caller, DiscardGuest { id })
            .await?
    })
}

async fn expunge(call: &Call<'_>) -> Result<Started, Refused> {
    let request = ExpungeGuest {
        id: call.guest()?,
        destroyed_only: true,
    };
    Ok(call.manager.expunge_guest(&call.caller, request).await?)
}

async fn recover(call: &Call<'_>) -> Result<Object, Refused> {
    let request = RecoverGuest { id: call.guest()? };
    let id = call.manager.recover_guest(&call.caller, request).await?;
    Ok(call.entity(Entity::Guest, id.0))
}

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let request = UpdateGuest {
        id: call.guest()?,
        name: call.params.string("name"),
        display_name: call.params.string("displayname"),
    };
    let id = call.manager.update_guest(&call.caller, request).await?;
    Ok(call.entity(Entity::Guest, id.0))
}

fn wanted_size(call: &Call<'_>) -> Result<ScaleGuest, ApiError> {
    Ok(ScaleGuest {
        id: call.guest()?,
        service_offering: ServiceOfferingId(call.params.need_id("serviceofferingid")?),
    })
}

async fn change_size(call: &Call<'_>) -> Result<Object, Refused> {
    let id = call.manager.scale_guest(&call.caller, wanted_size(call)?).await?;
    Ok(call.entity(Entity::Guest, id.0))
}

async fn scale(call: &Call<'_>) -> Result<Started, Refused> {
    Ok(call
        .manager
        .scale_guest_by_job(&call.caller, wanted_size(call)?)
        .await?)
}
