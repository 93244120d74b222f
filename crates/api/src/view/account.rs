// SPDX-License-Identifier: Apache-2.0
//! `account`.

use outgate_model::object::{Account, AccountState, Domain, Power};
use serde_json::Value;

use crate::view::{counts, user, view};
use crate::wire::date;

view! {
    /// An account with its users.
    (look, account: &Account) {
        let domain = look.view.get::<Domain>(account.domain);
        let role = look.view.role_of(account);
        let running = look.view.guests_of_account(account.id).filter(|guest| guest.power == Power::On).count();
        let users: Vec<Value> = look
            .view
            .users_of_account(account.id)
            .map(|one| Value::Object(user::render(look, one)))
            .collect();
        let counts = counts::of_account(look.view, account);
        let projects = counts::projects(&counts);
        let state = if account.leaving { AccountState::Disabled } else { account.state };
    }
    "id" string = account.id;
    "name" string = &account.name;
    "accounttype" integer = account.account_type;
    "roleid" string = role.map(|r| r.id);
    "rolename" string = role.map(|r| &r.name);
    "roletype" string = account.role_type().name();
    "state" string = state.name();
    "domain" string = domain.map(|d| &d.name);
    "domainid" string = account.domain;
    "domainpath" string = domain.map(|d| &d.path);
    "networkdomain" string = &account.network_domain;
    "created" date = date::format(account.created);
    "iscleanuprequired" boolean = account.leaving;
    "isdefault" boolean = is_default(domain.map(|d| &**d), account);
    "apikeyaccess" string = "Inherit";
    "groups" list = [""; 0];
    "accountdetails" map = serde_json::Map::new();
    "vmrunning" integer = running;
    "vmstopped" integer = look.view.guests_of_account(account.id).count() - running;
    "user" list = users;
    "projectlimit" string = projects.0;
    "projecttotal" integer = projects.1;
    "projectavailable" string = projects.2;
    counts counts;
}

/// Whether it is the first start's.
pub(super) fn is_default(domain: Option<&Domain>, account: &Account) -> bool {
    account.name == outgate_manager::bootstrap::ADMIN && domain.is_some_and(|domain| domain.parent.is_none())
}
