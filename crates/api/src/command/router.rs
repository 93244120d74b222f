// SPDX-License-Identifier: Apache-2.0
//! Virtual routers.

use outgate_manager::command::request::{
    DestroyRouter, RebootRouter, ScaleRouter, StartRouter, StopRouter, UpgradeRouter,
};
use outgate_manager::{CommandError, Started, read};
use outgate_model::Realm;
use outgate_model::id::{DomainId, HostId, NetworkId, RouterId, ServiceOfferingId, VpcId};
use outgate_model::object::{Account, Network, Power, Router};
use serde_json::json;
use uuid::Uuid;

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Field, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listRouters",
        "Lists virtual routers.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("router", view::router::FIELDS),
        routers,
    )
    .for_domain_admins(),
    Command::start(
        "startRouter",
        "Starts a router.",
        &[ID],
        Answers::Entity(Entity::Router),
        |call| Box::pin(start(call)),
    )
    .for_admins(),
    Command::start(
        "stopRouter",
        "Stops a router; its network is cut off until it is started.",
        &[ID, FORCED],
        Answers::Entity(Entity::Router),
        |call| Box::pin(stop(call)),
    )
    .for_admins(),
    Command::start(
        "rebootRouter",
        "Stops a router and starts it again, with all its rules.",
        &[ID, FORCED],
        Answers::Entity(Entity::Router),
        |call| Box::pin(reboot(call)),
    )
    .for_admins(),
    Command::start(
        "destroyRouter",
        "Removes a router. A restart of its network, or its next guest, makes a new one.",
        &[ID],
        Answers::Entity(Entity::Router),
        |call| Box::pin(destroy(call)),
    )
    .for_admins(),
    Command::act(
        "changeServiceForRouter",
        "Gives a stopped router another size.",
        &[ID, SIZE],
        Answers::Entity(Entity::Router),
        |call| Box::pin(change_size(call)),
    )
    .for_admins(),
    Command::act(
        "upgradeRouterTemplate",
        "Replaces routers that run another version of Outgate than the server, by a job each.",
        &[UPGRADE],
        Answers::List("asyncjobs", &[("jobid", "string")]),
        |call| Box::pin(upgrade(call)),
    )
    .for_admins(),
    Command::act(
        "verifyRouter",
        "Checks in seven steps whether a router's source NAT works. Changes nothing.",
        &[ID],
        Answers::One("verification", VERIFICATION),
        |call| Box::pin(verify(call)),
    )
    .for_admins(),
];

const ID: &[Param] = &[Param::required("id", Kind::Uuid(Of::Router), "the router")];
const FORCED: &[Param] = &[Param::optional(
    "forced",
    Kind::Bool,
    "a router always goes down at once",
)];

const SIZE: &[Param] = &[Param::required(
    "serviceofferingid",
    Kind::Uuid(Of::ServiceOffering),
    "the size: an offering for system VMs",
)];

const UPGRADE: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Router), "the router of this id"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "routers of this zone"),
    Param::optional("podid", Kind::Uuid(Of::Pod), "routers of this pod"),
    Param::optional("clusterid", Kind::Uuid(Of::Cluster), "routers of this cluster"),
    Param::optional(
        "account",
        Kind::Text(100),
        "routers of this account; needs domainid",
    ),
    Param::optional("domainid", Kind::Uuid(Of::Domain), "routers of this domain"),
];

const VERIFICATION: &[Field] = &[
    ("routerid", "string"),
    ("router", "string"),
    ("networkid", "string"),
    ("pass", "boolean"),
    ("check", "list"),
];

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Router), "the router of this id"),
    Param::optional("name", Kind::Text(255), "the router of this name"),
    Param::optional(
        "state",
        Kind::OneOf(&["Running", "Stopped", "Starting", "Stopping", "Error"]),
        "the state",
    ),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "routers of this zone"),
    Param::optional("networkid", Kind::Uuid(Of::Network), "the router of this network"),
    Param::optional("podid", Kind::Uuid(Of::Pod), "routers in this pod"),
    Param::optional("clusterid", Kind::Uuid(Of::Cluster), "routers in this cluster"),
    Param::optional("hostid", Kind::Uuid(Of::Host), "routers on this host"),
    Param::optional("forvpc", Kind::Bool, "whether it is a VPC's router"),
    Param::optional("vpcid", Kind::Uuid(Of::Vpc), "the router of this VPC"),
    Param::optional("version", Kind::Text(32), "routers of this version"),
    Param::optional("healthchecksfailed", Kind::Bool, "whether it is not as wanted"),
    Param::optional("fetchhealthcheckresults", Kind::Bool, "they are always there"),
];

fn routers(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let matches = candidates(look, params, scope).filter(|r| {
        let failed = view::router::health_failed(look, r);
        scope.shows(look, r.account)
            && filter.id("id", r.id.0)
            && filter.exact("name", &r.name)
            && filter.word("state", read::router_state_name(look.view.router_state(r)))
            && filter.id("zoneid", r.zone.0)
            && params
                .id("networkid")
                .is_none_or(|id| serves(look, r, NetworkId(id)))
            && filter.maybe_id("vpcid", vpc_of(r))
            && filter.id("hostid", r.host.0)
            && in_place(look, filter, r.host)
            && filter.flag("forvpc", matches!(r.realm, Realm::Vpc(_)))
            && filter.exact("version", &look.view.router_version(r))
            && filter.flag("healthchecksfailed", failed)
            && filter.keyword(&[&r.name])
    });
    list::reply(look, params, "router", matches, view::router::render_with_vpc)
}

/// Whether a host is in the pod and the cluster that `podid` and `clusterid` ask for.
pub(super) fn in_place(look: &Look<'_>, filter: Filter<'_>, host: HostId) -> bool {
    let (cluster, pod) = look.place(host);
    filter.maybe_id("podid", pod.map(|p| p.id.0)) && filter.maybe_id("clusterid", cluster.map(|c| c.id.0))
}

/// The narrowest index that holds every match.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a Router> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("id") {
        return Box::new(view.get::<Router>(RouterId(id)).into_iter().map(|r| &**r));
    }
    if let Some(id) = params.id("networkid") {
        return Box::new(view.router_of_network(NetworkId(id)).into_iter().map(|r| &**r));
    }
    if let Some(id) = params.id("vpcid") {
        let router = view.router_of(Realm::Vpc(VpcId(id)));
        return Box::new(router.into_iter().map(|r| &**r));
    }
    let of_account = move |id| {
        let networks = view.networks_of_account(id).filter(|n| n.tier.is_none());
        let vpcs = view.vpcs_of_account(id).map(|vpc| Realm::Vpc(vpc.id));
        let realms = networks.map(|network| network.realm()).chain(vpcs);
        realms.filter_map(move |realm| view.router_of(realm))
    };
    scope.pick(look, of_account, || view.all())
}

fn serves(look: &Look<'_>, router: &Router, network: NetworkId) -> bool {
    let network = look.view.get::<Network>(network);
    network.is_some_and(|network| network.realm() == router.realm)
}

fn vpc_of(router: &Router) -> Option<Uuid> {
    match router.realm {
        Realm::Network(_) => None,
        Realm::Vpc(id) => Some(id.0),
    }
}

impl Call<'_> {
    fn router(&self) -> Result<RouterId, ApiError> {
        self.params.need_id("id").map(RouterId)
    }
}

async fn start(call: &Call<'_>) -> Result<Started, Refused> {
    Ok(call
        .manager
        .start_router(&call.caller, StartRouter { id: call.router()? })
        .await?)
}

async fn stop(call: &Call<'_>) -> Result<Started, Refused> {
    Ok(call
        .manager
        .stop_router(&call.caller, StopRouter { id: call.router()? })
        .await?)
}

async fn reboot(call: &Call<'_>) -> Result<Started, Refused> {
    Ok(call
        .manager
        .reboot_router(&call.caller, RebootRouter { id: call.router()? })
        .await?)
}

async fn destroy(call: &Call<'_>) -> Result<Started, Refused> {
    Ok(call
        .manager
        .destroy_router(&call.caller, DestroyRouter { id: call.router()? })
        .await?)
}

async fn change_size(call: &Call<'_>) -> Result<Object, Refused> {
    let request = ScaleRouter {
        id: call.router()?,
        service_offering: ServiceOfferingId(call.params.need_id("serviceofferingid")?),
    };
    let id = call.manager.scale_router(&call.caller, request).await?;
    Ok(call.entity(Entity::Router, id.0))
}

/// The routers that a request means and that run another version than the server.
fn outdated(call: &Call<'_>) -> Result<Vec<RouterId>, ApiError> {
    let view = call.manager.view();
    let look = Look {
        view: &view,
        caller: &call.caller,
    };
    let params = &call.params;
    let filter = Filter(params);
    let account = scope::named_account(&look, params)?;
    let domain = params.id("domainid").map(DomainId);
    let in_domain = |account| {
        let account = view.get::<Account>(account);
        domain.is_none_or(|domain| account.is_some_and(|a| view.is_within(a.domain, domain)))
    };
    let meant = view.all::<Router>().filter(|r| {
        r.power == Power::On
            && view.requires_upgrade(r)
            && filter.id("id", r.id.0)
            && filter.id("zoneid", r.zone.0)
            && in_place(&look, filter, r.host)
            && account.is_none_or(|account| account == r.account)
            && in_domain(r.account)
    });
    Ok(meant.map(|router| router.id).collect())
}

async fn upgrade(call: &Call<'_>) -> Result<Object, Refused> {
    let mut jobs = Vec::new();
    for id in outdated(call)? {
        let started = call
            .manager
            .upgrade_router(&call.caller, UpgradeRouter { id })
            .await;
        match started {
            Ok(started) => jobs.push(json!({ "jobid": started.job })),
            // Replaced, stopped or gone meanwhile.
            Err(CommandError::Invalid(_) | CommandError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(envelope::list("asyncjobs", jobs.len(), jobs))
}

async fn verify(call: &Call<'_>) -> Result<Object, Refused> {
    let id = call.router()?;
    let checks = call.manager.verify_router(&call.caller, id).await?;
    let view = call.manager.view();
    let router = view.get::<Router>(id);
    let pass = !checks.is_empty() && checks.iter().all(|check| check.pass);
    let check = serde_json::to_value(&checks)
        .map_err(|e| ApiError::internal(format!("the checks could not be rendered: {e}")))?;
    let verification = json!({
        "routerid": id,
        "router": router.map(|r| r.name.clone()),
        "networkid": router.and_then(|r| match r.realm {
            Realm::Network(id) => Some(id),
            Realm::Vpc(_) => None,
        }),
        "pass": pass,
        "check": check,
    });
    Ok(envelope::single("verification", verification))
}
