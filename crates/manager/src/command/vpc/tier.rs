// SPDX-License-Identifier: Apache-2.0
//! Tiers of VPCs: what differs from isolated networks.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_model::id::{NetworkAclListId, NetworkId, NetworkOfferingId, VpcId};
use outgate_model::key::Object as _;
use outgate_model::object::{
    Network, NetworkAclList, NetworkOffering, NetworkPhase, NetworkSettings, PublicIp, Service, StaticRoute,
    Tier, Vpc, VpcOffering, Zone,
};
use outgate_model::{MacAddr, Realm};

use outgate_model::object::LoadBalancerRule;

use crate::CommandError;
use crate::command::request::{CreateNetwork, CreateTier};
use crate::command::tx::Tx;
use crate::command::{checks, forwarding, subnet};
use crate::mirror::Stored;

/// The counter that numbers networks.
const NUMBERS: &str = "network";
/// The first interface of a VPC's router that is a tier's or a private gateway's.
const FIRST_DEVICE: u8 = 2;
/// The size of a tier that names none.
const PREFIX: u8 = 24;
/// The longest prefix of a tier: a router and one guest.
const PREFIX_MAX: u8 = 30;

/// `createNetwork` with `vpcid`. The VPC's router gets an interface for it, nothing else of the VPC changes.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateTier) -> Result<NetworkId, CommandError> {
    let CreateTier { network, vpc, acl } = request;
    checks::name("name", &network.name)?;
    let display_text = network.display_text.as_ref().unwrap_or(&network.name);
    checks::name("displaytext", display_text)?;
    let vpc = tx.own::<Vpc>("vpcid", *vpc)?;
    let zone = tx.known::<Zone>(vpc.zone)?;
    if network.zone != vpc.zone {
        let expected = format!("the VPC's zone {}", vpc.zone);
        return Err(CommandError::invalid("zoneid", network.zone, expected));
    }
    if let Some(owner) = network.owner.filter(|owner| *owner != vpc.account) {
        let expected = format!("the VPC's owner, account {}", vpc.account);
        return Err(CommandError::invalid("account", owner, expected));
    }
    if let Some(address) = network.source_nat_address {
        let expected =
            "nothing: all tiers leave through the VPC's source NAT address (updateVPC sourcenatipaddress)";
        return Err(CommandError::invalid("sourcenatipaddress", address, expected));
    }
    let offering = offering(tx, network.offering, &vpc)?;
    let domain = network.domain.as_ref().unwrap_or(&vpc.domain);
    checks::domain("networkdomain", domain)?;
    let acl = acl.unwrap_or(NetworkAclList::DEFAULT_DENY);
    usable_acl(tx, "aclid", acl, vpc.id)?;
    let number = tx.draft.number(NUMBERS);
    let gateway = choose(tx, &vpc, network)?;
    let (mtu, settings) = settings(network, &vpc, &zone, gateway)?;
    let tier = Network {
        id: NetworkId::new(),
        number,
        name: network.name.clone(),
        display_text: display_text.clone(),
        zone: zone.id,
        offering: offering.id,
        account: vpc.account,
        gateway,
        domain: domain.clone(),
        mtu,
        phase: NetworkPhase::Implemented,
        generation: 1,
        tier: Some(part(tx, vpc.id, acl, number)?),
        settings,
        created: Timestamp::now(),
    };
    tx.draft.create(&tier);
    tx.touch(&tier);
    let text = format!(
        "created tier {} with {} in VPC {}",
        tier.name,
        tier.cidr(),
        vpc.name
    );
    tx.event::<Network>("NETWORK.CREATE", tier.account, tier.id.0, text);
    Ok(tier.id)
}

/// What network `number` has as a new tier.
pub(super) fn part(
    tx: &Tx<'_>,
    vpc: VpcId,
    acl: NetworkAclListId,
    number: u64,
) -> Result<Tier, CommandError> {
    let device = free_device(tx, vpc)?;
    Ok(Tier {
        vpc,
        acl,
        device,
        mac: mac(number, device)?,
        moved_from: None,
    })
}

/// A new tier's guest MTU and what else may be chosen of it.
fn settings(
    request: &CreateNetwork,
    vpc: &Vpc,
    zone: &Zone,
    gateway: Ipv4Net,
) -> Result<(u32, NetworkSettings), CommandError> {
    checks::not_of_tiers(vpc.id, None, &request.settings)?;
    if let Some(vlan) = request.vlan {
        let expected = "nothing: tiers get their VLAN from Outgate";
        return Err(CommandError::invalid("vlan", vlan, expected));
    }
    let public = vpc.public_mtu.unwrap_or(zone.public_mtu);
    let mtu = request.settings.private_mtu.unwrap_or(public);
    checks::mtu("privatemtu", mtu, public, "the VPC's public MTU")?;
    let settings = NetworkSettings {
        guests: subnet::guest_part(subnet::WantedSubnet::of(request), gateway)?,
        hidden: request.settings.display == Some(false),
        subdomain_access: request.subdomain_access,
        ..NetworkSettings::default()
    };
    Ok((mtu, settings))
}

/// An offering for tiers, with no service that the VPC lacks.
pub(crate) fn offering(
    tx: &mut Tx<'_>,
    id: NetworkOfferingId,
    vpc: &Vpc,
) -> Result<Stored<NetworkOffering>, CommandError> {
    const FIELD: &str = "networkofferingid";
    let account = tx.known::<outgate_model::object::Account>(vpc.account)?;
    let offering = tx.offering_for(id, vpc.zone, account.domain)?;
    if !offering.for_vpc {
        let expected = format!(
            "an offering for tiers of VPCs (forvpc); {} is for isolated networks",
            offering.name
        );
        return Err(CommandError::invalid(FIELD, id, expected));
    }
    let of_vpc = tx.known::<VpcOffering>(vpc.offering)?;
    // User data and remote access may be listed, without a command behind them.
    let listed = [Service::UserData, Service::Vpn];
    let more = offering
        .services
        .iter()
        .find(|service| !of_vpc.services.contains(service) && !listed.contains(service));
    match more {
        Some(service) => {
            let expected = format!(
                "an offering with the services of the VPC's offering {}, which lacks {}",
                of_vpc.name,
                service.name()
            );
            Err(CommandError::invalid(FIELD, id, expected))
        }
        None => Ok(offering),
    }
}

/// A built-in ACL list, or one of the VPC. The transaction depends on it.
pub(super) fn usable_acl(
    tx: &mut Tx<'_>,
    field: &str,
    id: NetworkAclListId,
    vpc: VpcId,
) -> Result<Stored<NetworkAclList>, CommandError> {
    let list = tx.provided::<NetworkAclList>(field, id)?;
    match list.vpc.filter(|of| *of != vpc) {
        // Whose it is must not leak.
        Some(of) if !super::may_see(tx, of) => Err(CommandError::not_found(field, id)),
        Some(of) => {
            let expected = format!("an ACL list of VPC {vpc}, or a built-in one; this is VPC {of}'s");
            Err(CommandError::invalid(field, id, expected))
        }
        None => Ok(list),
    }
}

/// The lowest N of `ethN` that no tier and no private gateway of the VPC has.
pub(super) fn free_device(tx: &Tx<'_>, vpc: VpcId) -> Result<u8, CommandError> {
    let tiers = tx.view.tiers_of_vpc(vpc).filter_map(|n| n.tier.as_ref());
    let gateways = tx.view.gateways_of_vpc(vpc).map(|gateway| gateway.device);
    let used: BTreeSet<u8> = tiers.map(|tier| tier.device).chain(gateways).collect();
    (FIRST_DEVICE..=u8::MAX)
        .find(|device| !used.contains(device))
        .ok_or_else(|| CommandError::Capacity {
            what: format!(
                "no free interface on the router of VPC {vpc}: it has 254 tiers and private gateways"
            ),
        })
}

/// The Ethernet address of the router on a network: locally administered, unique by construction beside those of
/// routers and guests.
pub(super) fn mac(number: u64, device: u8) -> Result<MacAddr, CommandError> {
    let wrong = |_| CommandError::Internal(format!("no Ethernet address is left for network {number}"));
    let [a, b, c, d] = u32::try_from(number).map_err(wrong)?.to_be_bytes();
    Ok(MacAddr([0x06, device, a, b, c, d]))
}

/// The router's address in a new tier: what was asked for, or the first free subnet of the VPC.
fn choose(tx: &Tx<'_>, vpc: &Vpc, request: &CreateNetwork) -> Result<Ipv4Net, CommandError> {
    let tiers: Vec<Ipv4Net> = tx.view.tiers_of_vpc(vpc.id).map(|tier| tier.cidr()).collect();
    let gateway = match (request.gateway, request.netmask) {
        (Some(gateway), Some(netmask)) => {
            let net = Ipv4Net::with_netmask(gateway, netmask).ok();
            let net = net.filter(|net| net.prefix_len() <= PREFIX_MAX).ok_or_else(|| {
                CommandError::invalid("netmask", netmask, "a netmask no longer than 255.255.255.252")
            })?;
            fits(vpc, &tiers, net, "gateway")?;
            net
        }
        (Some(_), None) => return Err(CommandError::missing("netmask")),
        (None, Some(_)) => return Err(CommandError::missing("gateway")),
        (None, None) => next_free(vpc, &tiers)?,
    };
    subnet::check_limits(subnet::WantedSubnet::of(request), gateway)?;
    Ok(gateway)
}

/// Whether a subnet can be a tier: in the VPC's CIDR, apart from the other tiers, the router's address a host's.
pub(super) fn fits(vpc: &Vpc, tiers: &[Ipv4Net], net: Ipv4Net, field: &str) -> Result<(), CommandError> {
    let refused = |expected: String| Err(CommandError::invalid(field, net, expected));
    if !vpc.cidr.contains(&net.trunc()) {
        return refused(format!("a network inside the VPC's CIDR {}", vpc.cidr));
    }
    if net.addr() == net.network() || net.addr() == net.broadcast() {
        return refused(format!(
            "an address of {} other than its first and its last",
            net.trunc()
        ));
    }
    match tiers.iter().find(|other| subnet::overlap(**other, net)) {
        Some(other) => refused(format!(
            "a network apart from the VPC's other tiers, such as {other}"
        )),
        None => Ok(()),
    }
}

fn next_free(vpc: &Vpc, tiers: &[Ipv4Net]) -> Result<Ipv4Net, CommandError> {
    let prefix = PREFIX.max(vpc.cidr.prefix_len());
    let mut subnets = vpc.cidr.subnets(prefix).into_iter().flatten();
    let free = subnets.find(|net| !tiers.iter().any(|other| subnet::overlap(*other, *net)));
    free.map(subnet::with_first_host)
        .ok_or_else(|| CommandError::Capacity {
            what: format!("no free /{prefix} in the VPC's CIDR {}", vpc.cidr),
        })
}

/// Refuses to delete a tier that a static route leads through.
pub(crate) fn unrouted(tx: &Tx<'_>, network: &Network, vpc: VpcId) -> Result<(), CommandError> {
    let cidr = network.cidr();
    let mut routes = tx.view.routes_of_vpc(vpc);
    match routes.find(|route| route.gateway.is_none() && cidr.contains(&route.next_hop)) {
        Some(route) => Err(CommandError::InUse {
            what: format!("tier {}", network.id),
            by: format!(
                "{} {} to {} has its next hop {} there; delete it first",
                StaticRoute::NAME,
                route.id,
                route.cidr,
                route.next_hop
            ),
        }),
        None => Ok(()),
    }
}

/// Takes a tier's rules away; its public addresses stay the VPC's, free for another tier.
pub(crate) fn clear(tx: &mut Tx<'_>, network: &Network) {
    let balancers: Vec<_> = tx.view.balancers_of_network(network.id).cloned().collect();
    balancers.iter().for_each(|rule| tx.draft.delete(rule));
    let forwards: Vec<_> = tx.view.forwards_of_network(network.id).cloned().collect();
    for rule in forwards {
        if tx
            .draft
            .staged::<outgate_model::object::PortForwardingRule>(rule.id)
            .is_none()
        {
            forwarding::remove(tx, &rule);
        }
    }
    let ips: Vec<_> = tx.view.public_ips_of_network(network.id).cloned().collect();
    for ip in ips {
        let next = PublicIp {
            network: None,
            static_nat: None,
            ..PublicIp::clone(&ip)
        };
        tx.draft.update(&ip, next);
    }
}

/// Frees a VPC's address for another tier when the last rule that tied it to one goes in this transaction.
pub(crate) fn untie(tx: &mut Tx<'_>, id: outgate_model::id::PublicIpId) {
    let Some(stored) = tx.view.get::<PublicIp>(id).cloned() else {
        return;
    };
    let now = match tx.draft.staged::<PublicIp>(id) {
        None => PublicIp::clone(&stored),
        Some(Some(staged)) => PublicIp::clone(&staged),
        Some(None) => return,
    };
    let goes = |rule: &Stored<outgate_model::object::PortForwardingRule>| {
        let staged = tx
            .draft
            .staged::<outgate_model::object::PortForwardingRule>(rule.id);
        staged.is_some_and(|staged| staged.is_none())
    };
    let balancer_goes = |rule: &Stored<LoadBalancerRule>| {
        let staged = tx.draft.staged::<LoadBalancerRule>(rule.id);
        staged.is_some_and(|staged| staged.is_none())
    };
    let tied = now.static_nat.is_some()
        || !tx.view.forwards_of_ip(id).all(goes)
        || !tx.view.balancers_of_ip(id).all(balancer_goes);
    if now.vpc.is_some() && now.network.is_some() && !tied {
        tx.draft.update(&stored, PublicIp { network: None, ..now });
    }
}

/// Whether a network is a tier, with its VPC.
pub(crate) fn vpc_of(network: &Network) -> Option<VpcId> {
    match network.realm() {
        Realm::Network(_) => None,
        Realm::Vpc(id) => Some(id),
    }
}
