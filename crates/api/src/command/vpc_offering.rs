// SPDX-License-Identifier: Apache-2.0
//! VPC offerings.

use outgate_manager::Started;
use outgate_manager::command::request::{CreateVpcOffering, DeleteVpcOffering, UpdateVpcOffering};
use outgate_model::id::{DomainId, VpcOfferingId, ZoneId};
use outgate_model::object::{Service, VpcOffering};

use super::filter::Filter;
use super::network_offering::{ids_or_all, may_use, services};
use super::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "createVPCOffering",
        "Creates a VPC offering. It starts disabled unless enable=true.",
        &[CREATE],
        Answers::Entity(Entity::VpcOffering),
        |call| Box::pin(create(call)),
    )
    .creating()
    .for_admins(),
    Command::start(
        "updateVPCOffering",
        "Changes a VPC offering.",
        &[ID, UPDATE],
        Answers::Entity(Entity::VpcOffering),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::start(
        "deleteVPCOffering",
        "Deletes a VPC offering that no VPC is made from.",
        &[ID],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
    Command::read(
        "listVPCOfferings",
        "Lists VPC offerings.",
        &[FILTERS, list::PAGED],
        Answers::List("vpcoffering", view::vpc_offering::FIELDS),
        offerings,
    ),
];

const NAME: Kind = Kind::Text(255);
const STATE: Kind = Kind::OneOf(&["Enabled", "Disabled"]);
const PROVIDER: &str = "VpcVirtualRouter";

const ID: &[Param] = &[Param::required("id", Kind::Uuid(Of::VpcOffering), "the offering")];

const CREATE: &[Param] = &[
    Param::required("name", NAME, "the name"),
    Param::required("displaytext", NAME, "what users read"),
    Param::optional(
        "supportedservices",
        Kind::Text(1024),
        "the services, joined by commas; all that a VPC can have when left out",
    ),
    Param::optional(
        "serviceproviderlist",
        Kind::Maps,
        "serviceproviderlist[0].service and .provider: VpcVirtualRouter",
    ),
    Param::optional(
        "servicecapabilitylist",
        Kind::Maps,
        "servicecapabilitylist[0].service, .capabilitytype and .capabilityvalue: RedundantRouter, DistributedRouter or \
         RegionLevelVpc with false",
    ),
    Param::optional(
        "enable",
        Kind::Bool,
        "whether VPCs can be made from it at once (false when left out)",
    ),
    Param::optional(
        "domainid",
        Kind::Uuids(Of::Domain),
        "the domains that may use it; all when left out",
    ),
    Param::optional(
        "zoneid",
        Kind::Uuids(Of::Zone),
        "the zones where it may be used; all when left out",
    ),
    Param::optional("networkmode", Kind::OneOf(&["NATTED", "ROUTED"]), "NATTED"),
    Param::optional("internetprotocol", Kind::OneOf(&["IPv4", "DualStack"]), "IPv4"),
    Param::optional(
        "serviceofferingid",
        Kind::Uuid(Of::ServiceOffering),
        "the routers' size: every router's is the system's",
    ),
];

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    for (name, right) in [("networkmode", "NATTED"), ("internetprotocol", "IPv4")] {
        if let Some(word) = params.word(name).filter(|word| *word != right) {
            return Err(ApiError::invalid(params.command(), name, word, right).into());
        }
    }
    providers(params)?;
    capabilities(params)?;
    let request = CreateVpcOffering {
        name: params.need_text("name")?.to_owned(),
        display_text: params.need_text("displaytext")?.to_owned(),
        services: services(params)?,
        enable: params.flag("enable").unwrap_or(false),
        domains: params.ids("domainid").iter().copied().map(DomainId).collect(),
        zones: params.ids("zoneid").iter().copied().map(ZoneId).collect(),
    };
    Ok(call.manager.create_vpc_offering(&call.caller, request).await?)
}

/// Refuses services and providers that there are not.
fn providers(params: &Params) -> Result<(), ApiError> {
    const FIELD: &str = "serviceproviderlist";
    for pair in params.maps(FIELD) {
        let field = |name: &str| pair.get(name).map_or("", String::as_str);
        let (service, provider) = (field("service"), field("provider"));
        if Service::parse(service).is_none() {
            return Err(ApiError::invalid(
                params.command(),
                FIELD,
                service,
                "services that Outgate has",
            ));
        }
        if !provider.eq_ignore_ascii_case(PROVIDER) {
            return Err(ApiError::invalid(params.command(), FIELD, provider, PROVIDER));
        }
    }
    Ok(())
}

/// Refuses capabilities that no VPC's router has.
fn capabilities(params: &Params) -> Result<(), ApiError> {
    const FIELD: &str = "servicecapabilitylist";
    let known = ["redundantrouter", "distributedrouter", "regionlevelvpc"];
    for entry in params.maps(FIELD) {
        let field = |name: &str| entry.get(name).map_or("", String::as_str);
        let (kind, value) = (field("capabilitytype"), field("capabilityvalue"));
        let fine = known.iter().any(|k| k.eq_ignore_ascii_case(kind)) && value.eq_ignore_ascii_case("false");
        if !fine {
            let text = format!("{} {kind}={value}", field("service"));
            let expected = "RedundantRouter, DistributedRouter or RegionLevelVpc with false";
            return Err(ApiError::invalid(params.command(), FIELD, &text, expected));
        }
    }
    Ok(())
}

const UPDATE: &[Param] = &[
    Param::optional("name", NAME, "the new name"),
    Param::optional("displaytext", NAME, "what users read from now on"),
    Param::optional("state", STATE, "whether VPCs can be made from it"),
    Param::optional(
        "sortkey",
        Kind::Int(-2_147_483_648, 2_147_483_647),
        "has no effect",
    ),
    Param::optional(
        "domainid",
        Kind::Text(4096),
        "the domains that may use it, or public for all",
    ),
    Param::optional(
        "zoneid",
        Kind::Text(4096),
        "the zones where it may be used, or all",
    ),
];

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let domains = ids_or_all(params, "domainid", "public")?;
    let zones = ids_or_all(params, "zoneid", "all")?;
    let request = UpdateVpcOffering {
        id: VpcOfferingId(params.need_id("id")?),
        name: params.string("name"),
        display_text: params.string("displaytext"),
        enabled: params.word("state").map(|state| state == "Enabled"),
        domains: domains.map(|ids| ids.into_iter().map(DomainId).collect()),
        zones: zones.map(|ids| ids.into_iter().map(ZoneId).collect()),
    };
    Ok(call.manager.update_vpc_offering(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let id = VpcOfferingId(call.params.need_id("id")?);
    let request = DeleteVpcOffering { id };
    Ok(call.manager.delete_vpc_offering(&call.caller, request).await?)
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::VpcOffering), "the offering of this id"),
    Param::optional("name", NAME, "the offering of this name"),
    Param::optional("displaytext", NAME, "the offering of this display text"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "offerings for this zone"),
    Param::optional("domainid", Kind::Uuid(Of::Domain), "offerings for this domain"),
    Param::optional("state", STATE, "whether VPCs can be made from it"),
    Param::optional(
        "isdefault",
        Kind::Bool,
        "the built-in default offering, or the others",
    ),
    Param::optional(
        "supportedservices",
        Kind::Text(1024),
        "offerings with all these services",
    ),
];

fn offerings(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let services = params.text("supportedservices");
    let matches = look.view.all::<VpcOffering>().map(|o| &**o).filter(|o| {
        services.is_none_or(|wanted| view::service::all_in(&o.services, wanted))
            && filter.id("id", o.id.0)
            && filter.exact("name", &o.name)
            && filter.exact("displaytext", &o.display_text)
            && filter.word("state", view::vpc_offering::state(o))
            && filter.flag("isdefault", o.default)
            && may_use(look, params, &o.domains, &o.zones)
            && filter.keyword(&[&o.name, &o.display_text])
    });
    list::reply(look, params, "vpcoffering", matches, view::vpc_offering::render)
}
