// SPDX-License-Identifier: Apache-2.0
//! What holds for a VPC's router only: tiers, network ACLs, private gateways, static routes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Check, Field, MTU_MAX, MTU_MIN, is_usable_in};
use crate::router_spec::{
    EgressPolicy, GuestNetwork, NetworkAcl, PrivateGateway, RouterSpec, StaticRoute, VpcSide,
};

/// 802.1Q: 0 and 4095 are reserved.
const VLAN_MAX: u16 = 4_094;

/// Either the router is a VPC's, whose networks are tiers with an ACL, or an isolated network's, which has neither.
pub(super) fn check_kind(spec: &RouterSpec, check: &mut Check<'_>) {
    let Some(vpc) = &spec.vpc else {
        check.require(
            spec.guest_networks.len() == 1,
            "guest_networks",
            spec.guest_networks.len(),
            "exactly one guest network for an isolated network's router",
        );
        for (i, network) in spec.guest_networks.iter().enumerate() {
            let acl = network
                .acl
                .as_ref()
                .map_or("none".to_owned(), |a| a.id.to_string());
            check.at(Field::Item("guest_networks", i)).require(
                network.acl.is_none(),
                "acl",
                acl,
                "no network ACL: only tiers of a VPC have one",
            );
        }
        return;
    };
    check_vpc_cidr(spec, vpc, check);
    for (i, tier) in spec.guest_networks.iter().enumerate() {
        check_tier(
            spec,
            vpc,
            i,
            tier,
            &mut check.at(Field::Item("guest_networks", i)),
        );
    }
    for (i, address) in spec.public.addresses.iter().enumerate() {
        check.at("public").at(Field::Item("addresses", i)).require(
            address.firewall.is_empty(),
            "firewall",
            format!("{} rules", address.firewall.len()),
            "no firewall rule: the tiers' network ACLs judge what comes in to a VPC",
        );
    }
    let mut check = check.at("vpc");
    for (i, gateway) in vpc.private_gateways.iter().enumerate() {
        check_gateway(
            spec,
            vpc,
            i,
            gateway,
            &mut check.at(Field::Item("private_gateways", i)),
        );
    }
    let mut seen = BTreeSet::new();
    for (i, route) in vpc.static_routes.iter().enumerate() {
        let mut check = check.at(Field::Item("static_routes", i));
        check.require(
            seen.insert(route.to.trunc()),
            "to",
            route.to,
            "a destination with one static route only",
        );
        check_route(spec, vpc, route, &mut check);
    }
}

fn check_vpc_cidr(spec: &RouterSpec, vpc: &VpcSide, check: &mut Check<'_>) {
    let outside = spec.public.addresses.iter().map(|a| a.address);
    let fine = !outside
        .chain([spec.control.address])
        .any(|net| overlap(net, vpc.cidr));
    check.at("vpc").require(
        fine,
        "cidr",
        vpc.cidr,
        "a CIDR that shares no address with the public and control networks",
    );
}

fn check_tier(spec: &RouterSpec, vpc: &VpcSide, index: usize, tier: &GuestNetwork, check: &mut Check<'_>) {
    let others = spec.guest_networks.iter().take(index);
    check.require(
        vpc.cidr.contains(&tier.gateway.trunc()),
        "gateway",
        tier.gateway,
        "a network within the VPC's CIDR",
    );
    check.require(
        !others.map(|t| t.gateway).any(|net| overlap(net, tier.gateway)),
        "gateway",
        tier.gateway,
        "a network that shares no address with another tier",
    );
    check.require(
        tier.acl.is_some(),
        "acl",
        "none",
        "a network ACL: every tier has one",
    );
    if let Some(acl) = &tier.acl {
        check_acl(acl, &mut check.at("acl"));
    }
    check.require(
        tier.egress.default == EgressPolicy::Allow && tier.egress.rules.is_empty(),
        "egress",
        format!("{:?}, {} rules", tier.egress.default, tier.egress.rules.len()),
        "the default allow and no rule: a tier's network ACL judges what leaves it",
    );
}

fn check_acl(acl: &NetworkAcl, check: &mut Check<'_>) {
    let mut last = 0;
    for (i, item) in acl.items.iter().enumerate() {
        let mut check = check.at(Field::Item("items", i));
        check.require(
            item.number > last,
            "number",
            item.number,
            "1 to 65535, above the number of the item before",
        );
        check.require(!item.cidrs.is_empty(), "cidrs", "[]", "at least one CIDR");
        last = item.number;
    }
}

fn check_gateway(
    spec: &RouterSpec,
    vpc: &VpcSide,
    index: usize,
    gateway: &PrivateGateway,
    check: &mut Check<'_>,
) {
    let address = gateway.address;
    check.require(
        (1..=VLAN_MAX).contains(&gateway.vlan),
        "vlan",
        gateway.vlan,
        "a VLAN from 1 to 4094",
    );
    check.require(
        (MTU_MIN..=MTU_MAX).contains(&gateway.mtu),
        "mtu",
        gateway.mtu,
        "68 to 65535 bytes",
    );
    check.require(
        is_usable_in(address, address.addr()) && address.prefix_len() <= 30,
        "address",
        address,
        "a host address of a network of /30 or larger",
    );
    check.require(
        is_usable_in(address, gateway.gateway) && gateway.gateway != address.addr(),
        "gateway",
        gateway.gateway,
        "another host address of the same subnet",
    );
    let others = vpc.private_gateways.iter().take(index).map(|g| g.address);
    let taken = others
        .chain(spec.guest_networks.iter().map(|t| t.gateway))
        .chain(spec.public.addresses.iter().map(|a| a.address))
        .chain([spec.control.address]);
    check.require(
        !taken.into_iter().any(|net| overlap(net, address)),
        "address",
        address,
        "a subnet that shares no address with a tier, the public and control networks or another private gateway",
    );
    check_acl(&gateway.acl, &mut check.at("acl"));
}

fn check_route(spec: &RouterSpec, vpc: &VpcSide, route: &StaticRoute, check: &mut Check<'_>) {
    let own = [vpc.cidr, spec.control.address];
    let gateways = vpc.private_gateways.iter().map(|g| g.address);
    let taken = own
        .into_iter()
        .chain(gateways)
        .chain(spec.public.addresses.iter().map(|a| a.address));
    check.require(
        !taken.into_iter().any(|net| overlap(net, route.to)),
        "to",
        route.to,
        "a CIDR outside the VPC's own and the networks that the router is connected to",
    );
    let nowhere = route.to.network().is_loopback() || route.to.network().octets()[0] >= 224;
    check.require(!nowhere, "to", route.to, "a network of hosts");
    check.require(
        spec.reaches(route.via),
        "via",
        route.via,
        "a neighbour on a private gateway, a tier or the public network",
    );
}

impl RouterSpec {
    /// Whether `address` may be a neighbour on a private gateway, a tier or the public network.
    fn reaches(&self, address: Ipv4Addr) -> bool {
        let gateways = self.private_gateways().iter().map(|g| g.address);
        let tiers = self.guest_networks.iter().map(|t| t.gateway);
        let public = self.public.addresses.iter().map(|a| a.address);
        let mut nets = gateways.chain(tiers).chain(public);
        nets.clone().all(|net| net.addr() != address) && nets.any(|net| is_usable_in(net, address))
    }
}

fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}
