// SPDX-License-Identifier: Apache-2.0
//! VPCs: to create, change, restart and delete.

pub(crate) mod acl;
pub(crate) mod acl_item;
mod acl_match;
mod gateway;
mod methods;
mod migrate;
mod migrate_rules;
mod offering;
pub(crate) mod route;
pub(crate) mod tier;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use outgate_model::Realm;
use outgate_model::id::VpcId;
use outgate_model::job::Goal;
use outgate_model::object::{Network, NetworkPhase, Power, PublicIp, Router, Vpc, VpcPhase, Zone};

use super::address::{self, SourceNat, Wanted};
use super::request::{AssociateIpToVpc, CreateVpc, DeleteVpc, RestartVpc, Started, UpdateVpc};
use super::tx::Tx;
use super::{checks, implement, infra, source_nat, subnet, tenancy};
use crate::CommandError;
use crate::mirror::Stored;

/// The longest prefix of a VPC's CIDR: two tiers of the smallest size.
const PREFIX_MAX: u8 = 29;

/// `createVPC`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreateVpc) -> Result<Started, CommandError> {
    checks::name("name", &request.name)?;
    let display_text = request.display_text.as_ref().unwrap_or(&request.name);
    checks::name("displaytext", display_text)?;
    let zone = infra::zone_for(tx, request.zone, true)?;
    let account = tx.owner(request.owner)?;
    let offering = offering::for_new(tx, request.offering, zone.id, account.domain)?;
    let domain = tenancy::domain_of_network(tx, request.domain.as_deref(), &account, &zone)?;
    check_cidr(tx, &zone, request.cidr)?;
    request.public_mtu.map_or(Ok(()), |mtu| {
        checks::mtu("publicmtu", mtu, zone.public_mtu, "the zone's public MTU")
    })?;
    let vpc = Vpc {
        id: VpcId::new(),
        name: request.name.clone(),
        display_text: display_text.clone(),
        zone: zone.id,
        offering,
        account: account.id,
        cidr: request.cidr,
        domain,
        dns: request.dns.clone(),
        public_mtu: request.public_mtu,
        phase: if request.start {
            VpcPhase::Enabled
        } else {
            VpcPhase::Inactive
        },
        generation: 1,
        created: Timestamp::now(),
    };
    tx.draft.create(&vpc);
    let text = format!("created VPC {} with {}", vpc.name, vpc.cidr);
    tx.event::<Vpc>("VPC.CREATE", vpc.account, vpc.id.0, text);
    if request.start || request.source_nat_address.is_some() {
        let wanted = Wanted {
            account: account.id,
            realm: Some(Realm::Vpc(vpc.id)),
            address: request.source_nat_address.map(|a| ("sourcenatipaddress", a)),
            source_nat: SourceNat::Default,
        };
        address::acquire(tx, &zone, wanted)?;
    }
    if request.start {
        implement::running_router(tx, &crate::realm::Standing::of_vpc(&vpc), None)?;
    }
    Ok(tx
        .applied::<Vpc>("createVPC", vpc.id.0, Realm::Vpc(vpc.id), 1)
        .made(vpc.id.0))
}

fn check_cidr(tx: &Tx<'_>, zone: &Zone, cidr: Ipv4Net) -> Result<(), CommandError> {
    let refused = |expected: String| Err(CommandError::invalid("cidr", cidr, expected));
    if cidr.trunc() != cidr {
        return refused(format!("a CIDR without host bits: {}", cidr.trunc()));
    }
    if !(8..=PREFIX_MAX).contains(&cidr.prefix_len()) {
        return refused(format!("a CIDR from /8 to /{PREFIX_MAX}"));
    }
    if !subnet::is_private(cidr) {
        return refused(subnet::PRIVATE_TEXT.to_owned());
    }
    let ranges = address::ranges_of(tx, zone);
    match ranges.iter().find(|range| subnet::overlap(range.gateway, cidr)) {
        Some(range) => refused(format!(
            "a CIDR apart from the public range {} of the zone",
            range.gateway.trunc()
        )),
        None => Ok(()),
    }
}

/// `updateVPC`.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateVpc) -> Result<Started, CommandError> {
    let vpc = tx.own::<Vpc>("id", request.id)?;
    let mut next = Vpc::clone(&vpc);
    if let Some(name) = &request.name {
        checks::name("name", name)?;
        next.name.clone_from(name);
    }
    if let Some(text) = &request.display_text {
        checks::name("displaytext", text)?;
        next.display_text.clone_from(text);
    }
    if let Some(mtu) = request.public_mtu {
        let zone = tx.known::<Zone>(vpc.zone)?;
        checks::mtu("publicmtu", mtu, zone.public_mtu, "the zone's public MTU")?;
        next.public_mtu = Some(mtu);
        fit_tiers(tx, &vpc, mtu);
    }
    let realm = Realm::Vpc(vpc.id);
    if let Some(address) = request.source_nat_address {
        source_nat::change(tx, realm, address)?;
    }
    let generation = tx.draft.touch(tx.view, realm);
    if next != *vpc.object {
        tx.draft.update(&vpc, next);
    }
    let text = format!("updated VPC {}", vpc.name);
    tx.event::<Vpc>("VPC.UPDATE", vpc.account, vpc.id.0, text);
    Ok(tx.applied::<Vpc>("updateVPC", vpc.id.0, realm, generation))
}

/// No tier's MTU may be above the public side's.
fn fit_tiers(tx: &mut Tx<'_>, vpc: &Vpc, mtu: u32) {
    let too_large: Vec<_> = tx
        .view
        .tiers_of_vpc(vpc.id)
        .filter(|tier| tier.mtu > mtu)
        .cloned()
        .collect();
    for tier in too_large {
        let next = Network {
            mtu,
            ..Network::clone(&tier)
        };
        tx.draft.update(&tier, next);
    }
}

/// `restartVPC`: everything is applied anew; with `cleanup` by a fresh router.
pub(crate) fn restart(tx: &mut Tx<'_>, request: RestartVpc) -> Result<Started, CommandError> {
    let vpc = tx.own::<Vpc>("id", request.id)?;
    let realm = Realm::Vpc(vpc.id);
    let before = tx.view.router_of(realm).cloned();
    let generation = implement::realm_on(tx, realm, None)?;
    let how = if request.cleanup {
        " with a fresh router"
    } else {
        ""
    };
    let text = format!("restarting VPC {}{how}", vpc.name);
    tx.event::<Vpc>("VPC.RESTART", vpc.account, vpc.id.0, text);
    match before.filter(|router| request.cleanup && router.power != Power::Gone) {
        Some(router) => {
            let boot = router.boot + 1;
            let next = Router {
                power: Power::On,
                boot,
                ..Router::clone(&router)
            };
            tx.draft.update(&router, next);
            let goal = Goal::RouterSettled {
                router: router.id,
                boot,
            };
            Ok(Started {
                job: tx.job::<Vpc>("restartVPC", vpc.id.0, goal),
                id: None,
            })
        }
        None => Ok(tx.applied::<Vpc>("restartVPC", vpc.id.0, realm, generation)),
    }
}

/// `deleteVPC`: its router goes, then its addresses, gateways, routes and ACL lists, then the VPC. Its addresses stay
/// claimed until the router is gone, so that none is ever held by two routers.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteVpc) -> Result<Started, CommandError> {
    let vpc = tx.own::<Vpc>("id", request.id)?;
    let tiers: Vec<_> = tx
        .view
        .tiers_of_vpc(vpc.id)
        .filter(|tier| tier.phase != NetworkPhase::Destroyed)
        .map(|tier| format!("{} ({})", tier.name, tier.id))
        .collect();
    if let Some(first) = tiers.first() {
        return Err(CommandError::InUse {
            what: format!("VPC {}", vpc.id),
            by: format!("it has {} tiers, such as {first}; delete them first", tiers.len()),
        });
    }
    let realm = Realm::Vpc(vpc.id);
    tx.draft.touch(tx.view, realm);
    let next = Vpc {
        phase: VpcPhase::Destroyed,
        ..Vpc::clone(&vpc)
    };
    tx.draft.update(&vpc, next);
    if let Some(router) = tx.view.router_of(realm).cloned() {
        let next = Router {
            power: Power::Gone,
            ..Router::clone(&router)
        };
        tx.draft.update(&router, next);
    }
    let text = format!("deleting VPC {}", vpc.name);
    tx.event::<Vpc>("VPC.DELETE", vpc.account, vpc.id.0, text);
    let goal = Goal::VpcGone { vpc: vpc.id };
    Ok(Started {
        job: tx.job::<Vpc>("deleteVPC", vpc.id.0, goal),
        id: None,
    })
}

/// `associateIpAddress` with `vpcid`. The first address of a VPC without one becomes its source NAT address.
pub(crate) fn associate(tx: &mut Tx<'_>, request: AssociateIpToVpc) -> Result<Started, CommandError> {
    let vpc = tx.own::<Vpc>("vpcid", request.vpc)?;
    let zone = tx.known::<Zone>(vpc.zone)?;
    let realm = Realm::Vpc(vpc.id);
    let wanted = Wanted {
        account: vpc.account,
        realm: Some(realm),
        address: request.address.map(|address| ("ipaddress", address)),
        source_nat: SourceNat::unless_there(tx, realm),
    };
    let ip = address::acquire(tx, &zone, wanted)?;
    let generation = tx.draft.touch(tx.view, realm);
    Ok(tx
        .applied::<PublicIp>("associateIpAddress", ip.id.0, realm, generation)
        .made(ip.id.0))
}

/// Whether the caller may see a VPC.
fn may_see(tx: &Tx<'_>, id: VpcId) -> bool {
    let vpc = tx.view.get::<Vpc>(id);
    vpc.is_some_and(|vpc| tx.caller.may(tx.view, vpc.account))
}

/// A VPC of the caller's that parameter `field` names; a transaction that changes something of it raises its
/// generation.
fn owned(tx: &mut Tx<'_>, field: &str, id: VpcId) -> Result<Stored<Vpc>, CommandError> {
    tx.own::<Vpc>(field, id)
}
