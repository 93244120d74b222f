// SPDX-License-Identifier: Apache-2.0
//! `host`.

use outgate_model::object::{Host, Zone};

use crate::view::view;
use crate::wire::date;

view! {
    /// A host.
    (look, host: &Host) {}
    "id" string = host.id;
    "name" string = &host.name;
    "type" string = "Routing";
    "state" string = "Up";
    "resourcestate" string = "Enabled";
    "created" date = date::format(host.created);
    "zoneid" string = host.zone;
    "zonename" string = look.view.get::<Zone>(host.zone).map(|z| &z.name);
    "hypervisor" string = &host.hypervisor;
    "version" string = env!("CARGO_PKG_VERSION");
    "hahost" boolean = false;
    "hasannotations" boolean = false;
}
