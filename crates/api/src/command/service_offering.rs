// SPDX-License-Identifier: Apache-2.0
//! Service offerings: the sizes of guests and system VMs. They are entries: nothing is limited by them here.

use outgate_manager::command::request::{
    CreateServiceOffering, DeleteServiceOffering, UpdateServiceOffering,
};
use outgate_model::id::{GuestId, ServiceOfferingId};
use outgate_model::object::{Guest, ServiceOffering};
use serde_json::json;

use super::filter::Filter;
use super::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listServiceOfferings",
        "Lists service offerings.",
        &[FILTERS, list::PAGED],
        Answers::List("serviceoffering", view::service_offering::FIELDS),
        service_offerings,
    ),
    Command::act(
        "createServiceOffering",
        "Makes a service offering: a size that guests may be given.",
        &[CREATE],
        Answers::Entity(Entity::ServiceOffering),
        |call| Box::pin(create(call)),
    )
    .for_admins(),
    Command::act(
        "updateServiceOffering",
        "Changes a service offering's names.",
        &[UPDATE],
        Answers::Entity(Entity::ServiceOffering),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::act(
        "deleteServiceOffering",
        "Deletes a service offering: guests that have it keep it, no other gets it.",
        &[DELETE],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
];

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::ServiceOffering), "the offering of this id"),
    Param::optional("name", Kind::Text(255), "the offering of this name"),
    Param::optional(
        "zoneid",
        Kind::Uuid(Of::Zone),
        "offerings for this zone; every one is for every zone",
    ),
    Param::optional("issystem", Kind::Bool, "for system VMs (false when left out)"),
    Param::optional(
        "systemvmtype",
        Kind::OneOf(&["domainrouter", "consoleproxy", "secondarystoragevm"]),
        "for system VMs of this type; those here are for domainrouter",
    ),
    Param::optional(
        "virtualmachineid",
        Kind::Uuid(Of::Guest),
        "other offerings than this guest's",
    ),
    Param::optional("state", Kind::OneOf(&["Active", "Inactive"]), "the state"),
    Param::optional("cpunumber", Kind::Int(1, COUNT), "with so many CPUs"),
    Param::optional("memory", Kind::Int(1, MIB), "with so much memory, in MiB"),
];

const COUNT: i64 = 1_024;
const MHZ: i64 = 100_000;
const MIB: i64 = 67_108_864;

const CREATE: &[Param] = &[
    Param::required("name", Kind::Text(255), "its name"),
    Param::required("displaytext", Kind::Text(255), "what users read"),
    Param::optional("cpunumber", Kind::Int(1, COUNT), "CPUs (1 when left out)"),
    Param::optional("cpuspeed", Kind::Int(1, MHZ), "MHz of a CPU (1000 when left out)"),
    Param::optional("memory", Kind::Int(32, MIB), "memory in MiB (512 when left out)"),
    Param::optional(
        "issystem",
        Kind::Bool,
        "whether it is for system VMs, the routers",
    ),
    Param::optional(
        "systemvmtype",
        Kind::OneOf(&["domainrouter"]),
        "the type of system VM, when issystem is true",
    ),
];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::ServiceOffering), "the offering"),
    Param::optional("name", Kind::Text(255), "its name"),
    Param::optional("displaytext", Kind::Text(255), "what users read"),
];

const DELETE: &[Param] = &[Param::required(
    "id",
    Kind::Uuid(Of::ServiceOffering),
    "the offering",
)];

fn service_offerings(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let kind = params.word("systemvmtype");
    let system = params.flag("issystem").unwrap_or(kind.is_some());
    let guest = params.id("virtualmachineid").map(GuestId);
    let has = guest
        .and_then(|id| look.view.get::<Guest>(id))
        .map(|guest| guest.service_offering);
    let inactive = params.word("state") == Some("Inactive");
    let same = |name, value: u32| params.int(name).is_none_or(|wanted| wanted == i64::from(value));
    let matches = look.view.all::<ServiceOffering>().map(|o| &**o).filter(|o| {
        filter.id("id", o.id.0)
            && o.removed == inactive
            && filter.exact("name", &o.name)
            && (o.system == system || params.id("id").is_some())
            && kind.is_none_or(|kind| kind == "domainrouter")
            && has != Some(o.id)
            && same("cpunumber", o.cpu_number)
            && same("memory", o.memory_mib)
            && filter.keyword(&[&o.name, &o.display_text])
    });
    list::reply(
        look,
        params,
        "serviceoffering",
        matches,
        view::service_offering::render,
    )
}

/// A number that the table bounds.
fn number(params: &Params, name: &str, default: u32) -> u32 {
    let given = params.int(name).and_then(|number| u32::try_from(number).ok());
    given.unwrap_or(default)
}

async fn create(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let request = CreateServiceOffering {
        name: params.need_text("name")?.to_owned(),
        display_text: params.need_text("displaytext")?.to_owned(),
        cpu_number: number(params, "cpunumber", 1),
        cpu_speed_mhz: number(params, "cpuspeed", 1_000),
        memory_mib: number(params, "memory", 512),
        system: params.flag("issystem").unwrap_or(false),
    };
    let id = call
        .manager
        .create_service_offering(&call.caller, request)
        .await?;
    Ok(call.entity(Entity::ServiceOffering, id.0))
}

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let request = UpdateServiceOffering {
        id: ServiceOfferingId(call.params.need_id("id")?),
        name: call.params.string("name"),
        display_text: call.params.string("displaytext"),
    };
    let id = call
        .manager
        .update_service_offering(&call.caller, request)
        .await?;
    Ok(call.entity(Entity::ServiceOffering, id.0))
}

async fn delete(call: &Call<'_>) -> Result<Object, Refused> {
    let request = DeleteServiceOffering {
        id: ServiceOfferingId(call.params.need_id("id")?),
    };
    call.manager
        .delete_service_offering(&call.caller, request)
        .await?;
    Ok(envelope::single("success", json!(true)))
}
