// SPDX-License-Identifier: Apache-2.0
//! `rolepermission`.

use outgate_model::object::{Role, RolePermission};

use crate::view::view;

view! {
    /// A rule of a role.
    (_look, rule: (&Role, &RolePermission)) {
        let (role, rule) = rule;
    }
    "id" string = rule.id;
    "roleid" string = role.id;
    "rolename" string = &role.name;
    "rule" string = &rule.rule;
    "permission" string = if rule.allow { "allow" } else { "deny" };
    "description" string = &rule.description;
}
