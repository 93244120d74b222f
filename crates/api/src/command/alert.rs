// SPDX-License-Identifier: Apache-2.0
//! Alerts: what an administrator should look at.

use outgate_manager::Started;
use outgate_manager::command::request::{AlertsChosen, GenerateAlert};
use outgate_model::id::{AlertId, PodId, ZoneId};
use outgate_model::object::{ALERT_TYPES, Alert};
use serde_json::json;

use super::filter::Filter;
use super::{Answers, Call, Command, Refused, list};
use crate::view::{self, Field, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listAlerts",
        "Lists what an administrator should look at, the newest first.",
        &[FILTERS, list::PAGED],
        Answers::List("alert", view::alert::FIELDS),
        alerts,
    )
    .for_admins(),
    Command::read(
        "listAlertTypes",
        "Lists the types of alerts.",
        &[],
        Answers::List("alerttype", TYPE),
        types,
    )
    .for_admins(),
    Command::start(
        "generateAlert",
        "Says something that administrators should look at.",
        &[GENERATE],
        Answers::Success,
        |call| Box::pin(generate(call)),
    )
    .for_admins(),
    Command::act(
        "archiveAlerts",
        "Puts alerts away. One is raised again only when its cause was gone meanwhile.",
        &[CHOSEN],
        Answers::Success,
        |call| Box::pin(archive(call)),
    )
    .for_admins(),
    Command::act(
        "deleteAlerts",
        "Deletes alerts. One is raised again only when its cause was gone meanwhile.",
        &[CHOSEN],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_admins(),
];

const TYPE: &[Field] = &[("id", "integer"), ("name", "string")];

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Alert), "the alert of this id"),
    Param::optional(
        "type",
        Kind::Text(64),
        "alerts of this type: its number, or its name",
    ),
    Param::optional("name", Kind::Text(255), "alerts of this name"),
];

const GENERATE: &[Param] = &[
    Param::required("type", Kind::Int(0, 32_767), "the type's number"),
    Param::required("name", Kind::Text(255), "the type's name"),
    Param::required("description", Kind::Text(255), "what to look at"),
    Param::optional("zoneid", Kind::Uuid(Of::Zone), "the zone"),
    Param::optional("podid", Kind::Uuid(Of::Pod), "the pod"),
];

const CHOSEN: &[Param] = &[
    Param::optional("ids", Kind::Uuids(Of::Alert), "these"),
    Param::optional(
        "type",
        Kind::Text(64),
        "those of this type: its number, or its name",
    ),
    Param::optional("startdate", Kind::Date, "those from then on; needs enddate"),
    Param::optional("enddate", Kind::Date, "those up to then"),
];

/// The number of the type that `type` gives by number or name.
fn number(params: &Params) -> Result<Option<u16>, ApiError> {
    let Some(text) = params.text("type") else {
        return Ok(None);
    };
    let mut named = ALERT_TYPES
        .iter()
        .filter(|(_, name)| name.eq_ignore_ascii_case(text));
    let number = text
        .parse()
        .ok()
        .or_else(|| named.next().map(|(number, _)| *number));
    let expected = "the number or the name of a type that listAlertTypes lists";
    number
        .ok_or_else(|| ApiError::invalid(params.command(), "type", text, expected))
        .map(Some)
}

fn alerts(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, number) = (Filter(params), number(params)?);
    let mut matches: Vec<&Alert> = look.view.all::<Alert>().map(|a| &**a).collect();
    matches.retain(|alert| {
        let name = alert.name.as_deref().unwrap_or_else(|| alert.kind.name());
        !alert.archived
            && filter.id("id", alert.id.0)
            && number.is_none_or(|number| alert.kind.number() == number)
            && filter.exact("name", name)
            && filter.keyword(&[name, &alert.description])
    });
    matches.sort_by_key(|alert| std::cmp::Reverse((alert.created, alert.id)));
    list::reply(look, params, "alert", matches.into_iter(), view::alert::render)
}

fn types(_look: &Look<'_>, _params: &Params) -> Result<Object, ApiError> {
    let each = ALERT_TYPES.iter();
    let items: Vec<_> = each
        .map(|(number, name)| json!({"id": number, "name": name}))
        .collect();
    Ok(envelope::list("alerttype", items.len(), items))
}

async fn generate(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let number = params.int("type").and_then(|number| u16::try_from(number).ok());
    let request = GenerateAlert {
        number: number.ok_or_else(|| ApiError::missing(params.command(), "type"))?,
        name: params.need_text("name")?.to_owned(),
        description: params.need_text("description")?.to_owned(),
        zone: params.id("zoneid").map(ZoneId),
        pod: params.id("podid").map(PodId),
    };
    Ok(call.manager.generate_alert(&call.caller, request).await?)
}

fn chosen(params: &Params) -> Result<AlertsChosen, ApiError> {
    super::event::check_choice(params)?;
    Ok(AlertsChosen {
        ids: params.ids("ids").iter().copied().map(AlertId).collect(),
        number: number(params)?,
        start: params.date("startdate"),
        end: params.date("enddate"),
    })
}

async fn archive(call: &Call<'_>) -> Result<Object, Refused> {
    let request = chosen(&call.params)?;
    call.manager.archive_alerts(&call.caller, request).await?;
    Ok(envelope::single("success", json!(true)))
}

async fn delete(call: &Call<'_>) -> Result<Object, Refused> {
    let request = chosen(&call.params)?;
    call.manager.delete_alerts(&call.caller, request).await?;
    Ok(envelope::single("success", json!(true)))
}
