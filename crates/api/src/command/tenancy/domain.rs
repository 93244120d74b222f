// SPDX-License-Identifier: Apache-2.0
//! Domains.

use outgate_manager::Started;
use outgate_manager::command::request::{CreateDomain, DeleteDomain, UpdateDomain};
use outgate_model::id::DomainId;
use outgate_model::object::{Domain, RoleType};

use super::NAME;
use crate::command::filter::Filter;
use crate::command::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "createDomain",
        "Creates a domain.",
        &[CREATE],
        Answers::Entity(Entity::Domain),
        |call| Box::pin(create(call)),
    )
    .for_admins(),
    Command::act(
        "updateDomain",
        "Changes a domain.",
        &[UPDATE],
        Answers::Entity(Entity::Domain),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::start(
        "deleteDomain",
        "Deletes a domain, with cleanup=true all that is in it too.",
        &[DELETE],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
    Command::read(
        "listDomains",
        "Lists domains.",
        &[FILTERS, list::PAGED],
        Answers::List("domain", view::domain::FIELDS),
        domains,
    ),
    Command::read(
        "listDomainChildren",
        "Lists the domains below a domain.",
        &[CHILDREN, list::PAGED],
        Answers::List("domain", view::domain::FIELDS),
        children,
    )
    .for_domain_admins(),
];

const CREATE: &[Param] = &[
    Param::required("name", NAME, "the name, without /"),
    Param::optional(
        "parentdomainid",
        Kind::Uuid(Of::Domain),
        "the domain above; ROOT when left out",
    ),
    Param::optional(
        "networkdomain",
        Kind::Text(253),
        "the DNS domain of its accounts' networks that name none",
    ),
];

async fn create(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let request = CreateDomain {
        name: params.need_text("name")?.to_owned(),
        parent: params.id("parentdomainid").map(DomainId),
        network_domain: params.string("networkdomain"),
    };
    let id = call.manager.create_domain(&call.caller, request).await?;
    Ok(call.entity(Entity::Domain, id.0))
}

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Domain), "the domain"),
    Param::optional("name", NAME, "the new name"),
    Param::optional("networkdomain", Kind::Text(253), "the new DNS domain"),
];

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let request = UpdateDomain {
        id: DomainId(params.need_id("id")?),
        name: params.string("name"),
        network_domain: params.string("networkdomain"),
    };
    let id = call.manager.update_domain(&call.caller, request).await?;
    Ok(call.entity(Entity::Domain, id.0))
}

const DELETE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Domain), "the domain"),
    Param::optional("cleanup", Kind::Bool, "whether what is in it goes too"),
];

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let request = DeleteDomain {
        id: DomainId(call.params.need_id("id")?),
        cleanup: call.params.flag("cleanup").unwrap_or(false),
    };
    Ok(call.manager.delete_domain(&call.caller, request).await?)
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Domain), "the domain of this id"),
    Param::optional("name", NAME, "the domain of this name"),
    Param::optional(
        "level",
        Kind::Int(0, 255),
        "domains this deep; ROOT is at level 0",
    ),
    Param::optional(
        "listall",
        Kind::Bool,
        "whether all within reach are listed; every list of domains does",
    ),
];

fn domains(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let below = match look.caller.role {
        RoleType::User => vec![look.caller.domain],
        RoleType::Admin | RoleType::DomainAdmin => look.view.domains_down(look.caller.domain),
    };
    matching(look, params, sorted(look, below))
}

const CHILDREN: &[Param] = &[
    Param::optional(
        "id",
        Kind::Uuid(Of::Domain),
        "the domain above; the caller's when left out",
    ),
    Param::optional("name", NAME, "the domain of this name"),
    Param::optional("isrecursive", Kind::Bool, "whether those below the children too"),
    Param::optional("listall", Kind::Bool, "as isrecursive"),
];

fn children(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let above = params.id("id").map_or(look.caller.domain, DomainId);
    let all = params
        .flag("isrecursive")
        .or(params.flag("listall"))
        .unwrap_or(false);
    let ids = if all {
        let mut below = look.view.domains_down(above);
        below.retain(|id| *id != above);
        below
    } else {
        look.view.domains_of(above).map(|domain| domain.id).collect()
    };
    let filter = Filter(params);
    let found = sorted(look, ids).into_iter();
    let matches =
        found.filter(|domain| filter.exact("name", &domain.name) && filter.keyword(&[&domain.name]));
    list::reply(look, params, "domain", matches, view::domain::render)
}

fn sorted<'a>(look: &Look<'a>, ids: Vec<DomainId>) -> Vec<&'a Domain> {
    let found = ids.into_iter().filter_map(|id| look.view.get::<Domain>(id));
    let mut found: Vec<&Domain> = found.map(|domain| &**domain).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn matching(look: &Look<'_>, params: &Params, found: Vec<&Domain>) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let level = |domain: &Domain| i64::try_from(look.view.domains_up(domain.id).count()).map_or(0, |n| n - 1);
    let matches = found.into_iter().filter(|domain| {
        filter.id("id", domain.id.0)
            && filter.exact("name", &domain.name)
            && params.int("level").is_none_or(|wanted| wanted == level(domain))
            && filter.keyword(&[&domain.name])
    });
    list::reply(look, params, "domain", matches, view::domain::render)
}
