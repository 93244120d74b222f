// SPDX-License-Identifier: Apache-2.0
//! Limits of accounts, projects and domains.

use outgate_model::id::{AccountId, DomainId};
use outgate_model::object::{Account, Domain, Limits, RoleType};

use super::open_domain;
use crate::CommandError;
use crate::command::request::{SetLimit, Whose};
use crate::command::tx::Tx;
use crate::limits::{Resource, TYPES, UNLIMITED};

/// The largest limit.
const MAX: i64 = 1_000_000_000;

/// `updateResourceLimit`.
pub(super) fn set(tx: &mut Tx<'_>, request: SetLimit) -> Result<(), CommandError> {
    if !(UNLIMITED..=MAX).contains(&request.max) {
        return Err(CommandError::invalid("max", request.max, format!("-1 to {MAX}")));
    }
    let resource = Resource::of_number(request.resource);
    if let (None, Some((_, word))) = (resource, TYPES.iter().find(|(n, _)| *n == request.resource)) {
        let expected = format!("-1: resources of type {word} are not limited here");
        return match request.max {
            UNLIMITED => Ok(()),
            max => Err(CommandError::invalid("max", max, expected)),
        };
    }
    let resource = resource.ok_or_else(|| {
        CommandError::invalid(
            "resourcetype",
            request.resource,
            "0 to 11, such as 1 for public_ip",
        )
    })?;
    match request.whose {
        Whose::Account(id) => of_account(tx, id, resource, request.max),
        Whose::Domain(id) => of_domain(tx, id, resource, request.max),
    }
}

fn put(limits: &mut Limits, resource: Resource, max: i64) {
    limits.insert(resource.number(), max);
}

fn of_account(tx: &mut Tx<'_>, id: AccountId, resource: Resource, max: i64) -> Result<(), CommandError> {
    let found = tx.view.get::<Account>(id).cloned();
    let found = found.filter(|account| !account.leaving && tx.caller.may(tx.view, id));
    let account = found.ok_or_else(|| CommandError::not_found("account", id))?;
    if !tx.caller.governs(tx.view, &account) || (id == tx.caller.account && !tx.caller.admin()) {
        return Err(CommandError::permission("Account", id));
    }
    if account.role_type() == RoleType::Admin {
        let expected = "-1: root admins' accounts have no limits";
        return match max {
            UNLIMITED => Ok(()),
            max => Err(CommandError::invalid("max", max, expected)),
        };
    }
    let mut next = Account::clone(&account);
    put(&mut next.limits, resource, max);
    let text = format!(
        "account {} may hold {max} of type {}",
        account.name,
        resource.word()
    );
    tx.event::<Account>("RESOURCE.LIMIT.UPDATE", id, id.0, text);
    tx.draft.update(&account, next);
    Ok(())
}

fn of_domain(tx: &mut Tx<'_>, id: DomainId, resource: Resource, max: i64) -> Result<(), CommandError> {
    let domain = open_domain(tx, "domainid", id)?;
    let Some(parent) = domain.parent else {
        return Err(CommandError::invalid(
            "domainid",
            id,
            "a domain below ROOT: that one has no limits",
        ));
    };
    if id == tx.caller.domain && !tx.caller.admin() {
        return Err(CommandError::permission("Domain", id));
    }
    let above = tx.known::<Domain>(parent)?;
    let most = tx.view.limit_of_domain(&above, resource);
    if most != UNLIMITED && (max == UNLIMITED || max > most) {
        let expected = format!("at most {most}, as the domain above may hold");
        return Err(CommandError::invalid("max", max, expected));
    }
    let mut next = Domain::clone(&domain);
    put(&mut next.limits, resource, max);
    let text = format!(
        "domain {} may hold {max} of type {}",
        domain.path,
        resource.word()
    );
    tx.event::<Domain>("RESOURCE.LIMIT.UPDATE", tx.caller.account, id.0, text);
    tx.draft.update(&domain, next);
    Ok(())
}
