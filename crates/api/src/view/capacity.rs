// SPDX-License-Identifier: Apache-2.0
//! `capacity`.

use outgate_manager::capacity::{Capacity, Resource};
use outgate_model::object::Zone;

use crate::view::view;

/// CloudStack's name of what is counted.
fn name(resource: Resource) -> &'static str {
    match resource {
        Resource::PublicAddresses => "VIRTUAL_NETWORK_PUBLIC_IP",
        Resource::ControlAddresses => "PRIVATE_IP",
        Resource::Vlans => "VLAN",
    }
}

/// As CloudStack writes it: at most two digits after the point, and none that are zero.
fn percent(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

view! {
    /// How much of something is used.
    (look, capacity: &Capacity) {}
    "type" integer = capacity.resource.number();
    "name" string = name(capacity.resource);
    "zoneid" string = capacity.zone;
    "zonename" string = look.view.get::<Zone>(capacity.zone).map(|z| &z.name);
    "capacityallocated" integer = capacity.used;
    "capacityused" integer = capacity.used;
    "capacitytotal" integer = capacity.total;
    "percentused" string = percent(capacity.percent());
}
