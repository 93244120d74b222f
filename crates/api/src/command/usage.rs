// SPDX-License-Identifier: Apache-2.0
//! Usage records: what accounts used, day by day.

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use outgate_manager::insight::{Record, UsageQuery, UsageType};
use outgate_model::id::AccountId;
use outgate_model::object::{Account, RoleType};
use serde_json::Value;

use super::scope::{self, Scope};
use super::{Answers, Call, Command, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "listUsageRecords",
        "Lists usage: hours of public addresses, networks and VPCs, and bytes to and from the outside, one record a day.",
        &[RANGE, FILTERS, scope::OWNED, list::PAGED],
        Answers::List("usagerecord", view::usage::FIELDS),
        |call| Box::pin(records(call)),
    )
    .for_domain_admins(),
    Command::act(
        "generateUsageRecords",
        "Reads the routers' byte counters now, so that usage records hold everything up to this moment.",
        &[RANGE, DOMAIN],
        Answers::Success,
        |call| Box::pin(generate(call)),
    )
    .for_admins(),
    Command::read(
        "listUsageTypes",
        "Lists the types of usage that there are.",
        &[],
        Answers::List("usagetype", view::usage::TYPE_FIELDS),
        types,
    )
    .for_domain_admins(),
    Command::act(
        "removeRawUsageRecords",
        "Removes usage that is older than so many days.",
        &[INTERVAL],
        Answers::Success,
        |call| Box::pin(remove(call)),
    )
    .for_admins(),
];

const RANGE: &[Param] = &[
    Param::required("startdate", Kind::Date, "the first day, in UTC"),
    Param::required("enddate", Kind::Date, "the last day, in UTC"),
];

const FILTERS: &[Param] = &[
    Param::optional(
        "type",
        Kind::Int(0, 1_000),
        "records of this type, see listUsageTypes",
    ),
    Param::optional(
        "usageid",
        Kind::Text(36),
        "records of the object with this id; needs type",
    ),
    Param::optional("accountid", Kind::Uuid(Of::Account), "records of this account"),
    Param::optional("includetags", Kind::Bool, "records have no tags"),
    Param::optional("oldformat", Kind::Bool, "there is one format only"),
];

const DOMAIN: &[Param] = &[Param::optional(
    "domainid",
    Kind::Uuid(Of::Domain),
    "everything is read, whatever the domain",
)];

const INTERVAL: &[Param] = &[Param::required(
    "interval",
    Kind::Int(1, 36_500),
    "usage of more than so many days ago is removed",
)];

fn day(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

fn need_day(params: &Params, name: &str) -> Result<Date, ApiError> {
    let at = params.date(name);
    at.map(day)
        .ok_or_else(|| ApiError::missing(params.command(), name))
}

/// Whose records are listed: an admin's are all within reach unless the request names somebody, as in CloudStack.
#[derive(Debug, Clone)]
enum Whose {
    Everybody,
    Scope(Scope),
}

impl Whose {
    fn of(look: &Look<'_>, params: &Params) -> Result<Self, ApiError> {
        if let Some(id) = params.id("accountid") {
            return Ok(Self::Scope(Scope::Account(AccountId(id))));
        }
        let named = params.text("account").is_some() || params.text("projectid").is_some();
        match look.caller.role {
            RoleType::Admin if !named && params.id("domainid").is_none() => Ok(Self::Everybody),
            RoleType::DomainAdmin if !named && params.id("domainid").is_none() => {
                Ok(Self::Scope(Scope::Visible))
            }
            _ => Scope::of(look, params).map(Self::Scope),
        }
    }

    /// Accounts that are gone have used something too: root admins see it.
    fn shows(&self, look: &Look<'_>, account: AccountId) -> bool {
        match self {
            Self::Everybody => true,
            Self::Scope(scope) => look.view.get::<Account>(account).is_some() && scope.shows(look, account),
        }
    }
}

async fn records(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let (first, last) = (need_day(params, "startdate")?, need_day(params, "enddate")?);
    if last < first {
        let value = last.to_string();
        return Err(
            ApiError::invalid(params.command(), "enddate", &value, "a day not before startdate").into(),
        );
    }
    let kind = params.int("type").map(UsageType::of);
    let usage_id = params.text("usageid");
    if usage_id.is_some() && kind.is_none() {
        return Err(ApiError::missing(params.command(), "type").into());
    }
    let (whose, accounts) = {
        let view = call.manager.view();
        let look = Look {
            view: &view,
            caller: &call.caller,
        };
        let whose = Whose::of(&look, params)?;
        let accounts = match &whose {
            Whose::Everybody => None,
            Whose::Scope(scope) => scope.accounts(&look),
        };
        (whose, accounts)
    };
    let found = match kind {
        // A type that nothing is counted by here.
        Some(None) => Vec::new(),
        kind => {
            let query = UsageQuery {
                first,
                last,
                kind: kind.flatten(),
            };
            let shows = |id: AccountId| accounts.as_ref().is_none_or(|all| all.contains(&id));
            call.manager.usage_records(query, shows).await?
        }
    };
    let view = call.manager.view();
    let look = Look {
        view: &view,
        caller: &call.caller,
    };
    let keyword = params.text("keyword");
    let matches = found.iter().filter(|record: &&Record| {
        whose.shows(&look, record.account)
            && usage_id.is_none_or(|id| record.used.to_string() == id)
            && keyword.is_none_or(|word| record.name.contains(word))
    });
    Ok(list::reply(
        &look,
        params,
        "usagerecord",
        matches,
        view::usage::render,
    )?)
}

async fn generate(call: &Call<'_>) -> Result<Object, Refused> {
    call.manager.generate_usage().await?;
    Ok(envelope::single("success", Value::Bool(true)))
}

fn types(_: &Look<'_>, _: &Params) -> Result<Object, ApiError> {
    let items: Vec<Value> = UsageType::ALL.into_iter().map(view::usage::render_type).collect();
    Ok(envelope::list("usagetype", items.len(), items))
}

async fn remove(call: &Call<'_>) -> Result<Object, Refused> {
    let days = call.params.int("interval").unwrap_or(i64::MAX).clamp(1, 36_500);
    let today = day(Timestamp::now());
    let oldest = today.checked_sub(jiff::Span::new().days(days));
    call.manager
        .remove_usage_before(oldest.unwrap_or(Date::MIN))
        .await?;
    Ok(envelope::single("success", Value::Bool(true)))
}
