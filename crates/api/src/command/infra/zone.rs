// SPDX-License-Identifier: Apache-2.0
//! Zones.

use outgate_manager::command::request::{CreateZone, DeleteZone, UpdateZone};
use outgate_model::id::ZoneId;
use outgate_model::object::Zone;
use serde_json::json;

use super::{NAME, STATE, enabled};
use crate::command::filter::Filter;
use crate::command::{Answers, Call, Command, Refused, capacity, list};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "createZone",
        "Creates a zone. It starts disabled unless allocationstate=Enabled.",
        &[CREATE],
        Answers::One("zone", view::zone::FIELDS),
        |call| Box::pin(create(call)),
    )
    .for_admins(),
    Command::act(
        "updateZone",
        "Changes a zone. Other resolvers reach its routers at once.",
        &[UPDATE],
        Answers::One("zone", view::zone::FIELDS),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::act(
        "deleteZone",
        "Deletes a zone that nothing is left of.",
        &[&[Param::required("id", Kind::Uuid(Of::Zone), "the zone")]],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
    Command::read(
        "listZones",
        "Lists zones.",
        &[FILTERS, list::PAGED],
        Answers::List("zone", view::zone::FIELDS),
        zones,
    ),
];

const ALLOCATION: &str = "Enabled or Disabled: in a disabled zone only root admins make networks and guests";

const CREATE: &[Param] = &[
    Param::required("name", NAME, "the name, unique among zones"),
    Param::required(
        "networktype",
        Kind::OneOf(&["Basic", "Advanced"]),
        "Advanced: a Basic zone has no networks that source NAT could be for",
    ),
    Param::required("dns1", Kind::Address, "the first resolver of guests"),
    Param::optional("dns2", Kind::Address, "the second resolver of guests"),
    Param::required("internaldns1", Kind::Address, "the first resolver of the system"),
    Param::optional("internaldns2", Kind::Address, "the second resolver of the system"),
    Param::optional(
        "guestcidraddress",
        Kind::Cidrs,
        "the CIDR of networks that name none (10.1.1.0/24 when left out)",
    ),
    Param::optional("domain", NAME, "the domain of networks that name none"),
    Param::optional("allocationstate", STATE, ALLOCATION),
    Param::optional(
        "domainid",
        Kind::Uuid(Of::Domain),
        "refused: every zone is for all domains",
    ),
    Param::optional(
        "localstorageenabled",
        Kind::Bool,
        "guests' disks are their hosts' anyway",
    ),
    Param::optional(
        "securitygroupenabled",
        Kind::Bool,
        "false: networks have firewall rules instead",
    ),
];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Zone), "the zone"),
    Param::optional("name", NAME, "the name, unique among zones"),
    Param::optional("dns1", Kind::Address, "the first resolver of guests"),
    Param::optional("dns2", Kind::Address, "the second resolver of guests"),
    Param::optional("internaldns1", Kind::Address, "the first resolver of the system"),
    Param::optional("internaldns2", Kind::Address, "the second resolver of the system"),
    Param::optional(
        "guestcidraddress",
        Kind::Cidrs,
        "the CIDR of networks that name none",
    ),
    Param::optional("domain", NAME, "the domain of networks that name none"),
    Param::optional("allocationstate", STATE, ALLOCATION),
    Param::optional("dhcpprovider", NAME, "VirtualRouter"),
    Param::optional(
        "localstorageenabled",
        Kind::Bool,
        "guests' disks are their hosts' anyway",
    ),
    Param::optional("ispublic", Kind::Bool, "true: every zone is for all domains"),
];

/// Refuses what zones here cannot be.
fn possible(params: &Params) -> Result<(), ApiError> {
    let refused = |name: &str, value: &str, expected: &str| {
        Err(ApiError::invalid(params.command(), name, value, expected))
    };
    if params.word("networktype") == Some("Basic") {
        return refused(
            "networktype",
            "Basic",
            "Advanced: a Basic zone has no networks that source NAT could be for",
        );
    }
    if let Some(domain) = params.id("domainid") {
        return refused(
            "domainid",
            &domain.to_string(),
            "nothing: every zone is for all domains",
        );
    }
    if params.flag("securitygroupenabled") == Some(true) {
        return refused(
            "securitygroupenabled",
            "true",
            "false: networks have firewall rules and network ACLs instead",
        );
    }
    if params.flag("ispublic") == Some(false) {
        return refused("ispublic", "false", "true: every zone is for all domains");
    }
    match params
        .text("dhcpprovider")
        .filter(|p| !p.eq_ignore_ascii_case("VirtualRouter"))
    {
        Some(other) => refused("dhcpprovider", other, "VirtualRouter"),
        None => Ok(()),
    }
}

fn guest_cidr(params: &Params) -> Result<Option<ipnet::Ipv4Net>, ApiError> {
    match params.cidrs("guestcidraddress").as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        several => {
            let text = several
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(",");
            Err(ApiError::invalid(
                params.command(),
                "guestcidraddress",
                &text,
                "one CIDR",
            ))
        }
    }
}

async fn create(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    possible(params)?;
    let both = |first, second| [params.address(first), params.address(second)];
    let request = CreateZone {
        name: params.need_text("name")?.to_owned(),
        dns: both("dns1", "dns2").into_iter().flatten().collect(),
        internal_dns: both("internaldns1", "internaldns2")
            .into_iter()
            .flatten()
            .collect(),
        domain: params.string("domain"),
        guest_cidr: guest_cidr(params)?,
        enable: enabled(params, "allocationstate").unwrap_or(false),
    };
    let id = call.manager.create_zone(&call.caller, request).await?;
    Ok(answer(call, id)?)
}

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    possible(params)?;
    let request = UpdateZone {
        id: ZoneId(params.need_id("id")?),
        name: params.string("name"),
        dns: [params.address("dns1"), params.address("dns2")],
        internal_dns: [params.address("internaldns1"), params.address("internaldns2")],
        domain: params.string("domain"),
        guest_cidr: guest_cidr(params)?,
        enable: enabled(params, "allocationstate"),
    };
    let id = call.manager.update_zone(&call.caller, request).await?;
    Ok(answer(call, id)?)
}

fn answer(call: &Call<'_>, id: ZoneId) -> Result<Object, ApiError> {
    call.now(
        "zone",
        |look| look.view.get::<Zone>(id).cloned(),
        |look, zone| view::zone::render(look, &zone),
    )
}

async fn delete(call: &Call<'_>) -> Result<Object, Refused> {
    let id = ZoneId(call.params.need_id("id")?);
    call.manager.delete_zone(&call.caller, DeleteZone { id }).await?;
    Ok(envelope::single("success", json!(true)))
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Zone), "the zone of this id"),
    Param::optional("ids", Kind::Uuids(Of::Zone), "the zones of these ids"),
    Param::optional("name", NAME, "the zone of this name"),
    Param::optional("available", Kind::Bool, "every zone is available"),
    Param::optional(
        "networktype",
        Kind::OneOf(&["Basic", "Advanced"]),
        "every zone is Advanced",
    ),
    Param::optional("tags", Kind::Maps, "zones with these tags; none has any"),
    Param::optional(
        "domainid",
        Kind::Uuid(Of::Domain),
        "zones for this domain: every one is",
    ),
    Param::optional(
        "showcapacities",
        Kind::Bool,
        "for admins: how much of them is used",
    ),
];

fn zones(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let ids = params.ids("ids");
    let matches = look.view.all::<Zone>().map(|z| &**z).filter(|z| {
        filter.id("id", z.id.0)
            && (ids.is_empty() || ids.contains(&z.id.0))
            && filter.exact("name", &z.name)
            && filter.word("networktype", "Advanced")
            && filter.keyword(&[&z.name])
    });
    list::reply(look, params, "zone", matches, |look, zone: &Zone| {
        let mut object = view::zone::render(look, zone);
        if params.flag("showcapacities") == Some(true) && look.caller.admin() {
            object.insert("capacity".to_owned(), capacity::of_zone(look, zone).into());
        }
        object
    })
}
