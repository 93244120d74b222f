// SPDX-License-Identifier: Apache-2.0
//! `asyncjobs` and `queryAsyncJobResult`. A finished job's `jobresult` has exactly one key when it succeeded, and is
//! always there: clients wait for it.

use outgate_model::job::{Job, JobState};
use serde_json::{Value, json};

use crate::command::{self, Answers};
use crate::view::{Look, view};
use crate::wire::date;
use crate::wire::envelope::single;

view! {
    /// A job.
    (look, job: &Job) {
        let owner = look.owner(job.account);
        let (status, code) = match job.state {
            JobState::Pending => (0, 0),
            JobState::Succeeded => (1, 0),
            JobState::Failed { code, .. } => (2, code),
        };
    }
    "jobid" string = job.id;
    "cmd" string = &job.command;
    "jobstatus" integer = status;
    "jobprocstatus" integer = 0;
    "jobresultcode" integer = code;
    "jobresulttype" string = (status != 0).then_some("object");
    "jobresult" map = result(look, job);
    "jobinstancetype" string = &job.instance_type;
    "jobinstanceid" string = job.instance_id;
    "created" date = date::format(job.created);
    "completed" date = job.completed.map(date::format);
    "userid" string = job.user;
    "accountid" string = job.account;
    "account" string = owner.account;
    "domainid" string = owner.domain_id;
    "domainpath" string = owner.domain_path;
}

/// What became of a job: nothing yet, the object as it is now, or the error.
fn result(look: &Look<'_>, job: &Job) -> Option<Value> {
    match &job.state {
        JobState::Pending => None,
        JobState::Failed { code, text } => Some(json!({"errorcode": code, "errortext": text})),
        JobState::Succeeded => {
            let made = command::find(&job.command).map(|command| command.answers);
            Some(match made {
                Some(Answers::Entity(entity)) => Value::Object(single(
                    entity.key(),
                    Value::Object(entity.render(look, job.instance_id).unwrap_or_else(|| gone(job))),
                )),
                Some(Answers::One(key, _)) => Value::Object(single(key, report(job))),
                _ => json!({"success": true}),
            })
        }
    }
}

/// What a job found out.
fn report(job: &Job) -> Value {
    let text = job.report.as_deref().unwrap_or("{}");
    serde_json::from_str(text).unwrap_or_else(|_| json!({}))
}

/// What is left to say of an object that the job, or a later one, removed.
fn gone(job: &Job) -> crate::wire::envelope::Object {
    let mut object = single("id", json!(job.instance_id));
    object.insert("state".to_owned(), json!("Destroyed"));
    object
}
