// SPDX-License-Identifier: Apache-2.0
//! Sessions by password, for consoles and CloudMonkey. What they do is in `dispatch`: no other command is called by
//! somebody who is not known yet.

use super::{Answers, Callers, Command, Handler, Mode};
use crate::view::Field;
use crate::wire::params::{Kind, Of, Param};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "login",
        description: "Starts a session by user name and password. Later calls carry its cookie and its sessionkey.",
        mode: Mode::Sync,
        callers: Callers::Everybody,
        params: &[LOGIN],
        answers: Answers::One("", FIELDS),
        handler: Handler::Login,
    },
    Command {
        name: "logout",
        description: "Ends the caller's session.",
        mode: Mode::Sync,
        callers: Callers::Everybody,
        params: &[],
        answers: Answers::One("", &[("description", "string")]),
        handler: Handler::Logout,
    },
];

const LOGIN: &[Param] = &[
    Param::required("username", Kind::Text(255), "the user's name"),
    Param::required("password", Kind::Secret(1024), "the user's password"),
    Param::optional(
        "domain",
        Kind::Text(1024),
        "the path of the user's domain: /sales or ROOT/sales; ROOT when left out",
    ),
    Param::optional(
        "domainid",
        Kind::Uuid(Of::Anything),
        "the id of the user's domain",
    ),
];

/// What `login` answers.
const FIELDS: &[Field] = &[
    ("userid", "string"),
    ("username", "string"),
    ("account", "string"),
    ("domainid", "string"),
    ("firstname", "string"),
    ("lastname", "string"),
    ("type", "string"),
    ("role", "string"),
    ("timezone", "string"),
    ("timezoneoffset", "string"),
    ("registered", "string"),
    ("timeout", "integer"),
    ("sessionkey", "string"),
];
