// SPDX-License-Identifier: Apache-2.0
//! Clusters.

use outgate_model::id::{ClusterId, PodId};
use outgate_model::object::{Cluster, Host, Pod, Zone};

use super::{alone, note, unused, unused_name};
use crate::CommandError;
use crate::command::checks;
use crate::command::request::{AddCluster, DeleteCluster, UpdateCluster};
use crate::command::tx::Tx;

/// `addCluster`.
pub(crate) fn add(tx: &mut Tx<'_>, request: &AddCluster) -> Result<ClusterId, CommandError> {
    alone(tx);
    let zone = tx.provided::<Zone>("zoneid", request.zone)?;
    let pod = tx.provided::<Pod>("podid", request.pod)?;
    if pod.zone != zone.id {
        let expected = format!("a pod of zone {}", zone.id);
        return Err(CommandError::invalid("podid", pod.id, expected));
    }
    named(tx, pod.id, &request.name, None)?;
    let cluster = Cluster {
        id: ClusterId::new(),
        zone: zone.id,
        pod: pod.id,
        name: request.name.clone(),
        hypervisor: request.hypervisor.clone(),
        disabled: !request.enable,
        unmanaged: false,
    };
    tx.draft.create(&cluster);
    let text = format!("added cluster {} to pod {}", cluster.name, pod.name);
    note::<Cluster>(tx, "CLUSTER.CREATE", cluster.id.0, text);
    Ok(cluster.id)
}

/// `updateCluster`.
pub(crate) fn update(tx: &mut Tx<'_>, request: &UpdateCluster) -> Result<ClusterId, CommandError> {
    alone(tx);
    let cluster = tx.provided::<Cluster>("id", request.id)?;
    let mut next = Cluster::clone(&cluster);
    if let Some(name) = &request.name {
        named(tx, cluster.pod, name, Some(cluster.id))?;
        next.name.clone_from(name);
    }
    if let Some(enable) = request.enable {
        next.disabled = !enable;
    }
    if let Some(managed) = request.managed {
        next.unmanaged = !managed;
    }
    let text = format!("updated cluster {}", next.name);
    tx.draft.update(&cluster, next);
    note::<Cluster>(tx, "CLUSTER.EDIT", cluster.id.0, text);
    Ok(cluster.id)
}

/// `deleteCluster`: refused while it has hosts.
pub(crate) fn delete(tx: &mut Tx<'_>, request: DeleteCluster) -> Result<(), CommandError> {
    alone(tx);
    let cluster = tx.provided::<Cluster>("id", request.id)?;
    let hosts = tx.view.all::<Host>().filter(|h| h.cluster == Some(cluster.id));
    let hosts = hosts.map(|h| format!("{} ({})", h.name, h.id));
    let what = format!("cluster {}", cluster.name);
    unused(&what, "hosts", hosts, "a server's own hosts stay")?;
    tx.draft.delete(&cluster);
    let text = format!("deleted cluster {}", cluster.name);
    note::<Cluster>(tx, "CLUSTER.DELETE", cluster.id.0, text);
    Ok(())
}

fn named(tx: &Tx<'_>, pod: PodId, name: &str, own: Option<ClusterId>) -> Result<(), CommandError> {
    checks::name("clustername", name)?;
    let mut clusters = tx.view.all::<Cluster>().filter(|c| c.pod == pod);
    let other = clusters.find(|c| c.name.eq_ignore_ascii_case(name) && Some(c.id) != own);
    unused_name(
        "clustername",
        name,
        "cluster of the pod",
        other.map(|c| c.id.to_string()),
    )
}
