// SPDX-License-Identifier: Apache-2.0
//! What every zone has: a pod with a cluster for its hosts, traffic types and service providers on its physical
//! networks. Made where it is missing, at each start, so that a store of an older version has it too.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use outgate_model::Ipv4Range;
use outgate_model::id::{ClusterId, PhysicalNetworkId, PodId, ServiceProviderId, TrafficTypeId};
use outgate_model::object::{
    Cluster, Host, PhysicalNetwork, Pod, PublicIpRange, ServiceProvider, Traffic, TrafficType, Zone,
};

use crate::draft::Draft;
use crate::mirror::View;

/// The provider of isolated networks.
pub const ROUTER: &str = "VirtualRouter";
/// The provider of VPCs.
pub const VPC_ROUTER: &str = "VpcVirtualRouter";
/// The provider of load balancers inside networks, which is never enabled: this cloud has none.
pub const INTERNAL_LB: &str = "InternalLbVm";
/// The providers that a physical network has, by CloudStack's names.
pub const PROVIDERS: &[&str] = &[ROUTER, VPC_ROUTER, INTERNAL_LB];

/// Adds what is missing.
pub(super) fn heal(view: &View<'_>, draft: &mut Draft) {
    heal_hosts(view, draft);
    for physical in view.all::<PhysicalNetwork>() {
        // One that somebody made by the API has what that somebody gave it.
        let used = view
            .all::<PublicIpRange>()
            .any(|range| range.physical_network == physical.id);
        let bare = !view
            .all::<TrafficType>()
            .any(|t| t.physical_network == physical.id)
            && !view
                .all::<ServiceProvider>()
                .any(|p| p.physical_network == physical.id);
        if used && bare {
            for traffic in Traffic::ALL {
                draft.create(&traffic_type(physical.id, traffic));
            }
            providers(physical.id, true, draft);
        }
    }
}

/// The providers of a physical network.
pub(crate) fn providers(physical_network: PhysicalNetworkId, enabled: bool, draft: &mut Draft) {
    for name in PROVIDERS {
        let enabled = enabled && *name != INTERNAL_LB;
        draft.create(&ServiceProvider {
            id: ServiceProviderId::new(),
            physical_network,
            name: (*name).to_owned(),
            enabled,
            element_enabled: enabled,
        });
    }
}

fn traffic_type(physical_network: PhysicalNetworkId, traffic: Traffic) -> TrafficType {
    TrafficType {
        id: TrafficTypeId::new(),
        physical_network,
        traffic,
        labels: Vec::new(),
    }
}

/// Hosts without a cluster get one, in the zone's first pod.
fn heal_hosts(view: &View<'_>, draft: &mut Draft) {
    for zone in view.all::<Zone>() {
        let mut made: Vec<Cluster> = Vec::new();
        let mut pod = view.all::<Pod>().find(|p| p.zone == zone.id).map(|p| p.id);
        let lone = view
            .all::<Host>()
            .filter(|h| h.zone == zone.id && h.cluster.is_none());
        for host in lone {
            let pod = *pod.get_or_insert_with(|| {
                let pod = default_pod(zone);
                draft.create(&pod);
                pod.id
            });
            let mut known = view.all::<Cluster>().map(|c| &**c).chain(&made);
            let fits = |c: &&Cluster| c.pod == pod && c.hypervisor == host.hypervisor;
            let cluster = known.find(fits).map(|c| c.id);
            let cluster = cluster.unwrap_or_else(|| {
                let cluster = Cluster {
                    id: ClusterId::new(),
                    zone: zone.id,
                    pod,
                    name: format!("{}-cluster", zone.name),
                    hypervisor: host.hypervisor.clone(),
                    disabled: false,
                    unmanaged: false,
                };
                draft.create(&cluster);
                made.push(cluster.clone());
                cluster.id
            });
            let next = Host {
                cluster: Some(cluster),
                ..Host::clone(host)
            };
            draft.update(host, next);
        }
    }
}

/// The pod of a zone that was made without one: its management subnet is the hosts' link-local one.
fn default_pod(zone: &Zone) -> Pod {
    Pod {
        id: PodId::new(),
        zone: zone.id,
        name: format!("{}-pod", zone.name),
        gateway: Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 1), 16),
        range: None::<Ipv4Range>,
        disabled: false,
    }
}
