// SPDX-License-Identifier: Apache-2.0
//! Hosts. A server of this release has one host of its own; none can be added or removed by the API.

use outgate_manager::command::request::{MaintainHost, UpdateHost};
use outgate_manager::{CommandError, Started};
use outgate_model::id::HostId;
use outgate_model::object::{Cluster, Guest, Host};

use super::NAME;
use crate::command::filter::Filter;
use crate::command::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listHosts",
        "Lists the hosts that run routers and guests.",
        &[FILTERS, list::PAGED],
        Answers::List("host", view::host::FIELDS),
        hosts,
    )
    .for_admins(),
    Command::act(
        "updateHost",
        "Lets a host take new routers and guests, or not.",
        &[UPDATE],
        Answers::One("host", view::host::FIELDS),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::start(
        "prepareHostForMaintenance",
        "Puts a host on which nothing runs into maintenance: nothing is started on it.",
        &[ID],
        Answers::Entity(Entity::Host),
        |call| Box::pin(prepare(call)),
    )
    .for_admins(),
    Command::start(
        "cancelHostMaintenance",
        "Ends a host's maintenance.",
        &[ID],
        Answers::Entity(Entity::Host),
        |call| Box::pin(cancel(call)),
    )
    .for_admins(),
    Command::act(
        "addHost",
        "Refused: a server of this release has one host, its own.",
        &[ADD],
        Answers::List("host", view::host::FIELDS),
        |call| Box::pin(add(call)),
    )
    .for_admins(),
    Command::act(
        "deleteHost",
        "Refused: a server of this release keeps its own host.",
        &[
            ID,
            &[Param::optional("forced", Kind::Bool, "makes no difference")],
        ],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
];

const ID: &[Param] = &[Param::required("id", Kind::Uuid(Of::Host), "the host")];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Host), "the host"),
    Param::optional(
        "allocationstate",
        Kind::OneOf(&["Enable", "Disable"]),
        "Enable or Disable: on a disabled host nothing new is placed; what it has goes on",
    ),
    Param::optional(
        "name",
        NAME,
        "as it is: the server's configuration names its host",
    ),
    Param::optional("hosttags", Kind::Text(255), "refused: placement knows no tags"),
];

const ADD: &[Param] = &[
    Param::required("zoneid", Kind::Uuid(Of::Zone), "the zone"),
    Param::required("podid", Kind::Uuid(Of::Pod), "the pod"),
    Param::required("hypervisor", Kind::Text(32), "the hypervisor"),
    Param::required("url", Kind::Text(255), "where the host is"),
    Param::optional("clusterid", Kind::Uuid(Of::Cluster), "the cluster"),
    Param::optional("clustername", NAME, "the cluster's name"),
    Param::optional(
        "allocationstate",
        Kind::Text(32),
        "whether something new is placed on it",
    ),
    Param::optional("hosttags", Kind::Text(255), "tags"),
];

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let id = HostId(params.need_id("id")?);
    let now = call.manager.view().get::<Host>(id).map(|host| host.name.clone());
    if let (Some(wanted), Some(now)) = (params.text("name"), now)
        && wanted != now
    {
        let expected = format!("{now}: the server's configuration names its host");
        return Err(ApiError::invalid(params.command(), "name", wanted, &expected).into());
    }
    if let Some(tags) = params.text("hosttags") {
        let expected = "nothing: placement knows no host tags";
        return Err(ApiError::invalid(params.command(), "hosttags", tags, expected).into());
    }
    let request = UpdateHost {
        id,
        enable: params.word("allocationstate").map(|word| word == "Enable"),
    };
    let id = call.manager.update_host(&call.caller, request).await?;
    let find = |look: &Look<'_>| look.view.get::<Host>(id).cloned();
    Ok(call.now("host", find, |look, host| view::host::render(look, &host))?)
}

async fn prepare(call: &Call<'_>) -> Result<Started, Refused> {
    let id = HostId(call.params.need_id("id")?);
    Ok(call
        .manager
        .prepare_host(&call.caller, MaintainHost { id })
        .await?)
}

async fn cancel(call: &Call<'_>) -> Result<Started, Refused> {
    let id = HostId(call.params.need_id("id")?);
    let request = MaintainHost { id };
    Ok(call
        .manager
        .cancel_host_maintenance(&call.caller, request)
        .await?)
}

async fn add(call: &Call<'_>) -> Result<Object, Refused> {
    let what = format!(
        "host {} cannot be added: a server of this release drives one host, the machine that it runs on, and adds it \
         when it starts (outgate server); for more capacity use a larger machine",
        call.params.need_text("url")?
    );
    Err(CommandError::Unavailable { what }.into())
}

async fn delete(call: &Call<'_>) -> Result<Object, Refused> {
    let what = format!(
        "host {} cannot be deleted: it is the machine that the server runs on. updateHost allocationstate=Disable \
         keeps new routers and guests away from it",
        call.params.need_id("id")?
    );
    Err(CommandError::Unavailable { what }.into())
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Host), "the host of this id"),
    Param::optional("name", NAME, "the host of this name"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "hosts of this zone"),
    Param::optional("podid", Kind::Uuid(Of::Pod), "hosts of this pod"),
    Param::optional("clusterid", Kind::Uuid(Of::Cluster), "hosts of this cluster"),
    Param::optional("type", Kind::Text(32), "every host is of type Routing"),
    Param::optional(
        "state",
        Kind::Text(32),
        "Up, or Disconnected when it does not answer",
    ),
    Param::optional(
        "resourcestate",
        Kind::Text(32),
        "Enabled, Disabled or Maintenance",
    ),
    Param::optional("hypervisor", Kind::Text(32), "hosts of this hypervisor"),
    Param::optional("hahost", Kind::Bool, "no host is kept for failures of others"),
    Param::optional("version", Kind::Text(32), "hosts of this version"),
    Param::optional(
        "virtualmachineid",
        Kind::Uuid(Of::Guest),
        "hosts where this guest may be",
    ),
    Param::optional("details", Kind::Text(64), "makes no difference"),
];

fn hosts(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let guest = params.id("virtualmachineid").map(outgate_model::id::GuestId);
    let zone = guest
        .and_then(|id| look.view.get::<Guest>(id))
        .map(|guest| guest.zone);
    let matches = look.view.all::<Host>().map(|h| &**h).filter(|h| {
        let cluster = h.cluster.and_then(|id| look.view.get::<Cluster>(id));
        filter.id("id", h.id.0)
            && filter.exact("name", &h.name)
            && filter.id("zoneid", h.zone.0)
            && filter.maybe_id("podid", cluster.map(|c| c.pod.0))
            && filter.maybe_id("clusterid", cluster.map(|c| c.id.0))
            && filter.exact("type", "Routing")
            && filter.exact("state", view::host::state(look.view, h))
            && filter.exact("resourcestate", view::host::resource_state(h))
            && filter.exact("hypervisor", &h.hypervisor)
            && filter.flag("hahost", false)
            && filter.exact("version", env!("CARGO_PKG_VERSION"))
            && zone.is_none_or(|zone| zone == h.zone)
            && filter.keyword(&[&h.name])
    });
    list::reply(look, params, "host", matches, view::host::render)
}
