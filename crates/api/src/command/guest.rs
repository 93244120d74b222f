// SPDX-License-Identifier: Apache-2.0
//! Guests (virtual machines).

use std::collections::BTreeMap;
use std::str::FromStr;

use outgate_manager::Started;
use outgate_manager::command::request::{DeployGuest, RebootGuest, StartGuest, StopGuest, WantedNic};
use outgate_manager::settings::USERS_SEE_DESTROYED;
use outgate_model::Realm;
use outgate_model::id::{GuestId, NetworkId, ServiceOfferingId, TemplateId, VpcId, ZoneId};
use outgate_model::object::{Guest, Host, Network, Nic, Power, RoleType, Template};

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Entity, Refused, list, router};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "deployVirtualMachine",
        "Makes a guest with a NIC on each of its networks, and starts it.",
        &[DEPLOY, scope::FOR_ACCOUNT],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(deploy(call)),
    )
    .creating(),
    Command::read(
        "listVirtualMachines",
        "Lists guests.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("virtualmachine", view::guest::FIELDS),
        guests,
    ),
    Command::start(
        "startVirtualMachine",
        "Starts a guest.",
        &[ID],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(start(call)),
    ),
    Command::start(
        "stopVirtualMachine",
        "Stops a guest; it keeps its addresses.",
        &[ID, FORCED],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(stop(call)),
    ),
    Command::start(
        "rebootVirtualMachine",
        "Stops a guest and starts it again.",
        &[ID, FORCED],
        Answers::Entity(Entity::Guest),
        |call| Box::pin(reboot(call)),
    ),
];

const NAME: Kind = Kind::Text(255);

const DEPLOY: &[Param] = &[
    Param::required("zoneid", Kind::Uuid(Of::Zone), "the zone"),
    Param::required("serviceofferingid", Kind::Uuid(Of::ServiceOffering), "the size"),
    Param::required("templateid", Kind::Uuid(Of::Template), "what it runs"),
    Param::optional(
        "networkids",
        Kind::Uuids(Of::Network),
        "its networks, the default one first",
    ),
    Param::optional(
        "iptonetworklist",
        Kind::Maps,
        "its networks with addresses: iptonetworklist[0].networkid, .ip, .mac",
    ),
    Param::optional("ipaddress", Kind::Address, "its address on the first network"),
    Param::optional(
        "macaddress",
        Kind::Mac,
        "its Ethernet address on the first network",
    ),
    Param::optional("name", Kind::Text(63), "its host name"),
    Param::optional("displayname", NAME, "what users read; the name when left out"),
    Param::optional(
        "hypervisor",
        Kind::Text(32),
        "the hypervisor; must be the template's",
    ),
    Param::optional(
        "startvm",
        Kind::Bool,
        "whether it is started (true when left out)",
    ),
];

/// What a request says of the hypervisor fits the template; 431 if not.
fn check_hypervisor(call: &Call<'_>) -> Result<(), ApiError> {
    let params = &call.params;
    let view = call.manager.view();
    let template = TemplateId(params.need_id("templateid")?);
    let has = view.get::<Template>(template).map(|t| t.hypervisor.clone());
    match (params.text("hypervisor"), has) {
        (Some(wanted), Some(has)) if !wanted.eq_ignore_ascii_case(&has) => {
            let expected = format!("{has}, the template's");
            Err(ApiError::invalid(
                params.command(),
                "hypervisor",
                wanted,
                &expected,
            ))
        }
        _ => Ok(()),
    }
}

async fn deploy(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    check_hypervisor(call)?;
    let request = DeployGuest {
        zone: ZoneId(params.need_id("zoneid")?),
        service_offering: ServiceOfferingId(params.need_id("serviceofferingid")?),
        template: TemplateId(params.need_id("templateid")?),
        nics: wanted_nics(params)?,
        name: params.string("name"),
        display_name: params.string("displayname"),
        start: params.flag("startvm").unwrap_or(true),
        owner: call.owner()?,
    };
    Ok(call.manager.deploy_guest(&call.caller, request).await?)
}

fn wanted_nics(params: &Params) -> Result<Vec<WantedNic>, ApiError> {
    let (ids, maps) = (params.ids("networkids"), params.maps("iptonetworklist"));
    if !ids.is_empty() && !maps.is_empty() {
        return Err(ApiError::parameter(
            "networkids and iptonetworklist cannot be given together",
        ));
    }
    let first = (params.address("ipaddress"), params.mac("macaddress"));
    let given = match first {
        (Some(_), _) => Some("ipaddress"),
        (None, Some(_)) => Some("macaddress"),
        (None, None) => None,
    };
    match given {
        Some(name) if !maps.is_empty() => {
            let text = format!("{name} and iptonetworklist cannot be given together");
            return Err(ApiError::parameter(text));
        }
        Some(_) if ids.is_empty() => return Err(ApiError::missing(params.command(), "networkids")),
        _ => {}
    }
    let by_id = ids.iter().enumerate().map(|(index, id)| {
        let (address, mac) = if index == 0 { first } else { (None, None) };
        Ok(WantedNic {
            network: NetworkId(*id),
            address,
            mac,
        })
    });
    by_id
        .chain(maps.iter().map(|map| mapped_nic(params.command(), map)))
        .collect()
}

/// One entry of `iptonetworklist`.
fn mapped_nic(command: &str, map: &BTreeMap<String, String>) -> Result<WantedNic, ApiError> {
    let network = map
        .get("networkid")
        .ok_or_else(|| ApiError::missing(command, "iptonetworklist[].networkid"))?;
    let no_such = |_| ApiError::no_such(command, "iptonetworklist[].networkid", network);
    Ok(WantedNic {
        network: network.parse().map_err(no_such)?,
        address: read_field(command, map, "ip", "an IPv4 address")?,
        mac: read_field(
            command,
            map,
            "mac",
            "six hexadecimal bytes such as 02:00:1a:2b:3c:4d",
        )?,
    })
}

fn read_field<T: FromStr>(
    command: &str,
    map: &BTreeMap<String, String>,
    field: &str,
    expected: &str,
) -> Result<Option<T>, ApiError> {
    let Some(text) = map.get(field) else {
        return Ok(None);
    };
    let wrong = |_| ApiError::invalid(command, &format!("iptonetworklist[].{field}"), text, expected);
    text.parse().map(Some).map_err(wrong)
}

const ID: &[Param] = &[Param::required("id", Kind::Uuid(Of::Guest), "the guest")];
const FORCED: &[Param] = &[Param::optional(
    "forced",
    Kind::Bool,
    "a guest always goes down at once",
)];
async fn start(call: &Call<'_>) -> Result<Started, Refused> {
    Ok(call
        .manager
        .start_guest(&call.caller, StartGuest { id: call.guest()? })
        .await?)
}

async fn stop(call: &Call<'_>) -> Result<Started, Refused> {
    Ok(call
        .manager
        .stop_guest(&call.caller, StopGuest { id: call.guest()? })
        .await?)
}

async fn reboot(call: &Call<'_>) -> Result<Started, Refused> {
    Ok(call
        .manager
        .reboot_guest(&call.caller, RebootGuest { id: call.guest()? })
        .await?)
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Guest), "the guest of this id"),
    Param::optional("ids", Kind::Uuids(Of::Guest), "the guests of these ids"),
    Param::optional("name", NAME, "guests with this in their name"),
    Param::optional(
        "state",
        Kind::OneOf(&[
            "Running",
            "Stopped",
            "Present",
            "Destroyed",
            "Expunged",
            "Expunging",
            "Starting",
            "Stopping",
            "Error",
            "Migrating",
        ]),
        "the state; Present for all that are not destroyed",
    ),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "guests of this zone"),
    Param::optional("networkid", Kind::Uuid(Of::Network), "guests on this network"),
    Param::optional("podid", Kind::Uuid(Of::Pod), "guests in this pod"),
    Param::optional("clusterid", Kind::Uuid(Of::Cluster), "guests in this cluster"),
    Param::optional("hostid", Kind::Uuid(Of::Host), "guests on this host"),
    Param::optional("displayvm", Kind::Bool, "true for all, false for none"),
    Param::optional(
        "details",
        Kind::Text(255),
        "what is to be told, joined by commas: with neither nics nor all, NICs are left out",
    ),
    Param::optional("templateid", Kind::Uuid(Of::Template), "guests of this template"),
    Param::optional(
        "serviceofferingid",
        Kind::Uuid(Of::ServiceOffering),
        "guests of this size",
    ),
    Param::optional("hypervisor", Kind::Text(32), "guests on hosts of this hypervisor"),
    Param::optional(
        "vpcid",
        Kind::Uuid(Of::Vpc),
        "guests with a NIC on a tier of this VPC",
    ),
    Param::optional(
        "forvirtualnetwork",
        Kind::Bool,
        "every guest is on virtual networks",
    ),
    Param::optional("haenable", Kind::Bool, "no guest is highly available"),
];

fn guests(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let scope = Scope::of(look, params)?;
    let destroyed_too = look.caller.role != RoleType::User || look.view.setting_is_on(&USERS_SEE_DESTROYED);
    let matches = candidates(look, params, scope).filter(|guest| {
        scope.shows(look, guest.account)
            && (destroyed_too || guest.destroyed.is_none())
            && passes(look, params, guest)
    });
    let told = params.text("details").map(|details| {
        let mut each = details.split(',').map(str::trim);
        each.any(|detail| {
            ["nics", "all"]
                .iter()
                .any(|word| detail.eq_ignore_ascii_case(word))
        })
    });
    let render = |look: &Look<'_>, guest: &Guest| {
        let mut object = view::guest::render(look, guest);
        if told == Some(false) {
            object.remove("nic");
        }
        object
    };
    list::reply(look, params, "virtualmachine", matches, render)
}

/// Whether a guest is what the filters ask for.
fn passes(look: &Look<'_>, params: &Params, g: &Guest) -> bool {
    let (filter, ids) = (Filter(params), params.ids("ids"));
    let host = look.view.get::<Host>(g.host);
    let on_network = |id| g.nics.iter().any(|nic| nic.network.0 == id);
    filter.id("id", g.id.0)
        && (ids.is_empty() || ids.contains(&g.id.0))
        && filter.contained("name", &[&g.name, &g.display_name])
        && in_state(look, params, g)
        && filter.id("zoneid", g.zone.0)
        && params.id("networkid").is_none_or(on_network)
        && in_vpc(look, params, g)
        && filter.id("hostid", g.host.0)
        && router::in_place(look, filter, g.host)
        && filter.id("templateid", g.template.0)
        && filter.id("serviceofferingid", g.service_offering.0)
        && filter.exact("hypervisor", host.map_or("", |h| h.hypervisor.as_str()))
        && filter.flag("displayvm", true)
        && filter.flag("forvirtualnetwork", true)
        && filter.flag("haenable", false)
        && filter.keyword(&[&g.name, &g.display_name, &g.instance_name])
}

fn in_vpc(look: &Look<'_>, params: &Params, guest: &Guest) -> bool {
    let Some(vpc) = params.id("vpcid") else {
        return true;
    };
    let realm = |nic: &Nic| Some(look.view.get::<Network>(nic.network)?.realm());
    guest
        .nics
        .iter()
        .any(|nic| realm(nic) == Some(Realm::Vpc(VpcId(vpc))))
}

fn in_state(look: &Look<'_>, params: &Params, guest: &Guest) -> bool {
    match params.word("state") {
        None => true,
        Some("Present") => guest.power != Power::Gone && guest.destroyed.is_none(),
        Some(state) => look.view.guest_state(guest).name() == state,
    }
}

/// The narrowest index that holds every match.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a Guest> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("id") {
        return Box::new(view.get::<Guest>(GuestId(id)).into_iter().map(|g| &**g));
    }
    let ids: Vec<GuestId> = params.ids("ids").iter().copied().map(GuestId).collect();
    if !ids.is_empty() {
        return Box::new(
            ids.into_iter()
                .filter_map(|id| view.get::<Guest>(id))
                .map(|g| &**g),
        );
    }
    if let Some(id) = params.id("networkid") {
        return Box::new(view.guests_of_network(NetworkId(id)).map(|g| &**g));
    }
    scope.pick(look, |id| view.guests_of_account(id), || view.all())
}
