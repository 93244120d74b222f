// SPDX-License-Identifier: Apache-2.0
//! Which physical network carries a new network, and by which VLAN.

use outgate_model::id::PhysicalNetworkId;
use outgate_model::key;
use outgate_model::object::{
    Network, NetworkOffering, PhysicalNetwork, PrivateGateway, PublicIpRange, RoleType, Traffic, TrafficType,
    Zone,
};

use crate::CommandError;
use crate::command::request::CreateNetwork;
use crate::command::tx::Tx;

/// The physical network asked for, or the zone's first one that carries guests and has one of the offering's tags.
/// `None` in a zone without any.
pub(super) fn physical_network(
    tx: &mut Tx<'_>,
    request: &CreateNetwork,
    zone: &Zone,
    offering: &NetworkOffering,
) -> Result<Option<PhysicalNetworkId>, CommandError> {
    const FIELD: &str = "physicalnetworkid";
    if let Some(id) = request.physical_network {
        let physical = tx.provided::<PhysicalNetwork>(FIELD, id)?;
        if physical.zone != zone.id {
            let expected = format!("a physical network of zone {}", zone.id);
            return Err(CommandError::invalid(FIELD, id, expected));
        }
        return match unfit(tx, &physical, offering) {
            Some(expected) => Err(CommandError::invalid(FIELD, id, expected)),
            None => Ok(Some(id)),
        };
    }
    let mut of_zone: Vec<_> = tx
        .view
        .all::<PhysicalNetwork>()
        .filter(|physical| physical.zone == zone.id)
        .cloned()
        .collect();
    of_zone.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    let first = of_zone
        .iter()
        .find(|physical| unfit(tx, physical, offering).is_none())
        .cloned();
    match (first, of_zone.first()) {
        (Some(physical), _) => {
            tx.draft.read(&physical);
            Ok(Some(physical.id))
        }
        (None, None) => Ok(None),
        (None, Some(other)) => {
            let why = unfit(tx, other, offering).unwrap_or_default();
            Err(CommandError::Capacity {
                what: format!(
                    "zone {} has no physical network that can carry it: {} ({}) is not {why}",
                    zone.name, other.name, other.id
                ),
            })
        }
    }
}

/// What a physical network would have to be to carry networks of the offering; `None` when it can.
fn unfit(tx: &Tx<'_>, physical: &PhysicalNetwork, offering: &NetworkOffering) -> Option<String> {
    if physical.disabled {
        return Some("an enabled physical network (updatePhysicalNetwork state=Enabled)".to_owned());
    }
    let mut carried = tx.view.all::<TrafficType>();
    let carries = |t: &&crate::mirror::Stored<TrafficType>| t.physical_network == physical.id;
    if !carried.any(|t| carries(&t) && t.traffic == Traffic::Guest) {
        return Some("a physical network that carries guests (addTrafficType traffictype=Guest)".to_owned());
    }
    if !has_tag(physical, offering) {
        let name = &offering.name;
        return Some(format!(
            "a physical network with a tag of network offering {name}, which has {}",
            offering.tags
        ));
    }
    None
}

/// Whether networks of the offering may be on a physical network: it has one of the offering's tags, or the offering has
/// none.
pub(super) fn has_tag(physical: &PhysicalNetwork, offering: &NetworkOffering) -> bool {
    let mut wanted = offering
        .tags
        .split(',')
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .peekable();
    wanted.peek().is_none() || wanted.any(|tag| physical.tags.iter().any(|has| has == tag))
}

/// The VLAN that an admin names where the offering wants it, claimed.
pub(super) fn vlan(
    tx: &mut Tx<'_>,
    request: &CreateNetwork,
    offering: &NetworkOffering,
    physical: Option<PhysicalNetworkId>,
) -> Result<Option<u16>, CommandError> {
    const FIELD: &str = "vlan";
    if !offering.specify_vlan {
        return match request.vlan {
            None => Ok(None),
            Some(vlan) => {
                let name = &offering.name;
                let expected =
                    format!("nothing: network offering {name} lets nobody name a VLAN (specifyvlan)");
                Err(CommandError::invalid(FIELD, vlan, expected))
            }
        };
    }
    if tx.caller.role != RoleType::Admin {
        let what = format!(
            "only root admins may use network offering {}, which wants its VLAN named",
            offering.name
        );
        return Err(CommandError::Forbidden { what });
    }
    let vlan = request.vlan.ok_or_else(|| CommandError::missing(FIELD))?;
    let Some(physical) = physical else {
        let what = format!("zone {} has no physical network", request.zone);
        return Err(CommandError::Capacity { what });
    };
    let physical = tx.known::<PhysicalNetwork>(physical)?;
    let range = physical
        .vlans
        .iter()
        .find(|range| (range.first..=range.last).contains(&vlan));
    if let Some(range) = range.filter(|_| !request.any_vlan) {
        let expected = format!(
            "a VLAN outside {range}, which networks are given without being asked (or bypassvlanoverlapcheck=true)"
        );
        return Err(CommandError::invalid(FIELD, vlan, expected));
    }
    let claim = key::guest_vlan_claim(physical.id, vlan);
    if let Some(by) = user_of(tx, physical.id, vlan, &claim) {
        let what = format!("VLAN {vlan} of physical network {}", physical.name);
        return Err(CommandError::InUse { what, by });
    }
    tx.draft.claim(claim);
    Ok(Some(vlan))
}

/// Who uses a VLAN already. Only root admins are told.
fn user_of(tx: &Tx<'_>, physical: PhysicalNetworkId, vlan: u16, claim: &str) -> Option<String> {
    let mut networks = tx.view.all::<Network>();
    let here = |n: &&crate::mirror::Stored<Network>| {
        n.settings.physical_network == Some(physical) && n.settings.vlan == Some(vlan)
    };
    if let Some(network) = networks.find(here) {
        return Some(format!("network {} ({}) has it", network.name, network.id));
    }
    if tx.view.claimed(claim).is_some() {
        return Some("a network that is going has it".to_owned());
    }
    let mut ranges = tx.view.all::<PublicIpRange>();
    let public = format!("vlan://{vlan}");
    let of_range = |r: &&crate::mirror::Stored<PublicIpRange>| {
        r.physical_network == physical && (r.vlan == public || r.vlan == vlan.to_string())
    };
    if let Some(range) = ranges.find(of_range) {
        return Some(format!("public range {} has it", range.id));
    }
    let mut gateways = tx.view.all::<PrivateGateway>();
    let gateway = gateways.find(|g| g.physical_network == physical && g.vlan == vlan)?;
    Some(format!("private gateway {} has it", gateway.id))
}
