// SPDX-License-Identifier: Apache-2.0
//! Static routes of VPCs: to make and delete.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_model::Realm;
use outgate_model::id::{PrivateGatewayId, StaticRouteId};
use outgate_model::object::{PrivateGateway, StaticRoute, Vpc, Zone};

use super::gateway::overlapping;
use crate::CommandError;
use crate::command::request::{CreateStaticRoute, DeleteStaticRoute, Started};
use crate::command::tx::Tx;
use crate::mirror::Stored;

/// How many static routes a VPC may have.
pub const ROUTES_PER_VPC: usize = 500;

/// `createStaticRoute`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateStaticRoute) -> Result<Started, CommandError> {
    let (vpc, gateway, next_hop) = way(tx, request)?;
    check_target(tx, &vpc, request.cidr)?;
    if tx.view.routes_of_vpc(vpc.id).count() >= ROUTES_PER_VPC {
        return Err(CommandError::Limit {
            what: format!("VPC {}", vpc.id),
            limit: ROUTES_PER_VPC,
            of: "static routes",
        });
    }
    let route = StaticRoute {
        id: StaticRouteId::new(),
        vpc: vpc.id,
        account: vpc.account,
        gateway,
        next_hop,
        cidr: request.cidr,
        created: Timestamp::now(),
    };
    tx.draft.create(&route);
    let realm = Realm::Vpc(vpc.id);
    let generation = tx.draft.touch(tx.view, realm);
    let text = format!("created static route to {} through {next_hop}", route.cidr);
    tx.event::<StaticRoute>("STATIC.ROUTE.CREATE", vpc.account, route.id.0, text);
    Ok(tx
        .applied::<StaticRoute>("createStaticRoute", route.id.0, realm, generation)
        .made(route.id.0))
}

/// The VPC, the private gateway if one is named, and the next hop.
fn way(
    tx: &mut Tx<'_>,
    request: &CreateStaticRoute,
) -> Result<(Stored<Vpc>, Option<PrivateGatewayId>, Ipv4Addr), CommandError> {
    if let Some(id) = request.gateway {
        let gateway = tx.own::<PrivateGateway>("gatewayid", id)?;
        if let Some(vpc) = request.vpc.filter(|vpc| *vpc != gateway.vpc) {
            let expected = format!("the private gateway's VPC {}", gateway.vpc);
            return Err(CommandError::invalid("vpcid", vpc, expected));
        }
        if let Some(hop) = request.next_hop.filter(|hop| *hop != gateway.gateway) {
            let expected = format!("nothing, or the private gateway's gateway {}", gateway.gateway);
            return Err(CommandError::invalid("nexthop", hop, expected));
        }
        let vpc = tx.known::<Vpc>(gateway.vpc)?;
        return Ok((vpc, Some(id), gateway.gateway));
    }
    let vpc = request.vpc.ok_or_else(|| CommandError::missing("gatewayid"))?;
    let vpc = super::owned(tx, "vpcid", vpc)?;
    let hop = request.next_hop.ok_or_else(|| CommandError::missing("nexthop"))?;
    let tiers = tx.view.tiers_of_vpc(vpc.id).map(|tier| tier.gateway);
    let gateways = tx.view.gateways_of_vpc(vpc.id).map(|gateway| gateway.address);
    let reached = tiers
        .chain(gateways)
        .any(|net| net.contains(&hop) && hop != net.addr() && hop != net.network() && hop != net.broadcast());
    if reached {
        return Ok((vpc, None, hop));
    }
    let expected = "a neighbour in one of the VPC's tiers or on one of its private gateways";
    Err(CommandError::invalid("nexthop", hop, expected))
}

/// Somewhere that the router does not know yet.
fn check_target(tx: &mut Tx<'_>, vpc: &Vpc, cidr: Ipv4Net) -> Result<(), CommandError> {
    let refused = |expected: String| Err(CommandError::invalid("cidr", cidr, expected));
    if cidr.trunc() != cidr {
        return refused(format!("a CIDR without host bits: {}", cidr.trunc()));
    }
    let first = cidr.network().octets()[0];
    if cidr.prefix_len() == 0 || first == 0 || first == 127 || first >= 224 {
        return refused("a network of hosts; everything else leaves through the public gateway".to_owned());
    }
    let zone = tx.known::<Zone>(vpc.zone)?;
    match overlapping(tx, vpc, &zone, cidr) {
        Some((other, what)) => refused(format!("a CIDR apart from {what}, {}", other.trunc())),
        None => Ok(()),
    }
}

/// `deleteStaticRoute`.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteStaticRoute) -> Result<Started, CommandError> {
    let route = tx.own::<StaticRoute>("id", request.id)?;
    tx.draft.delete(&route);
    let realm = Realm::Vpc(route.vpc);
    let generation = tx.draft.touch(tx.view, realm);
    let text = format!("deleted static route to {}", route.cidr);
    tx.event::<StaticRoute>("STATIC.ROUTE.DELETE", route.account, route.id.0, text);
    Ok(tx.applied::<StaticRoute>("deleteStaticRoute", route.id.0, realm, generation))
}
