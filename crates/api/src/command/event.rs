// SPDX-License-Identifier: Apache-2.0
//! Events.

use outgate_model::event::Event;
use outgate_model::id::EventId;

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Command, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[Command::read(
    "listEvents",
    "Lists what happened, the newest first.",
    &[FILTERS, scope::OWNED, list::PAGED],
    Answers::List("event", view::event::FIELDS),
    events,
)];

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
    Param::optional("archived", Kind::Bool, "no event is archived"),
];

fn events(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let scope = Scope::of(look, params)?;
    let one = params
        .id("id")
        .map(|id| look.view.event(EventId(id)).map(|e| &**e));
    let all = one.is_none().then(|| {
        let (start, end) = (params.date("startdate"), params.date("enddate"));
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
        .filter(|event| shown(look, scope, event) && matches(params, event));
    list::reply(look, params, "event", matches, view::event::render)
}

/// An event of nobody is the system's: every admin's.
fn shown(look: &Look<'_>, scope: Scope, event: &Event) -> bool {
    match event.account {
        Some(account) => scope.shows(look, account),
        None => look.caller.admin() && scope != Scope::Nothing,
    }
}

fn matches(params: &Params, event: &Event) -> bool {
    let filter = Filter(params);
    let resource = event.resource.as_ref();
    filter.exact("type", &event.kind)
        && filter.word("level", view::event::level_name(event.level))
        && filter.maybe_id("resourceid", resource.map(|(_, id)| *id))
        && filter.exact("resourcetype", resource.map_or("", |(kind, _)| kind.as_str()))
        && filter.flag("archived", false)
        && filter.keyword(&[&event.kind, &event.description])
}
