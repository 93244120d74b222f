// SPDX-License-Identifier: Apache-2.0
//! What the API says about itself and about who calls it.

use outgate_model::object::User;
use serde_json::{Value, json};

use super::{Answers, Command};
use crate::catalog;
use crate::view::{self, Field, Look};
use crate::wire::envelope::{self, CLOUDSTACK_VERSION, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listCapabilities",
        "Tells what this server can do.",
        &[],
        Answers::One("capability", CAPABILITIES),
        capabilities,
    ),
    Command::read(
        "listApis",
        "Lists the commands with their parameters and answers.",
        &[&[Param::optional(
            "name",
            Kind::Text(255),
            "the command of this name",
        )]],
        Answers::List("api", API),
        apis,
    ),
    Command::read(
        "getUser",
        "Tells whose an API key is.",
        &[&[Param::required("userapikey", Kind::Text(255), "the API key")]],
        Answers::One("user", view::user::FIELDS),
        user,
    ),
];

const CAPABILITIES: &[Field] = &[
    ("cloudstackversion", "string"),
    ("outgateversion", "string"),
    ("securitygroupsenabled", "boolean"),
    ("dynamicrolesenabled", "boolean"),
    ("allowusercreateprojects", "boolean"),
    ("projectinviterequired", "boolean"),
    ("userpublictemplateenabled", "boolean"),
    ("kvmsnapshotenabled", "boolean"),
    ("allowuserviewdestroyedvm", "boolean"),
    ("allowuserexpungerecovervm", "boolean"),
    ("regionsecondaryenabled", "boolean"),
    ("supportELB", "string"),
    ("defaultuipagesize", "integer"),
];

fn capabilities(_look: &Look<'_>, _params: &Params) -> Result<Object, ApiError> {
    Ok(envelope::single(
        "capability",
        json!({
            "cloudstackversion": CLOUDSTACK_VERSION,
            "outgateversion": env!("CARGO_PKG_VERSION"),
            "securitygroupsenabled": false,
            "dynamicrolesenabled": true,
            "allowusercreateprojects": true,
            "projectinviterequired": false,
            "userpublictemplateenabled": false,
            "kvmsnapshotenabled": false,
            "allowuserviewdestroyedvm": false,
            "allowuserexpungerecovervm": false,
            "regionsecondaryenabled": false,
            "supportELB": "false",
            "defaultuipagesize": 20,
        }),
    ))
}

const API: &[Field] = &[
    ("name", "string"),
    ("description", "string"),
    ("isasync", "boolean"),
    ("related", "string"),
    ("params", "list"),
    ("response", "list"),
];

fn apis(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let wanted = params.text("name");
    let matches: Vec<&Command> = super::all()
        .filter(|c| c.open_to(look))
        .filter(|c| wanted.is_none_or(|name| c.name.eq_ignore_ascii_case(name)))
        .collect();
    if let (Some(name), true) = (wanted, matches.is_empty()) {
        return Err(ApiError::invalid(
            params.command(),
            "name",
            name,
            "the name of a command",
        ));
    }
    let items: Vec<Value> = matches.into_iter().map(catalog::api).collect();
    Ok(envelope::list("api", items.len(), items))
}

/// An admin may ask for every key, others for their own account's.
fn user(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let key = params.need_text("userapikey")?;
    let found: Option<&User> = look.view.user_by_api_key(key).map(|u| &**u);
    match found.filter(|u| look.caller.may(look.view, u.account)) {
        Some(user) => Ok(envelope::single(
            "user",
            Value::Object(view::user::render(look, user)),
        )),
        None => Err(ApiError::invalid(
            params.command(),
            "userapikey",
            key,
            "the API key of a user",
        )),
    }
}
