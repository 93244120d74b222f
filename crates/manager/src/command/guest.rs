// SPDX-License-Identifier: Apache-2.0
//! Guests: to deploy, start, stop, reboot and destroy.

use jiff::Timestamp;
use outgate_model::id::{AccountId, GuestId, HostId, ZoneId};
use outgate_model::job::Goal;
use outgate_model::key;
use outgate_model::object::{Account, Guest, GuestObserved, Network, Nic, Power, PublicIp, Zone};

use super::request::{DeployGuest, DestroyGuest, RebootGuest, StartGuest, Started, StopGuest, WantedNic};
use super::tx::{Owned, Tx};
use super::{balancing, checks, forwarding, guest_life, implement, infra, ip_forwarding, nic, provided};
use crate::CommandError;
use crate::mirror::Stored;

/// `deployVirtualMachine`.
pub(crate) fn deploy(tx: &mut Tx<'_>, request: &DeployGuest) -> Result<Started, CommandError> {
    let zone = tx.provided::<Zone>("zoneid", request.zone)?;
    infra::open(tx, &zone)?;
    let offering = guest_life::size(tx, request.service_offering)?;
    let template = provided::usable_template(tx, "templateid", request.template)?;
    if template.registered.as_ref().is_some_and(|r| r.removed) {
        return Err(CommandError::not_found("templateid", template.id));
    }
    if template.zone != zone.id {
        return Err(CommandError::invalid(
            "templateid",
            template.id,
            format!("a template of zone {}", zone.id),
        ));
    }
    let owner = owner(tx, request)?;
    let id = GuestId::new();
    let name = request.name.clone().unwrap_or_else(|| format!("VM-{id}"));
    checks::hostname("name", &name)?;
    let display_name = request.display_name.clone().unwrap_or_else(|| name.clone());
    checks::name("displayname", &display_name)?;
    let networks = networks(tx, request, &zone, owner.id)?;
    for (network, _) in &networks {
        unused_name(tx, network, &name, None)?;
    }
    nic::room(&[], networks.len())?;
    let number = tx.draft.number(implement::VM_NUMBERS);
    let nics = nics(tx, &networks, number)?;
    let host = plug(tx, &networks, request.start)?;
    infra::host::takes_new(tx, host)?;
    let guest = Guest {
        id,
        number,
        instance_name: format!("i-{}-{number}-VM", owner.number),
        name,
        display_name,
        zone: zone.id,
        account: owner.id,
        service_offering: offering.id,
        template: template.id,
        host,
        power: if request.start { Power::On } else { Power::Off },
        nics,
        generation: 1,
        destroyed: None,
        created: Timestamp::now(),
    };
    tx.draft.create(&guest);
    tx.event::<Guest>(
        "VM.CREATE",
        guest.account,
        id.0,
        format!("deploying guest {}", guest.name),
    );
    Ok(settled(tx, "deployVirtualMachine", id, 1).made(id.0))
}

type Plugged = (Stored<Network>, WantedNic);

/// The networks that a new guest is plugged into, each with the NIC that was asked for.
fn networks(
    tx: &mut Tx<'_>,
    request: &DeployGuest,
    zone: &Zone,
    owner: AccountId,
) -> Result<Vec<Plugged>, CommandError> {
    let wanted = if request.nics.is_empty() {
        vec![only_network(tx, zone, owner)?]
    } else {
        request.nics.clone()
    };
    let mut found: Vec<Plugged> = Vec::with_capacity(wanted.len());
    for nic in wanted {
        let network = tx.own::<Network>("networkids", nic.network)?;
        fits(&network, owner, zone.id, "networkids")?;
        if found.iter().any(|(other, _)| other.id == network.id) {
            return Err(CommandError::invalid(
                "networkids",
                network.id,
                "each network once",
            ));
        }
        found.push((network, nic));
    }
    Ok(found)
}

/// Whether a network is one for a guest of this owner in this zone.
pub(crate) fn fits(
    network: &Network,
    owner: AccountId,
    zone: ZoneId,
    field: &str,
) -> Result<(), CommandError> {
    if network.account != owner {
        return Err(CommandError::permission("Network", network.id));
    }
    if network.zone != zone {
        let expected = format!("a network of zone {zone}");
        return Err(CommandError::invalid(field, network.id, expected));
    }
    Ok(())
}

fn only_network(tx: &Tx<'_>, zone: &Zone, owner: AccountId) -> Result<WantedNic, CommandError> {
    let of_zone = tx
        .view
        .networks_of_account(owner)
        .filter(|network| network.zone == zone.id && !network.leaving());
    let mut networks = of_zone.map(|network| network.id);
    match (networks.next(), networks.next()) {
        (Some(network), None) => Ok(WantedNic::on(network)),
        (None, _) => Err(CommandError::missing("networkids")),
        (Some(_), Some(_)) => Err(CommandError::invalid(
            "networkids",
            "",
            "one of the account's networks: it has several",
        )),
    }
}

/// Two guests of a network never share a host name: DNS could not tell them apart. A destroyed one has given it up.
pub(crate) fn unused_name(
    tx: &Tx<'_>,
    network: &Network,
    name: &str,
    own: Option<GuestId>,
) -> Result<(), CommandError> {
    let mut others = tx
        .view
        .guests_of_network(network.id)
        .filter(|guest| !guest.leaving() && guest.destroyed.is_none() && Some(guest.id) != own);
    match others.find(|guest| guest.name.eq_ignore_ascii_case(name)) {
        Some(other) => {
            let expected = format!(
                "a name that no guest of network {} has; {} has it",
                network.id, other.id
            );
            Err(CommandError::invalid("name", name, expected))
        }
        None => Ok(()),
    }
}

fn nics(tx: &Tx<'_>, networks: &[Plugged], number: u64) -> Result<Vec<Nic>, CommandError> {
    let each = networks
        .iter()
        .zip(0..)
        .map(|((network, wanted), device)| nic::new(tx, network, wanted, (number, device)));
    each.collect()
}

/// Gets the networks ready for a guest and returns the host where all their routers are.
fn plug(tx: &mut Tx<'_>, networks: &[Plugged], start: bool) -> Result<HostId, CommandError> {
    let routed = networks
        .iter()
        .find_map(|(network, _)| tx.view.router_of_network(network.id).map(|r| r.host));
    let (Some((first, _)), routed) = (networks.first(), routed) else {
        return Err(CommandError::missing("networkids"));
    };
    let host = match routed {
        Some(host) => host,
        None => implement::place(tx, first.zone)?,
    };
    for (network, _) in networks {
        if start {
            implement::network_on(tx, network, Some(host))?;
        } else {
            tx.touch(network);
        }
    }
    Ok(host)
}

/// For whom a new guest is: an account that may have it run.
fn owner(tx: &mut Tx<'_>, request: &DeployGuest) -> Result<Stored<Account>, CommandError> {
    let owner = tx.owner(request.owner)?;
    if request.start {
        tx.may_run(&owner)?;
    }
    Ok(owner)
}

/// `startVirtualMachine`.
pub(crate) fn start(tx: &mut Tx<'_>, request: StartGuest) -> Result<Started, CommandError> {
    let guest = kept(tx, "id", request.id)?;
    infra::host::starts(tx, guest.host)?;
    let owner = tx.known::<Account>(guest.account)?;
    tx.may_run(&owner)?;
    for nic in &guest.nics {
        let network = tx.known::<Network>(nic.network)?;
        implement::network_on(tx, &network, Some(guest.host))?;
    }
    power(tx, &guest, Power::On, ("VM.START", "starting"));
    Ok(settled(tx, "startVirtualMachine", guest.id, guest.generation))
}

/// `stopVirtualMachine`.
pub(crate) fn stop(tx: &mut Tx<'_>, request: StopGuest) -> Result<Started, CommandError> {
    let guest = tx.own::<Guest>("id", request.id)?;
    power(tx, &guest, Power::Off, ("VM.STOP", "stopping"));
    Ok(settled(tx, "stopVirtualMachine", guest.id, guest.generation))
}

/// `rebootVirtualMachine`: the second half, after the host has switched the guest off.
pub(crate) fn reboot(tx: &mut Tx<'_>, request: RebootGuest) -> Result<Started, CommandError> {
    let guest = running(tx, request.id)?;
    let seen = GuestObserved {
        id: guest.id,
        running: false,
        generation: 0,
        error: None,
        at: Timestamp::now(),
    };
    tx.draft.put_raw(key::observed_guest(guest.id), &seen);
    // Written anew although nothing changes: the reconciler looks at guests that are written.
    tx.draft.update(&guest, Guest::clone(&guest));
    tx.event::<Guest>(
        "VM.REBOOT",
        guest.account,
        guest.id.0,
        format!("rebooting guest {}", guest.name),
    );
    Ok(settled(tx, "rebootVirtualMachine", guest.id, guest.generation))
}

/// A guest of the caller's that is neither destroyed nor on its way out.
pub(crate) fn kept(tx: &mut Tx<'_>, param: &str, id: GuestId) -> Result<Stored<Guest>, CommandError> {
    let guest = tx.own::<Guest>(param, id)?;
    if guest.destroyed.is_none() {
        return Ok(guest);
    }
    let expected = format!("a guest that is not destroyed: recoverVirtualMachine id={id} first");
    Err(CommandError::invalid(param, id, expected))
}

/// A guest of the caller's that is meant to run.
pub(crate) fn running(tx: &mut Tx<'_>, id: GuestId) -> Result<Stored<Guest>, CommandError> {
    let guest = tx.own::<Guest>("id", id)?;
    if guest.power == Power::On {
        return Ok(guest);
    }
    Err(CommandError::invalid("id", id, "a guest that is not stopped"))
}

/// `destroyVirtualMachine`.
pub(crate) fn destroy(tx: &mut Tx<'_>, request: DestroyGuest) -> Result<Started, CommandError> {
    let guest = tx.own::<Guest>("id", request.id)?;
    leave(tx, &guest)?;
    Ok(settled(tx, "destroyVirtualMachine", guest.id, guest.generation))
}

/// Puts a guest on its way out: static NAT and forwards to it go with it.
pub(crate) fn leave(tx: &mut Tx<'_>, guest: &Stored<Guest>) -> Result<(), CommandError> {
    let forwards: Vec<_> = tx.view.forwards_of_guest(guest.id).cloned().collect();
    for rule in &forwards {
        forwarding::remove(tx, rule);
    }
    balancing::forget(tx, guest.id, None);
    ip_forwarding::forget_guest(tx, guest.id);
    let owned: Vec<_> = tx.view.static_nat_of_guest(guest.id).cloned().collect();
    for ip in &owned {
        tx.draft.update(
            ip,
            PublicIp {
                static_nat: None,
                ..PublicIp::clone(ip)
            },
        );
        super::vpc::tier::untie(tx, ip.id);
    }
    for nic in &guest.nics {
        let network = tx.known::<Network>(nic.network)?;
        tx.touch(&network);
    }
    power(tx, guest, Power::Gone, ("VM.DESTROY", "destroying"));
    Ok(())
}

fn power(tx: &mut Tx<'_>, guest: &Stored<Guest>, power: Power, (event, doing): (&str, &str)) {
    if guest.power != power {
        tx.draft.update(
            guest,
            Guest {
                power,
                ..Guest::clone(guest)
            },
        );
    }
    tx.event::<Guest>(
        event,
        guest.account,
        guest.id.0,
        format!("{doing} guest {}", guest.name),
    );
}

/// Starts a job that is done once the guest is as wanted, with the NICs of this generation if it is to run.
pub(crate) fn settled(tx: &mut Tx<'_>, command: &str, guest: GuestId, generation: u64) -> Started {
    Started {
        job: tx.job::<Guest>(command, guest.0, Goal::GuestSettled { guest, generation }),
        id: None,
    }
}
