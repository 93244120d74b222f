// SPDX-License-Identifier: Apache-2.0
//! `template`.

use outgate_model::object::{Template, Zone};

use crate::view::{Owner, view};
use crate::wire::date;

view! {
    /// A template.
    (look, template: &Template) {
        let registered = template.registered.as_ref();
        let owner = registered.map(|r| look.owner(r.account)).unwrap_or_else(built_in);
    }
    "id" string = template.id;
    "name" string = &template.name;
    "displaytext" string = &template.display_text;
    "created" date = date::format(template.created);
    "hypervisor" string = &template.hypervisor;
    "ostypename" string = &template.os_type;
    "format" string = registered.map_or("RAW", |r| r.format.as_str());
    "size" integer = 0;
    "status" string = "Download Complete";
    "templatetype" string = if registered.is_some() { "USER" } else { "BUILTIN" };
    "isready" boolean = true;
    "ispublic" boolean = registered.is_none_or(|r| r.public);
    "isfeatured" boolean = registered.is_none_or(|r| r.featured);
    "url" string = registered.map(|r| &r.url);
    "isextractable" boolean = false;
    "isdynamicallyscalable" boolean = false;
    "bootable" boolean = true;
    "crossZones" boolean = false;
    "passwordenabled" boolean = false;
    "sshkeyenabled" boolean = false;
    "requireshvm" boolean = false;
    "directdownload" boolean = false;
    "deployasis" boolean = false;
    "zoneid" string = template.zone;
    "zonename" string = look.view.get::<Zone>(template.zone).map(|z| &z.name);
    "account" string = owner.account;
    "domain" string = owner.domain;
    "domainid" string = owner.domain_id;
    "project" string = owner.project;
    "projectid" string = owner.project_id;
    "tags" list = [""; 0];
}

/// Whose the built-in templates are.
fn built_in() -> Owner {
    Owner {
        account: Some("system".to_owned()),
        domain: Some("ROOT".to_owned()),
        ..Owner::default()
    }
}
