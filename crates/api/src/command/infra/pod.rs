// SPDX-License-Identifier: Apache-2.0
//! Pods.

use outgate_manager::command::request::{CreatePod, DeletePod, PodSubnet, UpdatePod};
use outgate_model::id::{PodId, ZoneId};
use outgate_model::object::Pod;
use serde_json::json;

use super::{NAME, STATE, enabled};
use crate::command::filter::Filter;
use crate::command::{Answers, Call, Command, Refused, list};
use crate::view::{self, Look, state_name};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "createPod",
        "Creates a pod: a part of a zone with a management subnet of its own.",
        &[CREATE, SUBNET],
        Answers::One("pod", view::pod::FIELDS),
        |call| Box::pin(create(call)),
    )
    .for_admins(),
    Command::act(
        "updatePod",
        "Changes a pod.",
        &[UPDATE, SUBNET],
        Answers::One("pod", view::pod::FIELDS),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::act(
        "deletePod",
        "Deletes a pod without clusters.",
        &[&[Param::required("id", Kind::Uuid(Of::Pod), "the pod")]],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
    Command::read(
        "listPods",
        "Lists pods.",
        &[FILTERS, list::PAGED],
        Answers::List("pod", view::pod::FIELDS),
        pods,
    )
    .for_admins(),
];

const ALLOCATION: &str = "Enabled or Disabled: on the hosts of a disabled pod nothing new is placed";

const CREATE: &[Param] = &[
    Param::required("zoneid", Kind::Uuid(Of::Zone), "the zone"),
    Param::required("name", NAME, "the name, unique in the zone"),
    Param::optional("allocationstate", STATE, ALLOCATION),
];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Pod), "the pod"),
    Param::optional("name", NAME, "the name, unique in the zone"),
    Param::optional("allocationstate", STATE, ALLOCATION),
];

const SUBNET: &[Param] = &[
    Param::optional("gateway", Kind::Address, "the gateway of the management subnet"),
    Param::optional("netmask", Kind::Address, "the netmask of the management subnet"),
    Param::optional("startip", Kind::Address, "the first address for system VMs"),
    Param::optional("endip", Kind::Address, "the last address for system VMs"),
];

fn subnet(params: &Params) -> PodSubnet {
    PodSubnet {
        gateway: params.address("gateway"),
        netmask: params.address("netmask"),
        start: params.address("startip"),
        end: params.address("endip"),
    }
}

async fn create(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let request = CreatePod {
        zone: ZoneId(params.need_id("zoneid")?),
        name: params.need_text("name")?.to_owned(),
        subnet: subnet(params),
        enable: enabled(params, "allocationstate").unwrap_or(true),
    };
    let id = call.manager.create_pod(&call.caller, request).await?;
    Ok(answer(call, id)?)
}

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let request = UpdatePod {
        id: PodId(params.need_id("id")?),
        name: params.string("name"),
        subnet: subnet(params),
        enable: enabled(params, "allocationstate"),
    };
    let id = call.manager.update_pod(&call.caller, request).await?;
    Ok(answer(call, id)?)
}

fn answer(call: &Call<'_>, id: PodId) -> Result<Object, ApiError> {
    call.now(
        "pod",
        |look| look.view.get::<Pod>(id).cloned(),
        |look, pod| view::pod::render(look, &pod),
    )
}

async fn delete(call: &Call<'_>) -> Result<Object, Refused> {
    let id = PodId(call.params.need_id("id")?);
    call.manager.delete_pod(&call.caller, DeletePod { id }).await?;
    Ok(envelope::single("success", json!(true)))
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Pod), "the pod of this id"),
    Param::optional("name", NAME, "the pod of this name"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "pods of this zone"),
    Param::optional("allocationstate", STATE, "pods in this state"),
];

fn pods(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let matches = look.view.all::<Pod>().map(|p| &**p).filter(|p| {
        filter.id("id", p.id.0)
            && filter.exact("name", &p.name)
            && filter.id("zoneid", p.zone.0)
            && filter.word("allocationstate", state_name(p.disabled))
            && filter.keyword(&[&p.name])
    });
    list::reply(look, params, "pod", matches, view::pod::render)
}
