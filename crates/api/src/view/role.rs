// SPDX-License-Identifier: Apache-2.0
//! `role`.

use outgate_model::object::Role;

use crate::view::view;

view! {
    /// A role.
    (_look, role: &Role) {}
    "id" string = role.id;
    "name" string = &role.name;
    "type" string = role.role_type.name();
    "description" string = &role.description;
    "isdefault" boolean = role.default;
    "ispublic" boolean = role.public;
    "state" string = "enabled";
}
