// SPDX-License-Identifier: Apache-2.0
//! What only a VPC's router has: tiers with ACLs, private gateways, static routes.

use std::sync::Arc;

use outgate_model::id::{NetworkAclListId, VpcId};
use outgate_model::object::{Network, NetworkAclItem, PrivateGateway, StaticRoute, Tier, Vpc, Zone};
use outgate_model::router_spec::{self, AclItem, Egress, EgressPolicy, GuestNetwork, NetworkAcl, VpcSide};

use super::{Source, SpecError, leases};

/// A tier: its ACL decides what leaves it.
pub(super) fn tier(
    source: Source<'_>,
    network: &Network,
    tier: &Tier,
    zone: &Zone,
) -> Result<GuestNetwork, SpecError> {
    Ok(GuestNetwork {
        id: network.id,
        interface: format!("eth{}", tier.device),
        mac: tier.mac,
        mtu: network.mtu,
        gateway: network.gateway,
        domain: network.domain.clone(),
        upstream_dns: match source.need::<Vpc>(tier.vpc)?.dns.as_slice() {
            [] => zone.dns.clone(),
            own => own.to_vec(),
        },
        egress: Egress {
            default: EgressPolicy::Allow,
            rules: Vec::new(),
        },
        acl: Some(acl(source, tier.acl)),
        leases: leases(source, network),
    })
}

fn acl(source: Source<'_>, list: NetworkAclListId) -> NetworkAcl {
    let stored = source.view.acl_items_of_list(list);
    let mut items = source.each(stored, |item: &NetworkAclItem| item.list == list);
    items.sort_by_key(|item| item.number);
    let items = items.iter().map(|item| AclItem {
        id: item.id,
        number: item.number,
        direction: item.direction,
        action: item.action,
        matches: item.matches,
        cidrs: item.cidrs.clone(),
    });
    NetworkAcl {
        id: list,
        items: items.collect(),
    }
}

/// The VPC's own part.
pub(super) fn side(source: Source<'_>, id: VpcId, zone: &Zone) -> Result<VpcSide, SpecError> {
    let vpc = source.need::<Vpc>(id)?;
    let stored = source.view.gateways_of_vpc(id);
    let mut gateways = source.each(stored, |g: &PrivateGateway| g.vpc == id);
    gateways.sort_by_key(|gateway| gateway.device);
    let stored = source.view.routes_of_vpc(id);
    let mut routes = source.each(stored, |r: &StaticRoute| r.vpc == id);
    routes.sort_by_key(|route| (route.cidr, route.id));
    let gateway = |gateway: &Arc<PrivateGateway>| router_spec::PrivateGateway {
        id: gateway.id,
        physical_network: gateway.physical_network,
        vlan: gateway.vlan,
        interface: format!("eth{}", gateway.device),
        mac: gateway.mac,
        mtu: zone.public_mtu,
        address: gateway.address,
        gateway: gateway.gateway,
        source_nat: gateway.source_nat,
        acl: acl(source, gateway.acl),
    };
    let route = |route: &Arc<StaticRoute>| router_spec::StaticRoute {
        id: route.id,
        to: route.cidr,
        via: route.next_hop,
    };
    Ok(VpcSide {
        cidr: vpc.cidr,
        private_gateways: gateways.iter().map(gateway).collect(),
        static_routes: routes.iter().map(route).collect(),
    })
}
