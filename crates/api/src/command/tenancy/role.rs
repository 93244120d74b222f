// SPDX-License-Identifier: Apache-2.0
//! Roles and their rules.

use outgate_manager::command::request::{
    AddRoleRule, ChangeRoleRule, CreateRole, OrderRoleRules, UpdateRole, WantedRole,
};
use outgate_model::id::{RoleId, RolePermissionId};
use outgate_model::object::{Role, RoleType};
use serde_json::Value;

use super::NAME;
use crate::command::filter::Filter;
use crate::command::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "createRole",
        "Creates a role, of a type or like another role.",
        &[CREATE],
        Answers::Entity(Entity::Role),
        |call| Box::pin(create(call)),
    )
    .for_admins(),
    Command::act(
        "updateRole",
        "Changes a role that is not built in.",
        &[UPDATE],
        Answers::Entity(Entity::Role),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::act(
        "deleteRole",
        "Deletes a role that no account has.",
        &[&[Param::required("id", Kind::Uuid(Of::Role), "the role")]],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
    Command::read(
        "listRoles",
        "Lists roles.",
        &[FILTERS, list::PAGED],
        Answers::List("role", view::role::FIELDS),
        roles,
    )
    .for_domain_admins(),
    Command::act(
        "createRolePermission",
        "Adds a rule to a role; rules are tried in order, the first that matches decides.",
        &[ADD],
        Answers::One("rolepermission", view::role_permission::FIELDS),
        |call| Box::pin(add(call)),
    )
    .for_admins(),
    Command::act(
        "updateRolePermission",
        "Makes a rule allow or deny, or puts a role's rules into another order.",
        &[CHANGE],
        Answers::Success,
        |call| Box::pin(change(call)),
    )
    .for_admins(),
    Command::act(
        "deleteRolePermission",
        "Removes a rule.",
        &[&[Param::required("id", Kind::Uuid(Of::RolePermission), "the rule")]],
        Answers::Success,
        |call| Box::pin(remove(call)),
    )
    .for_admins(),
    Command::read(
        "listRolePermissions",
        "Lists the rules of roles, in order.",
        &[
            &[Param::optional("roleid", Kind::Uuid(Of::Role), "of this role")],
            list::PAGED,
        ],
        Answers::List("rolepermission", view::role_permission::FIELDS),
        rules,
    )
    .for_admins(),
];

const TYPE: Kind = Kind::OneOf(&["Admin", "DomainAdmin", "User"]);
const PERMISSION: Kind = Kind::OneOf(&["allow", "deny"]);

fn role_type(params: &Params) -> Option<RoleType> {
    let word = params.word("type")?;
    RoleType::ALL
        .into_iter()
        .find(|role_type| role_type.name() == word)
}

const CREATE: &[Param] = &[
    Param::required("name", NAME, "the name"),
    Param::optional("type", TYPE, "how far its accounts see; this or roleid is needed"),
    Param::optional(
        "roleid",
        Kind::Uuid(Of::Role),
        "the role whose type and rules it gets",
    ),
    Param::optional("description", NAME, "what users read"),
    Param::optional(
        "ispublic",
        Kind::Bool,
        "whether domain admins may see and give it (true when left out)",
    ),
];

async fn create(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let from = match (params.id("roleid"), role_type(params)) {
        (Some(id), _) => WantedRole::Id(RoleId(id)),
        (None, Some(role_type)) => WantedRole::Type(role_type),
        (None, None) => return Err(ApiError::missing(params.command(), "type").into()),
    };
    let request = CreateRole {
        name: params.need_text("name")?.to_owned(),
        description: params.string("description").unwrap_or_default(),
        from,
        public: params.flag("ispublic").unwrap_or(true),
    };
    let id = call.manager.create_role(&call.caller, request).await?;
    Ok(call.entity(Entity::Role, id.0))
}

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Role), "the role"),
    Param::optional("name", NAME, "the new name"),
    Param::optional("type", TYPE, "the new type, while no account has the role"),
    Param::optional("description", NAME, "what users read from now on"),
    Param::optional(
        "ispublic",
        Kind::Bool,
        "whether domain admins may see and give it",
    ),
];

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let request = UpdateRole {
        id: RoleId(params.need_id("id")?),
        name: params.string("name"),
        description: params.string("description"),
        role_type: role_type(params),
        public: params.flag("ispublic"),
    };
    let id = call.manager.update_role(&call.caller, request).await?;
    Ok(call.entity(Entity::Role, id.0))
}

fn success() -> Object {
    envelope::single("success", true.into())
}

async fn delete(call: &Call<'_>) -> Result<Object, Refused> {
    let id = RoleId(call.params.need_id("id")?);
    call.manager.delete_role(&call.caller, id).await?;
    Ok(success())
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Role), "the role of this id"),
    Param::optional("name", NAME, "the role of this name"),
    Param::optional("type", TYPE, "roles of this type"),
    Param::optional(
        "state",
        Kind::OneOf(&["enabled", "disabled"]),
        "every role is enabled",
    ),
];

fn roles(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let matches = look.view.all::<Role>().map(|role| &**role).filter(|role| {
        (look.caller.admin() || role.public)
            && filter.id("id", role.id.0)
            && filter.exact("name", &role.name)
            && filter.word("type", role.role_type.name())
            && filter.word("state", "enabled")
            && filter.keyword(&[&role.name, &role.description])
    });
    list::reply(look, params, "role", matches, view::role::render)
}

const ADD: &[Param] = &[
    Param::required("roleid", Kind::Uuid(Of::Role), "the role"),
    Param::required("rule", NAME, "a command's name, with * for any characters: list*"),
    Param::required("permission", PERMISSION, "allow or deny"),
    Param::optional("description", NAME, "what users read"),
];

async fn add(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let request = AddRoleRule {
        role: RoleId(params.need_id("roleid")?),
        rule: params.need_text("rule")?.to_owned(),
        allow: params.word("permission") == Some("allow"),
        description: params.string("description").unwrap_or_default(),
    };
    let (role, rule) = call.manager.add_role_rule(&call.caller, request).await?;
    let view = call.manager.view();
    let look = Look {
        view: &view,
        caller: &call.caller,
    };
    let role = view.get::<Role>(role);
    let made = role.and_then(|role| {
        let rule = role.permissions.iter().find(|one| one.id == rule)?;
        Some(view::role_permission::render(&look, (&**role, rule)))
    });
    Ok(envelope::single(
        "rolepermission",
        Value::Object(made.unwrap_or_default()),
    ))
}

const CHANGE: &[Param] = &[
    Param::required("roleid", Kind::Uuid(Of::Role), "the role"),
    Param::optional(
        "ruleid",
        Kind::Uuid(Of::RolePermission),
        "the rule that changes; needs permission",
    ),
    Param::optional("permission", PERMISSION, "allow or deny"),
    Param::optional(
        "ruleorder",
        Kind::Uuids(Of::RolePermission),
        "every rule of the role, the first one first",
    ),
];

async fn change(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let role = RoleId(params.need_id("roleid")?);
    let order = params.ids("ruleorder");
    if !order.is_empty() {
        let order = order.iter().copied().map(RolePermissionId).collect();
        let request = OrderRoleRules { role, order };
        call.manager.order_role_rules(&call.caller, request).await?;
        return Ok(success());
    }
    let allow = params.word("permission");
    let request = ChangeRoleRule {
        role,
        rule: RolePermissionId(params.need_id("ruleid")?),
        allow: allow.ok_or_else(|| ApiError::missing(params.command(), "permission"))? == "allow",
    };
    call.manager.change_role_rule(&call.caller, request).await?;
    Ok(success())
}

async fn remove(call: &Call<'_>) -> Result<Object, Refused> {
    let id = RolePermissionId(call.params.need_id("id")?);
    call.manager.delete_role_rule(&call.caller, id).await?;
    Ok(success())
}

fn rules(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let roles = look
        .view
        .all::<Role>()
        .filter(|role| filter.id("roleid", role.id.0));
    let rules = roles.flat_map(|role| role.permissions.iter().map(move |rule| (&**role, rule)));
    let matches = rules.filter(|(_, rule)| filter.keyword(&[&rule.rule]));
    list::reply(
        look,
        params,
        "rolepermission",
        matches,
        view::role_permission::render,
    )
}
