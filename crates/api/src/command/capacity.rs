// SPDX-License-Identifier: Apache-2.0
//! How much of what a zone has is used.

use outgate_manager::capacity::Capacity;
use outgate_model::object::Zone;
use serde_json::Value;

use super::{Answers, Command, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[Command::read(
    "listCapacity",
    "Lists how much is used of each zone's public addresses, control addresses and VLANs. CPU, memory and storage of \
     hosts are not counted.",
    &[FILTERS, list::PAGED],
    Answers::List("capacity", view::capacity::FIELDS),
    capacities,
)
.for_admins()];

const FILTERS: &[Param] = &[
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "of this zone"),
    Param::optional(
        "podid",
        Kind::Uuid(Of::Pod),
        "of this pod: what is listed is a zone's",
    ),
    Param::optional(
        "clusterid",
        Kind::Uuid(Of::Cluster),
        "of this cluster: what is listed is a zone's",
    ),
    Param::optional(
        "type",
        Kind::Int(0, 90),
        "4 public addresses, 5 control addresses, 7 VLANs; the others are not counted",
    ),
    Param::optional("fetchlatest", Kind::Bool, "what is listed is always the latest"),
    Param::optional(
        "sortby",
        Kind::OneOf(&["usage"]),
        "usage: what is used most first",
    ),
];

fn capacities(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let wanted = params.id("zoneid");
    let narrow = params.id("podid").is_some() || params.id("clusterid").is_some();
    let mut zones: Vec<&Zone> = look.view.all::<Zone>().map(|z| &**z).collect();
    zones.retain(|zone| !narrow && wanted.is_none_or(|id| zone.id.0 == id));
    zones.sort_by(|a, b| a.name.cmp(&b.name));
    let each = zones.into_iter().flat_map(|zone| look.view.capacities(zone.id));
    let is_wanted = |c: &Capacity| {
        params
            .int("type")
            .is_none_or(|kind| kind == i64::from(c.resource.number()))
    };
    let mut found: Vec<Capacity> = each.filter(is_wanted).collect();
    if params.word("sortby").is_some() {
        found.sort_by(|a, b| b.percent().total_cmp(&a.percent()));
    }
    list::reply(look, params, "capacity", found.iter(), view::capacity::render)
}

/// A zone's, as its field `capacity` shows them.
pub fn of_zone(look: &Look<'_>, zone: &Zone) -> Vec<Value> {
    let each = look.view.capacities(zone.id).into_iter();
    each.map(|capacity| Value::Object(view::capacity::render(look, &capacity)))
        .collect()
}
