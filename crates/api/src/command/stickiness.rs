// SPDX-License-Identifier: Apache-2.0
//! Stickiness and health check policies of load balancer rules.

use std::collections::BTreeMap;

use outgate_manager::Started;
use outgate_manager::command::request::{
    CreateHealthCheck, CreateStickiness, DeleteHealthCheck, DeleteStickiness, UpdateHealthCheck,
    UpdateStickiness,
};
use outgate_model::id::{HealthCheckPolicyId, LoadBalancerRuleId, StickinessPolicyId};
use outgate_model::object::LoadBalancerRule;

use super::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "createLBStickinessPolicy",
        "Makes the clients of a load balancer rule stay with their guests.",
        &[CREATE],
        Answers::Entity(Entity::StickinessPolicies),
        |call| Box::pin(create(call)),
    )
    .creating(),
    Command::start(
        "updateLBStickinessPolicy",
        "Changes nothing: as in CloudStack, a policy is deleted and made anew.",
        &[STICKINESS, UPDATE],
        Answers::Entity(Entity::StickinessPolicies),
        |call| Box::pin(update(call)),
    ),
    Command::start(
        "deleteLBStickinessPolicy",
        "Deletes a stickiness policy.",
        &[STICKINESS],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
    Command::read(
        "listLBStickinessPolicies",
        "Lists the stickiness policy of a load balancer rule.",
        &[STICKINESS_FILTERS, list::PAGED],
        Answers::List("stickinesspolicies", view::stickiness_policy::FIELDS),
        stickiness,
    ),
    Command::start(
        "createLBHealthCheckPolicy",
        "Makes a load balancer rule ask its guests for a page, and pass over those that do not answer.",
        &[CREATE_CHECK],
        Answers::Entity(Entity::HealthCheckPolicies),
        |call| Box::pin(create_check(call)),
    )
    .creating(),
    Command::start(
        "updateLBHealthCheckPolicy",
        "Changes nothing: as in CloudStack, a policy is deleted and made anew.",
        &[CHECK, UPDATE],
        Answers::Entity(Entity::HealthCheckPolicies),
        |call| Box::pin(update_check(call)),
    ),
    Command::start(
        "deleteLBHealthCheckPolicy",
        "Deletes a health check policy: from then on a guest is healthy whose port takes connections.",
        &[CHECK],
        Answers::Success,
        |call| Box::pin(delete_check(call)),
    ),
    Command::read(
        "listLBHealthCheckPolicies",
        "Lists the health check policy of a load balancer rule.",
        &[CHECK_FILTERS, list::PAGED],
        Answers::List(
            "healthcheckpolicies",
            view::stickiness_policy::health_check::FIELDS,
        ),
        health_checks,
    ),
];

const CREATE: &[Param] = &[
    Param::required(
        "lbruleid",
        Kind::Uuid(Of::LoadBalancerRule),
        "the load balancer rule",
    ),
    Param::required("name", Kind::Text(255), "its name"),
    Param::required(
        "methodname",
        Kind::OneOf(&["LbCookie", "AppCookie", "SourceBased"]),
        "LbCookie, AppCookie or SourceBased",
    ),
    Param::optional(
        "param",
        Kind::Maps,
        "the method's parameters: param[0].name=cookie-name and param[0].value=SRV",
    ),
    Param::optional("description", Kind::Text(4096), "what users read"),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every policy is shown"),
];

const STICKINESS: &[Param] = &[Param::required(
    "id",
    Kind::Uuid(Of::StickinessPolicy),
    "the policy",
)];

const CHECK: &[Param] = &[Param::required(
    "id",
    Kind::Uuid(Of::HealthCheckPolicy),
    "the policy",
)];

const UPDATE: &[Param] = &[
    Param::optional("customid", Kind::Text(255), "no meaning here: ids are Outgate's"),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every policy is shown"),
];

const STICKINESS_FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::StickinessPolicy), "the policy of this id"),
    Param::optional(
        "lbruleid",
        Kind::Uuid(Of::LoadBalancerRule),
        "the policy of this rule",
    ),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every policy is shown"),
];

const CHECK_FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::HealthCheckPolicy), "the policy of this id"),
    Param::optional(
        "lbruleid",
        Kind::Uuid(Of::LoadBalancerRule),
        "the policy of this rule",
    ),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every policy is shown"),
];

const CREATE_CHECK: &[Param] = &[
    Param::required(
        "lbruleid",
        Kind::Uuid(Of::LoadBalancerRule),
        "the load balancer rule",
    ),
    Param::optional("pingpath", Kind::Text(255), "the page; / when left out"),
    Param::optional(
        "intervaltime",
        Kind::Int(1, 20_940),
        "seconds between two questions; 5 when left out",
    ),
    Param::optional(
        "responsetimeout",
        Kind::Int(1, 60),
        "seconds that an answer may take; 2 when left out",
    ),
    Param::optional(
        "healthythreshold",
        Kind::Int(1, 255),
        "good answers in a row after which a guest gets connections; 2 when left out",
    ),
    Param::optional(
        "unhealthythreshold",
        Kind::Int(1, 255),
        "bad answers in a row after which it gets none; 2 when left out",
    ),
    Param::optional("description", Kind::Text(4096), "what users read"),
    Param::optional("fordisplay", Kind::Bool, "no meaning here: every policy is shown"),
];

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = CreateStickiness {
        rule: LoadBalancerRuleId(params.need_id("lbruleid")?),
        name: params.need_text("name")?.to_owned(),
        description: params.string("description").unwrap_or_default(),
        method: params.word("methodname").unwrap_or_default().to_owned(),
        params: method_params(params),
    };
    Ok(call.manager.create_stickiness(&call.caller, request).await?)
}

/// `param[0].name=cookie-name&param[0].value=SRV`, or `param[0].cookie-name=SRV`.
fn method_params(params: &Params) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for map in params.maps("param") {
        match (map.get("name"), map.get("value")) {
            (Some(name), value) => {
                all.insert(name.to_ascii_lowercase(), value.cloned().unwrap_or_default());
            }
            (None, _) => all.extend(
                map.iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.clone())),
            ),
        }
    }
    all
}

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let id = StickinessPolicyId(call.params.need_id("id")?);
    Ok(call
        .manager
        .update_stickiness(&call.caller, UpdateStickiness { id })
        .await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let id = StickinessPolicyId(call.params.need_id("id")?);
    Ok(call
        .manager
        .delete_stickiness(&call.caller, DeleteStickiness { id })
        .await?)
}

async fn create_check(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let number = |name| params.int(name).and_then(|value| u32::try_from(value).ok());
    let byte = |name| params.int(name).and_then(|value| u8::try_from(value).ok());
    let request = CreateHealthCheck {
        rule: LoadBalancerRuleId(params.need_id("lbruleid")?),
        description: params.string("description").unwrap_or_default(),
        ping_path: params.string("pingpath"),
        interval_secs: number("intervaltime"),
        timeout_secs: number("responsetimeout"),
        healthy: byte("healthythreshold"),
        unhealthy: byte("unhealthythreshold"),
    };
    Ok(call.manager.create_health_check(&call.caller, request).await?)
}

async fn update_check(call: &Call<'_>) -> Result<Started, Refused> {
    let id = HealthCheckPolicyId(call.params.need_id("id")?);
    Ok(call
        .manager
        .update_health_check(&call.caller, UpdateHealthCheck { id })
        .await?)
}

async fn delete_check(call: &Call<'_>) -> Result<Started, Refused> {
    let id = HealthCheckPolicyId(call.params.need_id("id")?);
    Ok(call
        .manager
        .delete_health_check(&call.caller, DeleteHealthCheck { id })
        .await?)
}

fn stickiness(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let by_policy = params.id("id").map(StickinessPolicyId);
    let by_policy = by_policy.map(|id| look.view.balancer_of_stickiness(id).map(|rule| &**rule));
    let rule = the_rule(look, params, by_policy)?;
    let key = "stickinesspolicies";
    list::reply(
        look,
        params,
        key,
        rule.into_iter(),
        view::stickiness_policy::render,
    )
}

fn health_checks(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let by_policy = params.id("id").map(HealthCheckPolicyId);
    let by_policy = by_policy.map(|id| look.view.balancer_of_health_check(id).map(|rule| &**rule));
    let rule = the_rule(look, params, by_policy)?;
    let render = view::stickiness_policy::health_check::render;
    list::reply(look, params, "healthcheckpolicies", rule.into_iter(), render)
}

/// The rule that a list is about: of a policy, or `lbruleid`.
fn the_rule<'a>(
    look: &Look<'a>,
    params: &Params,
    by_policy: Option<Option<&'a LoadBalancerRule>>,
) -> Result<Option<&'a LoadBalancerRule>, ApiError> {
    let wanted = params.id("lbruleid").map(LoadBalancerRuleId);
    match (by_policy, wanted) {
        (Some(rule), wanted) => Ok(rule.filter(|rule| wanted.is_none_or(|id| id == rule.id))),
        (None, Some(id)) => Ok(look.view.get::<LoadBalancerRule>(id).map(|rule| &**rule)),
        (None, None) => Err(ApiError::missing(params.command(), "lbruleid")),
    }
}
