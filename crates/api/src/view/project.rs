// SPDX-License-Identifier: Apache-2.0
//! `project`.

use outgate_model::key::Object as _;
use outgate_model::object::{Account, Domain, Power, Project};
use serde_json::{Value, json};

use crate::view::{counts, view};
use crate::wire::date;

view! {
    /// A project with its owners.
    (look, project: &Project) {
        let own = look.view.get::<Account>(project.account);
        let domain = look.view.get::<Domain>(project.domain);
        let guests = || look.view.guests_of_account(project.account);
        let running = guests().filter(|guest| guest.power == Power::On).count();
        let admins = project.members.iter().filter(|member| member.admin);
        let owners: Vec<Value> = admins
            .filter_map(|member| look.view.get::<Account>(member.account))
            .map(|account| json!({"account": account.name, "accountid": account.id}))
            .collect();
    }
    "id" string = project.id;
    "name" string = &project.name;
    "displaytext" string = &project.display_text;
    "state" string = if project.leaving { "Disabled" } else { project.state.name() };
    "domain" string = domain.map(|d| &d.name);
    "domainid" string = project.domain;
    "projectaccountname" string = own.map(|a| &a.name);
    "owner" list = owners;
    "created" date = date::format(project.created);
    "vmrunning" integer = running;
    "vmstopped" integer = guests().count() - running;
    "tags" list = look.tags(Project::NAME, project.id.0);
    counts own.map(|own| counts::of_account(look.view, own)).unwrap_or_default();
}
