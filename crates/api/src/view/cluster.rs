// SPDX-License-Identifier: Apache-2.0
//! `cluster`.

use outgate_model::object::{Cluster, Pod, Zone};

use crate::view::{state_name, view};

view! {
    /// A cluster.
    (look, cluster: &Cluster) {}
    "id" string = cluster.id;
    "name" string = &cluster.name;
    "zoneid" string = cluster.zone;
    "zonename" string = look.view.get::<Zone>(cluster.zone).map(|z| &z.name);
    "podid" string = cluster.pod;
    "podname" string = look.view.get::<Pod>(cluster.pod).map(|p| &p.name);
    "hypervisortype" string = &cluster.hypervisor;
    "clustertype" string = "CloudManaged";
    "allocationstate" string = state_name(cluster.disabled);
    "managedstate" string = if cluster.unmanaged { "Unmanaged" } else { "Managed" };
    "cpuovercommitratio" string = "1.0";
    "memoryovercommitratio" string = "1.0";
    "hasannotations" boolean = false;
    // Filled with showcapacities=true.
    "capacity" list = None::<[u8; 0]>;
}
