// SPDX-License-Identifier: Apache-2.0
//! `projectaccount`: an account's part in a project.

use outgate_model::object::{Account, Domain, Project, ProjectMember};

use crate::view::view;

view! {
    /// An account's part in a project.
    (look, part: (&Project, ProjectMember)) {
        let (project, member) = part;
        let account = look.view.get::<Account>(member.account);
        let domain = account.and_then(|account| look.view.get::<Domain>(account.domain));
    }
    "projectid" string = project.id;
    "project" string = &project.name;
    "account" string = account.map(|a| &a.name);
    "accountid" string = member.account;
    "accounttype" integer = account.map(|a| a.account_type);
    "role" string = if member.admin { "Admin" } else { "Regular" };
    "domain" string = domain.map(|d| &d.name);
    "domainid" string = account.map(|a| a.domain);
}
