// SPDX-License-Identifier: Apache-2.0
//! Pods.

use ipnet::Ipv4Net;
use outgate_model::Ipv4Range;
use outgate_model::id::{PodId, ZoneId};
use outgate_model::object::{Cluster, Pod, Zone};

use super::{alone, hosts_range, note, unused, unused_name};
use crate::CommandError;
use crate::command::request::{CreatePod, DeletePod, PodSubnet, UpdatePod};
use crate::command::tx::Tx;
use crate::command::{checks, subnet};

/// `createPod`.
pub(crate) fn create(tx: &mut Tx<'_>, request: &CreatePod) -> Result<PodId, CommandError> {
    alone(tx);
    let zone = tx.provided::<Zone>("zoneid", request.zone)?;
    named(tx, zone.id, &request.name, None)?;
    let wanted = request.subnet;
    for (field, given) in [("gateway", wanted.gateway), ("netmask", wanted.netmask)] {
        if given.is_none() {
            return Err(CommandError::missing(field));
        }
    }
    let (gateway, range) = management(tx, zone.id, wanted, None)?;
    let pod = Pod {
        id: PodId::new(),
        zone: zone.id,
        name: request.name.clone(),
        gateway,
        range,
        disabled: !request.enable,
    };
    tx.draft.create(&pod);
    note::<Pod>(tx, "POD.CREATE", pod.id.0, format!("created pod {}", pod.name));
    Ok(pod.id)
}

/// `updatePod`.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdatePod) -> Result<PodId, CommandError> {
    alone(tx);
    let pod = tx.provided::<Pod>("id", request.id)?;
    let mut next = Pod::clone(&pod);
    if let Some(name) = &request.name {
        named(tx, pod.zone, name, Some(pod.id))?;
        next.name.clone_from(name);
    }
    if request.subnet != PodSubnet::default() {
        (next.gateway, next.range) = management(tx, pod.zone, request.subnet, Some(&pod))?;
    }
    if let Some(enable) = request.enable {
        next.disabled = !enable;
    }
    let text = format!("updated pod {}", next.name);
    tx.draft.update(&pod, next);
    note::<Pod>(tx, "POD.EDIT", pod.id.0, text);
    Ok(pod.id)
}

/// `deletePod`: refused while it has clusters.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeletePod) -> Result<(), CommandError> {
    alone(tx);
    let pod = tx.provided::<Pod>("id", request.id)?;
    let clusters = tx.view.all::<Cluster>().filter(|c| c.pod == pod.id);
    let clusters = clusters.map(|c| format!("{} ({})", c.name, c.id));
    let what = format!("pod {}", pod.name);
    unused(&what, "clusters", clusters, "delete them first")?;
    tx.draft.delete(&pod);
    note::<Pod>(tx, "POD.DELETE", pod.id.0, format!("deleted pod {}", pod.name));
    Ok(())
}

fn named(tx: &Tx<'_>, zone: ZoneId, name: &str, own: Option<PodId>) -> Result<(), CommandError> {
    checks::name("name", name)?;
    let mut pods = tx.view.all::<Pod>().filter(|p| p.zone == zone);
    let other = pods.find(|p| p.name.eq_ignore_ascii_case(name) && Some(p.id) != own);
    unused_name("name", name, "pod of the zone", other.map(|p| p.id.to_string()))
}

/// The gateway with its prefix length, and the addresses for system VMs: as given, or as they are in `now`.
fn management(
    tx: &Tx<'_>,
    zone: ZoneId,
    wanted: PodSubnet,
    now: Option<&Pod>,
) -> Result<(Ipv4Net, Option<Ipv4Range>), CommandError> {
    let missing = || CommandError::missing("gateway");
    let address = wanted
        .gateway
        .or_else(|| Some(now?.gateway.addr()))
        .ok_or_else(missing)?;
    let netmask = wanted
        .netmask
        .or_else(|| Some(now?.gateway.netmask()))
        .ok_or_else(missing)?;
    let gateway = Ipv4Net::with_netmask(address, netmask)
        .ok()
        .filter(|net| (8..=30).contains(&net.prefix_len()))
        .ok_or_else(|| {
            CommandError::invalid("netmask", netmask, "a netmask from 255.0.0.0 to 255.255.255.252")
        })?;
    if address == gateway.network() || address == gateway.broadcast() {
        let expected = format!(
            "an address of {} other than its first and its last",
            gateway.trunc()
        );
        return Err(CommandError::invalid("gateway", address, expected));
    }
    let mut others = tx.view.all::<Pod>().filter(|p| p.zone == zone);
    if let Some(other) =
        others.find(|p| now.is_none_or(|now| now.id != p.id) && subnet::overlap(p.gateway, gateway))
    {
        let expected = format!(
            "a subnet apart from pod {}'s {}",
            other.name,
            other.gateway.trunc()
        );
        return Err(CommandError::invalid("gateway", gateway.trunc(), expected));
    }
    let old = now.and_then(|pod| pod.range);
    let start = wanted.start.or_else(|| Some(old?.first()));
    let end = wanted.end.or_else(|| Some(old?.last())).or(start);
    let range = match (start, end) {
        (Some(start), Some(end)) => Some(hosts_range(gateway, start, end)?),
        (None, Some(_)) => return Err(CommandError::missing("startip")),
        (_, None) => None,
    };
    Ok((gateway, range))
}
