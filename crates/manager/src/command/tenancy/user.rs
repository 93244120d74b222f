// SPDX-License-Identifier: Apache-2.0
//! Users: to create, change, switch on and off, and delete; their keys.

use jiff::Timestamp;
use outgate_model::id::UserId;
use outgate_model::job::Goal;
use outgate_model::object::{Account, AccountState, User};

use super::{check_name, check_text, governed, governed_user, naming, not_the_last};
use crate::CommandError;
use crate::command::request::{CreateUser, NewUser, SetUserState, Started, UpdateUser};
use crate::command::tx::Tx;

/// How long keys that somebody brings along may be, in characters.
const KEY_LENGTH: std::ops::RangeInclusive<usize> = 16..=255;

/// `createUser`. `hash` is of its password.
pub(super) fn create(tx: &mut Tx<'_>, request: &CreateUser, hash: &str) -> Result<UserId, CommandError> {
    naming(tx);
    let account = governed(tx, request.account)?;
    make(tx, &account, &request.user, hash)
}

/// Makes a user of an account.
pub(super) fn make(
    tx: &mut Tx<'_>,
    account: &Account,
    wanted: &NewUser,
    hash: &str,
) -> Result<UserId, CommandError> {
    check_name("username", &wanted.username)?;
    unused(tx, account, &wanted.username)?;
    check_text("firstname", &wanted.firstname)?;
    check_text("lastname", &wanted.lastname)?;
    check_text("email", &wanted.email)?;
    check_text("timezone", wanted.timezone.as_deref().unwrap_or_default())?;
    let user = User {
        password_hash: Some(hash.to_owned()),
        firstname: wanted.firstname.clone(),
        lastname: wanted.lastname.clone(),
        email: wanted.email.clone(),
        timezone: wanted.timezone.clone(),
        ..User::new(account.id, &wanted.username)
    };
    tx.draft.create(&user);
    let text = format!("created user {} of account {}", user.username, account.name);
    tx.event::<User>("USER.CREATE", account.id, user.id.0, text);
    Ok(user.id)
}

fn unused(tx: &Tx<'_>, account: &Account, username: &str) -> Result<(), CommandError> {
    if tx.view.user_by_name(account.domain, username).is_none() {
        return Ok(());
    }
    let expected = format!("a name that no user of domain {} has", account.domain);
    Err(CommandError::invalid("username", username, expected))
}

/// What `updateUser` brings in a form that may be stored.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The new password's hash.
    pub hash: Option<String>,
    /// Whether `currentpassword` was right.
    pub proven: bool,
    /// The new keys, the secret one sealed.
    pub keys: Option<(String, String)>,
}

/// `updateUser`.
pub(super) fn update(
    tx: &mut Tx<'_>,
    request: &UpdateUser,
    given: &Prepared,
) -> Result<UserId, CommandError> {
    let (user, account) = governed_user(tx, request.id, true)?;
    let mut next = User::clone(&user);
    if let Some(name) = request.username.as_ref().filter(|name| **name != user.username) {
        check_name("username", name)?;
        naming(tx);
        if name.to_lowercase() != user.username.to_lowercase() {
            unused(tx, &account, name)?;
        }
        next.username.clone_from(name);
    }
    for (field, wanted, place) in [
        ("firstname", &request.firstname, &mut next.firstname),
        ("lastname", &request.lastname, &mut next.lastname),
        ("email", &request.email, &mut next.email),
    ] {
        if let Some(text) = wanted {
            check_text(field, text)?;
            place.clone_from(text);
        }
    }
    if let Some(timezone) = &request.timezone {
        check_text("timezone", timezone)?;
        next.timezone = Some(timezone.clone());
    }
    if let Some(hash) = &given.hash {
        if !given.proven && !tx.caller.governs(tx.view, &account) {
            return Err(CommandError::invalid(
                "currentpassword",
                "(not shown)",
                "the user's password",
            ));
        }
        next.password_hash = Some(hash.clone());
    }
    if let Some((api_key, sealed)) = &given.keys {
        check_key(tx, &user, api_key)?;
        next.api_key.clone_from(api_key);
        next.sealed_secret_key.clone_from(sealed);
    }
    let text = format!("updated user {}", next.username);
    tx.event::<User>("USER.UPDATE", user.account, user.id.0, text);
    tx.draft.update(&user, next);
    Ok(user.id)
}

/// A key that nobody else has.
fn check_key(tx: &mut Tx<'_>, user: &User, api_key: &str) -> Result<(), CommandError> {
    naming(tx);
    let other = tx
        .view
        .user_by_api_key(api_key)
        .is_some_and(|other| other.id != user.id);
    let fine = api_key.chars().all(|c| c.is_ascii_graphic()) && KEY_LENGTH.contains(&api_key.len());
    if fine && !other {
        return Ok(());
    }
    let expected = format!(
        "{} to {} printable characters that are nobody's key",
        KEY_LENGTH.start(),
        KEY_LENGTH.end()
    );
    Err(CommandError::invalid("userapikey", api_key, expected))
}

/// `registerUserKeys`: a new pair; the old one is good no more.
pub(super) fn register(tx: &mut Tx<'_>, id: UserId, api_key: &str, sealed: &str) -> Result<(), CommandError> {
    let (user, _) = governed_user(tx, id, true)?;
    let next = User {
        api_key: api_key.to_owned(),
        sealed_secret_key: sealed.to_owned(),
        keys_since: Some(Timestamp::now()),
        ..User::clone(&user)
    };
    let text = format!("user {} has new keys", user.username);
    tx.event::<User>("REGISTER.USER.KEY", user.account, user.id.0, text);
    tx.draft.update(&user, next);
    Ok(())
}

/// `enableUser`, `lockUser`.
pub(super) fn set_state(tx: &mut Tx<'_>, request: SetUserState) -> Result<UserId, CommandError> {
    let (user, _) = governed_user(tx, request.id, false)?;
    if request.state != AccountState::Enabled {
        not_the_last(tx, user.account, Some(user.id))?;
    }
    let next = User {
        enabled: request.state != AccountState::Disabled,
        locked: request.state == AccountState::Locked,
        ..User::clone(&user)
    };
    let kind = match request.state {
        AccountState::Enabled => "USER.ENABLE",
        AccountState::Disabled => "USER.DISABLE",
        AccountState::Locked => "USER.LOCK",
    };
    let text = format!("user {} is {} now", user.username, request.state.name());
    tx.event::<User>(kind, user.account, user.id.0, text);
    tx.draft.update(&user, next);
    Ok(user.id)
}

/// `disableUser`.
pub(super) fn disable(tx: &mut Tx<'_>, request: SetUserState) -> Result<Started, CommandError> {
    let id = set_state(tx, request)?;
    let job = tx.job::<User>("disableUser", id.0, Goal::Stored);
    Ok(Started { job, id: None })
}

/// `deleteUser`.
pub(super) fn delete(tx: &mut Tx<'_>, id: UserId) -> Result<(), CommandError> {
    let (user, _) = governed_user(tx, id, false)?;
    not_the_last(tx, user.account, Some(user.id))?;
    let text = format!("deleted user {}", user.username);
    tx.event::<User>("USER.DELETE", user.account, user.id.0, text);
    tx.draft.delete(&user);
    Ok(())
}
