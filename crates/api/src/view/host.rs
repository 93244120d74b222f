// SPDX-License-Identifier: Apache-2.0
//! `host`.

use outgate_model::object::{Cluster, Host, Pod, Zone};

use crate::view::view;
use crate::wire::date;

/// A host's state in CloudStack's words: one that does not answer is Disconnected.
pub fn state(view: &outgate_manager::View<'_>, host: &Host) -> &'static str {
    if view.host_answers(host.id) {
        "Up"
    } else {
        "Disconnected"
    }
}

/// Whether it takes something new, in CloudStack's words.
pub fn resource_state(host: &Host) -> &'static str {
    match host {
        Host {
            maintenance: true, ..
        } => "Maintenance",
        Host { disabled: true, .. } => "Disabled",
        _ => "Enabled",
    }
}

view! {
    /// A host.
    (look, host: &Host) {
        let cluster = host.cluster.and_then(|id| look.view.get::<Cluster>(id));
        let pod = cluster.and_then(|cluster| look.view.get::<Pod>(cluster.pod));
    }
    "id" string = host.id;
    "name" string = &host.name;
    "type" string = "Routing";
    "state" string = state(look.view, host);
    "resourcestate" string = resource_state(host);
    "created" date = date::format(host.created);
    "zoneid" string = host.zone;
    "zonename" string = look.view.get::<Zone>(host.zone).map(|z| &z.name);
    "podid" string = pod.map(|p| p.id);
    "podname" string = pod.map(|p| &p.name);
    "clusterid" string = cluster.map(|c| c.id);
    "clustername" string = cluster.map(|c| &c.name);
    "clustertype" string = cluster.map(|_| "CloudManaged");
    "hypervisor" string = &host.hypervisor;
    "version" string = env!("CARGO_PKG_VERSION");
    "hahost" boolean = false;
    "hasannotations" boolean = false;
}
