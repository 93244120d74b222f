// SPDX-License-Identifier: Apache-2.0
//! Alerts and events: to say, to put away and to delete.

use jiff::Timestamp;
use outgate_model::event::Event;
use outgate_model::id::{AlertId, EventId};
use outgate_model::job::Goal;
use outgate_model::key;
use outgate_model::object::{Alert, AlertKind, Pod, Zone};

use super::note;
use crate::CommandError;
use crate::command::checks;
use crate::command::request::{AlertsChosen, EventsChosen, GenerateAlert, Started};
use crate::command::tx::Tx;

/// How many alerts said by administrators are kept; the oldest go first.
const SAID_MAX: usize = 1_000;

/// `generateAlert`.
pub(crate) fn generate(tx: &mut Tx<'_>, request: &GenerateAlert) -> Result<Started, CommandError> {
    checks::name("name", &request.name)?;
    checks::name("description", &request.description)?;
    let kind = AlertKind::Other(request.number);
    if let Some(name) = kind
        .known_name()
        .filter(|name| !name.eq_ignore_ascii_case(&request.name))
    {
        let expected = format!("{name}: there is a default alert having type {}", request.number);
        return Err(CommandError::invalid("name", &request.name, expected));
    }
    if let Some(zone) = request.zone {
        tx.provided::<Zone>("zoneid", zone)?;
    }
    if let Some(pod) = request.pod {
        tx.provided::<Pod>("podid", pod)?;
    }
    let mut said: Vec<_> = tx
        .view
        .all::<Alert>()
        .filter(|a| a.about.is_empty())
        .cloned()
        .collect();
    said.sort_by_key(|alert| (alert.created, alert.id));
    let surplus = (said.len() + 1).saturating_sub(SAID_MAX);
    said.iter().take(surplus).for_each(|alert| tx.draft.delete(alert));
    let alert = Alert {
        id: AlertId::new(),
        kind,
        name: Some(request.name.clone()),
        description: request.description.clone(),
        zone: request.zone,
        pod: request.pod,
        about: String::new(),
        archived: false,
        created: Timestamp::now(),
    };
    tx.draft.create(&alert);
    note::<Alert>(
        tx,
        "ALERT.GENERATE",
        alert.id.0,
        format!("alert: {}", alert.description),
    );
    let job = tx.job::<Alert>("generateAlert", alert.id.0, Goal::Stored);
    Ok(Started { job, id: None })
}

/// `archiveAlerts`.
pub(crate) fn archive_alerts(tx: &mut Tx<'_>, request: &AlertsChosen) -> Result<(), CommandError> {
    for alert in chosen(tx, request) {
        let archived = Alert {
            archived: true,
            ..Alert::clone(&alert)
        };
        tx.draft.update(&alert, archived);
    }
    Ok(())
}

/// `deleteAlerts`. One whose cause lasts is only put away, so that it is not raised again at once.
pub(crate) fn delete_alerts(tx: &mut Tx<'_>, request: &AlertsChosen) -> Result<(), CommandError> {
    for alert in chosen(tx, request) {
        if alert.about.is_empty() {
            tx.draft.delete(&alert);
        } else {
            let archived = Alert {
                archived: true,
                ..Alert::clone(&alert)
            };
            tx.draft.update(&alert, archived);
        }
    }
    Ok(())
}

fn chosen(tx: &Tx<'_>, request: &AlertsChosen) -> Vec<crate::Stored<Alert>> {
    let matches = |alert: &&crate::Stored<Alert>| {
        !alert.archived
            && (request.ids.is_empty() || request.ids.contains(&alert.id))
            && request.number.is_none_or(|number| alert.kind.number() == number)
            && request.start.is_none_or(|start| alert.created >= start)
            && request.end.is_none_or(|end| alert.created <= end)
    };
    tx.view.all::<Alert>().filter(matches).cloned().collect()
}

/// `archiveEvents`.
pub(crate) fn archive_events(tx: &mut Tx<'_>, request: &EventsChosen) -> Result<(), CommandError> {
    for event in chosen_events(tx, request)? {
        let archived = Event {
            archived: true,
            ..event
        };
        tx.draft.put_raw(key::event(archived.id), &archived);
    }
    Ok(())
}

/// `deleteEvents`.
pub(crate) fn delete_events(tx: &mut Tx<'_>, request: &EventsChosen) -> Result<(), CommandError> {
    for event in chosen_events(tx, request)? {
        tx.draft.delete_raw(key::event(event.id));
    }
    Ok(())
}

/// The events that the caller may see and that the request names.
fn chosen_events(tx: &Tx<'_>, request: &EventsChosen) -> Result<Vec<Event>, CommandError> {
    let may = |event: &Event| tx.caller.may_any(tx.view, event.account);
    let matches = |event: &Event| {
        request
            .kind
            .as_ref()
            .is_none_or(|kind| event.kind.eq_ignore_ascii_case(kind))
            && request.start.is_none_or(|start| event.created >= start)
            && request.end.is_none_or(|end| event.created <= end)
    };
    if request.ids.is_empty() {
        let all = tx.view.events().filter(|event| may(event) && matches(event));
        return Ok(all.map(|event| Event::clone(event)).collect());
    }
    let named = request.ids.iter().map(|id: &EventId| {
        let event = tx.view.event(*id).filter(|event| may(event));
        event.ok_or_else(|| CommandError::not_found("ids", id))
    });
    let named: Vec<_> = named.collect::<Result<_, _>>()?;
    Ok(named
        .into_iter()
        .filter(|event| matches(event))
        .map(|event| Event::clone(event))
        .collect())
}
