// SPDX-License-Identifier: Apache-2.0
//! Accounts: to create, change, switch on and off, and delete.

use outgate_model::id::{AccountId, RoleId};
use outgate_model::job::Goal;
use outgate_model::object::{Account, AccountState, Guest, Power, Role, RoleType};

use super::{check_name, governed, naming, network_domain, not_the_last, open_domain, removal, user};
use crate::CommandError;
use crate::command::request::{CreateAccount, SetAccountState, Started, UpdateAccount, WantedRole};
use crate::command::tx::Tx;

/// `createAccount`, with its first user. `hash` is of the user's password.
pub(super) fn create(
    tx: &mut Tx<'_>,
    request: &CreateAccount,
    hash: &str,
) -> Result<AccountId, CommandError> {
    naming(tx);
    let domain = open_domain(tx, "domainid", request.domain.unwrap_or(tx.caller.domain))?;
    let name = request.name.as_ref().unwrap_or(&request.user.username);
    check_name("account", name)?;
    unused(tx, domain.id, name)?;
    let (role_type, role) = role(tx, request.role)?;
    let mut account = Account::new(tx.draft.number("account"), name, domain.id, role_type);
    account.role = role;
    account.network_domain = network_domain(request.network_domain.as_deref().unwrap_or_default())?;
    tx.draft.create(&account);
    user::make(tx, &account, &request.user, hash)?;
    let text = format!("created account {} in {}", account.name, domain.path);
    tx.event::<Account>("ACCOUNT.CREATE", account.id, account.id.0, text);
    Ok(account.id)
}

fn unused(tx: &Tx<'_>, domain: outgate_model::id::DomainId, name: &str) -> Result<(), CommandError> {
    let mut accounts = tx.view.accounts_of_domain(domain);
    match accounts.find(|other| other.name.eq_ignore_ascii_case(name)) {
        None => Ok(()),
        Some(_) => {
            let expected = format!("a name that no account of domain {domain} has");
            Err(CommandError::invalid("account", name, expected))
        }
    }
}

/// The role that the caller may give. Nobody but a root admin makes root admins.
fn role(tx: &mut Tx<'_>, wanted: WantedRole) -> Result<(RoleType, Option<RoleId>), CommandError> {
    let (role_type, id) = match wanted {
        WantedRole::Type(role_type) => (role_type, None),
        WantedRole::Id(id) => {
            let found = tx.view.get::<Role>(id).cloned();
            let found = found.filter(|role| tx.caller.admin() || role.public);
            let role = found.ok_or_else(|| CommandError::not_found("roleid", id))?;
            tx.draft.read(&role);
            (role.role_type, (!role.default).then_some(id))
        }
    };
    if role_type == RoleType::Admin && !tx.caller.admin() {
        let what = "only root admins make root admins".to_owned();
        return Err(CommandError::Forbidden { what });
    }
    Ok((role_type, id))
}

/// `updateAccount`.
pub(super) fn update(tx: &mut Tx<'_>, request: &UpdateAccount) -> Result<AccountId, CommandError> {
    let account = governed(tx, request.id)?;
    let mut next = Account::clone(&account);
    if let Some(name) = request.name.as_ref().filter(|name| **name != account.name) {
        check_name("newname", name)?;
        naming(tx);
        if !name.eq_ignore_ascii_case(&account.name) {
            unused(tx, account.domain, name)?;
        }
        next.name.clone_from(name);
    }
    if let Some(id) = request.role {
        naming(tx);
        let (role_type, role) = role(tx, WantedRole::Id(id))?;
        if role_type != account.role_type() || role != account.role {
            not_the_last(tx, account.id, None)?;
        }
        (next.account_type, next.role) = (role_type.account_type(), role);
    }
    if let Some(wanted) = &request.network_domain {
        next.network_domain = network_domain(wanted)?;
    }
    let text = format!("updated account {}", next.name);
    tx.event::<Account>("ACCOUNT.UPDATE", account.id, account.id.0, text);
    tx.draft.update(&account, next);
    Ok(account.id)
}

/// `enableAccount`, `lockAccount`.
pub(super) fn set_state(tx: &mut Tx<'_>, request: SetAccountState) -> Result<AccountId, CommandError> {
    let account = governed(tx, request.id)?;
    if request.state != AccountState::Enabled {
        not_the_last(tx, account.id, None)?;
    }
    let next = Account {
        state: request.state,
        ..Account::clone(&account)
    };
    let kind = match request.state {
        AccountState::Enabled => "ACCOUNT.ENABLE",
        AccountState::Disabled | AccountState::Locked => "ACCOUNT.DISABLE",
    };
    let text = format!("account {} is {} now", account.name, request.state.name());
    tx.event::<Account>(kind, account.id, account.id.0, text);
    tx.draft.update(&account, next);
    Ok(account.id)
}

/// `disableAccount`: its guests stop, unless it is only locked.
pub(super) fn disable(tx: &mut Tx<'_>, request: SetAccountState) -> Result<Started, CommandError> {
    let id = set_state(tx, request)?;
    let goal = if request.state == AccountState::Disabled {
        stop_guests(tx, id);
        Goal::GuestsDown { account: id }
    } else {
        Goal::Stored
    };
    let job = tx.job::<Account>("disableAccount", id.0, goal);
    Ok(Started { job, id: None })
}

/// Switches off an account's guests that run.
pub(super) fn stop_guests(tx: &mut Tx<'_>, id: AccountId) {
    for guest in tx
        .view
        .guests_of_account(id)
        .filter(|guest| guest.power == Power::On)
    {
        let next = Guest {
            power: Power::Off,
            ..Guest::clone(guest)
        };
        tx.draft.update(guest, next);
        let text = format!("stopping guest {}", guest.name);
        tx.event::<Guest>("VM.STOP", id, guest.id.0, text);
    }
}

/// `deleteAccount`: all it owns goes first.
pub(super) fn delete(tx: &mut Tx<'_>, id: AccountId) -> Result<Started, CommandError> {
    let account = governed(tx, id)?;
    not_the_last(tx, id, None)?;
    let sole = |project: &&crate::Stored<outgate_model::object::Project>| {
        let mut others = project.members.iter().filter(|member| member.account != id);
        !project.leaving && !others.any(|member| member.admin)
    };
    if let Some(project) = tx.view.projects_of_member(id).find(sole) {
        let expected = format!(
            "an account that no project needs: project {} ({}) has no other owner; delete it or give it one by \
             updateProject first",
            project.name, project.id
        );
        return Err(CommandError::invalid("id", id, expected));
    }
    removal::account(tx.draft, &account);
    let text = format!("deleting account {}", account.name);
    tx.event::<Account>("ACCOUNT.DELETE", tx.caller.account, id.0, text);
    let job = tx.job::<Account>("deleteAccount", id.0, Goal::AccountGone { account: id });
    Ok(Started { job, id: None })
}
