// SPDX-License-Identifier: Apache-2.0
//! Physical networks.

use outgate_model::id::{PhysicalNetworkId, ZoneId};
use outgate_model::job::Goal;
use outgate_model::object::{
    PhysicalNetwork, PrivateGateway, PublicIpRange, ServiceProvider, TrafficType, VlanRange, Zone,
};

use super::{alone, note, unused, unused_name, zone};
use crate::CommandError;
use crate::bootstrap;
use crate::command::request::{CreatePhysicalNetwork, DeletePhysicalNetwork, Started, UpdatePhysicalNetwork};
use crate::command::tx::Tx;
use crate::command::{checks, network};

/// The one isolation method that there is.
const ISOLATION: &str = "VLAN";
/// How many tags, and how many ranges of VLANs, a physical network may have.
const LIST_MAX: usize = 64;

/// `createPhysicalNetwork`. Its providers come with it, disabled, as in CloudStack.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreatePhysicalNetwork) -> Result<Started, CommandError> {
    alone(tx);
    let zone = tx.provided::<Zone>("zoneid", request.zone)?;
    named(tx, zone.id, &request.name)?;
    if let Some(method) = request
        .isolation
        .as_deref()
        .filter(|m| !m.eq_ignore_ascii_case(ISOLATION))
    {
        let expected = "VLAN, the one way that networks are kept apart";
        return Err(CommandError::invalid("isolationmethods", method, expected));
    }
    check_texts(request.speed.as_deref(), &request.tags)?;
    let physical = PhysicalNetwork {
        id: PhysicalNetworkId::new(),
        zone: zone.id,
        name: request.name.clone(),
        vlans: ordered(&request.vlans)?,
        // CloudStack's start disabled and are enabled by updatePhysicalNetwork.
        disabled: true,
        speed: request.speed.clone(),
        tags: request.tags.clone(),
        isolation: Some(ISOLATION.to_owned()),
    };
    tx.draft.create(&physical);
    bootstrap::infra::providers(physical.id, false, tx.draft);
    let text = format!("created physical network {}", physical.name);
    note::<PhysicalNetwork>(tx, "PHYSICAL.NETWORK.CREATE", physical.id.0, text);
    Ok(stored(tx, "createPhysicalNetwork", physical.id).made(physical.id.0))
}

/// `updatePhysicalNetwork`.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdatePhysicalNetwork) -> Result<Started, CommandError> {
    alone(tx);
    let physical = tx.provided::<PhysicalNetwork>("id", request.id)?;
    let mut next = PhysicalNetwork::clone(&physical);
    check_texts(
        request.speed.as_deref(),
        request.tags.as_deref().unwrap_or_default(),
    )?;
    if let Some(vlans) = &request.vlans {
        next.vlans = ordered(vlans)?;
    }
    if request.speed.is_some() {
        next.speed.clone_from(&request.speed);
    }
    if let Some(tags) = &request.tags {
        next.tags.clone_from(tags);
    }
    if let Some(enable) = request.enable {
        next.disabled = !enable;
    }
    let text = format!("updated physical network {}", next.name);
    tx.draft.update(&physical, next);
    note::<PhysicalNetwork>(tx, "PHYSICAL.NETWORK.UPDATE", physical.id.0, text);
    Ok(stored(tx, "updatePhysicalNetwork", physical.id))
}

/// `deletePhysicalNetwork`: its traffic types and providers go with it.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeletePhysicalNetwork) -> Result<Started, CommandError> {
    alone(tx);
    tx.draft.counted(network::NUMBERS);
    let physical = tx.provided::<PhysicalNetwork>("id", request.id)?;
    let what = format!("physical network {}", physical.name);
    let ranges = tx
        .view
        .all::<PublicIpRange>()
        .filter(|r| r.physical_network == physical.id);
    let ranges = ranges.map(|r| format!("{} ({})", super::range_text(r), r.id));
    unused(&what, "public IP ranges", ranges, "delete them first")?;
    let gateways = tx
        .view
        .all::<PrivateGateway>()
        .filter(|g| g.physical_network == physical.id);
    let gateways = gateways.map(|g| format!("{} ({})", g.address.addr(), g.id));
    unused(&what, "private gateways", gateways, "delete them first")?;
    if super::provider::carriers(tx.view, physical.zone) == [physical.id] {
        let networks = zone::networks_of(tx, physical.zone).into_iter();
        unused(
            &what,
            "networks",
            networks,
            "it is the zone's only one for guests",
        )?;
    }
    let types: Vec<_> = tx.view.all::<TrafficType>().cloned().collect();
    let of_it = types.iter().filter(|t| t.physical_network == physical.id);
    of_it.for_each(|t| tx.draft.delete(t));
    let providers: Vec<_> = tx.view.all::<ServiceProvider>().cloned().collect();
    let of_it = providers.iter().filter(|p| p.physical_network == physical.id);
    of_it.for_each(|p| tx.draft.delete(p));
    tx.draft.delete(&physical);
    let text = format!("deleted physical network {}", physical.name);
    note::<PhysicalNetwork>(tx, "PHYSICAL.NETWORK.DELETE", physical.id.0, text);
    Ok(stored(tx, "deletePhysicalNetwork", physical.id))
}

fn stored(tx: &mut Tx<'_>, command: &str, id: PhysicalNetworkId) -> Started {
    let job = tx.job::<PhysicalNetwork>(command, id.0, Goal::Stored);
    Started { job, id: None }
}

fn named(tx: &Tx<'_>, zone: ZoneId, name: &str) -> Result<(), CommandError> {
    checks::name("name", name)?;
    let mut all = tx.view.all::<PhysicalNetwork>().filter(|p| p.zone == zone);
    let other = all.find(|p| p.name.eq_ignore_ascii_case(name));
    unused_name(
        "name",
        name,
        "physical network of the zone",
        other.map(|p| p.id.to_string()),
    )
}

fn check_texts(speed: Option<&str>, tags: &[String]) -> Result<(), CommandError> {
    speed.map_or(Ok(()), |speed| checks::name("networkspeed", speed))?;
    if tags.len() > LIST_MAX {
        return Err(CommandError::invalid(
            "tags",
            tags.len(),
            format!("at most {LIST_MAX} tags"),
        ));
    }
    tags.iter().try_for_each(|tag| checks::name("tags", tag))
}

/// Ranges in order; those that overlap are refused.
fn ordered(vlans: &[VlanRange]) -> Result<Vec<VlanRange>, CommandError> {
    if vlans.len() > LIST_MAX {
        let expected = format!("at most {LIST_MAX} ranges");
        return Err(CommandError::invalid("vlan", vlans.len(), expected));
    }
    let mut sorted = vlans.to_vec();
    sorted.sort();
    let clash = sorted.windows(2).find(|pair| pair[0].last >= pair[1].first);
    match clash {
        Some(pair) => {
            let expected = format!("ranges that do not overlap; {} does", pair[0]);
            Err(CommandError::invalid("vlan", pair[1], expected))
        }
        None => Ok(sorted),
    }
}
