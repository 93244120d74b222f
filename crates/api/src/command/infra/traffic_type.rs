// SPDX-License-Identifier: Apache-2.0
//! Traffic types of physical networks.

use outgate_manager::Started;
use outgate_manager::command::request::{AddTrafficType, DeleteTrafficType, UpdateTrafficType};
use outgate_model::id::{PhysicalNetworkId, TrafficTypeId};
use outgate_model::object::{Traffic, TrafficType};

use crate::command::filter::Filter;
use crate::command::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "addTrafficType",
        "Lets a physical network carry a kind of traffic.",
        &[ADD, LABELS],
        Answers::Entity(Entity::TrafficType),
        |call| Box::pin(add(call)),
    )
    .creating()
    .for_admins(),
    Command::start(
        "updateTrafficType",
        "Changes the labels of a traffic type.",
        &[ID, LABELS],
        Answers::Entity(Entity::TrafficType),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::start(
        "deleteTrafficType",
        "Takes a kind of traffic from a physical network.",
        &[ID],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
    Command::read(
        "listTrafficTypes",
        "Lists what a physical network carries.",
        &[
            &[Param::required(
                "physicalnetworkid",
                Kind::Uuid(Of::PhysicalNetwork),
                "the physical network",
            )],
            list::PAGED,
        ],
        Answers::List("traffictype", view::traffic_type::FIELDS),
        types,
    )
    .for_admins(),
];

const ID: &[Param] = &[Param::required(
    "id",
    Kind::Uuid(Of::TrafficType),
    "the traffic type",
)];

const ADD: &[Param] = &[
    Param::required(
        "physicalnetworkid",
        Kind::Uuid(Of::PhysicalNetwork),
        "the physical network",
    ),
    Param::required(
        "traffictype",
        Kind::OneOf(&["Guest", "Public", "Management", "Storage"]),
        "Guest, Public, Management or Storage",
    ),
    Param::optional("vlan", Kind::Text(64), "makes no difference"),
];

const LABEL: Kind = Kind::Text(255);

const LABELS: &[Param] = &[
    Param::optional(
        "kvmnetworklabel",
        LABEL,
        "the bridge that carries it on KVM hosts",
    ),
    Param::optional(
        "xennetworklabel",
        LABEL,
        "the network that carries it on XenServer hosts",
    ),
    Param::optional(
        "vmwarenetworklabel",
        LABEL,
        "the switch that carries it on VMware hosts",
    ),
    Param::optional(
        "hypervnetworklabel",
        LABEL,
        "the switch that carries it on Hyper-V hosts",
    ),
    Param::optional(
        "ovm3networklabel",
        LABEL,
        "the bridge that carries it on OVM hosts",
    ),
];

/// Labels by hypervisor.
fn labels(params: &Params) -> Vec<(String, String)> {
    let given = LABELS.iter().filter_map(|label| {
        let hypervisor = label.name.strip_suffix("networklabel")?;
        Some((hypervisor.to_owned(), params.string(label.name)?))
    });
    given.collect()
}

async fn add(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let named = |traffic: &&Traffic| Some(traffic.name()) == params.word("traffictype");
    let traffic = Traffic::ALL.iter().find(named);
    let request = AddTrafficType {
        physical_network: PhysicalNetworkId(params.need_id("physicalnetworkid")?),
        traffic: *traffic.ok_or_else(|| ApiError::missing(params.command(), "traffictype"))?,
        labels: labels(params),
    };
    Ok(call.manager.add_traffic_type(&call.caller, request).await?)
}

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let request = UpdateTrafficType {
        id: TrafficTypeId(call.params.need_id("id")?),
        labels: labels(&call.params),
    };
    Ok(call.manager.update_traffic_type(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let id = TrafficTypeId(call.params.need_id("id")?);
    let request = DeleteTrafficType { id };
    Ok(call.manager.delete_traffic_type(&call.caller, request).await?)
}

fn types(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let matches = look.view.all::<TrafficType>().map(|t| &**t).filter(|t| {
        filter.id("physicalnetworkid", t.physical_network.0) && filter.keyword(&[t.traffic.name()])
    });
    list::reply(look, params, "traffictype", matches, view::traffic_type::render)
}
