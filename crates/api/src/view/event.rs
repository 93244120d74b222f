// SPDX-License-Identifier: Apache-2.0
//! `event`.

use outgate_model::event::{Event, Level};
use outgate_model::job::JobState;

use crate::view::{Look, view};
use crate::wire::date;

/// A level in CloudStack's words.
pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    }
}

/// How far it is: Started while its job goes on.
pub fn state(look: &Look<'_>, event: &Event) -> &'static str {
    let job = event.job.and_then(|id| look.view.job(id));
    match job {
        Some(job) if matches!(job.state, JobState::Pending) => "Started",
        _ => "Completed",
    }
}

view! {
    /// An event.
    (look, event: &Event) {
        let owner = event.account.map(|id| look.owner(id)).unwrap_or_default();
        let job = event.job.and_then(|id| look.view.job(id));
    }
    "id" string = event.id;
    "type" string = &event.kind;
    "level" string = level_name(event.level);
    "description" string = &event.description;
    "created" date = date::format(event.created);
    "state" string = state(look, event);
    "resourcetype" string = event.resource.as_ref().map(|(kind, _)| kind);
    "resourceid" string = event.resource.as_ref().map(|(_, id)| id);
    "jobid" string = event.job;
    "username" string = event.user.or(job.map(|job| job.user)).and_then(|id| look.view.user(id)).map_or("system", |u| u.username.as_str());
    "archived" boolean = event.archived;
    "account" string = event.account.map_or(Some("system".to_owned()), |_| owner.account);
    "domain" string = owner.domain;
    "domainid" string = owner.domain_id;
    "domainpath" string = owner.domain_path;
    "project" string = owner.project;
    "projectid" string = owner.project_id;
}
