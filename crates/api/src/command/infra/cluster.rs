// SPDX-License-Identifier: Apache-2.0
//! Clusters.

use outgate_manager::command::request::{AddCluster, DeleteCluster, UpdateCluster};
use outgate_model::id::{ClusterId, PodId, ZoneId};
use outgate_model::object::Cluster;
use serde_json::{Value, json};

use super::{NAME, STATE, enabled};
use crate::command::filter::Filter;
use crate::command::{Answers, Call, Command, Refused, list};
use crate::view::{self, Look, state_name};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "addCluster",
        "Adds a cluster to a pod.",
        &[ADD],
        // As CloudStack: a list of one.
        Answers::List("cluster", view::cluster::FIELDS),
        |call| Box::pin(add(call)),
    )
    .for_admins(),
    Command::act(
        "updateCluster",
        "Changes a cluster.",
        &[UPDATE],
        Answers::One("cluster", view::cluster::FIELDS),
        |call| Box::pin(update(call)),
    )
    .for_admins(),
    Command::act(
        "deleteCluster",
        "Deletes a cluster without hosts.",
        &[&[Param::required("id", Kind::Uuid(Of::Cluster), "the cluster")]],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
    Command::read(
        "listClusters",
        "Lists clusters.",
        &[FILTERS, list::PAGED],
        Answers::List("cluster", view::cluster::FIELDS),
        clusters,
    )
    .for_admins(),
];

const HYPERVISOR: Kind = Kind::OneOf(&[
    "Simulator",
    "KVM",
    "XenServer",
    "VMware",
    "Hyperv",
    "BareMetal",
    "LXC",
    "Ovm3",
    "External",
]);
const TYPE: Kind = Kind::OneOf(&["CloudManaged", "ExternalManaged"]);
const MANAGED: Kind = Kind::OneOf(&["Managed", "Unmanaged"]);
const ALLOCATION: &str = "Enabled or Disabled: on the hosts of a disabled cluster nothing new is placed";

const ADD: &[Param] = &[
    Param::required("zoneid", Kind::Uuid(Of::Zone), "the zone"),
    Param::required("podid", Kind::Uuid(Of::Pod), "the pod"),
    Param::required("clustername", NAME, "the name, unique in the pod"),
    Param::required("clustertype", TYPE, "CloudManaged"),
    Param::required("hypervisor", HYPERVISOR, "the hypervisor of its hosts"),
    Param::optional("allocationstate", STATE, ALLOCATION),
];

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Cluster), "the cluster"),
    Param::optional("clustername", NAME, "the name, unique in the pod"),
    Param::optional("clustertype", TYPE, "CloudManaged"),
    Param::optional(
        "hypervisor",
        HYPERVISOR,
        "as it is: a cluster's hypervisor does not change",
    ),
    Param::optional("allocationstate", STATE, ALLOCATION),
    Param::optional(
        "managedstate",
        MANAGED,
        "Unmanaged: nothing new is placed on its hosts",
    ),
];

/// Clusters that something else manages do not exist here.
fn cloud_managed(params: &Params) -> Result<(), ApiError> {
    match params.word("clustertype") {
        Some(kind @ "ExternalManaged") => Err(ApiError::invalid(
            params.command(),
            "clustertype",
            kind,
            "CloudManaged",
        )),
        _ => Ok(()),
    }
}

async fn add(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    cloud_managed(params)?;
    let request = AddCluster {
        zone: ZoneId(params.need_id("zoneid")?),
        pod: PodId(params.need_id("podid")?),
        name: params.need_text("clustername")?.to_owned(),
        hypervisor: params.word("hypervisor").unwrap_or_default().to_owned(),
        enable: enabled(params, "allocationstate").unwrap_or(true),
    };
    let id = call.manager.add_cluster(&call.caller, request).await?;
    let one = answer(call, id)?.remove("cluster").unwrap_or(Value::Null);
    Ok(envelope::list("cluster", 1, vec![one]))
}

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    cloud_managed(params)?;
    let id = ClusterId(params.need_id("id")?);
    let now = call
        .manager
        .view()
        .get::<Cluster>(id)
        .map(|c| c.hypervisor.clone());
    if let (Some(wanted), Some(now)) = (params.word("hypervisor"), now)
        && wanted != now
    {
        let expected = format!("{now}: a cluster's hypervisor does not change");
        return Err(ApiError::invalid(params.command(), "hypervisor", wanted, &expected).into());
    }
    let request = UpdateCluster {
        id,
        name: params.string("clustername"),
        enable: enabled(params, "allocationstate"),
        managed: params.word("managedstate").map(|word| word == "Managed"),
    };
    let id = call.manager.update_cluster(&call.caller, request).await?;
    Ok(answer(call, id)?)
}

fn answer(call: &Call<'_>, id: ClusterId) -> Result<Object, ApiError> {
    let find = |look: &Look<'_>| look.view.get::<Cluster>(id).cloned();
    call.now("cluster", find, |look, cluster| {
        view::cluster::render(look, &cluster)
    })
}

async fn delete(call: &Call<'_>) -> Result<Object, Refused> {
    let id = ClusterId(call.params.need_id("id")?);
    call.manager
        .delete_cluster(&call.caller, DeleteCluster { id })
        .await?;
    Ok(envelope::single("success", json!(true)))
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Cluster), "the cluster of this id"),
    Param::optional("name", NAME, "the cluster of this name"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "clusters of this zone"),
    Param::optional("podid", Kind::Uuid(Of::Pod), "clusters of this pod"),
    Param::optional("hypervisor", Kind::Text(32), "clusters of this hypervisor"),
    Param::optional("clustertype", TYPE, "every cluster is CloudManaged"),
    Param::optional("allocationstate", STATE, "clusters in this state"),
    Param::optional("managedstate", MANAGED, "clusters in this state"),
];

fn clusters(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let matches = look.view.all::<Cluster>().map(|c| &**c).filter(|c| {
        filter.id("id", c.id.0)
            && filter.exact("name", &c.name)
            && filter.id("zoneid", c.zone.0)
            && filter.id("podid", c.pod.0)
            && filter.exact("hypervisor", &c.hypervisor)
            && filter.word("clustertype", "CloudManaged")
            && filter.word("allocationstate", state_name(c.disabled))
            && filter.word("managedstate", if c.unmanaged { "Unmanaged" } else { "Managed" })
            && filter.keyword(&[&c.name])
    });
    list::reply(look, params, "cluster", matches, view::cluster::render)
}
