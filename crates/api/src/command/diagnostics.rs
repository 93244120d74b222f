// SPDX-License-Identifier: Apache-2.0
//! Diagnosis of routers: programs run inside, and what the router holds as one text.

use outgate_manager::Started;
use outgate_manager::insight::{Diagnose, Tool};
use outgate_model::id::RouterId;

use super::{Answers, Call, Command, Refused};
use crate::view::Field;
use crate::wire::params::{Kind, Of, Param};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "runDiagnostics",
        "Runs ping, traceroute or arping in a router.",
        &[TARGET, TOOL],
        Answers::One("diagnostics", OUTPUT),
        |call| Box::pin(run(call)),
    )
    .for_admins(),
    Command::start(
        "getDiagnosticsData",
        "Gathers addresses, routes, rules, statistics and the log of a router; the address holds the text itself.",
        &[TARGET, FILES],
        Answers::One("diagnostics", BUNDLE),
        |call| Box::pin(gather(call)),
    )
    .for_admins(),
];

const TARGET: &[Param] = &[Param::required("targetid", Kind::Uuid(Of::Router), "the router")];

const TOOL: &[Param] = &[
    Param::required(
        "ipaddress",
        Kind::Text(253),
        "the IPv4 address or the host name to reach",
    ),
    Param::required(
        "type",
        Kind::OneOf(&["ping", "traceroute", "arping"]),
        "ping, traceroute or arping",
    ),
    Param::optional(
        "params",
        Kind::Text(128),
        "options: of ping -c -s -t -W -w -M -n -q, of traceroute -m -w -n, of arping -c -w",
    ),
];

const FILES: &[Param] = &[Param::optional(
    "files",
    Kind::Text(512),
    "parts joined by commas: addresses, routes, neighbours, links, rules, iptables, sessions, sessionstatistics, sockets, \
     dnsmasq, log; all when left out",
)];

const OUTPUT: &[Field] = &[("stdout", "string"), ("stderr", "string"), ("exitcode", "string")];
const BUNDLE: &[Field] = &[("url", "string")];

fn target(call: &Call<'_>) -> Result<RouterId, Refused> {
    Ok(RouterId(call.params.need_id("targetid")?))
}

async fn run(call: &Call<'_>) -> Result<Started, Refused> {
    let tool = match call.params.word("type") {
        Some("traceroute") => Tool::Traceroute,
        Some("arping") => Tool::Arping,
        _ => Tool::Ping,
    };
    let request = Diagnose {
        router: target(call)?,
        tool,
        address: call.params.need_text("ipaddress")?.trim().to_owned(),
        options: call.params.string("params").unwrap_or_default(),
    };
    Ok(call.manager.run_diagnostics(&call.caller, request).await?)
}

async fn gather(call: &Call<'_>) -> Result<Started, Refused> {
    let files = call.params.text("files").unwrap_or_default();
    let wanted: Vec<String> = files
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    Ok(call
        .manager
        .diagnostics_data(&call.caller, target(call)?, &wanted)
        .await?)
}
