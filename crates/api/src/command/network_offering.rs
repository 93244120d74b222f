// SPDX-License-Identifier: Apache-2.0
//! Network offerings.

use std::collections::BTreeSet;

use outgate_manager::command::request::{
    CreateNetworkOffering, DeleteNetworkOffering, UpdateNetworkOffering,
};
use outgate_model::id::{DomainId, NetworkId, NetworkOfferingId, ServiceOfferingId, ZoneId};
use outgate_model::object::{Network, NetworkOffering, OfferingState, Service, ServiceOffering};
use serde_json::json;
use uuid::Uuid;

use super::filter::Filter;
use super::{Answers, Call, Command, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "createNetworkOffering",
        "Creates a network offering. It starts disabled unless enable=true.",
        &[CREATE],
        Answers::One("networkoffering", view::network_offering::FIELDS),
        |call| Box::pin(create(call)),
    )
    .for_admins(),
    Command::act(
        "updateNetworkOffering",
        "Changes a network offering.",
        &[UPDATE],
        Answers::One("networkoffering", view::network_offering::FIELDS),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::act(
        "deleteNetworkOffering",
        "Deletes a network offering that no network uses.",
        &[DELETE],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
    Command::read(
        "listNetworkOfferings",
        "Lists network offerings.",
        &[FILTERS, list::PAGED],
        Answers::List("networkoffering", view::network_offering::FIELDS),
        offerings,
    ),
];

const NAME: Kind = Kind::Text(255);
const STATE: Kind = Kind::OneOf(&["Enabled", "Disabled", "Inactive"]);
const AVAILABILITY: Kind = Kind::OneOf(&["Required", "Optional"]);
const COUNT: Kind = Kind::Int(1, 2_147_483_647);

const CREATE: &[Param] = &[
    Param::required("name", NAME, "the name"),
    Param::required("displaytext", NAME, "what users read"),
    Param::required(
        "guestiptype",
        Kind::OneOf(&["Isolated", "Shared", "L2"]),
        "Isolated; Shared and L2 networks have no virtual router that could do source NAT",
    ),
    Param::required("traffictype", Kind::Text(32), "Guest"),
    Param::optional(
        "supportedservices",
        Kind::Text(1024),
        "the services, joined by commas",
    ),
    Param::optional(
        "serviceproviderlist",
        Kind::Maps,
        "serviceproviderlist[0].service and .provider: VirtualRouter, or VpcVirtualRouter for tiers",
    ),
    Param::optional(
        "servicecapabilitylist",
        Kind::Maps,
        "servicecapabilitylist[0].service, .capabilitytype and .capabilityvalue",
    ),
    Param::optional("forvpc", Kind::Bool, "whether its networks are tiers of VPCs"),
    Param::optional(
        "egressdefaultpolicy",
        Kind::Bool,
        "whether outbound packets pass that no egress rule matches (false when left out)",
    ),
    Param::optional(
        "ispersistent",
        Kind::Bool,
        "whether its networks have their router without guests too",
    ),
    Param::optional(
        "conservemode",
        Kind::Bool,
        "whether one public address may serve several purposes (true when left out)",
    ),
    Param::optional(
        "enable",
        Kind::Bool,
        "whether networks can be made from it at once (false when left out)",
    ),
    Param::optional(
        "specifyvlan",
        Kind::Bool,
        "whether admins name its networks' VLANs",
    ),
    Param::optional(
        "specifyipranges",
        Kind::Bool,
        "false: only Shared networks have IP ranges",
    ),
    Param::optional(
        "availability",
        AVAILABILITY,
        "Required or Optional (when left out)",
    ),
    Param::optional(
        "maxconnections",
        COUNT,
        "most connections at once of load balancing; written down: a router takes 8,000",
    ),
    Param::optional(
        "networkrate",
        Kind::Int(-1, 2_147_483_647),
        "Mbit/s; written down, not enforced",
    ),
    Param::optional("tags", NAME, "tags of physical networks"),
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
    Param::optional("details", Kind::Maps, "details[0].key=value, shown as given"),
    Param::optional("networkmode", Kind::OneOf(&["NATTED", "ROUTED"]), "NATTED"),
    Param::optional(
        "internetprotocol",
        Kind::OneOf(&["IPv4", "IPv6", "DualStack"]),
        "IPv4",
    ),
    Param::optional(
        "serviceofferingid",
        Kind::Uuid(Of::ServiceOffering),
        "the routers' size: a system offering",
    ),
    Param::optional(
        "keepaliveenabled",
        Kind::Bool,
        "has no effect: load balancing keeps connections open wherever client and guest do",
    ),
];

async fn create(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    only(params, "guestiptype", "Isolated", NO_SOURCE_NAT)?;
    only(
        params,
        "networkmode",
        "NATTED",
        "NATTED: Outgate's networks leave by source NAT",
    )?;
    only(params, "internetprotocol", "IPv4", "IPv4")?;
    if let Some(kind) = params
        .text("traffictype")
        .filter(|t| !t.eq_ignore_ascii_case("Guest"))
    {
        return Err(ApiError::invalid(params.command(), "traffictype", kind, "Guest").into());
    }
    if params.flag("specifyipranges") == Some(true) {
        let expected = "false: only Shared networks have IP ranges of their own";
        return Err(ApiError::invalid(params.command(), "specifyipranges", "true", expected).into());
    }
    system_size(call)?;
    let services = services(params)?;
    let for_vpc = for_vpc(params)?;
    let request = CreateNetworkOffering {
        name: params.need_text("name")?.to_owned(),
        display_text: params.need_text("displaytext")?.to_owned(),
        redundant: capabilities(params, &services)?,
        services,
        for_vpc,
        egress_allowed: params.flag("egressdefaultpolicy").unwrap_or(false),
        persistent: params.flag("ispersistent").unwrap_or(false),
        conserve_mode: params.flag("conservemode").unwrap_or(true),
        enable: params.flag("enable").unwrap_or(false),
        specify_vlan: params.flag("specifyvlan").unwrap_or(false),
        required: params.word("availability") == Some("Required"),
        max_connections: count(params, "maxconnections"),
        network_rate: count(params, "networkrate"),
        tags: params.string("tags").unwrap_or_default(),
        domains: params.ids("domainid").iter().copied().map(DomainId).collect(),
        zones: params.ids("zoneid").iter().copied().map(ZoneId).collect(),
        details: params
            .maps("details")
            .iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
    };
    let id = call
        .manager
        .create_network_offering(&call.caller, request)
        .await?;
    Ok(one(call, id))
}

/// Refuses a guest's size for routers.
fn system_size(call: &Call<'_>) -> Result<(), ApiError> {
    let Some(id) = call.params.id("serviceofferingid") else {
        return Ok(());
    };
    let view = call.manager.view();
    let offering = view.get::<ServiceOffering>(ServiceOfferingId(id));
    if offering.is_some_and(|offering| offering.system) {
        return Ok(());
    }
    let (command, text) = (call.params.command(), id.to_string());
    let expected = "a system offering (listServiceOfferings issystem=true)";
    Err(ApiError::invalid(command, "serviceofferingid", &text, expected))
}

/// Why there are only Isolated networks.
const NO_SOURCE_NAT: &str = "Isolated: Shared and L2 networks have no virtual router of their own that could do source \
                             NAT for them";

fn only(params: &Params, name: &str, right: &str, expected: &str) -> Result<(), ApiError> {
    match params.word(name).filter(|word| *word != right) {
        Some(word) => Err(ApiError::invalid(params.command(), name, word, expected)),
        None => Ok(()),
    }
}

pub(super) fn services(params: &Params) -> Result<BTreeSet<Service>, ApiError> {
    let text = params.text("supportedservices").unwrap_or_default();
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| {
            Service::parse(name).ok_or_else(|| {
                let known: Vec<_> = Service::ALL.iter().map(|service| service.name()).collect();
                let expected = format!("services among {}", known.join(", "));
                ApiError::invalid(params.command(), "supportedservices", name, &expected)
            })
        })
        .collect()
}

/// Whether the offering is for tiers: `forvpc`, or what its providers say. Refuses providers that there are not.
fn for_vpc(params: &Params) -> Result<bool, ApiError> {
    let mut by_provider = false;
    for pair in params.maps("serviceproviderlist") {
        let provider = pair.get("provider").map_or("", String::as_str);
        let refused = |value: &str, expected: &str| {
            Err(ApiError::invalid(
                params.command(),
                "serviceproviderlist",
                value,
                expected,
            ))
        };
        let service = pair.get("service").map_or("", String::as_str);
        if Service::parse(service).is_none() {
            return refused(service, "services that Outgate has");
        }
        match provider.to_ascii_lowercase().as_str() {
            "virtualrouter" => {}
            "vpcvirtualrouter" => by_provider = true,
            _ => return refused(provider, "VirtualRouter, or VpcVirtualRouter for tiers of VPCs"),
        }
    }
    Ok(params.flag("forvpc").unwrap_or(by_provider))
}

/// Whether the capabilities ask for redundant routers. Refuses those that no router has.
fn capabilities(params: &Params, services: &BTreeSet<Service>) -> Result<bool, ApiError> {
    let mut redundant = false;
    for entry in params.maps("servicecapabilitylist") {
        let field = |name: &str| entry.get(name).map_or("", String::as_str);
        let (service, kind, value) = (
            field("service"),
            field("capabilitytype"),
            field("capabilityvalue"),
        );
        let text = format!("{service} {kind}={value}");
        let refused = |expected: &str| {
            Err(ApiError::invalid(
                params.command(),
                "servicecapabilitylist",
                &text,
                expected,
            ))
        };
        if !Service::parse(service).is_some_and(|service| services.contains(&service)) {
            return refused("a capability of one of supportedservices");
        }
        match (
            kind.to_ascii_lowercase().as_str(),
            value.to_ascii_lowercase().as_str(),
        ) {
            ("redundantrouter", value) => redundant = value == "true",
            ("supportedsourcenattypes", "peraccount")
            | ("supportedlbisolation", "dedicated")
            | ("lbschemes", "public")
            | ("elasticip" | "elasticlb" | "associatepublicip" | "inlinemode" | "vmautoscaling", "false") => {
            }
            ("supportedsourcenattypes", _) => {
                return refused("peraccount: each network has an address of its own");
            }
            ("supportedlbisolation", _) => return refused("dedicated: each network has a router of its own"),
            ("lbschemes", _) => return refused("Public: internal load balancing is not available"),
            _ => {
                return refused(
                    "RedundantRouter, SupportedSourceNatTypes=peraccount, SupportedLBIsolation=dedicated, LbSchemes=Public, \
                     or one of ElasticIp, ElasticLb, AssociatePublicIP, InlineMode, VmAutoScaling with false",
                );
            }
        }
    }
    Ok(redundant)
}

fn count(params: &Params, name: &str) -> Option<u32> {
    params.int(name).and_then(|value| u32::try_from(value).ok())
}

const UPDATE: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::NetworkOffering), "the offering"),
    Param::optional("name", NAME, "the new name"),
    Param::optional("displaytext", NAME, "what users read from now on"),
    Param::optional("state", STATE, "whether networks can be made from it"),
    Param::optional("availability", AVAILABILITY, "Required or Optional"),
    Param::optional(
        "maxconnections",
        COUNT,
        "most connections at once of load balancing; written down: a router takes 8,000",
    ),
    Param::optional("tags", NAME, "tags of physical networks"),
    Param::optional(
        "keepaliveenabled",
        Kind::Bool,
        "has no effect: load balancing keeps connections open wherever client and guest do",
    ),
    Param::optional(
        "sortkey",
        Kind::Int(-2_147_483_648, 2_147_483_647),
        "its place in lists, lowest first; 0 unless changed",
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

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let request = UpdateNetworkOffering {
        id: NetworkOfferingId(params.need_id("id")?),
        name: params.string("name"),
        display_text: params.string("displaytext"),
        state: params.word("state").map(|state| match state {
            "Disabled" => OfferingState::Disabled,
            "Inactive" => OfferingState::Inactive,
            _ => OfferingState::Enabled,
        }),
        required: params.word("availability").map(|word| word == "Required"),
        max_connections: count(params, "maxconnections"),
        tags: params.string("tags"),
        sort_key: params.int("sortkey").and_then(|key| i32::try_from(key).ok()),
        domains: ids_or_all(params, "domainid", "public")?.map(|ids| ids.into_iter().map(DomainId).collect()),
        zones: ids_or_all(params, "zoneid", "all")?.map(|ids| ids.into_iter().map(ZoneId).collect()),
    };
    let id = call
        .manager
        .update_network_offering(&call.caller, request)
        .await?;
    Ok(one(call, id))
}

/// Ids joined by commas; none for the word that stands for all.
pub(super) fn ids_or_all(params: &Params, name: &str, all: &str) -> Result<Option<Vec<Uuid>>, ApiError> {
    let Some(text) = params.text(name) else {
        return Ok(None);
    };
    if text.eq_ignore_ascii_case(all) {
        return Ok(Some(Vec::new()));
    }
    let ids = text.split(',').map(str::trim).map(|id| {
        id.parse::<DomainId>()
            .map(|id| id.0)
            .map_err(|_| ApiError::no_such(params.command(), name, id))
    });
    ids.collect::<Result<_, _>>().map(Some)
}

/// The answer with one offering as it is now.
fn one(call: &Call<'_>, id: NetworkOfferingId) -> Object {
    let view = call.manager.view();
    let look = Look {
        view: &view,
        caller: &call.caller,
    };
    let offering = view.get::<NetworkOffering>(id);
    let object = offering.map(|offering| view::network_offering::render(&look, offering));
    envelope::single("networkoffering", json!(object.unwrap_or_default()))
}

const DELETE: &[Param] = &[Param::required(
    "id",
    Kind::Uuid(Of::NetworkOffering),
    "the offering",
)];

async fn delete(call: &Call<'_>) -> Result<Object, Refused> {
    let request = DeleteNetworkOffering {
        id: NetworkOfferingId(call.params.need_id("id")?),
    };
    call.manager
        .delete_network_offering(&call.caller, request)
        .await?;
    Ok(envelope::single("success", json!(true)))
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::NetworkOffering), "the offering of this id"),
    Param::optional("name", NAME, "the offering of this name"),
    Param::optional("displaytext", NAME, "the offering of this display text"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "offerings for this zone"),
    Param::optional("domainid", Kind::Uuid(Of::Domain), "offerings for this domain"),
    Param::optional(
        "networkid",
        Kind::Uuid(Of::Network),
        "offerings that this network can change to",
    ),
    Param::optional(
        "guestiptype",
        Kind::OneOf(&["Isolated", "Shared", "L2"]),
        "every offering is Isolated",
    ),
    Param::optional("traffictype", Kind::Text(32), "every offering is for Guest"),
    Param::optional("state", STATE, "whether networks can be made from it"),
    Param::optional("availability", AVAILABILITY, "Required or Optional"),
    Param::optional(
        "isdefault",
        Kind::Bool,
        "the built-in default offerings, or the others",
    ),
    Param::optional("forvpc", Kind::Bool, "offerings for tiers of VPCs, or the others"),
    Param::optional(
        "specifyvlan",
        Kind::Bool,
        "offerings that let admins name a VLAN, or the others",
    ),
    Param::optional(
        "specifyipranges",
        Kind::Bool,
        "no offering lets anybody name IP ranges",
    ),
    Param::optional("istagged", Kind::Bool, "offerings with tags, or the others"),
    Param::optional("tags", NAME, "offerings with these tags"),
    Param::optional(
        "sourcenatsupported",
        Kind::Bool,
        "offerings with source NAT, or the others",
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
    let for_network = params
        .id("networkid")
        .and_then(|id| look.view.get::<Network>(NetworkId(id)))
        .filter(|network| look.caller.may(look.view, network.account));
    let matches = look.view.all::<NetworkOffering>().map(|o| &**o).filter(|o| {
        services.is_none_or(|wanted| view::service::all_supported(o, wanted))
            && filter.id("id", o.id.0)
            && filter.exact("name", &o.name)
            && filter.exact("displaytext", &o.display_text)
            && filter.word("guestiptype", "Isolated")
            && filter.exact("traffictype", "Guest")
            && filter.word("state", o.state.name())
            && filter.word("availability", view::network_offering::availability(o))
            && filter.flag("isdefault", o.default)
            && filter.flag("forvpc", o.for_vpc)
            && filter.flag("specifyvlan", o.specify_vlan)
            && filter.flag("specifyipranges", false)
            && filter.flag("istagged", !o.tags.is_empty())
            && filter.exact("tags", &o.tags)
            && filter.flag("sourcenatsupported", o.has(Service::SourceNat))
            && may_use(look, params, &o.domains, &o.zones)
            && fits(params, for_network.map(|n| &**n), o)
            && filter.keyword(&[&o.name, &o.display_text])
    });
    let mut matches: Vec<&NetworkOffering> = matches.collect();
    matches.sort_by_key(|o| (o.sort_key, o.created, o.id));
    list::reply(
        look,
        params,
        "networkoffering",
        matches.into_iter(),
        view::network_offering::render,
    )
}

/// Whether an offering of these domains and zones is for the caller, and for the zone and the domain asked for.
pub(super) fn may_use(look: &Look<'_>, params: &Params, domains: &[DomainId], zones: &[ZoneId]) -> bool {
    let of_domain = |domain: DomainId| {
        let within = |above: &DomainId| look.view.is_within(domain, *above);
        domains.is_empty() || domains.iter().any(within)
    };
    let zone = params.id("zoneid").map(ZoneId);
    zone.is_none_or(|zone| zones.is_empty() || zones.contains(&zone))
        && params.id("domainid").map(DomainId).is_none_or(of_domain)
        && (look.caller.admin() || of_domain(look.caller.domain))
}

/// Whether a network can change to the offering.
fn fits(params: &Params, network: Option<&Network>, offering: &NetworkOffering) -> bool {
    match network {
        Some(network) => {
            network.offering != offering.id
                && offering.state == OfferingState::Enabled
                && offering.for_vpc == network.tier.is_some()
                && offering.specify_vlan == network.settings.vlan.is_some()
                && (offering.zones.is_empty() || offering.zones.contains(&network.zone))
                && !offering.redundant
        }
        None => params.id("networkid").is_none(),
    }
}
