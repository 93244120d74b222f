// SPDX-License-Identifier: Apache-2.0
//! The audit: how a network deviates from the hardened profile, and the command that hardens one. Outgate's own.

use outgate_manager::Started;
use outgate_manager::audit::Examined;
use outgate_manager::command::request::HardenNetwork;
use outgate_manager::diagnose::Patient;
use outgate_model::Realm;
use outgate_model::id::{NetworkId, NetworkOfferingId, RouterId, VpcId};
use serde_json::{Value, json};

use super::{Answers, Call, Command, Entity, Refused};
use crate::view::Field;
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "auditNetwork",
        "Lists how a network deviates from the hardened profile: each deviation with its risk, what shows it, and the \
         command that closes it. Changes nothing.",
        &[WHOM],
        Answers::One("audit", AUDIT),
        |call| Box::pin(audit(call)),
    ),
    Command::start(
        "hardenNetwork",
        "Lets only the web and names (TCP 80, 443, 53, UDP 53) leave an isolated network, limits its guests and addresses \
         outside, and records its sessions. Egress rules that let everything out are removed; where egress was allowed by \
         default all egress rules are, since they denied. What is open from outside stays.",
        &[HARDEN],
        Answers::Entity(Entity::Network),
        |call| Box::pin(harden(call)),
    )
    .for_admins(),
];

const WHOM: &[Param] = &[
    Param::optional("networkid", Kind::Uuid(Of::Network), "the network to audit"),
    Param::optional("vpcid", Kind::Uuid(Of::Vpc), "the VPC to audit"),
    Param::optional(
        "routerid",
        Kind::Uuid(Of::Router),
        "the router to audit, for admins",
    ),
];

const HARDEN: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Network), "the network"),
    Param::optional(
        "networkofferingid",
        Kind::Uuid(Of::NetworkOffering),
        "what the network changes to if its own offering allows egress by default: one that denies it \
         (DefaultIsolatedNetworkOfferingWithSourceNatService when left out)",
    ),
];

const AUDIT: &[Field] = &[
    ("networkid", "string"),
    ("vpcid", "string"),
    ("name", "string"),
    ("router", "string"),
    ("clean", "boolean"),
    ("deviation", "list"),
    ("notavailable", "list"),
];

async fn audit(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let all = [
        params.id("networkid").map(|id| Patient::Network(NetworkId(id))),
        params.id("vpcid").map(|id| Patient::Vpc(VpcId(id))),
        params.id("routerid").map(|id| Patient::Router(RouterId(id))),
    ];
    let given: Vec<_> = all.into_iter().flatten().collect();
    let [whom] = given.as_slice() else {
        let value = format!("{} things to audit", given.len());
        let expected = "exactly one of networkid, vpcid and routerid";
        return Err(ApiError::invalid(params.command(), "networkid", &value, expected).into());
    };
    let examined = call.manager.audit(&call.caller, *whom).await?;
    Ok(envelope::single("audit", render(&examined)))
}

fn render(examined: &Examined) -> Value {
    let audit = &examined.audit;
    let mut object = json!({
        "name": examined.name,
        "clean": audit.deviations.is_empty(),
        "deviation": audit.deviations,
        "notavailable": audit.not_available,
    });
    let (network, vpc) = match examined.realm {
        Realm::Network(id) => (Some(id.to_string()), None),
        Realm::Vpc(id) => (None, Some(id.to_string())),
    };
    let more = [
        ("networkid", network),
        ("vpcid", vpc),
        ("router", examined.router.clone()),
    ];
    for (key, value) in more {
        if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
            object.insert(key.to_owned(), value.into());
        }
    }
    object
}

async fn harden(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let id = params.need_id("id")?;
    super::own_id(params, id)?;
    let request = HardenNetwork {
        id: NetworkId(id),
        offering: params.id("networkofferingid").map(NetworkOfferingId),
    };
    Ok(call.manager.harden_network(&call.caller, request).await?)
}
