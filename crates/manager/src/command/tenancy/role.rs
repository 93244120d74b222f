// SPDX-License-Identifier: Apache-2.0
//! Roles and their rules.

use jiff::Timestamp;
use outgate_model::id::{RoleId, RolePermissionId};
use outgate_model::object::{Account, Role, RolePermission, RoleType};

use super::{check_name, check_text, naming};
use crate::CommandError;
use crate::command::request::{
    AddRoleRule, ChangeRoleRule, CreateRole, OrderRoleRules, UpdateRole, WantedRole,
};
use crate::command::tx::Tx;
use crate::mirror::Stored;

/// Most rules of a role.
pub(crate) const RULES_PER_ROLE: usize = 1_000;
/// Longest rule, in characters.
const RULE_MAX: usize = 255;

/// `createRole`.
pub(super) fn create(tx: &mut Tx<'_>, request: &CreateRole) -> Result<RoleId, CommandError> {
    check_name("name", &request.name)?;
    check_text("description", &request.description)?;
    naming(tx);
    unused(tx, &request.name)?;
    let (role_type, permissions) = match request.from {
        WantedRole::Type(role_type) => (role_type, Vec::new()),
        WantedRole::Id(id) => {
            let like = tx.provided::<Role>("roleid", id)?;
            let copy = |rule: &RolePermission| RolePermission {
                id: RolePermissionId::new(),
                ..rule.clone()
            };
            (like.role_type, like.permissions.iter().map(copy).collect())
        }
    };
    let role = Role {
        id: RoleId::new(),
        name: request.name.clone(),
        description: request.description.clone(),
        role_type,
        default: false,
        public: request.public,
        permissions,
        created: Timestamp::now(),
    };
    tx.draft.create(&role);
    changed(tx, "ROLE.CREATE", role.id, format!("created role {}", role.name));
    Ok(role.id)
}

fn changed(tx: &mut Tx<'_>, kind: &str, id: RoleId, text: String) {
    tx.event::<Role>(kind, tx.caller.account, id.0, text);
}

fn unused(tx: &Tx<'_>, name: &str) -> Result<(), CommandError> {
    let mut roles = tx.view.all::<Role>();
    match roles.find(|role| role.name.eq_ignore_ascii_case(name)) {
        None => Ok(()),
        Some(role) => {
            let expected = format!("a name that no role has; {} has it", role.id);
            Err(CommandError::invalid("name", name, expected))
        }
    }
}

/// A role that may change: the built-in ones never do.
fn own(tx: &mut Tx<'_>, field: &str, id: RoleId) -> Result<Stored<Role>, CommandError> {
    let role = tx.provided::<Role>(field, id)?;
    if role.default {
        let expected =
            "a role that is not built in: those never change; make one like it by createRole roleid";
        return Err(CommandError::invalid(field, id, expected));
    }
    Ok(role)
}

/// `updateRole`.
pub(super) fn update(tx: &mut Tx<'_>, request: &UpdateRole) -> Result<RoleId, CommandError> {
    let role = own(tx, "id", request.id)?;
    let mut next = Role::clone(&role);
    if let Some(name) = request.name.as_ref().filter(|name| **name != role.name) {
        check_name("name", name)?;
        naming(tx);
        if !name.eq_ignore_ascii_case(&role.name) {
            unused(tx, name)?;
        }
        next.name.clone_from(name);
    }
    if let Some(text) = &request.description {
        check_text("description", text)?;
        next.description.clone_from(text);
    }
    if let Some(role_type) = request.role_type.filter(|role_type| *role_type != role.role_type) {
        free(tx, &role, "type", role_type)?;
        next.role_type = role_type;
    }
    next.public = request.public.unwrap_or(role.public);
    changed(tx, "ROLE.UPDATE", role.id, format!("updated role {}", next.name));
    tx.draft.update(&role, next);
    Ok(role.id)
}

/// Refuses while an account has the role.
fn free(tx: &mut Tx<'_>, role: &Role, field: &str, value: RoleType) -> Result<(), CommandError> {
    let users = users(tx, role);
    if users == 0 {
        return Ok(());
    }
    let expected = format!("{}, while {users} accounts have the role", role.role_type.name());
    Err(CommandError::invalid(field, value.name(), expected))
}

/// How many accounts have a role. Who gives it meanwhile writes the same counter.
fn users(tx: &mut Tx<'_>, role: &Role) -> usize {
    naming(tx);
    let accounts = tx.view.all::<Account>();
    accounts.filter(|account| account.role == Some(role.id)).count()
}

/// `deleteRole`.
pub(super) fn delete(tx: &mut Tx<'_>, id: RoleId) -> Result<(), CommandError> {
    let role = own(tx, "id", id)?;
    let users = users(tx, &role);
    if users > 0 {
        return Err(CommandError::InUse {
            what: format!("role {}", role.name),
            by: format!("{users} accounts have it; give them another one by updateAccount first"),
        });
    }
    changed(tx, "ROLE.DELETE", id, format!("deleted role {}", role.name));
    tx.draft.delete(&role);
    Ok(())
}

/// `createRolePermission`.
pub(super) fn add_rule(
    tx: &mut Tx<'_>,
    request: &AddRoleRule,
) -> Result<(RoleId, RolePermissionId), CommandError> {
    let role = own(tx, "roleid", request.role)?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '*';
    if request.rule.is_empty() || request.rule.len() > RULE_MAX || !request.rule.chars().all(word) {
        let expected = "the name of a command, with * for any characters: list*";
        return Err(CommandError::invalid("rule", &request.rule, expected));
    }
    check_text("description", &request.description)?;
    let same = |rule: &RolePermission| rule.rule.eq_ignore_ascii_case(&request.rule);
    if role.permissions.iter().any(same) {
        let expected = "a rule that the role has not; change it by updateRolePermission";
        return Err(CommandError::invalid("rule", &request.rule, expected));
    }
    if role.permissions.len() >= RULES_PER_ROLE {
        return Err(CommandError::Limit {
            what: format!("role {}", role.name),
            limit: RULES_PER_ROLE,
            of: "rules",
        });
    }
    let rule = RolePermission {
        id: RolePermissionId::new(),
        rule: request.rule.clone(),
        allow: request.allow,
        description: request.description.clone(),
    };
    let id = rule.id;
    let mut next = Role::clone(&role);
    next.permissions.push(rule);
    let verb = if request.allow { "allows" } else { "denies" };
    let text = format!("role {} {verb} {}", role.name, request.rule);
    changed(tx, "ROLE.PERMISSION.CREATE", role.id, text);
    tx.draft.update(&role, next);
    Ok((role.id, id))
}

/// `updateRolePermission` with `ruleid` and `permission`.
pub(super) fn change_rule(tx: &mut Tx<'_>, request: ChangeRoleRule) -> Result<(), CommandError> {
    let role = own(tx, "roleid", request.role)?;
    let mut next = Role::clone(&role);
    let rule = next.permissions.iter_mut().find(|rule| rule.id == request.rule);
    let rule = rule.ok_or_else(|| CommandError::not_found("ruleid", request.rule))?;
    rule.allow = request.allow;
    let text = format!("changed rule {} of role {}", rule.rule, role.name);
    changed(tx, "ROLE.PERMISSION.UPDATE", role.id, text);
    tx.draft.update(&role, next);
    Ok(())
}

/// `updateRolePermission` with `ruleorder`.
pub(super) fn order_rules(tx: &mut Tx<'_>, request: &OrderRoleRules) -> Result<(), CommandError> {
    let role = own(tx, "roleid", request.role)?;
    let mut rest = role.permissions.clone();
    let mut ordered = Vec::with_capacity(rest.len());
    for id in &request.order {
        let place = rest.iter().position(|rule| rule.id == *id);
        let place = place.ok_or_else(|| CommandError::not_found("ruleorder", id))?;
        ordered.push(rest.remove(place));
    }
    if let Some(missing) = rest.first() {
        let expected = format!("every rule of the role once; {} is missing", missing.id);
        return Err(CommandError::invalid("ruleorder", request.order.len(), expected));
    }
    let next = Role {
        permissions: ordered,
        ..Role::clone(&role)
    };
    let text = format!("ordered the rules of role {}", role.name);
    changed(tx, "ROLE.PERMISSION.UPDATE", role.id, text);
    tx.draft.update(&role, next);
    Ok(())
}

/// `deleteRolePermission`.
pub(super) fn delete_rule(tx: &mut Tx<'_>, id: RolePermissionId) -> Result<(), CommandError> {
    let mut roles = tx.view.all::<Role>();
    let role = roles.find(|role| role.permissions.iter().any(|rule| rule.id == id));
    let role = role.map(|role| role.id);
    let role = own(tx, "id", role.ok_or_else(|| CommandError::not_found("id", id))?)?;
    let mut next = Role::clone(&role);
    next.permissions.retain(|rule| rule.id != id);
    let text = format!("deleted a rule of role {}", role.name);
    changed(tx, "ROLE.PERMISSION.DELETE", role.id, text);
    tx.draft.update(&role, next);
    Ok(())
}
