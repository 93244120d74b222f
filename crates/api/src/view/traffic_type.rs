// SPDX-License-Identifier: Apache-2.0
//! `traffictype`.

use outgate_model::object::TrafficType;

use crate::view::view;

/// The label for a hypervisor.
fn label<'a>(traffic: &'a TrafficType, hypervisor: &str) -> Option<&'a str> {
    let mut labels = traffic.labels.iter();
    labels
        .find(|(of, _)| of == hypervisor)
        .map(|(_, label)| label.as_str())
}

view! {
    /// A traffic type.
    (_look, traffic: &TrafficType) {}
    "id" string = traffic.id;
    "traffictype" string = traffic.traffic.name();
    "physicalnetworkid" string = traffic.physical_network;
    "kvmnetworklabel" string = label(traffic, "kvm");
    "xennetworklabel" string = label(traffic, "xen");
    "vmwarenetworklabel" string = label(traffic, "vmware");
    "hypervnetworklabel" string = label(traffic, "hyperv");
    "ovm3networklabel" string = label(traffic, "ovm3");
}
