// SPDX-License-Identifier: Apache-2.0
//! VPCs.

use ipnet::Ipv4Net;
use outgate_manager::Started;
use outgate_manager::command::request::{CreateVpc, DeleteVpc, RestartVpc, UpdateVpc};
use outgate_model::id::{VpcId, VpcOfferingId, ZoneId};
use outgate_model::object::{Vpc, VpcOffering};

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Entity, Refused, list, network};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "createVPC",
        "Creates a VPC with its router and its source NAT address; without them with start=false.",
        &[CREATE, scope::FOR_ACCOUNT],
        Answers::Entity(Entity::Vpc),
        |call| Box::pin(create(call)),
    )
    .creating(),
    Command::read(
        "listVPCs",
        "Lists VPCs with their tiers.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("vpc", view::vpc::FIELDS),
        vpcs,
    ),
    Command::start(
        "updateVPC",
        "Changes a VPC; with sourcenatipaddress the address through which the guests of all its tiers leave.",
        &[UPDATE],
        Answers::Entity(Entity::Vpc),
        |call| Box::pin(update(call)),
    ),
    Command::start(
        "restartVPC",
        "Applies a VPC's rules again, with cleanup on a fresh router.",
        &[ID, network::RESTART_HOW],
        Answers::Success,
        |call| Box::pin(restart(call)),
    ),
    Command::start(
        "deleteVPC",
        "Deletes a VPC without tiers, with its router, addresses, gateways, routes and network ACL lists.",
        &[ID],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
];

const NAME: Kind = Kind::Text(255);
const MTU: Kind = Kind::Int(0, 65_535);

const ID: &[Param] = &[Param::required("id", Kind::Uuid(Of::Vpc), "the VPC")];

const CREATE: &[Param] = &[
    Param::required("name", NAME, "the name"),
    Param::required("vpcofferingid", Kind::Uuid(Of::VpcOffering), "the offering"),
    Param::required("zoneid", Kind::Uuid(Of::Zone), "the zone"),
    Param::required(
        "cidr",
        Kind::Text(18),
        "what its tiers are cut from: 10.0.0.0/16; private, from /8 to /29",
    ),
    Param::optional("displaytext", NAME, "what users read; the name when left out"),
    Param::optional("networkdomain", Kind::Text(253), "the domain that guests get"),
    Param::optional(
        "dns1",
        Kind::Address,
        "a resolver for guests; the zone's when left out",
    ),
    Param::optional("dns2", Kind::Address, "another one; needs dns1"),
    Param::optional(
        "publicmtu",
        MTU,
        "the MTU of the public side; the zone's when left out",
    ),
    Param::optional(
        "sourcenatipaddress",
        Kind::Address,
        "a free public address to be the source NAT address",
    ),
    Param::optional(
        "start",
        Kind::Bool,
        "whether it gets its router at once (true when left out), or with its first guest",
    ),
    Param::optional(
        "userouteripresolver",
        Kind::Bool,
        "no meaning here: guests always ask the router",
    ),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every VPC is shown"),
];

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let cidr = params.need_text("cidr")?;
    let parsed: Ipv4Net = cidr.parse().map_err(|_| {
        let expected = "a CIDR such as 10.0.0.0/16";
        ApiError::invalid(params.command(), "cidr", cidr, expected)
    })?;
    let dns = ["dns1", "dns2"].map(|name| params.address(name));
    if let [None, Some(second)] = dns {
        let expected = "nothing without dns1";
        return Err(ApiError::invalid(params.command(), "dns2", &second.to_string(), expected).into());
    }
    let request = CreateVpc {
        name: params.need_text("name")?.to_owned(),
        display_text: params.string("displaytext"),
        offering: VpcOfferingId(params.need_id("vpcofferingid")?),
        zone: ZoneId(params.need_id("zoneid")?),
        cidr: parsed,
        domain: params.string("networkdomain"),
        dns: dns.into_iter().flatten().collect(),
        public_mtu: mtu(params),
        source_nat_address: params.address("sourcenatipaddress"),
        start: params.flag("start").unwrap_or(true),
        owner: call.owner()?,
    };
    Ok(call.manager.create_vpc(&call.caller, request).await?)
}

fn mtu(params: &Params) -> Option<u32> {
    params.int("publicmtu").and_then(|mtu| u32::try_from(mtu).ok())
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Vpc), "the VPC of this id"),
    Param::optional("name", NAME, "the VPC of this name"),
    Param::optional("displaytext", NAME, "the VPC of this display text"),
    Param::optional("cidr", Kind::Text(18), "VPCs with this CIDR"),
    Param::optional("state", Kind::OneOf(&["Enabled", "Inactive"]), "the state"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "VPCs of this zone"),
    Param::optional(
        "vpcofferingid",
        Kind::Uuid(Of::VpcOffering),
        "VPCs of this offering",
    ),
    Param::optional("restartrequired", Kind::Bool, "whether a restart is due"),
    Param::optional(
        "supportedservices",
        Kind::Text(1024),
        "VPCs with all these services",
    ),
    Param::optional("fordisplay", Kind::Bool, "true for all, false for none"),
];

fn vpcs(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let services = params.text("supportedservices");
    let restart = params.flag("restartrequired");
    let matches = candidates(look, params, scope).filter(|vpc| {
        let offering = || look.view.get::<VpcOffering>(vpc.offering);
        scope.shows(look, vpc.account)
            && filter.id("id", vpc.id.0)
            && filter.exact("name", &vpc.name)
            && filter.exact("displaytext", &vpc.display_text)
            && filter.exact("cidr", &vpc.cidr.to_string())
            && filter.word("state", view::vpc::state(vpc))
            && filter.id("zoneid", vpc.zone.0)
            && filter.id("vpcofferingid", vpc.offering.0)
            && filter.flag("fordisplay", true)
            && restart.is_none_or(|wanted| wanted == look.view.vpc_restart_required(vpc))
            && services
                .is_none_or(|wanted| offering().is_some_and(|o| view::service::all_in(&o.services, wanted)))
            && filter.keyword(&[&vpc.name, &vpc.display_text])
    });
    list::reply(look, params, "vpc", matches, view::vpc::render)
}

/// The narrowest index that holds every match.
fn candidates<'a>(look: &Look<'a>, params: &Params, scope: Scope) -> Box<dyn Iterator<Item = &'a Vpc> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("id") {
        return Box::new(view.get::<Vpc>(VpcId(id)).into_iter().map(|vpc| &**vpc));
    }
    scope.pick(look, |id| view.vpcs_of_account(id), || view.all())
}

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Vpc), "the VPC"),
    Param::optional("name", NAME, "the new name"),
    Param::optional("displaytext", NAME, "what users read from now on"),
    Param::optional("publicmtu", MTU, "the MTU of the public side"),
    Param::optional("sourcenatipaddress", Kind::Address, "the new source NAT address"),
    Param::optional("customid", Kind::Text(255), "no meaning here: ids are Outgate's"),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every VPC is shown"),
];

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = UpdateVpc {
        id: VpcId(params.need_id("id")?),
        name: params.string("name"),
        display_text: params.string("displaytext"),
        public_mtu: mtu(params),
        source_nat_address: params.address("sourcenatipaddress"),
    };
    Ok(call.manager.update_vpc(&call.caller, request).await?)
}

async fn restart(call: &Call<'_>) -> Result<Started, Refused> {
    let request = RestartVpc {
        id: VpcId(call.params.need_id("id")?),
        cleanup: network::cleanup(&call.params)?,
    };
    Ok(call.manager.restart_vpc(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let id = VpcId(call.params.need_id("id")?);
    Ok(call.manager.delete_vpc(&call.caller, DeleteVpc { id }).await?)
}
