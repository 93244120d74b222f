// SPDX-License-Identifier: Apache-2.0
//! Domains, accounts, users, roles, projects and limits.

pub mod account;
pub mod domain;
pub mod limit;
pub mod project;
pub mod role;
pub mod user;

use outgate_manager::command::request::{NewUser, Secret};
use outgate_model::id::AccountId;

use super::scope;
use super::{Call, Refused};
use crate::view::Look;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// Names.
const NAME: Kind = Kind::Text(255);
/// Passwords.
const PASSWORD: Kind = Kind::Secret(1024);

/// What a new user is made from.
const NEW_USER: &[Param] = &[
    Param::required("username", NAME, "the user's login name"),
    Param::required("password", PASSWORD, "the password, as it is"),
    Param::required("email", NAME, "the mail address"),
    Param::required("firstname", NAME, "the first name"),
    Param::required("lastname", NAME, "the last name"),
    Param::optional("timezone", NAME, "the time zone, for consoles"),
];

fn new_user(params: &Params) -> Result<NewUser, ApiError> {
    Ok(NewUser {
        username: params.need_text("username")?.to_owned(),
        password: Secret(params.need_text("password")?.to_owned()),
        firstname: params.need_text("firstname")?.to_owned(),
        lastname: params.need_text("lastname")?.to_owned(),
        email: params.need_text("email")?.to_owned(),
        timezone: params.string("timezone"),
    })
}

/// Parameters of commands that name an account by its id or by its name.
const BY_ID_OR_NAME: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Account), "the account"),
    Param::optional(
        "account",
        Kind::Text(255),
        "its name, in the place of id; needs domainid",
    ),
    Param::optional("domainid", Kind::Uuid(Of::Domain), "its domain"),
];

impl Call<'_> {
    /// The account that `id`, or `account` and `domainid`, name.
    fn named(&self) -> Result<AccountId, Refused> {
        if let Some(id) = self.params.id("id") {
            return Ok(AccountId(id));
        }
        let view = self.manager.view();
        let look = Look {
            view: &view,
            caller: &self.caller,
        };
        let named = scope::named_account(&look, &self.params)?;
        Ok(named.ok_or_else(|| ApiError::missing(self.params.command(), "id"))?)
    }
}
