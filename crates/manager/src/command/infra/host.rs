// SPDX-License-Identifier: Apache-2.0
//! Hosts: which take something new, and maintenance.

use outgate_model::id::HostId;
use outgate_model::job::Goal;
use outgate_model::object::{Cluster, Guest, Host, Pod, Power, Router};

use super::{alone, note, unused};
use crate::CommandError;
use crate::command::implement;
use crate::command::request::{MaintainHost, Started, UpdateHost};
use crate::command::tx::Tx;
use crate::mirror::View;

/// `updateHost`.
pub(crate) fn update(tx: &mut Tx<'_>, request: UpdateHost) -> Result<HostId, CommandError> {
    alone(tx);
    let host = tx.provided::<Host>("id", request.id)?;
    if let Some(enable) = request.enable {
        let next = Host {
            disabled: !enable,
            ..Host::clone(&host)
        };
        tx.draft.update(&host, next);
        let how = if enable {
            "takes new routers and guests"
        } else {
            "takes nothing new"
        };
        note::<Host>(tx, "HOST.EDIT", host.id.0, format!("host {} {how}", host.name));
    }
    Ok(host.id)
}

/// `prepareHostForMaintenance`. Routers and guests cannot move to another host in this release, so the host must be
/// empty: what runs on it is named.
pub(crate) fn prepare(tx: &mut Tx<'_>, request: MaintainHost) -> Result<Started, CommandError> {
    alone(tx);
    tx.draft.counted(implement::VM_NUMBERS);
    let host = tx.provided::<Host>("id", request.id)?;
    let what = format!("host {}", host.name);
    let routers: Vec<_> = tx.view.all::<Router>().cloned().collect();
    let guests: Vec<_> = tx.view.all::<Guest>().cloned().collect();
    let on = |router: &&crate::Stored<Router>| router.host == host.id && router.power != Power::Off;
    let on_it: Vec<_> = routers.iter().filter(on).collect();
    let names = on_it.iter().map(|r| format!("{} ({})", r.name, r.id));
    unused(
        &what,
        "running routers",
        names,
        "stop them first: they cannot move to another host",
    )?;
    let on = |guest: &&crate::Stored<Guest>| guest.host == host.id && guest.power != Power::Off;
    let names = guests.iter().filter(on).map(|g| format!("{} ({})", g.name, g.id));
    unused(
        &what,
        "running guests",
        names,
        "stop them first: they cannot move to another host",
    )?;
    // Who starts one of those that are off meanwhile changes it: then this decides anew.
    routers
        .iter()
        .filter(|r| r.host == host.id)
        .for_each(|r| tx.draft.read(r));
    guests
        .iter()
        .filter(|g| g.host == host.id)
        .for_each(|g| tx.draft.read(g));
    maintain(tx, &host, true, "prepareHostForMaintenance")
}

/// `cancelHostMaintenance`.
pub(crate) fn cancel(tx: &mut Tx<'_>, request: MaintainHost) -> Result<Started, CommandError> {
    alone(tx);
    let host = tx.provided::<Host>("id", request.id)?;
    if !host.maintenance {
        return Err(CommandError::invalid("id", host.id, "a host in maintenance"));
    }
    maintain(tx, &host, false, "cancelHostMaintenance")
}

fn maintain(
    tx: &mut Tx<'_>,
    host: &crate::Stored<Host>,
    maintenance: bool,
    command: &str,
) -> Result<Started, CommandError> {
    let next = Host {
        maintenance,
        ..Host::clone(host)
    };
    tx.draft.update(host, next);
    let (kind, how) = if maintenance {
        ("MAINT.PREPARE", "is in maintenance")
    } else {
        ("MAINT.CANCEL", "is back from maintenance")
    };
    note::<Host>(tx, kind, host.id.0, format!("host {} {how}", host.name));
    let job = tx.job::<Host>(command, host.id.0, Goal::Stored);
    Ok(Started { job, id: None })
}

/// Why nothing new is placed on a host; `None` when it takes routers and guests.
pub(crate) fn closed(view: &View<'_>, host: &Host) -> Option<String> {
    let cluster = host.cluster.and_then(|id| view.get::<Cluster>(id));
    let pod = cluster.and_then(|cluster| view.get::<Pod>(cluster.pod));
    let reason = if host.maintenance {
        "is in maintenance: cancelHostMaintenance"
    } else if host.disabled {
        "is disabled: updateHost allocationstate=Enable"
    } else if cluster.is_some_and(|c| c.disabled || c.unmanaged) {
        "is in a disabled or unmanaged cluster: updateCluster"
    } else if pod.is_some_and(|p| p.disabled) {
        "is in a disabled pod: updatePod allocationstate=Enabled"
    } else {
        return None;
    };
    Some(format!("host {} {reason}", host.name))
}

/// Refuses to place a router or a guest on a host that takes nothing new.
pub(crate) fn takes_new(tx: &mut Tx<'_>, id: HostId) -> Result<(), CommandError> {
    let host = tx.known::<Host>(id)?;
    match closed(tx.view, &host) {
        None => Ok(()),
        Some(what) => Err(CommandError::Capacity { what }),
    }
}

/// Refuses to start what is on a host in maintenance.
pub(crate) fn starts(tx: &mut Tx<'_>, id: HostId) -> Result<(), CommandError> {
    let host = tx.known::<Host>(id)?;
    if !host.maintenance {
        return Ok(());
    }
    let what = format!(
        "host {} is in maintenance: cancelHostMaintenance first",
        host.name
    );
    Err(CommandError::Unavailable { what })
}
