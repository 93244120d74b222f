// SPDX-License-Identifier: Apache-2.0
//! Network service providers of physical networks, and their elements.

use outgate_manager::Started;
use outgate_manager::bootstrap::INTERNAL_LB;
use outgate_manager::command::request::{AddProvider, ConfigureElement, DeleteProvider, UpdateProvider};
use outgate_model::id::{PhysicalNetworkId, ServiceProviderId};
use outgate_model::object::ServiceProvider;

use super::{NAME, STATE, enabled};
use crate::command::filter::Filter;
use crate::command::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look, state_name};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "addNetworkServiceProvider",
        "Adds a network service provider to a physical network. It starts disabled.",
        &[ADD],
        Answers::Entity(Entity::ServiceProvider),
        |call| Box::pin(add(call)),
    )
    .creating()
    .for_admins(),
    Command::start(
        "updateNetworkServiceProvider",
        "Enables or disables a network service provider. Networks that there are go on.",
        &[UPDATE],
        Answers::Entity(Entity::ServiceProvider),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::start(
        "deleteNetworkServiceProvider",
        "Removes a network service provider that no network needs.",
        &[&[Param::required(
            "id",
            Kind::Uuid(Of::ServiceProvider),
            "the provider",
        )]],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
    Command::read(
        "listNetworkServiceProviders",
        "Lists network service providers.",
        &[FILTERS, list::PAGED],
        Answers::List("networkserviceprovider", view::provider::FIELDS),
        providers,
    )
    .for_admins(),
    Command::read(
        "listVirtualRouterElements",
        "Lists the elements of the providers VirtualRouter and VpcVirtualRouter: the virtual routers.",
        &[ELEMENTS, list::PAGED],
        Answers::List("virtualrouterelement", view::provider::router_element::FIELDS),
        router_elements,
    )
    .for_admins(),
    Command::start(
        "createVirtualRouterElement",
        "Tells the element of a provider, which it has from the start.",
        &[CREATE_ELEMENT],
        Answers::Entity(Entity::RouterElement),
        |call| Box::pin(create_element(call, false)),
    )
    .creating()
    .for_admins(),
    Command::start(
        "configureVirtualRouterElement",
        "Switches a provider's element on or off. A provider is disabled with its element.",
        &[CONFIGURE],
        Answers::Entity(Entity::RouterElement),
        |call| Box::pin(configure(call, false)),
    )
    .for_admins(),
    Command::read(
        "listInternalLoadBalancerElements",
        "Lists the elements of the provider InternalLbVm, which is never enabled here.",
        &[ELEMENTS, list::PAGED],
        Answers::List("internalloadbalancerelement", view::provider::lb_element::FIELDS),
        lb_elements,
    )
    .for_admins(),
    Command::start(
        "createInternalLoadBalancerElement",
        "Tells the element of the provider InternalLbVm, which it has from the start.",
        &[CREATE_ELEMENT],
        Answers::Entity(Entity::LbElement),
        |call| Box::pin(create_element(call, true)),
    )
    .creating()
    .for_admins(),
    Command::start(
        "configureInternalLoadBalancerElement",
        "Switches the element of the provider InternalLbVm off; it cannot be switched on here.",
        &[CONFIGURE],
        Answers::Entity(Entity::LbElement),
        |call| Box::pin(configure(call, true)),
    )
    .for_admins(),
];

const ADD: &[Param] = &[
    Param::required(
        "physicalnetworkid",
        Kind::Uuid(Of::PhysicalNetwork),
        "the physical network",
    ),
    Param::required("name", NAME, "VirtualRouter, VpcVirtualRouter or InternalLbVm"),
    Param::optional(
        "servicelist",
        Kind::Text(1024),
        "all services of the provider, or nothing",
    ),
];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::ServiceProvider), "the provider"),
    Param::optional(
        "state",
        STATE,
        "Enabled, or Disabled: no network that needs it is made",
    ),
    Param::optional(
        "servicelist",
        Kind::Text(1024),
        "all services of the provider, or nothing",
    ),
];

const CREATE_ELEMENT: &[Param] = &[
    Param::required("nspid", Kind::Uuid(Of::ServiceProvider), "the provider"),
    Param::optional("providertype", NAME, "the provider's name"),
];

const CONFIGURE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::ServiceProvider), "the element"),
    Param::required("enabled", Kind::Bool, "whether it is on"),
];

async fn add(call: &Call<'_>) -> Result<Started, Refused> {
    let request = AddProvider {
        physical_network: PhysicalNetworkId(call.params.need_id("physicalnetworkid")?),
        name: call.params.need_text("name")?.to_owned(),
    };
    Ok(call.manager.add_provider(&call.caller, request).await?)
}

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let request = UpdateProvider {
        id: ServiceProviderId(call.params.need_id("id")?),
        enable: enabled(&call.params, "state"),
    };
    Ok(call.manager.update_provider(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let id = ServiceProviderId(call.params.need_id("id")?);
    let request = DeleteProvider { id };
    Ok(call.manager.delete_provider(&call.caller, request).await?)
}

async fn configure(call: &Call<'_>, internal_lb: bool) -> Result<Started, Refused> {
    let params = &call.params;
    let missing = || ApiError::missing(params.command(), "enabled");
    let request = ConfigureElement {
        id: ServiceProviderId(params.need_id("id")?),
        enabled: params.flag("enabled").ok_or_else(missing)?,
        internal_lb,
    };
    Ok(call.manager.configure_element(&call.caller, request).await?)
}

async fn create_element(call: &Call<'_>, internal_lb: bool) -> Result<Started, Refused> {
    let request = ConfigureElement {
        id: ServiceProviderId(call.params.need_id("nspid")?),
        enabled: false,
        internal_lb,
    };
    Ok(call.manager.create_element(&call.caller, request).await?)
}

const FILTERS: &[Param] = &[
    Param::optional("name", NAME, "the provider of this name"),
    Param::optional(
        "physicalnetworkid",
        Kind::Uuid(Of::PhysicalNetwork),
        "providers of this physical network",
    ),
    Param::optional("state", STATE, "providers in this state"),
];

fn providers(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let matches = look.view.all::<ServiceProvider>().map(|p| &**p).filter(|p| {
        filter.exact("name", &p.name)
            && filter.id("physicalnetworkid", p.physical_network.0)
            && filter.word("state", state_name(!p.enabled))
            && filter.keyword(&[&p.name])
    });
    list::reply(
        look,
        params,
        "networkserviceprovider",
        matches,
        view::provider::render,
    )
}

const ELEMENTS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::ServiceProvider), "the element of this id"),
    Param::optional(
        "nspid",
        Kind::Uuid(Of::ServiceProvider),
        "the element of this provider",
    ),
    Param::optional("enabled", Kind::Bool, "whether it is on"),
];

fn elements<'a>(
    look: &Look<'a>,
    params: &'a Params,
    internal_lb: bool,
) -> impl Iterator<Item = &'a ServiceProvider> {
    let filter = Filter(params);
    look.view.all::<ServiceProvider>().map(|p| &**p).filter(move |p| {
        (p.name == INTERNAL_LB) == internal_lb
            && filter.id("id", p.id.0)
            && filter.id("nspid", p.id.0)
            && filter.flag("enabled", p.element_enabled)
            && filter.keyword(&[&p.name])
    })
}

fn router_elements(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let elements = elements(look, params, false);
    let render = view::provider::router_element::render;
    list::reply(look, params, "virtualrouterelement", elements, render)
}

fn lb_elements(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let elements = elements(look, params, true);
    let render = view::provider::lb_element::render;
    list::reply(look, params, "internalloadbalancerelement", elements, render)
}
