// SPDX-License-Identifier: Apache-2.0
//! Async jobs.

use outgate_model::id::JobId;
use outgate_model::job::Job;

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Command, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::read(
        "queryAsyncJobResult",
        "Tells how a job stands and, when it is done, what came of it.",
        QUERY,
        Answers::One("", view::job::FIELDS),
        query,
    ),
    Command::read(
        "listAsyncJobs",
        "Lists jobs, the oldest first.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("asyncjobs", view::job::FIELDS),
        jobs,
    ),
];

const QUERY: &[&[Param]] = &[&[Param::required("jobid", Kind::Uuid(Of::Job), "the job")]];

fn query(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let id = params.need_id("jobid")?;
    let job = look.view.job(JobId(id)).map(|job| &**job);
    match job.filter(|job| look.caller.may(look.view, job.account)) {
        Some(job) => Ok(view::job::render(look, job)),
        None => Err(ApiError::no_such(params.command(), "jobid", &id.to_string())),
    }
}

const FILTERS: &[Param] = &[
    Param::optional("startdate", Kind::Date, "jobs started then or later"),
    Param::optional("resourceid", Kind::Uuid(Of::Anything), "jobs about this object"),
    Param::optional("resourcetype", Kind::Text(64), "jobs about objects of this type"),
];

fn jobs(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let mut found: Vec<&Job> = look
        .view
        .jobs()
        .map(|job| &**job)
        .filter(|job| {
            scope.shows(look, job.account)
                && params.date("startdate").is_none_or(|start| job.created >= start)
                && filter.id("resourceid", job.instance_id)
                && filter.exact("resourcetype", &job.instance_type)
                && filter.keyword(&[&job.command])
        })
        .collect();
    found.sort_by_key(|job| (job.created, job.id));
    list::reply(look, params, "asyncjobs", found.into_iter(), view::job::render)
}
