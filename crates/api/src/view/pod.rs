// SPDX-License-Identifier: Apache-2.0
//! `pod`. Its ranges are lists: CloudStack's pods may have several.

use outgate_model::object::{Pod, Zone};
use serde_json::json;

use crate::view::{state_name, view};

view! {
    /// A pod.
    (look, pod: &Pod) {
        let range = pod.range;
    }
    "id" string = pod.id;
    "name" string = &pod.name;
    "zoneid" string = pod.zone;
    "zonename" string = look.view.get::<Zone>(pod.zone).map(|z| &z.name);
    "gateway" string = pod.gateway.addr();
    "netmask" string = pod.gateway.netmask();
    "startip" list = range.map(|r| r.first()).as_slice();
    "endip" list = range.map(|r| r.last()).as_slice();
    "forsystemvms" list = range.map(|_| "1").as_slice();
    "vlanid" list = range.map(|_| "untagged").as_slice();
    "ipranges" list = range
        .map(|r| json!({
            "startip": r.first(), "endip": r.last(), "forsystemvms": "1", "vlanid": "untagged",
            "gateway": pod.gateway.addr(), "cidr": pod.gateway.trunc(),
        }))
        .as_slice();
    "allocationstate" string = state_name(pod.disabled);
    "hasannotations" boolean = false;
    // Filled with showcapacities=true.
    "capacity" list = None::<[u8; 0]>;
}
