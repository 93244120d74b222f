// SPDX-License-Identifier: Apache-2.0
//! The doctor: what is wrong with a network's source NAT. Outgate's own commands.

use outgate_doctor::probe::Kind as Packets;
use outgate_doctor::{Finding, Fix, LinkState};
use outgate_manager::diagnose::{Examined, Patient, Wanted};
use outgate_model::Realm;
use outgate_model::id::{GuestId, NetworkId, RouterId, VpcId};
use serde_json::{Value, json};

use super::{Answers, Call, Command, Refused};
use crate::view::{Field, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "diagnoseNetwork",
        "Names what is wrong with a network's source NAT, the first broken link first, with evidence and remedy, within \
         seconds. Changes nothing.",
        &[PATIENT, FLOW],
        Answers::One("diagnosis", DIAGNOSIS),
        |call| Box::pin(diagnose(call)),
    ),
    Command::act(
        "renewVirtualMachineLease",
        "Has a guest ask for its address, gateway, DNS and MTU again.",
        &[&[Param::required("id", Kind::Uuid(Of::Guest), "the guest")]],
        Answers::Success,
        |call| Box::pin(renew(call)),
    ),
];

/// Whose router it is about.
pub(super) const PATIENT: &[Param] = &[
    Param::optional("networkid", Kind::Uuid(Of::Network), "the network to examine"),
    Param::optional("vpcid", Kind::Uuid(Of::Vpc), "the VPC to examine"),
    Param::optional(
        "routerid",
        Kind::Uuid(Of::Router),
        "the router to examine, for admins",
    ),
    Param::optional("virtualmachineid", Kind::Uuid(Of::Guest), "the guest to examine"),
];

const FLOW: &[Param] = &[
    Param::optional(
        "destination",
        Kind::Address,
        "where packets are sent to from a guest (the zone's first resolver when left out)",
    ),
    Param::optional(
        "protocol",
        Kind::OneOf(&["icmp", "tcp", "udp"]),
        "what is sent (icmp when left out); udp is judged by the rules only",
    ),
    Param::optional("port", Kind::Port, "the destination port, for tcp and udp"),
];

const DIAGNOSIS: &[Field] = &[
    ("networkid", "string"),
    ("vpcid", "string"),
    ("name", "string"),
    ("routerid", "string"),
    ("router", "string"),
    ("guest", "list"),
    ("flow", "string"),
    ("healthy", "boolean"),
    ("verdict", "string"),
    ("finding", "list"),
    ("link", "list"),
    ("note", "list"),
    ("notavailable", "list"),
    ("millis", "integer"),
];

async fn diagnose(call: &Call<'_>) -> Result<Object, Refused> {
    let patient = patient(call)?;
    let wanted = wanted(call)?;
    let examined = call.manager.diagnose(&call.caller, patient, wanted).await?;
    let view = call.manager.view();
    let look = Look {
        view: &view,
        caller: &call.caller,
    };
    Ok(envelope::single("diagnosis", render(&look, &examined)))
}

async fn renew(call: &Call<'_>) -> Result<Object, Refused> {
    let id = call.params.need_id("id").map(GuestId)?;
    call.manager.renew_lease(&call.caller, id).await?;
    Ok(envelope::single("success", json!(true)))
}

/// Exactly one of the four.
pub(super) fn patient(call: &Call<'_>) -> Result<Patient, ApiError> {
    let params = &call.params;
    let all = [
        params.id("networkid").map(|id| Patient::Network(NetworkId(id))),
        params.id("vpcid").map(|id| Patient::Vpc(VpcId(id))),
        params.id("routerid").map(|id| Patient::Router(RouterId(id))),
        params
            .id("virtualmachineid")
            .map(|id| Patient::Guest(GuestId(id))),
    ];
    match all.into_iter().flatten().collect::<Vec<_>>().as_slice() {
        [one] => Ok(*one),
        some => Err(ApiError::invalid(
            params.command(),
            "networkid",
            &format!("{} things to examine", some.len()),
            "exactly one of networkid, vpcid, routerid and virtualmachineid",
        )),
    }
}

fn wanted(call: &Call<'_>) -> Result<Wanted, ApiError> {
    let params = &call.params;
    let kind = match params.word("protocol") {
        Some("tcp") => Some(Packets::Tcp),
        Some("udp") => Some(Packets::Udp),
        Some(_) => Some(Packets::Ping),
        None => None,
    };
    let port = params.port("port");
    let needs_port = matches!(kind, Some(Packets::Tcp | Packets::Udp));
    if needs_port != port.is_some() {
        let value = port.map_or_else(|| "none".to_owned(), |port| port.to_string());
        let expected = "a port with protocol tcp or udp, and only then";
        return Err(ApiError::invalid(params.command(), "port", &value, expected));
    }
    Ok(Wanted {
        target: params.address("destination"),
        kind,
        port: port.unwrap_or(0),
    })
}

fn render(look: &Look<'_>, examined: &Examined) -> Value {
    let (network, vpc) = match examined.realm {
        Realm::Network(id) => (Some(id), None),
        Realm::Vpc(id) => (None, Some(id)),
    };
    let diagnosis = &examined.diagnosis;
    let findings: Vec<Value> = diagnosis
        .findings
        .iter()
        .map(|f| finding(look, examined, f))
        .collect();
    let links: Vec<Value> = diagnosis
        .links
        .iter()
        .map(|(link, state)| json!({ "link": link, "what": link.words(), "state": state_word(*state) }))
        .collect();
    let verdict = diagnosis.findings.first();
    let verdict = verdict.map_or_else(
        || "healthy".to_owned(),
        |f| format!("{} ({})", f.cause.title(), f.place),
    );
    let mut object = json!({
        "name": examined.name,
        "guest": examined.guests,
        "healthy": diagnosis.findings.is_empty(),
        "verdict": verdict,
        "finding": findings,
        "link": links,
        "note": diagnosis.notes,
        "notavailable": diagnosis.not_available,
        "millis": u64::try_from(examined.took.as_millis()).unwrap_or(u64::MAX),
    });
    let more = [
        ("networkid", network.map(|id| id.to_string())),
        ("vpcid", vpc.map(|id| id.to_string())),
        ("routerid", examined.router.as_ref().map(|(id, _)| id.to_string())),
        ("router", examined.router.as_ref().map(|(_, name)| name.clone())),
        ("flow", examined.flow.clone()),
    ];
    for (key, value) in more {
        if let (Some(object), Some(value)) = (object.as_object_mut(), value) {
            object.insert(key.to_owned(), value.into());
        }
    }
    object
}

fn state_word(state: LinkState) -> &'static str {
    match state {
        LinkState::Ok => "ok",
        LinkState::Broken => "broken",
        LinkState::NotTested => "not tested",
    }
}

fn finding(look: &Look<'_>, examined: &Examined, finding: &Finding) -> Value {
    let mut object = json!({
        "cause": finding.cause.id(),
        "title": finding.cause.title(),
        "place": finding.place,
        "evidence": finding.evidence,
        "remedy": finding.cause.remedy(),
    });
    let fix = finding.fix.as_ref().and_then(|fix| call_for(examined, fix));
    // A command that the caller may not call is no fix.
    let fix = fix.filter(|(command, _)| super::find(command).is_some_and(|c| c.open_to(look)));
    if let (Some(object), Some((command, params))) = (object.as_object_mut(), fix) {
        object.insert("fix".to_owned(), json!({ "command": command, "params": params }));
    }
    object
}

/// The command that mends it, with its parameters.
fn call_for(examined: &Examined, fix: &Fix) -> Option<(&'static str, Value)> {
    let router = examined.router.as_ref().map(|(id, _)| id);
    Some(match fix {
        Fix::StartRouter => ("startRouter", json!({ "id": router? })),
        Fix::RestartNetwork => match examined.realm {
            Realm::Network(id) => ("restartNetwork", json!({ "id": id, "cleanup": "true" })),
            Realm::Vpc(id) => ("restartVPC", json!({ "id": id, "cleanup": "true" })),
        },
        Fix::RenewLease(guest) => ("renewVirtualMachineLease", json!({ "id": guest })),
        Fix::StartGuest(guest) => ("startVirtualMachine", json!({ "id": guest })),
        Fix::RebootGuest(guest) => ("rebootVirtualMachine", json!({ "id": guest })),
    })
}
