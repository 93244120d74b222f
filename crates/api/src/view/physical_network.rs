// SPDX-License-Identifier: Apache-2.0
//! `physicalnetwork`.

use outgate_model::object::{PhysicalNetwork, Zone};

use crate::view::{state_name, view};

view! {
    /// A physical network.
    (look, physical: &PhysicalNetwork) {
        let vlans: Vec<String> = physical.vlans.iter().map(ToString::to_string).collect();
    }
    "id" string = physical.id;
    "name" string = &physical.name;
    "zoneid" string = physical.zone;
    "zonename" string = look.view.get::<Zone>(physical.zone).map(|z| &z.name);
    "broadcastdomainrange" string = "ZONE";
    "isolationmethods" string = physical.isolation.as_deref().unwrap_or("VLAN");
    "networkspeed" string = &physical.speed;
    "state" string = state_name(physical.disabled);
    "tags" string = (!physical.tags.is_empty()).then(|| physical.tags.join(","));
    "vlan" string = (!vlans.is_empty()).then(|| vlans.join(","));
}
