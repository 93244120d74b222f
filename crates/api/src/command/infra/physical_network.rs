// SPDX-License-Identifier: Apache-2.0
//! Physical networks.

use outgate_manager::Started;
use outgate_manager::command::request::{
    CreatePhysicalNetwork, DeletePhysicalNetwork, UpdatePhysicalNetwork,
};
use outgate_model::id::{PhysicalNetworkId, ZoneId};
use outgate_model::object::{PhysicalNetwork, VlanRange};

use super::{NAME, STATE, enabled};
use crate::command::filter::Filter;
use crate::command::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "createPhysicalNetwork",
        "Creates a physical network with its service providers. All start disabled.",
        &[CREATE, SHARED],
        Answers::Entity(Entity::PhysicalNetwork),
        |call| Box::pin(create(call)),
    )
    .creating()
    .for_admins(),
    Command::start(
        "updatePhysicalNetwork",
        "Changes a physical network.",
        &[UPDATE, SHARED],
        Answers::Entity(Entity::PhysicalNetwork),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::start(
        "deletePhysicalNetwork",
        "Deletes a physical network that nothing uses, with its traffic types and service providers.",
        &[&[Param::required(
            "id",
            Kind::Uuid(Of::PhysicalNetwork),
            "the physical network",
        )]],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
    Command::read(
        "listPhysicalNetworks",
        "Lists physical networks.",
        &[FILTERS, list::PAGED],
        Answers::List("physicalnetwork", view::physical_network::FIELDS),
        networks,
    )
    .for_admins(),
];

const CREATE: &[Param] = &[
    Param::required("zoneid", Kind::Uuid(Of::Zone), "the zone"),
    Param::required("name", NAME, "the name, unique in the zone"),
    Param::optional("isolationmethods", Kind::Text(64), "VLAN"),
    Param::optional(
        "broadcastdomainrange",
        Kind::OneOf(&["ZONE", "POD"]),
        "ZONE: an Advanced zone's segments reach all of it",
    ),
    Param::optional(
        "domainid",
        Kind::Uuid(Of::Domain),
        "refused: it is for all domains",
    ),
];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::PhysicalNetwork), "the physical network"),
    Param::optional("state", STATE, "Enabled, or Disabled: no network is made on it"),
];

const SHARED: &[Param] = &[
    Param::optional(
        "vlan",
        Kind::Text(1024),
        "ranges of VLANs for guest networks: 100-199,300-399",
    ),
    Param::optional("networkspeed", Kind::Text(32), "its speed: 10G"),
    Param::optional("tags", Kind::Text(1024), "tags, joined by commas"),
];

fn vlans(params: &Params) -> Result<Option<Vec<VlanRange>>, ApiError> {
    let Some(text) = params.text("vlan") else {
        return Ok(None);
    };
    let each: Option<Vec<_>> = text
        .split(',')
        .map(|part| VlanRange::parse(part.trim()))
        .collect();
    let expected = "ranges of VLANs from 1 to 4094 such as 100-199,300-399";
    let vlans = each.ok_or_else(|| ApiError::invalid(params.command(), "vlan", text, expected))?;
    Ok(Some(vlans))
}

fn tags(params: &Params) -> Option<Vec<String>> {
    let text = params.text("tags")?;
    let each = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    Some(each.map(str::to_owned).collect())
}

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let refused = |name: &str, value: &str, expected: &str| -> Result<Started, Refused> {
        Err(ApiError::invalid(params.command(), name, value, expected).into())
    };
    if let Some(range @ "POD") = params.word("broadcastdomainrange") {
        return refused(
            "broadcastdomainrange",
            range,
            "ZONE: an Advanced zone's segments reach all of it",
        );
    }
    if let Some(domain) = params.id("domainid") {
        return refused(
            "domainid",
            &domain.to_string(),
            "nothing: a physical network is for all domains",
        );
    }
    let request = CreatePhysicalNetwork {
        zone: ZoneId(params.need_id("zoneid")?),
        name: params.need_text("name")?.to_owned(),
        vlans: vlans(params)?.unwrap_or_default(),
        speed: params.string("networkspeed"),
        tags: tags(params).unwrap_or_default(),
        isolation: params.string("isolationmethods"),
    };
    Ok(call
        .manager
        .create_physical_network(&call.caller, request)
        .await?)
}

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = UpdatePhysicalNetwork {
        id: PhysicalNetworkId(params.need_id("id")?),
        vlans: vlans(params)?,
        speed: params.string("networkspeed"),
        tags: tags(params),
        enable: enabled(params, "state"),
    };
    Ok(call
        .manager
        .update_physical_network(&call.caller, request)
        .await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let id = PhysicalNetworkId(call.params.need_id("id")?);
    let request = DeletePhysicalNetwork { id };
    Ok(call
        .manager
        .delete_physical_network(&call.caller, request)
        .await?)
}

const FILTERS: &[Param] = &[
    Param::optional(
        "id",
        Kind::Uuid(Of::PhysicalNetwork),
        "the physical network of this id",
    ),
    Param::optional("name", NAME, "the physical network of this name"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "physical networks of this zone"),
];

fn networks(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let matches = look.view.all::<PhysicalNetwork>().map(|p| &**p).filter(|p| {
        filter.id("id", p.id.0)
            && filter.exact("name", &p.name)
            && filter.id("zoneid", p.zone.0)
            && filter.keyword(&[&p.name])
    });
    list::reply(
        look,
        params,
        "physicalnetwork",
        matches,
        view::physical_network::render,
    )
}
