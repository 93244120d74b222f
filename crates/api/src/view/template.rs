// SPDX-License-Identifier: Apache-2.0
//! `template`.

use outgate_model::object::{Template, Zone};

use crate::view::view;
use crate::wire::date;

view! {
    /// A template.
    (look, template: &Template) {}
    "id" string = template.id;
    "name" string = &template.name;
    "displaytext" string = &template.display_text;
    "created" date = date::format(template.created);
    "hypervisor" string = &template.hypervisor;
    "ostypename" string = &template.os_type;
    "format" string = "RAW";
    "size" integer = 0;
    "status" string = "Download Complete";
    "templatetype" string = "BUILTIN";
    "isready" boolean = true;
    "ispublic" boolean = true;
    "isfeatured" boolean = true;
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
    "account" string = "system";
    "domain" string = "ROOT";
    "tags" list = [""; 0];
}
