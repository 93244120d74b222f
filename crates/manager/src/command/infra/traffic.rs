// SPDX-License-Identifier: Apache-2.0
//! Traffic types: what a physical network carries.

use outgate_model::id::TrafficTypeId;
use outgate_model::job::Goal;
use outgate_model::object::{PhysicalNetwork, PublicIpRange, Traffic, TrafficType};

use super::{alone, note, unused, zone};
use crate::CommandError;
use crate::command::request::{AddTrafficType, DeleteTrafficType, Started, UpdateTrafficType};
use crate::command::tx::Tx;
use crate::command::{checks, network};

/// `addTrafficType`. Guest traffic may be on several physical networks of a zone, the others on one.
pub(crate) fn add(tx: &mut Tx<'_>, request: &AddTrafficType) -> Result<Started, CommandError> {
    alone(tx);
    let physical = tx.provided::<PhysicalNetwork>("physicalnetworkid", request.physical_network)?;
    check_labels(&request.labels)?;
    let name = request.traffic.name();
    let clash = tx.view.all::<TrafficType>().find(|t| {
        let there = tx.view.get::<PhysicalNetwork>(t.physical_network);
        let same_zone = there.is_some_and(|p| p.zone == physical.zone);
        let same = t.physical_network == physical.id || request.traffic != Traffic::Guest;
        t.traffic == request.traffic && same_zone && same
    });
    if let Some(other) = clash {
        let expected = format!(
            "a kind of traffic that physical network {} does not carry: traffic type {}",
            other.physical_network, other.id
        );
        return Err(CommandError::invalid("traffictype", name, expected));
    }
    let traffic = TrafficType {
        id: TrafficTypeId::new(),
        physical_network: physical.id,
        traffic: request.traffic,
        labels: request.labels.clone(),
    };
    tx.draft.create(&traffic);
    let text = format!("physical network {} carries {name} traffic", physical.name);
    note::<TrafficType>(tx, "TRAFFIC.TYPE.CREATE", traffic.id.0, text);
    Ok(stored(tx, "addTrafficType", traffic.id).made(traffic.id.0))
}

/// `updateTrafficType`: other labels.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateTrafficType) -> Result<Started, CommandError> {
    alone(tx);
    check_labels(&request.labels)?;
    let traffic = tx.provided::<TrafficType>("id", request.id)?;
    let mut next = TrafficType::clone(&traffic);
    for (hypervisor, label) in &request.labels {
        next.labels.retain(|(other, _)| other != hypervisor);
        next.labels.push((hypervisor.clone(), label.clone()));
    }
    tx.draft.update(&traffic, next);
    let text = format!("updated the labels of {} traffic", traffic.traffic.name());
    note::<TrafficType>(tx, "TRAFFIC.TYPE.UPDATE", traffic.id.0, text);
    Ok(stored(tx, "updateTrafficType", traffic.id))
}

/// `deleteTrafficType`: refused while networks or public IP ranges need it.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteTrafficType) -> Result<Started, CommandError> {
    alone(tx);
    tx.draft.counted(network::NUMBERS);
    let traffic = tx.provided::<TrafficType>("id", request.id)?;
    let physical = tx.known::<PhysicalNetwork>(traffic.physical_network)?;
    let what = format!(
        "{} traffic of physical network {}",
        traffic.traffic.name(),
        physical.name
    );
    match traffic.traffic {
        Traffic::Public => {
            let ranges = tx
                .view
                .all::<PublicIpRange>()
                .filter(|r| r.physical_network == physical.id);
            let ranges = ranges.map(|r| format!("{} ({})", super::range_text(r), r.id));
            unused(&what, "public IP ranges", ranges, "delete them first")?;
        }
        Traffic::Guest if super::provider::carriers(tx.view, physical.zone) == [physical.id] => {
            let networks = zone::networks_of(tx, physical.zone).into_iter();
            unused(&what, "networks", networks, "delete them first")?;
        }
        Traffic::Guest | Traffic::Management | Traffic::Storage => {}
    }
    tx.draft.delete(&traffic);
    note::<TrafficType>(tx, "TRAFFIC.TYPE.DELETE", traffic.id.0, format!("removed {what}"));
    Ok(stored(tx, "deleteTrafficType", traffic.id))
}

fn stored(tx: &mut Tx<'_>, command: &str, id: TrafficTypeId) -> Started {
    let job = tx.job::<TrafficType>(command, id.0, Goal::Stored);
    Started { job, id: None }
}

fn check_labels(labels: &[(String, String)]) -> Result<(), CommandError> {
    labels
        .iter()
        .try_for_each(|(hypervisor, label)| checks::name(&format!("{hypervisor}networklabel"), label))
}
