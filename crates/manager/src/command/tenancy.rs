// SPDX-License-Identifier: Apache-2.0
//! Domains, accounts, users, roles, projects and limits.

mod account;
mod domain;
mod limit;
mod methods;
mod project;
pub(crate) mod removal;
mod role;
mod user;

use outgate_model::id::{AccountId, DomainId, UserId};
use outgate_model::object::{Account, Domain, User, Zone};

use super::tx::Tx;
use crate::CommandError;
use crate::bootstrap;
use crate::mirror::Stored;

/// How long names of accounts, users, domains and roles may be.
const NAME_MAX: usize = 255;

/// Transactions that give a name call it: they write one counter, so that no two of them can give the same name at once.
fn naming(tx: &mut Tx<'_>) {
    tx.draft.number("names");
}

/// A name of an account, a user, a domain or a role: printable, not blank, without slashes and outer spaces.
fn check_name(field: &str, name: &str) -> Result<(), CommandError> {
    let fine = !name.is_empty()
        && name.trim() == name
        && name.chars().count() <= NAME_MAX
        && !name.chars().any(|c| c.is_control() || c == '/');
    if fine {
        return Ok(());
    }
    let expected = format!("1 to {NAME_MAX} printable characters without / and outer spaces");
    Err(CommandError::invalid(field, name, expected))
}

/// Free text of a user: a name or a mail address.
fn check_text(field: &str, text: &str) -> Result<(), CommandError> {
    if text.chars().count() <= NAME_MAX && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let expected = format!("at most {NAME_MAX} printable characters");
    Err(CommandError::invalid(field, text, expected))
}

/// A DNS domain that is given, or taken away by an empty one.
fn network_domain(wanted: &str) -> Result<Option<String>, CommandError> {
    if wanted.is_empty() {
        return Ok(None);
    }
    super::checks::domain("networkdomain", wanted)?;
    Ok(Some(wanted.to_owned()))
}

/// The DNS domain of a new network. One that names none gets its account's, else that of the nearest domain that has
/// one, else the zone's.
pub(super) fn domain_of_network(
    tx: &Tx<'_>,
    named: Option<&str>,
    account: &Account,
    zone: &Zone,
) -> Result<String, CommandError> {
    let mut above = tx.view.domains_up(account.domain);
    let inherited = || above.find_map(|domain| domain.network_domain.clone());
    let named = named
        .map(str::to_owned)
        .or_else(|| account.network_domain.clone());
    let domain = named
        .or_else(inherited)
        .unwrap_or_else(|| zone.network_domain.clone());
    super::checks::domain("networkdomain", &domain)?;
    Ok(domain)
}

/// A domain that the caller sees and where something new may be made. The transaction depends on it.
fn open_domain(tx: &mut Tx<'_>, field: &str, id: DomainId) -> Result<Stored<Domain>, CommandError> {
    let found = tx.view.get::<Domain>(id).cloned();
    let found = found.filter(|domain| tx.caller.may_domain(tx.view, domain.id));
    let domain = found.ok_or_else(|| CommandError::not_found(field, id))?;
    tx.draft.read(&domain);
    if domain.leaving {
        let what = format!("domain {} is being deleted", domain.path);
        return Err(CommandError::Unavailable { what });
    }
    Ok(domain)
}

/// An account that the caller administers. What it does not see is not there; what it sees only is forbidden.
fn governed(tx: &mut Tx<'_>, id: AccountId) -> Result<Stored<Account>, CommandError> {
    let found = tx.view.get::<Account>(id).cloned();
    let seen = found.filter(|account| account.project.is_none() && tx.caller.may(tx.view, id));
    let account = seen.ok_or_else(|| CommandError::not_found("id", id))?;
    if !tx.caller.governs(tx.view, &account) {
        return Err(CommandError::permission("Account", id));
    }
    tx.draft.read(&account);
    if account.leaving {
        let what = format!("account {} is being deleted", account.name);
        return Err(CommandError::Unavailable { what });
    }
    Ok(account)
}

/// Refuses to shut out the first start's administrator or the caller itself: nobody could undo it.
fn not_the_last(tx: &Tx<'_>, account: AccountId, user: Option<UserId>) -> Result<(), CommandError> {
    let admin = bootstrap::administrator(tx.view);
    let mine = user.map_or(account == tx.caller.account, |user| user == tx.caller.user);
    let first = admin.is_some_and(|admin| user.map_or(admin.account == account, |user| admin.id == user));
    let id = user.map_or_else(|| account.to_string(), |user| user.to_string());
    if first {
        return Err(CommandError::invalid(
            "id",
            id,
            "not the default admin, who stays",
        ));
    }
    if mine {
        return Err(CommandError::invalid("id", id, "somebody else than the caller"));
    }
    Ok(())
}

/// A user whom the caller administers, or itself when `own` is enough.
fn governed_user(
    tx: &mut Tx<'_>,
    id: UserId,
    own: bool,
) -> Result<(Stored<User>, Stored<Account>), CommandError> {
    let found = tx.view.get::<User>(id).cloned();
    let found = found.filter(|user| tx.caller.may(tx.view, user.account));
    let user = found.ok_or_else(|| CommandError::not_found("id", id))?;
    let account = tx.known::<Account>(user.account)?;
    let may = tx.caller.governs(tx.view, &account) || (own && tx.caller.user == id);
    if !may {
        return Err(CommandError::permission("User", id));
    }
    tx.draft.read(&user);
    Ok((user, account))
}
