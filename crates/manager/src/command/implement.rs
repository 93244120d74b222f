// SPDX-License-Identifier: Apache-2.0
//! To give an isolated network or a VPC its router: a source NAT address, a router with its control address, and the phase.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use outgate_model::id::{HostId, NetworkId, RouterId, VpcId, ZoneId};
use outgate_model::object::{Guest, Host, Network, NetworkPhase, Power, Router, Vpc, VpcPhase, Zone};
use outgate_model::{MacAddr, Realm, key};

use super::address::{self, SourceNat, Wanted};
use super::infra;
use super::tx::Tx;
use crate::CommandError;
use crate::realm::{Phase, Standing};

/// The counter that numbers routers and guests, as CloudStack numbers all its VMs together.
pub(crate) const VM_NUMBERS: &str = "vm";

/// RFC 3927 keeps the first and the last 256 link-local addresses for later: 254 blocks of 256 are left.
pub(crate) const LINK_LOCAL_COUNT: u32 = 254 * 256;
const LINK_LOCAL_FIRST: u32 = Ipv4Addr::new(169, 254, 1, 0).to_bits();

/// Makes the network be implemented with a running router, and returns the generation that brings it.
pub(crate) fn network(tx: &mut Tx<'_>, network: &Network) -> Result<u64, CommandError> {
    realm_on(tx, network.realm(), None)
}

/// The same with the router on `host`, where a guest is: a network's bridge is on one host.
pub(crate) fn network_on(
    tx: &mut Tx<'_>,
    network: &Network,
    host: Option<HostId>,
) -> Result<u64, CommandError> {
    realm_on(tx, network.realm(), host)
}

/// Makes the isolated network or the VPC have a source NAT address and a running router, and returns the generation
/// that brings it.
pub(crate) fn realm_on(tx: &mut Tx<'_>, realm: Realm, host: Option<HostId>) -> Result<u64, CommandError> {
    if address::source_nat_of(tx, realm).is_none() {
        let standing = standing(tx, realm)?;
        let zone = tx.known::<Zone>(standing.zone)?;
        let wanted = Wanted {
            account: standing.account,
            realm: Some(realm),
            address: None,
            source_nat: SourceNat::Default,
        };
        address::acquire(tx, &zone, wanted)?;
    }
    with_source_nat(tx, realm, host)
}

/// The same for a realm that has its source NAT address, or gets it in this transaction.
pub(crate) fn with_source_nat(
    tx: &mut Tx<'_>,
    realm: Realm,
    host: Option<HostId>,
) -> Result<u64, CommandError> {
    let generation = tx.draft.touch(tx.view, realm);
    let standing = standing(tx, realm)?;
    if standing.phase == Phase::Idle {
        match realm {
            Realm::Network(id) => network_alive(tx, id)?,
            Realm::Vpc(id) => vpc_alive(tx, id)?,
        }
    }
    running_router(tx, &standing, host)?;
    Ok(generation)
}

fn standing(tx: &Tx<'_>, realm: Realm) -> Result<Standing, CommandError> {
    let missing = || CommandError::Internal(format!("{realm} is missing"));
    tx.view.standing(realm).ok_or_else(missing)
}

fn network_alive(tx: &mut Tx<'_>, id: NetworkId) -> Result<(), CommandError> {
    let network = tx.known::<Network>(id)?;
    let next = Network {
        phase: NetworkPhase::Implemented,
        ..Network::clone(&network)
    };
    tx.draft.update(&network, next);
    let text = format!("network {} is being implemented", network.name);
    tx.event::<Network>("NETWORK.IMPLEMENT", network.account, id.0, text);
    Ok(())
}

fn vpc_alive(tx: &mut Tx<'_>, id: VpcId) -> Result<(), CommandError> {
    let vpc = tx.known::<Vpc>(id)?;
    let next = Vpc {
        phase: VpcPhase::Enabled,
        ..Vpc::clone(&vpc)
    };
    tx.draft.update(&vpc, next);
    let text = format!("VPC {} is being started", vpc.name);
    tx.event::<Vpc>("VPC.START", vpc.account, id.0, text);
    Ok(())
}

/// Makes the realm have a router that is meant to run. One that was on its way out comes back fresh.
pub(crate) fn running_router(
    tx: &mut Tx<'_>,
    standing: &Standing,
    host: Option<HostId>,
) -> Result<(), CommandError> {
    let Some(router) = tx.view.router_of(standing.realm).cloned() else {
        let host = host.map_or_else(|| place(tx, standing.zone), Ok)?;
        return new_router(tx, standing, host);
    };
    tx.draft.read(&router);
    if let Some(host) = host.filter(|host| *host != router.host) {
        let what = format!(
            "{} is on host {}, the guest on host {host}",
            standing.realm, router.host
        );
        return Err(CommandError::Unavailable { what });
    }
    let boot = match router.power {
        Power::On => return Ok(()),
        Power::Off => router.boot,
        Power::Gone => router.boot + 1,
    };
    infra::host::starts(tx, router.host)?;
    let text = format!("starting router {}", router.name);
    tx.event::<Router>("ROUTER.START", router.account, router.id.0, text);
    tx.draft.update(
        &router,
        Router {
            power: Power::On,
            boot,
            ..Router::clone(&router)
        },
    );
    Ok(())
}

fn new_router(tx: &mut Tx<'_>, standing: &Standing, host: HostId) -> Result<(), CommandError> {
    infra::host::takes_new(tx, host)?;
    let number = tx.draft.number(VM_NUMBERS);
    let router = Router {
        id: RouterId::new(),
        number,
        name: format!("r-{number}-VM"),
        realm: standing.realm,
        zone: standing.zone,
        account: standing.account,
        host,
        power: Power::On,
        boot: 1,
        service_offering: None,
        link_local: claim_link_local(tx, number)?,
        macs: [mac(number, 0)?, mac(number, 1)?, mac(number, 2)?],
        created: Timestamp::now(),
    };
    tx.draft.create(&router);
    let text = format!(
        "creating router {} for {} ({})",
        router.name, standing.name, standing.realm
    );
    tx.event::<Router>("ROUTER.CREATE", router.account, router.id.0, text);
    Ok(())
}

/// A free link-local address. Numbers rise, so the first try nearly always succeeds.
fn claim_link_local(tx: &mut Tx<'_>, number: u64) -> Result<Ipv4Addr, CommandError> {
    let count = u64::from(LINK_LOCAL_COUNT);
    for step in 0..count {
        let offset = u32::try_from((number + step) % count).unwrap_or(0);
        let address = Ipv4Addr::from_bits(LINK_LOCAL_FIRST + offset);
        let key = key::link_local_claim(address);
        if tx.view.claimed(&key).is_none() {
            tx.draft.claim(key);
            return Ok(address);
        }
    }
    Err(CommandError::Capacity {
        what: "no free link-local address in 169.254.0.0/16".to_owned(),
    })
}

/// The Ethernet address of NIC `nic` of the router or guest `number`: locally administered, unique by construction.
pub(crate) fn mac(number: u64, nic: usize) -> Result<MacAddr, CommandError> {
    let wrong = || {
        CommandError::Internal(format!(
            "no Ethernet address is left for NIC {nic} of VM {number}"
        ))
    };
    let nic = u8::try_from(nic).map_err(|_| wrong())?;
    let [a, b, c, d] = u32::try_from(number).map_err(|_| wrong())?.to_be_bytes();
    Ok(MacAddr([0x02, nic, a, b, c, d]))
}

/// The host of the zone with the fewest routers and guests, of those that take something new.
pub(crate) fn place(tx: &Tx<'_>, zone: ZoneId) -> Result<HostId, CommandError> {
    let of_zone = || tx.view.all::<Host>().filter(|host| host.zone == zone);
    let open = of_zone().filter(|host| infra::host::closed(tx.view, host).is_none());
    let hosts: Vec<_> = open.map(|host| host.id).collect();
    let chosen = match hosts.as_slice() {
        [only] => Some(*only),
        several => several
            .iter()
            .copied()
            .min_by_key(|host| (load(tx, *host), *host)),
    };
    chosen.ok_or_else(|| {
        let closed: Vec<_> = of_zone()
            .filter_map(|host| infra::host::closed(tx.view, host))
            .collect();
        let why = if closed.is_empty() {
            String::new()
        } else {
            format!(" that takes something new: {}", closed.join("; "))
        };
        CommandError::Capacity {
            what: format!("zone {zone} has no host{why}"),
        }
    })
}

fn load(tx: &Tx<'_>, host: HostId) -> usize {
    let routers = tx
        .view
        .all::<Router>()
        .filter(|router| router.host == host)
        .count();
    routers + tx.view.all::<Guest>().filter(|guest| guest.host == host).count()
}
