// SPDX-License-Identifier: Apache-2.0
//! Lists of kinds that this cloud has none of, for clients that look before they use something else: libcloud's nodes,
//! Ansible's instances and Terraform's ask for volumes, ISO images, security groups. Each is empty, truthfully.

use std::collections::BTreeSet;

use outgate_model::object::Host;
use serde_json::json;

use super::{Answers, Command, list, scope};
use crate::view::{Field, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// What the others take.
const PLAIN: &[&[Param]] = &[list::PAGED];
/// What lists of owned things take.
const OWNED: &[&[Param]] = &[scope::OWNED, list::PAGED];

const SYSTEM_VMS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Nothing), "the system VM of this id"),
    Param::optional("name", Kind::Text(255), "the system VM of this name"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "system VMs of this zone"),
    Param::optional("podid", Kind::Uuid(Of::Pod), "system VMs of this pod"),
    Param::optional("hostid", Kind::Uuid(Of::Host), "system VMs on this host"),
    Param::optional(
        "systemvmtype",
        Kind::Text(64),
        "consoleproxy or secondarystoragevm",
    ),
    Param::optional("state", Kind::Text(32), "system VMs in this state"),
];

/// The commands.
pub const COMMANDS: &[Command] = &[
    none(
        "listVolumes",
        "Lists volumes. Guests here have none of their own.",
        OWNED,
        "volume",
    ),
    none("listIsos", "Lists ISO images. There are none here.", OWNED, "iso"),
    none(
        "listSecurityGroups",
        "Lists security groups. Networks here are protected by firewall rules and network ACLs.",
        OWNED,
        "securitygroup",
    ),
    none(
        "listDiskOfferings",
        "Lists disk offerings. There are none here.",
        PLAIN,
        "diskoffering",
    ),
    none(
        "listSSHKeyPairs",
        "Lists SSH key pairs. There are none here.",
        PLAIN,
        "sshkeypair",
    ),
    none(
        "listAffinityGroups",
        "Lists affinity groups. There are none here.",
        PLAIN,
        "affinitygroup",
    ),
    none(
        "listOsTypes",
        "Lists operating systems. Guests here are of none.",
        PLAIN,
        "ostype",
    ),
    none(
        "listSystemVms",
        "Lists system VMs. There are none here: guests have no console proxy and templates no storage of their own; \
         routers are listed by listRouters.",
        &[SYSTEM_VMS, list::PAGED],
        "systemvm",
    )
    .for_admins(),
    Command::read(
        "listHypervisors",
        "Lists the hypervisors of the hosts.",
        &[&[Param::optional("zoneid", Kind::Uuid(Of::Zone), "of this zone")]],
        Answers::List("hypervisor", &[("name", "string")]),
        hypervisors,
    ),
];

/// What such objects would have at least.
const FIELDS: &[Field] = &[("id", "string"), ("name", "string")];

const fn none(
    name: &'static str,
    description: &'static str,
    params: &'static [&'static [Param]],
    key: &'static str,
) -> Command {
    Command::read(name, description, params, Answers::List(key, FIELDS), nothing)
}

fn nothing(_look: &Look<'_>, _params: &Params) -> Result<Object, ApiError> {
    Ok(Object::new())
}

fn hypervisors(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let zone = params.id("zoneid");
    let hosts = look
        .view
        .all::<Host>()
        .filter(|h| zone.is_none_or(|zone| h.zone.0 == zone));
    let names: BTreeSet<&str> = hosts.map(|h| h.hypervisor.as_str()).collect();
    let items: Vec<_> = names.into_iter().map(|name| json!({ "name": name })).collect();
    Ok(envelope::list("hypervisor", items.len(), items))
}
