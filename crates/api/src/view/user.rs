// SPDX-License-Identifier: Apache-2.0
//! `user`. The secret key is never shown.

use outgate_model::object::{Account, User};

use crate::view::view;
use crate::wire::date;

view! {
    /// A user.
    (look, user: &User) {
        let owner = look.owner(user.account);
        let account_type = look.view.get::<Account>(user.account).map(|a| a.account_type);
    }
    "id" string = user.id;
    "username" string = &user.username;
    "firstname" string = &user.username;
    "lastname" string = "";
    "created" date = date::format(user.created);
    "state" string = if user.enabled { "enabled" } else { "disabled" };
    "account" string = owner.account;
    "accountid" string = user.account;
    "accounttype" integer = account_type;
    "roletype" string = account_type.map(|t| if t == 1 { "Admin" } else { "User" });
    "domain" string = owner.domain;
    "domainid" string = owner.domain_id;
    "apikey" string = &user.api_key;
    "iscallerchilddomain" boolean = false;
    "isdefault" boolean = true;
    "usersource" string = "native";
}
