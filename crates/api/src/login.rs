// SPDX-License-Identifier: Apache-2.0
//! `login`: a session for a user name and a password. A wrong password, an unknown user, an unknown domain and a
//! disabled user are answered alike, after the same work.

use std::net::IpAddr;
use std::time::Instant;

use outgate_manager::{Stored, View};
use outgate_model::id::DomainId;
use outgate_model::object::{Account, Domain, User};
use serde_json::json;

use crate::command::Command;
use crate::dispatch::{Answer, Api};
use crate::session;
use crate::view::Look;
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::Params;
use crate::wire::request::RawParameters;

/// Answers `login`.
pub async fn login(
    api: &Api,
    command: &'static Command,
    raw: RawParameters,
    from: Option<IpAddr>,
) -> Result<Answer, ApiError> {
    // As it was sent: a password may begin or end with a space.
    let password = raw.get("password").unwrap_or_default().to_owned();
    let params = Params::parse(command.name, command.parameters(), &raw.fold()?)?;
    let username = params.need_text("username")?.to_owned();
    let (found, domain) = {
        let view = api.manager.view();
        let (path, domain) = wanted_domain(&view, &params);
        (domain.and_then(|domain| user_of(&view, domain, &username)), path)
    };
    let name = (domain, username);
    let begun = api.kept.guesses.begin(&name, from, Instant::now());
    begun.map_err(|wait| {
        let seconds = wait.as_secs() + 1;
        ApiError::new(429, format!("too many failed logins; try again in {seconds} s"))
    })?;
    let right = api.manager.verify_password(found.as_deref(), &password).await;
    let user = found.filter(|_| right);
    let started = user.and_then(|user| start(api, &user));
    let Some(answer) = started else {
        let text = format!(
            "Failed to authenticate user {} in domain {}; please provide valid credentials",
            name.1, name.0
        );
        return Err(ApiError::new(531, text));
    };
    api.kept.guesses.right(&name, from);
    Ok(answer)
}

/// The path and the id of the domain that is meant; no id when there is none.
fn wanted_domain(view: &View<'_>, params: &Params) -> (String, Option<DomainId>) {
    if let Some(id) = params.id("domainid").map(DomainId) {
        let domain = view.get::<Domain>(id).map(|domain| domain.id);
        return (id.to_string(), domain);
    }
    let path = full_path(params.text("domain").unwrap_or_default());
    let domain = view.all::<Domain>().find(|domain| domain.path == path);
    (path, domain.map(|domain| domain.id))
}

/// `ROOT/sales` for `/sales`, `sales/` and `ROOT/sales`.
fn full_path(given: &str) -> String {
    let path = given.trim().trim_matches('/');
    if path.is_empty() {
        "ROOT".to_owned()
    } else if path == "ROOT" || path.starts_with("ROOT/") {
        path.to_owned()
    } else {
        format!("ROOT/{path}")
    }
}

fn user_of(view: &View<'_>, domain: DomainId, username: &str) -> Option<Stored<User>> {
    let mut users = view.all::<User>().filter(|user| user.username == username);
    let user = users.find(|user| {
        view.get::<Account>(user.account)
            .is_some_and(|a| a.domain == domain)
    });
    user.cloned()
}

/// Starts the session of a user who may call.
fn start(api: &Api, user: &User) -> Option<Answer> {
    let view = api.manager.view();
    let caller = outgate_manager::Caller::of(&view, user)?;
    let look = Look {
        view: &view,
        caller: &caller,
    };
    let owner = look.owner(user.account);
    let account = view.get::<Account>(user.account)?;
    let tokens = api.kept.sessions.open(user.id, Instant::now());
    let inner = json!({
        "userid": user.id,
        "username": user.username,
        "account": owner.account,
        "domainid": owner.domain_id,
        "firstname": user.firstname,
        "lastname": user.lastname,
        "type": account.account_type.to_string(),
        "role": account.role_type().name(),
        "timezone": user.timezone.as_deref().unwrap_or("UTC"),
        "timezoneoffset": "0.0",
        "registered": "false",
        "timeout": session::IDLE.as_secs(),
        "sessionkey": tokens.key,
    });
    let inner: Object = inner.as_object().cloned()?;
    Some((inner, vec![session::cookie(&tokens)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_named_by_its_path_with_or_without_root() {
        for (given, path) in [
            ("", "ROOT"),
            ("/", "ROOT"),
            ("ROOT", "ROOT"),
            ("/sales/", "ROOT/sales"),
            ("sales/east", "ROOT/sales/east"),
            ("ROOT/sales", "ROOT/sales"),
            ("/ROOT/sales", "ROOT/sales"),
            ("ROOTS", "ROOT/ROOTS"),
        ] {
            assert_eq!(full_path(given), path, "{given}");
        }
    }
}
