// SPDX-License-Identifier: Apache-2.0
//! Who asks. An unknown key, a disabled user and a wrong signature are answered alike, after the same work.

use jiff::Timestamp;
use outgate_manager::{Caller, Manager};
use outgate_model::id::UserId;
use outgate_model::object::User;

use crate::wire::date;
use crate::wire::error::ApiError;
use crate::wire::request::RawParameters;
use crate::wire::signature;

/// The secret that stands in for an unknown user's.
const NOBODY: &str = "no user has this secret; checking it costs as much as checking a real one does";

/// The caller, whose signature is right and not expired. Errors with 401.
pub fn authenticate(manager: &Manager, raw: &RawParameters, now: Timestamp) -> Result<Caller, ApiError> {
    let known = raw.get("apikey").and_then(|key| known_user(manager, key));
    let (secret, caller) = match &known {
        Some((secret, caller)) => (secret.as_str(), Some(*caller)),
        None => (NOBODY, None),
    };
    let right = signature::verify(raw, raw.get("signature").unwrap_or_default(), secret.as_bytes());
    let caller = caller.filter(|_| right).ok_or_else(ApiError::unauthenticated)?;
    check_expiry(raw, now)?;
    Ok(caller)
}

/// The caller that a logged-in user is; none when the user may not call any more.
pub fn user(manager: &Manager, id: UserId) -> Option<Caller> {
    let view = manager.view();
    let user = view.user(id)?;
    Caller::of(&view, user)
}

/// The root admin, who calls through the integration port. Errors with 530 when there is none.
pub fn root_admin(manager: &Manager) -> Result<Caller, ApiError> {
    let view = manager.view();
    let mut callers = view.all::<User>().filter_map(|user| Caller::of(&view, user));
    let admin = callers.find(|caller| caller.admin());
    admin.ok_or_else(|| ApiError::internal("no root admin may call"))
}

/// `signatureversion=3` asks for `expires`. Errors with 401 when it is missing, no date, or past.
fn check_expiry(raw: &RawParameters, now: Timestamp) -> Result<(), ApiError> {
    if raw
        .get("signatureversion")
        .is_none_or(|version| version.trim() != "3")
    {
        return Ok(());
    }
    let expires = raw.get("expires").unwrap_or_default();
    match date::parse(expires) {
        Some(at) if at > now => Ok(()),
        _ => Err(ApiError::expired(expires)),
    }
}

fn known_user(manager: &Manager, key: &str) -> Option<(String, Caller)> {
    let view = manager.view();
    let user: &User = view.user_by_api_key(key)?;
    let secret = manager
        .secret_key(user)
        .map_err(|e| tracing::error!(user = %user.id, error = %e, "a user's secret key cannot be used"))
        .ok()?;
    Some((secret, Caller::of(&view, user)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_version_three_asks_for_a_future_date() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let table = [
            (vec![], true),
            (vec![("signatureVersion", "3")], false),
            (vec![("signatureVersion", "3"), ("expires", "")], false),
            (
                vec![("signatureVersion", "3"), ("expires", "2026-01-01T00:00:01+0000")],
                true,
            ),
            (
                vec![("SIGNATUREVERSION", "3"), ("EXPIRES", "2026-01-01T00:10:00Z")],
                true,
            ),
            (
                vec![
                    ("signatureversion", "3"),
                    ("expires", "2026-01-01T00:10:00+00:00"),
                ],
                true,
            ),
            (
                vec![("signatureVersion", "3"), ("expires", "2026-01-01T00:00:00+0000")],
                false,
            ),
            (
                vec![("signatureVersion", "3"), ("expires", "2025-12-31T23:59:59Z")],
                false,
            ),
            (
                vec![("signatureVersion", "3"), ("expires", "2026-01-01T01:00:00+0200")],
                false,
            ),
            (vec![("signatureVersion", "3"), ("expires", "never")], false),
            (
                vec![("signatureVersion", "2"), ("expires", "2020-01-01T00:00:00Z")],
                true,
            ),
        ];
        for (pairs, fine) in table {
            let raw = RawParameters::from_pairs(pairs.clone());
            assert_eq!(check_expiry(&raw, now).is_ok(), fine, "{pairs:?}");
        }
    }
}
