// SPDX-License-Identifier: Apache-2.0
//! Private gateways of VPCs: to make and delete. For admins.

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_model::id::{PhysicalNetworkId, PrivateGatewayId, ZoneId};
use outgate_model::object::{NetworkAclList, PhysicalNetwork, PrivateGateway, PublicIpRange, Vpc, Zone};
use outgate_model::{MacAddr, Realm, key};

use super::tier;
use crate::CommandError;
use crate::command::request::{CreatePrivateGateway, DeletePrivateGateway, Started};
use crate::command::tx::Tx;
use crate::command::{address, subnet};
use crate::mirror::Stored;

/// The counter that numbers private gateways, for their Ethernet addresses.
const NUMBERS: &str = "private-gateway";
/// The smallest subnet of a private gateway: two routers.
const PREFIX_MAX: u8 = 30;

/// `createPrivateGateway`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreatePrivateGateway) -> Result<Started, CommandError> {
    let vpc = super::owned(tx, "vpcid", request.vpc)?;
    let zone = tx.known::<Zone>(vpc.zone)?;
    let physical_network = physical_network(tx, request.physical_network, zone.id)?;
    check_vlan(tx, physical_network, request.vlan)?;
    let address = subnet_of(request)?;
    check_subnet(tx, &vpc, &zone, address)?;
    let acl = request.acl.unwrap_or(NetworkAclList::DEFAULT_DENY);
    tier::usable_acl(tx, "aclid", acl, vpc.id)?;
    let claim = key::private_gateway_claim(physical_network, request.vlan, request.address);
    if tx.view.claimed(&claim).is_some() {
        return Err(CommandError::InUse {
            what: request.address.to_string(),
            by: format!("another private gateway on VLAN {} has it", request.vlan),
        });
    }
    tx.draft.claim(claim);
    let device = tier::free_device(tx, vpc.id)?;
    let gateway = PrivateGateway {
        id: PrivateGatewayId::new(),
        vpc: vpc.id,
        zone: zone.id,
        account: vpc.account,
        physical_network,
        vlan: request.vlan,
        address,
        gateway: request.gateway,
        source_nat: request.source_nat,
        acl,
        device,
        mac: mac(tx.draft.number(NUMBERS), device)?,
        created: Timestamp::now(),
    };
    tx.draft.create(&gateway);
    let realm = Realm::Vpc(vpc.id);
    let generation = tx.draft.touch(tx.view, realm);
    let text = format!(
        "created private gateway {address} on VLAN {} of VPC {}",
        gateway.vlan, vpc.name
    );
    tx.event::<PrivateGateway>("PRIVATE.GATEWAY.CREATE", vpc.account, gateway.id.0, text);
    let started = tx.applied::<PrivateGateway>("createPrivateGateway", gateway.id.0, realm, generation);
    Ok(started.made(gateway.id.0))
}

/// The physical network by its parameter, or the zone's only one.
fn physical_network(
    tx: &mut Tx<'_>,
    wanted: Option<PhysicalNetworkId>,
    zone: ZoneId,
) -> Result<PhysicalNetworkId, CommandError> {
    const FIELD: &str = "physicalnetworkid";
    if let Some(id) = wanted {
        let found = tx.provided::<PhysicalNetwork>(FIELD, id)?;
        if found.zone != zone {
            let expected = format!("a physical network of the VPC's zone {zone}");
            return Err(CommandError::invalid(FIELD, id, expected));
        }
        return Ok(id);
    }
    let mut of_zone = tx.view.all::<PhysicalNetwork>().filter(|p| p.zone == zone);
    match (of_zone.next().map(|p| p.id), of_zone.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(CommandError::missing(FIELD)),
    }
}

/// A VLAN that carries no public addresses.
fn check_vlan(tx: &Tx<'_>, physical_network: PhysicalNetworkId, vlan: u16) -> Result<(), CommandError> {
    if !(1..=4094).contains(&vlan) {
        return Err(CommandError::invalid("vlan", vlan, "a VLAN from 1 to 4094"));
    }
    let uri = format!("vlan://{vlan}");
    let mut ranges = tx.view.all::<PublicIpRange>();
    match ranges.find(|range| range.physical_network == physical_network && range.vlan == uri) {
        Some(range) => {
            let expected = format!("a VLAN without public addresses; range {} is on it", range.id);
            Err(CommandError::invalid("vlan", vlan, expected))
        }
        None => Ok(()),
    }
}

fn subnet_of(request: &CreatePrivateGateway) -> Result<Ipv4Net, CommandError> {
    let net = Ipv4Net::with_netmask(request.address, request.netmask).ok();
    let net = net.filter(|net| (8..=PREFIX_MAX).contains(&net.prefix_len()));
    let net = net.ok_or_else(|| {
        let expected = "a netmask from 255.0.0.0 to 255.255.255.252";
        CommandError::invalid("netmask", request.netmask, expected)
    })?;
    for (field, address) in [("ipaddress", request.address), ("gateway", request.gateway)] {
        if !net.contains(&address) || address == net.network() || address == net.broadcast() {
            let expected = format!("an address of {} other than its first and its last", net.trunc());
            return Err(CommandError::invalid(field, address, expected));
        }
    }
    if request.address == request.gateway {
        let expected = format!(
            "another address than ipaddress {}: the router on the other side",
            request.address
        );
        return Err(CommandError::invalid("gateway", request.gateway, expected));
    }
    Ok(net)
}

/// Apart from everything that the router is connected to already, and from where static routes lead.
fn check_subnet(tx: &Tx<'_>, vpc: &Vpc, zone: &Zone, net: Ipv4Net) -> Result<(), CommandError> {
    match overlapping(tx, vpc, zone, net) {
        Some((other, what)) => {
            let expected = format!("an address in a subnet apart from {what}, {}", other.trunc());
            Err(CommandError::invalid("ipaddress", net, expected))
        }
        None => Ok(()),
    }
}

/// What the VPC's router knows already of this network: the first that overlaps it, and what that is.
pub(super) fn overlapping(tx: &Tx<'_>, vpc: &Vpc, zone: &Zone, net: Ipv4Net) -> Option<(Ipv4Net, String)> {
    let ranges = address::ranges_of(tx, zone);
    let gateways = tx.view.gateways_of_vpc(vpc.id);
    let routes = tx.view.routes_of_vpc(vpc.id);
    let ranges = ranges
        .iter()
        .map(|range| (range.gateway, "a public range".to_owned()));
    let gateways = gateways.map(|gateway| (gateway.address, format!("private gateway {}", gateway.id)));
    let routes = routes.map(|route| (route.cidr, format!("static route {}", route.id)));
    let own = [
        (vpc.cidr, "the VPC's CIDR".to_owned()),
        (link_local(), "link-local addresses".to_owned()),
    ];
    let mut known = own.into_iter().chain(ranges).chain(gateways).chain(routes);
    known.find(|(other, _)| subnet::overlap(*other, net))
}

/// RFC 3927: the control network.
fn link_local() -> Ipv4Net {
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(169, 254, 0, 0), 16)
}

fn mac(number: u64, device: u8) -> Result<MacAddr, CommandError> {
    let MacAddr([_, rest @ ..]) = tier::mac(number, device)?;
    let [a, b, c, d, e] = rest;
    // Locally administered, and no tier's: those begin with 06.
    Ok(MacAddr([0x0a, a, b, c, d, e]))
}

/// `deletePrivateGateway`: refused while static routes lead through it.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeletePrivateGateway) -> Result<Started, CommandError> {
    let gateway = tx.own::<PrivateGateway>("id", request.id)?;
    if let Some(route) = routes_through(tx, &gateway).next() {
        return Err(CommandError::InUse {
            what: format!("private gateway {}", gateway.id),
            by: format!(
                "static route {} to {} leads through it; delete it first",
                route.id, route.cidr
            ),
        });
    }
    tx.draft.delete(&gateway);
    let address = gateway.address.addr();
    // Until the job ends the router may still answer for the address.
    let claim = key::private_gateway_claim(gateway.physical_network, gateway.vlan, address);
    tx.draft.release_with_job(claim);
    let realm = Realm::Vpc(gateway.vpc);
    let generation = tx.draft.touch(tx.view, realm);
    let text = format!("deleted private gateway {}", gateway.address);
    tx.event::<PrivateGateway>("PRIVATE.GATEWAY.DELETE", gateway.account, gateway.id.0, text);
    Ok(tx.applied::<PrivateGateway>("deletePrivateGateway", gateway.id.0, realm, generation))
}

/// The static routes that name the gateway, or whose next hop is in its subnet.
fn routes_through<'v>(
    tx: &Tx<'v>,
    gateway: &PrivateGateway,
) -> impl Iterator<Item = &'v Stored<outgate_model::object::StaticRoute>> + use<'v> {
    let (id, net) = (gateway.id, gateway.address);
    let routes = tx.view.routes_of_vpc(gateway.vpc);
    routes.filter(move |route| route.gateway == Some(id) || net.contains(&route.next_hop))
}
