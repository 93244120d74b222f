// SPDX-License-Identifier: Apache-2.0
//! Static routes of VPCs.

use ipnet::Ipv4Net;
use outgate_manager::Started;
use outgate_manager::command::request::{CreateStaticRoute, DeleteStaticRoute};
use outgate_model::id::{PrivateGatewayId, StaticRouteId, VpcId};
use outgate_model::object::StaticRoute;

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "createStaticRoute",
        "Leads a CIDR through a VPC's private gateway, or to a next hop in a tier or on a private gateway.",
        &[CREATE],
        Answers::Entity(Entity::StaticRoute),
        |call| Box::pin(create(call)),
    )
    .creating(),
    Command::read(
        "listStaticRoutes",
        "Lists static routes.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("staticroute", view::static_route::FIELDS),
        routes,
    ),
    Command::start(
        "deleteStaticRoute",
        "Deletes a static route.",
        &[DELETE],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
];

const CREATE: &[Param] = &[
    Param::required("cidr", Kind::Text(18), "where to: 192.168.7.0/24"),
    Param::optional(
        "gatewayid",
        Kind::Uuid(Of::PrivateGateway),
        "the private gateway; needed unless vpcid and nexthop are given",
    ),
    Param::optional("vpcid", Kind::Uuid(Of::Vpc), "the VPC"),
    Param::optional("nexthop", Kind::Address, "the next hop"),
];

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let text = params.need_text("cidr")?;
    let cidr: Ipv4Net = text.parse().map_err(|_| {
        let expected = "a CIDR such as 192.168.7.0/24";
        ApiError::invalid(params.command(), "cidr", text, expected)
    })?;
    let request = CreateStaticRoute {
        gateway: params.id("gatewayid").map(PrivateGatewayId),
        vpc: params.id("vpcid").map(VpcId),
        next_hop: params.address("nexthop"),
        cidr,
    };
    Ok(call.manager.create_static_route(&call.caller, request).await?)
}

const DELETE: &[Param] = &[Param::required("id", Kind::Uuid(Of::StaticRoute), "the route")];

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let id = StaticRouteId(call.params.need_id("id")?);
    let request = DeleteStaticRoute { id };
    Ok(call.manager.delete_static_route(&call.caller, request).await?)
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::StaticRoute), "the route of this id"),
    Param::optional("vpcid", Kind::Uuid(Of::Vpc), "routes of this VPC"),
    Param::optional(
        "gatewayid",
        Kind::Uuid(Of::PrivateGateway),
        "routes through this private gateway",
    ),
    Param::optional(
        "state",
        Kind::OneOf(&["Active", "Staged", "Revoke"]),
        "every route is Active",
    ),
];

fn routes(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let matches = candidates(look, params, scope).filter(|route| {
        scope.shows(look, route.account)
            && filter.id("id", route.id.0)
            && filter.id("vpcid", route.vpc.0)
            && filter.maybe_id("gatewayid", route.gateway.map(|id| id.0))
            && filter.word("state", "Active")
            && filter.keyword(&[&route.cidr.to_string()])
    });
    list::reply(look, params, "staticroute", matches, view::static_route::render)
}

/// The narrowest index that holds every match.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a StaticRoute> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("id") {
        let route = view.get::<StaticRoute>(StaticRouteId(id));
        return Box::new(route.into_iter().map(|r| &**r));
    }
    if let Some(id) = params.id("vpcid") {
        return Box::new(view.routes_of_vpc(VpcId(id)).map(|r| &**r));
    }
    if let Some(id) = params.id("gatewayid") {
        return Box::new(view.routes_of_gateway(PrivateGatewayId(id)).map(|r| &**r));
    }
    let vpcs = scope.pick(look, |id| view.vpcs_of_account(id), || view.all());
    let routes = vpcs.flat_map(move |vpc: &outgate_model::object::Vpc| view.routes_of_vpc(vpc.id));
    Box::new(routes.map(|r| &**r))
}
