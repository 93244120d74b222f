// SPDX-License-Identifier: Apache-2.0
//! Users, their keys, and how much they may call.

use std::time::Instant;

use outgate_manager::Started;
use outgate_manager::command::request::{CreateUser, Secret, SetUserState, UpdateUser};
use outgate_model::id::{AccountId, UserId};
use outgate_model::object::{Account, AccountState, RoleType, User};
use serde_json::{Value, json};

use super::{NAME, NEW_USER, PASSWORD, new_user};
use crate::command::filter::Filter;
use crate::command::scope::{self, Scope};
use crate::command::{Answers, Call, Command, Entity, Refused, list};
use crate::dispatch;
use crate::view::{self, Field, Look};
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "createUser",
        "Creates a user of an account.",
        &[NEW_USER, CREATE],
        Answers::Entity(Entity::User),
        |call| Box::pin(create(call)),
    )
    .for_domain_admins(),
    Command::act(
        "updateUser",
        "Changes a user: users themselves, admins those of their accounts.",
        &[UPDATE],
        Answers::Entity(Entity::User),
        |call| Box::pin(update(call)),
    ),
    Command::act(
        "enableUser",
        "Lets a user call again.",
        &[ONE],
        Answers::Entity(Entity::User),
        |call| Box::pin(set(call, AccountState::Enabled)),
    )
    .for_domain_admins(),
    Command::act(
        "lockUser",
        "Keeps a user from calling.",
        &[ONE],
        Answers::Entity(Entity::User),
        |call| Box::pin(set(call, AccountState::Locked)),
    )
    .for_domain_admins(),
    Command::start(
        "disableUser",
        "Keeps a user from calling.",
        &[ONE],
        Answers::Entity(Entity::User),
        |call| Box::pin(disable(call)),
    )
    .for_domain_admins(),
    Command::act(
        "deleteUser",
        "Deletes a user.",
        &[ONE],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_domain_admins(),
    Command::read(
        "listUsers",
        "Lists users.",
        &[FILTERS, list::PAGED],
        Answers::List("user", view::user::FIELDS),
        users,
    ),
    Command::act(
        "registerUserKeys",
        "Gives a user a new pair of keys; the old one is good no more.",
        &[ONE],
        Answers::One("userkeys", KEYS),
        |call| Box::pin(register(call)),
    ),
    Command::act(
        "getUserKeys",
        "Tells a user's keys: to itself, and to who administers it.",
        &[ONE],
        Answers::One("userkeys", KEYS),
        |call| Box::pin(keys(call)),
    ),
    Command::act(
        "getApiLimit",
        "Tells how many calls the caller's account may still make in this interval.",
        &[],
        Answers::One("apilimit", view::api_limit::FIELDS),
        |call| Box::pin(api_limit(call)),
    ),
    Command::act(
        "resetApiLimit",
        "Forgets the calls of an account, or of all.",
        &[&[Param::optional(
            "account",
            Kind::Uuid(Of::Account),
            "the account's id; all when left out",
        )]],
        Answers::Success,
        |call| Box::pin(reset_api_limit(call)),
    )
    .for_admins(),
];

const ONE: &[Param] = &[Param::required("id", Kind::Uuid(Of::User), "the user")];

const KEYS: &[Field] = &[("apikey", "string"), ("secretkey", "string")];

const CREATE: &[Param] = &[
    Param::required("account", NAME, "the account's name"),
    Param::optional(
        "domainid",
        Kind::Uuid(Of::Domain),
        "the account's domain; the caller's when left out",
    ),
];

async fn create(call: &Call<'_>) -> Result<Object, Refused> {
    let account = {
        let view = call.manager.view();
        let look = Look {
            view: &view,
            caller: &call.caller,
        };
        let name = call.params.need_text("account")?;
        let domain = call.params.id("domainid").unwrap_or(call.caller.domain.0);
        scope::account_in(&look, &call.params, outgate_model::id::DomainId(domain), name)?
    };
    let request = CreateUser {
        account,
        user: new_user(&call.params)?,
    };
    let id = call.manager.create_user(&call.caller, request).await?;
    Ok(call.entity(Entity::User, id.0))
}

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::User), "the user"),
    Param::optional("username", NAME, "the new login name"),
    Param::optional("password", PASSWORD, "the new password, as it is"),
    Param::optional(
        "currentpassword",
        PASSWORD,
        "the password so far; users need it to change theirs",
    ),
    Param::optional("firstname", NAME, "the first name"),
    Param::optional("lastname", NAME, "the last name"),
    Param::optional("email", NAME, "the mail address"),
    Param::optional("timezone", NAME, "the time zone, for consoles"),
    Param::optional(
        "userapikey",
        NAME,
        "a new public key that the user brings along; needs usersecretkey",
    ),
    Param::optional("usersecretkey", Kind::Secret(255), "its secret key"),
];

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let secret = |name| params.string(name).map(Secret);
    let keys = match (params.string("userapikey"), secret("usersecretkey")) {
        (None, None) => None,
        (Some(key), Some(secret)) => Some((key, secret)),
        (Some(_), None) => return Err(ApiError::missing(params.command(), "usersecretkey").into()),
        (None, Some(_)) => return Err(ApiError::missing(params.command(), "userapikey").into()),
    };
    let request = UpdateUser {
        id: UserId(params.need_id("id")?),
        username: params.string("username"),
        password: secret("password"),
        current_password: secret("currentpassword"),
        firstname: params.string("firstname"),
        lastname: params.string("lastname"),
        email: params.string("email"),
        timezone: params.string("timezone"),
        keys,
    };
    let id = call.manager.update_user(&call.caller, request).await?;
    Ok(call.entity(Entity::User, id.0))
}

impl Call<'_> {
    fn user(&self) -> Result<UserId, ApiError> {
        self.params.need_id("id").map(UserId)
    }
}

async fn set(call: &Call<'_>, state: AccountState) -> Result<Object, Refused> {
    let request = SetUserState {
        id: call.user()?,
        state,
    };
    let id = call.manager.set_user_state(&call.caller, request).await?;
    Ok(call.entity(Entity::User, id.0))
}

async fn disable(call: &Call<'_>) -> Result<Started, Refused> {
    let request = SetUserState {
        id: call.user()?,
        state: AccountState::Disabled,
    };
    Ok(call.manager.disable_user(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Object, Refused> {
    call.manager.delete_user(&call.caller, call.user()?).await?;
    Ok(envelope::single("success", true.into()))
}

fn userkeys(api_key: &str, secret_key: &str) -> Object {
    envelope::single("userkeys", json!({"apikey": api_key, "secretkey": secret_key}))
}

async fn register(call: &Call<'_>) -> Result<Object, Refused> {
    let pair = call
        .manager
        .register_user_keys(&call.caller, call.user()?)
        .await?;
    Ok(userkeys(&pair.api_key, &pair.secret_key))
}

async fn keys(call: &Call<'_>) -> Result<Object, Refused> {
    let pair = call.manager.user_keys(&call.caller, call.user()?)?;
    Ok(match pair {
        Some(pair) => userkeys(&pair.api_key, &pair.secret_key),
        None => envelope::single("userkeys", json!({})),
    })
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::User), "the user of this id"),
    Param::optional("username", NAME, "the user of this login name"),
    Param::optional(
        "state",
        Kind::OneOf(&["enabled", "disabled", "locked"]),
        "users in this state",
    ),
    Param::optional("accounttype", Kind::Int(0, 5), "users of accounts of this type"),
    Param::optional(
        "listall",
        Kind::Bool,
        "for admins: users of every account within their reach, not only of their own",
    ),
    Param::optional("account", NAME, "users of this account; needs domainid"),
    Param::optional(
        "domainid",
        Kind::Uuid(Of::Domain),
        "users of the accounts of this domain",
    ),
    Param::optional(
        "isrecursive",
        Kind::Bool,
        "with domainid: of the domains below it too",
    ),
];

/// A user who is no admin sees itself only, as in CloudStack.
fn users(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let scope = Scope::of(look, params)?;
    let owner = |user: &User| look.view.get::<Account>(user.account);
    let found: Vec<&User> = match scope.accounts(look) {
        None => look.view.all::<User>().map(|user| &**user).collect(),
        Some(ids) => {
            let of_all = ids.into_iter().flat_map(|id| look.view.users_of_account(id));
            of_all.map(|user| &**user).collect()
        }
    };
    let matches = found.into_iter().filter(|user| {
        let kind = || owner(user).map(|account| i64::from(account.account_type));
        (look.caller.role != RoleType::User || user.id == look.caller.user)
            && filter.id("id", user.id.0)
            && filter.exact("username", &user.username)
            && filter.word("state", user.state().name())
            && params
                .int("accounttype")
                .is_none_or(|wanted| kind() == Some(wanted))
            && filter.keyword(&[&user.username, &user.firstname, &user.lastname])
    });
    list::reply(look, params, "user", matches, view::user::render)
}

async fn api_limit(call: &Call<'_>) -> Result<Object, Refused> {
    let view = call.manager.view();
    let look = Look {
        view: &view,
        caller: &call.caller,
    };
    let limit = dispatch::limit(&view, call.caller);
    let standing = call
        .kept
        .throttle
        .standing(call.caller.account, limit, Instant::now());
    let account = view.get::<Account>(call.caller.account);
    let shown = account.map(|account| view::api_limit::render(&look, (&**account, standing)));
    Ok(envelope::single(
        "apilimit",
        Value::Object(shown.unwrap_or_default()),
    ))
}

async fn reset_api_limit(call: &Call<'_>) -> Result<Object, Refused> {
    call.kept.throttle.reset(call.params.id("account").map(AccountId));
    Ok(envelope::single("success", true.into()))
}
