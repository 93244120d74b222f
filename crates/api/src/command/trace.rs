// SPDX-License-Identifier: Apache-2.0
//! The way of one packet through a router, by its rules and by its kernel. Outgate's own command.

use std::collections::BTreeMap;

use outgate_manager::diagnose::trace::{Explained, Maker};
use outgate_model::Realm;
use outgate_model::stats::{Endpoint, SessionEntry};
use outgate_model::trace::{KernelPath, KernelStep, TraceProtocol, TraceQuery, TraceStep, TraceVerdict};
use serde_json::{Value, json};
use uuid::Uuid;

use super::diagnosis::{PATIENT, patient};
use super::{Answers, Call, Command, Refused};
use crate::view::Field;
use crate::wire::date;
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Param};

/// The longest that a real packet may be waited for, in seconds: less than a request may take.
const WAIT_MAX: i64 = 30;

/// The commands.
pub const COMMANDS: &[Command] = &[Command::act(
    "traceFlow",
    "Explains what the router does with one packet: which rules, route and translation it gets by the network's rules, \
     and by the router's kernel, and whether the two agree. The packet is the router's own and reaches nobody, unless a \
     real one is waited for.",
    &[PATIENT, FLOW],
    Answers::One("trace", TRACE),
    |call| Box::pin(trace(call)),
)];

const FLOW: &[Param] = &[
    Param::required(
        "protocol",
        Kind::OneOf(&["icmp", "tcp", "udp"]),
        "the packet's protocol; of icmp an echo request",
    ),
    Param::required(
        "source",
        Kind::Address,
        "who sends it: a guest, or somebody outside",
    ),
    Param::optional(
        "sourceport",
        Kind::Port,
        "from which port, of icmp the identifier (one that no session has when left out)",
    ),
    Param::required(
        "destination",
        Kind::Address,
        "to whom: somebody outside, or a public address",
    ),
    Param::optional("port", Kind::Port, "the destination port, for tcp and udp"),
    Param::optional(
        "interface",
        Kind::Text(15),
        "the router's interface that it comes in on (the one that its source lies behind when left out)",
    ),
    Param::optional(
        "wait",
        Kind::Int(1, WAIT_MAX),
        "follow the next real packet of the flow, waiting for so many seconds, instead of the router's own",
    ),
];

const TRACE: &[Field] = &[
    ("networkid", "string"),
    ("vpcid", "string"),
    ("name", "string"),
    ("routerid", "string"),
    ("router", "string"),
    ("interface", "string"),
    ("protocol", "string"),
    ("source", "string"),
    ("destination", "string"),
    ("generation", "integer"),
    ("verdict", "string"),
    ("passes", "boolean"),
    ("steps", "list"),
    ("remedy", "string"),
    ("kernel", "map"),
    ("session", "map"),
    ("fastpath", "map"),
    ("agree", "boolean"),
    ("comparison", "string"),
    ("note", "list"),
    ("millis", "integer"),
];

async fn trace(call: &Call<'_>) -> Result<Object, Refused> {
    let patient = patient(call)?;
    let query = query(call)?;
    let explained = call.manager.trace_flow(&call.caller, patient, &query).await?;
    Ok(envelope::single("trace", render(&query, &explained)))
}

fn query(call: &Call<'_>) -> Result<TraceQuery, ApiError> {
    let params = &call.params;
    let missing = |name| ApiError::missing(params.command(), name);
    let protocol = match params.word("protocol") {
        Some("tcp") => TraceProtocol::Tcp,
        Some("udp") => TraceProtocol::Udp,
        Some(_) => TraceProtocol::Icmp,
        None => return Err(missing("protocol")),
    };
    let port = params.port("port");
    if (protocol != TraceProtocol::Icmp) != port.is_some() {
        let value = port.map_or_else(|| "none".to_owned(), |port| port.to_string());
        let expected = "a port with protocol tcp or udp, and only then";
        return Err(ApiError::invalid(params.command(), "port", &value, expected));
    }
    Ok(TraceQuery {
        protocol,
        interface: params.string("interface"),
        source: params.address("source").ok_or_else(|| missing("source"))?,
        source_port: params.port("sourceport"),
        destination: params
            .address("destination")
            .ok_or_else(|| missing("destination"))?,
        destination_port: port,
        wait_millis: params
            .int("wait")
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(|seconds| seconds * 1_000),
    })
}

fn render(query: &TraceQuery, explained: &Explained) -> Value {
    let traced = &explained.traced;
    let steps: Vec<Value> = traced
        .model
        .steps
        .iter()
        .map(|one| step(one, &explained.makers))
        .collect();
    let (network, vpc) = match explained.realm {
        Realm::Network(id) => (Some(id.to_string()), None),
        Realm::Vpc(id) => (None, Some(id.to_string())),
    };
    let object = json!({
        "networkid": network,
        "vpcid": vpc,
        "name": explained.name,
        "routerid": explained.router.0,
        "router": explained.router.1,
        "interface": traced.interface,
        "protocol": query.protocol.name(),
        "source": traced.from.to_string(),
        "destination": traced.to.to_string(),
        "generation": traced.generation,
        "verdict": traced.model.verdict.to_string(),
        "passes": passes(traced.kernel.as_ref().map_or(&traced.model.verdict, |k| &k.verdict)),
        "steps": steps,
        "remedy": traced.model.remedy,
        "kernel": traced.kernel.as_ref().map(kernel),
        "session": traced.session.as_ref().map(session),
        "fastpath": { "carries": traced.fastpath.carries, "why": traced.fastpath.why },
        "agree": traced.agree,
        "comparison": traced.comparison,
        "note": traced.notes,
        "millis": u64::try_from(explained.took.as_millis()).unwrap_or(u64::MAX),
    });
    without_nulls(object)
}

fn passes(verdict: &TraceVerdict) -> bool {
    !matches!(
        verdict,
        TraceVerdict::Dropped { .. } | TraceVerdict::Vanished { .. }
    )
}

fn step(step: &TraceStep, makers: &BTreeMap<Uuid, Maker>) -> Value {
    let rule = step.rule.as_ref().map(|rule| {
        let maker = makers.get(&rule.id);
        without_nulls(json!({
            "kind": rule.kind.words(),
            "id": rule.id,
            "account": maker.and_then(|maker| maker.account.clone()),
            "created": maker.map(|maker| date::format(maker.created)),
        }))
    });
    without_nulls(json!({ "at": step.at, "says": step.says, "pass": step.pass, "rule": rule }))
}

fn kernel(path: &KernelPath) -> Value {
    let steps: Vec<Value> = path.steps.iter().map(kernel_step).collect();
    without_nulls(json!({
        "verdict": path.verdict.to_string(),
        "passes": passes(&path.verdict),
        "route": path.route,
        "step": steps,
    }))
}

fn kernel_step(step: &KernelStep) -> Value {
    without_nulls(json!({
        "chain": step.chain,
        "hook": step.hook,
        "rule": step.rule,
        "verdict": step.verdict,
        "packet": step.packet,
    }))
}

fn session(entry: &SessionEntry) -> Value {
    let text = |end: &Endpoint| end.to_string();
    without_nulls(json!({
        "way": entry.way,
        "inside": text(&entry.inside),
        "public": entry.public.as_ref().map(text),
        "outside": text(&entry.destination),
        "state": entry.state,
        "answered": entry.answered,
        "age": entry.age_secs,
        "timeout": entry.timeout_secs,
    }))
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, field| !field.is_null());
    }
    value
}
