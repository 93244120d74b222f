// SPDX-License-Identifier: Apache-2.0
//! Limits and counts.

use outgate_manager::command::request::{self, SetLimit};
use outgate_manager::limits::TYPES;
use outgate_model::id::{DomainId, ProjectId};
use outgate_model::object::{Account, Domain, Project, RoleType};
use serde_json::Value;

use crate::command::scope;
use crate::command::{Answers, Call, Command, Refused, list};
use crate::view::resource_limit::{self, Line, Whose};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listResourceLimits",
        "Lists how much an account, a project or a domain may hold; -1 for any number.",
        &[WHOSE, TYPE, NAMED, list::PAGED],
        Answers::List("resourcelimit", view::resource_limit::FIELDS),
        limits,
    ),
    Command::act(
        "updateResourceLimit",
        "Changes how much an account, a project or a domain may hold.",
        &[WHOSE, NEEDED_TYPE, MAX],
        Answers::One("resourcelimit", view::resource_limit::FIELDS),
        |call| Box::pin(update(call)),
    )
    .for_domain_admins(),
    Command::read(
        "updateResourceCount",
        "Counts what an account, a project or a domain holds. Counts are always right here.",
        &[WHOSE, TYPE],
        Answers::List("resourcecount", view::resource_limit::count::FIELDS),
        counts,
    )
    .for_domain_admins(),
];

const WHOSE: &[Param] = &[
    Param::optional(
        "account",
        Kind::Text(255),
        "this account's; needs domainid; the caller's account when all are left out",
    ),
    Param::optional(
        "domainid",
        Kind::Uuid(Of::Domain),
        "the account's domain; without account the domain's own",
    ),
    Param::optional("projectid", Kind::Uuid(Of::Project), "this project's"),
];

const KIND: Kind = Kind::Int(0, 11);
const TYPE: &[Param] = &[Param::optional("resourcetype", KIND, TYPE_TEXT)];
const NEEDED_TYPE: &[Param] = &[Param::required("resourcetype", KIND, TYPE_TEXT)];
const TYPE_TEXT: &str =
    "the type: 0 guests, 1 public addresses, 5 projects, 6 networks, 7 VPCs; others are not limited";
const NAMED: &[Param] = &[Param::optional(
    "resourcetypename",
    Kind::Text(64),
    "the type's name: public_ip",
)];
const MAX: &[Param] = &[Param::optional(
    "max",
    Kind::Int(-1, 1_000_000_000),
    "the most; -1, also when left out, for any number",
)];

/// Whose limits are meant.
fn whose(look: &Look<'_>, params: &Params) -> Result<request::Whose, ApiError> {
    if let Some(id) = params.id("projectid").map(ProjectId) {
        let project = look.view.get::<Project>(id);
        let account = project.map(|project| project.account);
        let missing = || ApiError::no_such(params.command(), "projectid", &id.to_string());
        return account.map(request::Whose::Account).ok_or_else(missing);
    }
    if let Some(account) = scope::named_account(look, params)? {
        return Ok(request::Whose::Account(account));
    }
    // Users are told of their own limits only.
    let domain = params
        .id("domainid")
        .filter(|_| look.caller.role != RoleType::User);
    Ok(match domain.map(DomainId) {
        Some(domain) => request::Whose::Domain(domain),
        None => request::Whose::Account(look.caller.account),
    })
}

/// The lines that the request asks for.
fn lines<'a>(look: &Look<'a>, params: &Params) -> Result<Vec<Line<'a>>, ApiError> {
    let whose = match whose(look, params)? {
        request::Whose::Account(id) => look.view.get::<Account>(id).map(|a| Whose::Account(a)),
        request::Whose::Domain(id) => look.view.get::<Domain>(id).map(|d| Whose::Domain(d)),
    };
    let wanted = |(number, word): &(u8, &'static str)| {
        params.int("resourcetype").is_none_or(|n| n == i64::from(*number))
            && params
                .text("resourcetypename")
                .is_none_or(|w| w.eq_ignore_ascii_case(word))
    };
    let types = TYPES.into_iter().filter(wanted);
    Ok(whose
        .into_iter()
        .flat_map(|whose| types.clone().map(move |kind| (whose, kind)))
        .collect())
}

fn limits(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let lines = lines(look, params)?.into_iter();
    list::reply(look, params, "resourcelimit", lines, resource_limit::render)
}

fn counts(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let lines = lines(look, params)?;
    let items: Vec<_> = lines
        .into_iter()
        .map(|line| Value::Object(resource_limit::count::render(look, line)))
        .collect();
    Ok(envelope::list("resourcecount", items.len(), items))
}

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let (params, caller) = (&call.params, &call.caller);
    let target = whose(
        &Look {
            view: &call.manager.view(),
            caller,
        },
        params,
    )?;
    let request = SetLimit {
        whose: target,
        resource: u8::try_from(params.int("resourcetype").unwrap_or_default()).unwrap_or(u8::MAX),
        max: params.int("max").unwrap_or(-1),
    };
    call.manager.set_limit(caller, request).await?;
    let view = call.manager.view();
    let look = Look { view: &view, caller };
    let line = lines(&look, params)?.into_iter().next();
    let made = line
        .map(|line| resource_limit::render(&look, line))
        .unwrap_or_default();
    Ok(envelope::single("resourcelimit", Value::Object(made)))
}
