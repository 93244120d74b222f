// SPDX-License-Identifier: Apache-2.0
//! Events.

use jiff::{SignedDuration, Timestamp};
use outgate_manager::command::request::EventsChosen;
use outgate_model::event::{Event, TYPES};
use outgate_model::id::EventId;
use serde_json::json;

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "listEvents",
        "Lists what happened, the newest first.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("event", view::event::FIELDS),
        events,
    ),
    Command::read(
        "listEventTypes",
        "Lists the types of events.",
        &[],
        Answers::List("eventtype", &[("name", "string")]),
        types,
    ),
    Command::act(
        "archiveEvents",
        "Puts events away: listEvents shows them with archived=true only.",
        &[CHOSEN],
        Answers::Success,
        |call| Box::pin(archive(call)),
    ),
    Command::act(
        "deleteEvents",
        "Deletes events.",
        &[CHOSEN],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
];

const CHOSEN: &[Param] = &[
    Param::optional("ids", Kind::Uuids(Of::Event), "these"),
    Param::optional("type", Kind::Text(64), "those of this type"),
    Param::optional("startdate", Kind::Date, "those from then on; needs enddate"),
    Param::optional("enddate", Kind::Date, "those up to then"),
];

/// What of `ids`, `type`, `startdate` and `enddate` must be given, with CloudStack's texts.
pub(super) fn check_choice(params: &Params) -> Result<(), ApiError> {
    let (start, end) = (params.date("startdate"), params.date("enddate"));
    if params.ids("ids").is_empty() && params.text("type").is_none() && end.is_none() {
        return Err(ApiError::parameter(
            "either ids, type or enddate must be specified",
        ));
    }
    if start.is_some() && end.is_none() {
        return Err(ApiError::parameter(
            "enddate must be specified with startdate parameter",
        ));
    }
    Ok(())
}

fn chosen(params: &Params) -> Result<EventsChosen, ApiError> {
    check_choice(params)?;
    Ok(EventsChosen {
        ids: params.ids("ids").iter().copied().map(EventId).collect(),
        kind: params.string("type"),
        start: params.date("startdate"),
        end: params.date("enddate"),
    })
}

async fn archive(call: &Call<'_>) -> Result<Object, Refused> {
    let request = chosen(&call.params)?;
    call.manager.archive_events(&call.caller, request).await?;
    Ok(envelope::single("success", json!(true)))
}

async fn delete(call: &Call<'_>) -> Result<Object, Refused> {
    let request = chosen(&call.params)?;
    call.manager.delete_events(&call.caller, request).await?;
    Ok(envelope::single("success", json!(true)))
}

fn types(_look: &Look<'_>, _params: &Params) -> Result<Object, ApiError> {
    let each = TYPES.iter();
    let items: Vec<_> = each.map(|name| json!({ "name": name })).collect();
    Ok(envelope::list("eventtype", items.len(), items))
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Event), "the event of this id"),
    Param::optional("type", Kind::Text(64), "events of this type"),
    Param::optional(
        "level",
        Kind::OneOf(&["INFO", "WARN", "ERROR"]),
        "events of this level",
    ),
    Param::optional("startdate", Kind::Date, "events from then on"),
    Param::optional("enddate", Kind::Date, "events up to then"),
    Param::optional("resourceid", Kind::Uuid(Of::Anything), "events about this object"),
    Param::optional(
        "resourcetype",
        Kind::Text(64),
        "events about objects of this type",
    ),
    Param::optional(
        "archived",
        Kind::Bool,
        "those that were put away (false when left out)",
    ),
    Param::optional(
        "state",
        Kind::OneOf(&["Created", "Scheduled", "Started", "Completed"]),
        "Started while its job goes on, then Completed",
    ),
    Param::optional(
        "entrytime",
        Kind::Int(0, 3_153_600_000),
        "those of the last so many seconds",
    ),
    Param::optional(
        "duration",
        Kind::Int(0, 3_153_600_000),
        "with entrytime: those that are so many seconds old",
    ),
    Param::optional(
        "startid",
        Kind::Uuid(Of::Event),
        "the event of this id and those that belong to it",
    ),
];

fn events(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let scope = Scope::of(look, params)?;
    let one = params
        .id("id")
        .or(params.id("startid"))
        .map(|id| look.view.event(EventId(id)).map(|e| &**e));
    let all = one.is_none().then(|| {
        let ago = |name: &str| {
            let seconds = SignedDuration::from_secs(params.int(name)?);
            Timestamp::now().checked_sub(seconds).ok()
        };
        let (start, end) = (params.date("startdate"), params.date("enddate"));
        let (start, end) = (start.max(ago("entrytime")), end.or_else(|| ago("duration")));
        // The newest first: what is before the start can only be followed by what is older still.
        look.view
            .events()
            .map(|e| &**e)
            .skip_while(move |e| end.is_some_and(|end| e.created > end))
            .take_while(move |e| start.is_none_or(|start| e.created >= start))
    });
    let matches = one
        .flatten()
        .into_iter()
        .chain(all.into_iter().flatten())
        .filter(|event| shown(look, scope, event) && matches(look, params, event));
    list::reply(look, params, "event", matches, view::event::render)
}

/// An event of nobody is the system's: every admin's.
fn shown(look: &Look<'_>, scope: Scope, event: &Event) -> bool {
    match event.account {
        Some(account) => scope.shows(look, account),
        None => look.caller.admin() && scope != Scope::Nothing,
    }
}

fn matches(look: &Look<'_>, params: &Params, event: &Event) -> bool {
    let filter = Filter(params);
    let resource = event.resource.as_ref();
    filter.exact("type", &event.kind)
        && filter.word("level", view::event::level_name(event.level))
        && filter.maybe_id("resourceid", resource.map(|(_, id)| *id))
        && filter.exact("resourcetype", resource.map_or("", |(kind, _)| kind.as_str()))
        && filter.word("state", view::event::state(look, event))
        && event.archived == params.flag("archived").unwrap_or(false)
        && filter.keyword(&[&event.kind, &event.description])
}
