// SPDX-License-Identifier: Apache-2.0
//! `user`. The secret key is never shown, and the public one only to who may change it.

use outgate_manager::bootstrap::ADMIN;
use outgate_model::object::{Account, Domain, User};

use crate::view::{account, view};
use crate::wire::date;

view! {
    /// A user.
    (look, user: &User) {
        let owner = look.view.get::<Account>(user.account);
        let domain = owner.and_then(|owner| look.view.get::<Domain>(owner.domain));
        let role = owner.and_then(|owner| look.view.role_of(owner));
        let first = owner.is_some_and(|owner| account::is_default(domain.map(|d| &**d), owner));
        let keys = !user.api_key.is_empty() && look.caller.governs_user(look.view, user);
    }
    "id" string = user.id;
    "username" string = &user.username;
    "firstname" string = &user.firstname;
    "lastname" string = &user.lastname;
    "email" string = &user.email;
    "timezone" string = &user.timezone;
    "created" date = date::format(user.created);
    "state" string = user.state().name();
    "account" string = owner.map(|a| &a.name);
    "accountid" string = user.account;
    "accounttype" integer = owner.map(|a| a.account_type);
    "roleid" string = role.map(|r| r.id);
    "rolename" string = role.map(|r| &r.name);
    "roletype" string = owner.map(|a| a.role_type().name());
    "domain" string = domain.map(|d| &d.name);
    "domainid" string = owner.map(|a| a.domain);
    "apikey" string = keys.then_some(&user.api_key);
    "apikeyaccess" string = "Inherit";
    "iscallerchilddomain" boolean = owner.is_some_and(|a| a.domain != look.caller.domain && look.view.is_within(a.domain, look.caller.domain));
    "isdefault" boolean = first && user.username == ADMIN;
    "is2faenabled" boolean = false;
    "is2famandated" boolean = false;
    "usersource" string = "native";
}
