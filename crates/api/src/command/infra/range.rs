// SPDX-License-Identifier: Apache-2.0
//! Public IP ranges (CloudStack: VLAN IP ranges), and whom they are kept for.

use outgate_manager::command::request::{CreateRange, DedicateRange, RangeId, UpdateRange};
use outgate_model::id::{DomainId, PhysicalNetworkId, PublicIpRangeId, ZoneId};
use outgate_model::object::{Dedicated, PublicIpRange};
use serde_json::json;

use crate::command::filter::Filter;
use crate::command::{Answers, Call, Command, Refused, list, scope};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "createVlanIpRange",
        "Adds public addresses to a zone. They can be acquired at once.",
        &[CREATE, scope::FOR_ACCOUNT],
        Answers::One("vlan", view::range::FIELDS),
        |call| Box::pin(create(call)),
    )
    .for_admins(),
    Command::act(
        "updateVlanIpRange",
        "Changes a public IP range. No address that is in use may fall out.",
        &[UPDATE],
        Answers::One("vlan", view::range::FIELDS),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::act(
        "deleteVlanIpRange",
        "Deletes a public IP range of which no address is in use.",
        &[ID],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
    Command::act(
        "dedicatePublicIpRange",
        "Keeps a public IP range for an account, a project or a domain.",
        &[ID, DEDICATE],
        Answers::One("vlan", view::range::FIELDS),
        |call| Box::pin(dedicate(call)),
    )
    .for_admins(),
    Command::act(
        "releasePublicIpRange",
        "Lets everybody have a public IP range's addresses again.",
        &[ID],
        Answers::Success,
        |call| Box::pin(release(call)),
    )
    .for_admins(),
    Command::read(
        "listVlanIpRanges",
        "Lists public IP ranges.",
        &[FILTERS, list::PAGED],
        Answers::List("vlaniprange", view::range::FIELDS),
        ranges,
    )
    .for_admins(),
];

const ID: &[Param] = &[Param::required("id", Kind::Uuid(Of::Range), "the range")];

const CREATE: &[Param] = &[
    Param::optional(
        "zoneid",
        Kind::Uuid(Of::Zone),
        "the zone; the physical network's when left out",
    ),
    Param::optional(
        "physicalnetworkid",
        Kind::Uuid(Of::PhysicalNetwork),
        "the physical network; the zone's that carries Public traffic when left out",
    ),
    Param::optional("gateway", Kind::Address, "the upstream gateway"),
    Param::optional("netmask", Kind::Address, "the subnet's netmask"),
    Param::optional("startip", Kind::Address, "the first address"),
    Param::optional("endip", Kind::Address, "the last address; startip when left out"),
    Param::optional(
        "vlan",
        Kind::Text(32),
        "untagged (when left out) or a VLAN; all public ranges of a zone share one",
    ),
    Param::optional(
        "forvirtualnetwork",
        Kind::Bool,
        "true: addresses of Shared networks are none here",
    ),
    Param::optional("forsystemvms", Kind::Bool, "false: there are no system VMs"),
    Param::optional(
        "podid",
        Kind::Uuid(Of::Pod),
        "refused: public addresses are their zone's",
    ),
    Param::optional(
        "networkid",
        Kind::Uuid(Of::Anything),
        "refused: networks have no public ranges of their own",
    ),
];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Range), "the range"),
    Param::optional("startip", Kind::Address, "the first address"),
    Param::optional("endip", Kind::Address, "the last address"),
    Param::optional(
        "gateway",
        Kind::Address,
        "the upstream gateway; changes only while no address is in use",
    ),
    Param::optional(
        "netmask",
        Kind::Address,
        "the subnet's netmask; changes only while no address is in use",
    ),
    Param::optional("forsystemvms", Kind::Bool, "false: there are no system VMs"),
];

const DEDICATE: &[Param] = &[
    Param::required(
        "domainid",
        Kind::Uuid(Of::Domain),
        "for this domain and those below it",
    ),
    Param::optional("account", Kind::Text(100), "for this account of the domain only"),
    Param::optional("projectid", Kind::Text(36), "for this project only"),
];

/// Refuses what public ranges here cannot be.
fn possible(params: &Params) -> Result<(), ApiError> {
    let refused = |name: &str, value: &str, expected: &str| {
        Err(ApiError::invalid(params.command(), name, value, expected))
    };
    if params.flag("forvirtualnetwork") == Some(false) {
        return refused(
            "forvirtualnetwork",
            "false",
            "true: Shared networks have no source NAT",
        );
    }
    if params.flag("forsystemvms") == Some(true) {
        return refused("forsystemvms", "true", "false: this cloud has no system VMs");
    }
    if let Some(id) = params.id("podid") {
        return refused(
            "podid",
            &id.to_string(),
            "nothing: public addresses are their zone's",
        );
    }
    match params.id("networkid") {
        Some(id) => refused(
            "networkid",
            &id.to_string(),
            "nothing: networks have no public ranges of their own",
        ),
        None => Ok(()),
    }
}

/// `vlan` in the form that is stored: `vlan://untagged`, `vlan://100`.
fn vlan(params: &Params) -> Result<Option<String>, ApiError> {
    let Some(text) = params.text("vlan") else {
        return Ok(None);
    };
    let tag = text.strip_prefix("vlan://").unwrap_or(text);
    if tag.eq_ignore_ascii_case("untagged") {
        return Ok(Some("vlan://untagged".to_owned()));
    }
    let number = tag.parse::<u16>().ok().filter(|tag| (1..=4094).contains(tag));
    let expected = "untagged, or a VLAN from 1 to 4094";
    let number = number.ok_or_else(|| ApiError::invalid(params.command(), "vlan", text, expected))?;
    Ok(Some(format!("vlan://{number}")))
}

/// Whom `account` and `domainid`, `projectid`, or `domainid` alone name.
fn whose(call: &Call<'_>) -> Result<Option<Dedicated>, ApiError> {
    let view = call.manager.view();
    let look = Look {
        view: &view,
        caller: &call.caller,
    };
    if let Some(account) = scope::owner(&look, &call.params)? {
        return Ok(Some(Dedicated::Account(account)));
    }
    Ok(call
        .params
        .id("domainid")
        .map(|id| Dedicated::Domain(DomainId(id))))
}

async fn create(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    possible(params)?;
    let need = |name: &str| {
        let given = params.address(name);
        given.ok_or_else(|| ApiError::missing(params.command(), name))
    };
    let start = need("startip")?;
    let request = CreateRange {
        zone: params.id("zoneid").map(ZoneId),
        physical_network: params.id("physicalnetworkid").map(PhysicalNetworkId),
        gateway: need("gateway")?,
        netmask: need("netmask")?,
        start,
        end: params.address("endip").unwrap_or(start),
        vlan: vlan(params)?.unwrap_or_else(|| "vlan://untagged".to_owned()),
        dedicated: whose(call)?,
    };
    let id = call.manager.create_range(&call.caller, request).await?;
    Ok(answer(call, id)?)
}

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    possible(params)?;
    let request = UpdateRange {
        id: PublicIpRangeId(params.need_id("id")?),
        gateway: params.address("gateway"),
        netmask: params.address("netmask"),
        start: params.address("startip"),
        end: params.address("endip"),
    };
    let id = call.manager.update_range(&call.caller, request).await?;
    Ok(answer(call, id)?)
}

async fn delete(call: &Call<'_>) -> Result<Object, Refused> {
    let id = PublicIpRangeId(call.params.need_id("id")?);
    call.manager.delete_range(&call.caller, RangeId { id }).await?;
    Ok(envelope::single("success", json!(true)))
}

async fn dedicate(call: &Call<'_>) -> Result<Object, Refused> {
    let missing = || ApiError::missing(call.params.command(), "domainid");
    let request = DedicateRange {
        id: PublicIpRangeId(call.params.need_id("id")?),
        to: whose(call)?.ok_or_else(missing)?,
    };
    let id = call.manager.dedicate_range(&call.caller, request).await?;
    Ok(answer(call, id)?)
}

async fn release(call: &Call<'_>) -> Result<Object, Refused> {
    let id = PublicIpRangeId(call.params.need_id("id")?);
    call.manager.release_range(&call.caller, RangeId { id }).await?;
    Ok(envelope::single("success", json!(true)))
}

fn answer(call: &Call<'_>, id: PublicIpRangeId) -> Result<Object, ApiError> {
    let find = |look: &Look<'_>| look.view.get::<PublicIpRange>(id).cloned();
    call.now("vlan", find, |look, range| view::range::render(look, &range))
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Range), "the range of this id"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "ranges of this zone"),
    Param::optional(
        "physicalnetworkid",
        Kind::Uuid(Of::PhysicalNetwork),
        "ranges of this physical network",
    ),
    Param::optional(
        "networkid",
        Kind::Uuid(Of::Anything),
        "the same, as ranges name it in networkid",
    ),
    Param::optional("podid", Kind::Uuid(Of::Pod), "ranges of this pod: none is"),
    Param::optional("vlan", Kind::Text(32), "ranges on this VLAN"),
    Param::optional("forvirtualnetwork", Kind::Bool, "every range is"),
    Param::optional(
        "domainid",
        Kind::Uuid(Of::Domain),
        "ranges that are kept for this domain, or its accounts",
    ),
    Param::optional(
        "account",
        Kind::Text(100),
        "ranges that are kept for this account; needs domainid",
    ),
    Param::optional(
        "projectid",
        Kind::Text(36),
        "ranges that are kept for this project",
    ),
];

fn ranges(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let account = scope::owner(look, params)?;
    let domain = params.id("domainid").map(|id| id.to_string());
    let vlan = vlan(params)?;
    let kept = |range: &PublicIpRange| {
        let dedicated = view::range::dedicated(look.view, range);
        match (account, &domain, dedicated) {
            (Some(account), _, dedicated) => dedicated == Some(Dedicated::Account(account)),
            (None, Some(domain), Some(Dedicated::Domain(id))) => id.to_string() == *domain,
            (None, Some(domain), Some(Dedicated::Account(id))) => {
                look.owner(id).domain_id.as_ref() == Some(domain)
            }
            (None, Some(_), None) => false,
            (None, None, _) => true,
        }
    };
    let mut matches: Vec<&PublicIpRange> = look.view.all::<PublicIpRange>().map(|r| &**r).collect();
    matches.retain(|range| {
        filter.id("id", range.id.0)
            && filter.id("zoneid", range.zone.0)
            && filter.id("physicalnetworkid", range.physical_network.0)
            && filter.id("networkid", range.physical_network.0)
            && params.id("podid").is_none()
            && vlan.as_ref().is_none_or(|vlan| *vlan == range.vlan)
            && filter.flag("forvirtualnetwork", true)
            && kept(range)
            && filter.keyword(&[&range.range.first().to_string(), &range.range.last().to_string()])
    });
    matches.sort_by_key(|range| range.range.first());
    list::reply(
        look,
        params,
        "vlaniprange",
        matches.into_iter(),
        view::range::render,
    )
}
