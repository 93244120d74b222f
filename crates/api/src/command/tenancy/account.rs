// SPDX-License-Identifier: Apache-2.0
//! Accounts.

use outgate_manager::Started;
use outgate_manager::command::request::{CreateAccount, SetAccountState, UpdateAccount, WantedRole};
use outgate_model::id::{AccountId, DomainId, RoleId};
use outgate_model::object::{Account, AccountState, Role, RoleType};

use super::{BY_ID_OR_NAME, NAME, NEW_USER, new_user};
use crate::command::filter::Filter;
use crate::command::scope::Scope;
use crate::command::{self, Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::act(
        "createAccount",
        "Creates an account with its first user.",
        &[NEW_USER, CREATE],
        Answers::Entity(Entity::Account),
        |call| Box::pin(create(call)),
    )
    .for_domain_admins(),
    Command::act(
        "updateAccount",
        "Changes an account.",
        &[BY_ID_OR_NAME, UPDATE],
        Answers::Entity(Entity::Account),
        |call| Box::pin(update(call)),
    )
    .for_domain_admins(),
    Command::act(
        "enableAccount",
        "Lets an account's users call again.",
        &[BY_ID_OR_NAME],
        Answers::Entity(Entity::Account),
        |call| Box::pin(set(call, AccountState::Enabled)),
    )
    .for_domain_admins(),
    Command::act(
        "lockAccount",
        "Keeps an account's users from calling; its guests run on.",
        &[&[
            Param::required("account", NAME, "the account's name"),
            Param::required("domainid", Kind::Uuid(Of::Domain), "its domain"),
        ]],
        Answers::Entity(Entity::Account),
        |call| Box::pin(set(call, AccountState::Locked)),
    )
    .for_domain_admins(),
    Command::start(
        "disableAccount",
        "Keeps an account's users from calling and stops its guests.",
        &[
            BY_ID_OR_NAME,
            &[Param::required(
                "lock",
                Kind::Bool,
                "whether the account is only locked: its guests run on then",
            )],
        ],
        Answers::Entity(Entity::Account),
        |call| Box::pin(disable(call)),
    )
    .for_domain_admins(),
    Command::start(
        "deleteAccount",
        "Deletes an account with all it owns: guests, networks, VPCs, addresses, users.",
        &[&[Param::required("id", Kind::Uuid(Of::Account), "the account")]],
        Answers::Success,
        |call| Box::pin(delete(call)),
    )
    .for_domain_admins(),
    Command::read(
        "listAccounts",
        "Lists accounts with what they hold.",
        &[FILTERS, list::PAGED],
        Answers::List("account", view::account::FIELDS),
        accounts,
    ),
];

const CREATE: &[Param] = &[
    Param::optional("account", NAME, "the name; that of the user when left out"),
    Param::optional(
        "accounttype",
        Kind::Int(0, 2),
        "0 user, 1 root admin, 2 domain admin; this or roleid is needed",
    ),
    Param::optional("roleid", Kind::Uuid(Of::Role), "the role"),
    Param::optional(
        "domainid",
        Kind::Uuid(Of::Domain),
        "the domain; the caller's when left out",
    ),
    Param::optional(
        "networkdomain",
        Kind::Text(253),
        "the DNS domain of its networks that name none",
    ),
    Param::optional("accountdetails", Kind::Maps, "has no effect"),
];

async fn create(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let role = match (params.id("roleid"), params.int("accounttype")) {
        (Some(id), _) => WantedRole::Id(RoleId(id)),
        (None, Some(kind)) => WantedRole::Type(RoleType::of_account_type(u8::try_from(kind).unwrap_or(0))),
        (None, None) => return Err(ApiError::missing(params.command(), "accounttype").into()),
    };
    if let WantedRole::Id(id) = role {
        no_more_than_the_caller(call, id)?;
    }
    let request = CreateAccount {
        name: params.string("account"),
        domain: params.id("domainid").map(DomainId),
        role,
        network_domain: params.string("networkdomain"),
        user: new_user(params)?,
    };
    let id = call.manager.create_account(&call.caller, request).await?;
    Ok(call.entity(Entity::Account, id.0))
}

/// Nobody gives a role that may call more than its own.
fn no_more_than_the_caller(call: &Call<'_>, id: RoleId) -> Result<(), ApiError> {
    let view = call.manager.view();
    let look = Look {
        view: &view,
        caller: &call.caller,
    };
    let Some(role) = view.get::<Role>(id).filter(|_| !call.caller.admin()) else {
        return Ok(());
    };
    let allows = |command: &Command| {
        let rule = role.decides(command.name);
        rule.unwrap_or_else(|| command.callers.include(role.role_type))
    };
    match command::all().find(|command| allows(command) && !command.open_to(&look)) {
        None => Ok(()),
        Some(command) => {
            let text = format!(
                "role {} may call {}, which the caller may not: only who may call it gives such a role",
                role.name, command.name
            );
            Err(ApiError::new(531, text))
        }
    }
}

const UPDATE: &[Param] = &[
    Param::optional("newname", NAME, "the new name"),
    Param::optional("roleid", Kind::Uuid(Of::Role), "the new role"),
    Param::optional("networkdomain", Kind::Text(253), "the new DNS domain"),
    Param::optional("accountdetails", Kind::Maps, "has no effect"),
];

async fn update(call: &Call<'_>) -> Result<Object, Refused> {
    let params = &call.params;
    let role = params.id("roleid").map(RoleId);
    if let Some(id) = role {
        no_more_than_the_caller(call, id)?;
    }
    let request = UpdateAccount {
        id: call.named()?,
        name: params.string("newname"),
        role,
        network_domain: params.string("networkdomain"),
    };
    let id = call.manager.update_account(&call.caller, request).await?;
    Ok(call.entity(Entity::Account, id.0))
}

async fn set(call: &Call<'_>, state: AccountState) -> Result<Object, Refused> {
    let id = call.named()?;
    let request = SetAccountState { id, state };
    let id = call.manager.set_account_state(&call.caller, request).await?;
    Ok(call.entity(Entity::Account, id.0))
}

async fn disable(call: &Call<'_>) -> Result<Started, Refused> {
    let lock = call.params.flag("lock").unwrap_or(false);
    let request = SetAccountState {
        id: call.named()?,
        state: if lock {
            AccountState::Locked
        } else {
            AccountState::Disabled
        },
    };
    Ok(call.manager.disable_account(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let id = AccountId(call.params.need_id("id")?);
    Ok(call.manager.delete_account(&call.caller, id).await?)
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Account), "the account of this id"),
    Param::optional("name", NAME, "the account of this name"),
    Param::optional("accounttype", Kind::Int(0, 5), "accounts of this type"),
    Param::optional(
        "state",
        Kind::OneOf(&["enabled", "disabled", "locked"]),
        "accounts in this state",
    ),
    Param::optional("iscleanuprequired", Kind::Bool, "whether they are being deleted"),
    Param::optional(
        "listall",
        Kind::Bool,
        "for admins: every account within their reach, not only their own",
    ),
    Param::optional("domainid", Kind::Uuid(Of::Domain), "accounts of this domain"),
    Param::optional(
        "isrecursive",
        Kind::Bool,
        "with domainid: of the domains below it too",
    ),
];

fn accounts(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let scope = Scope::of(look, params)?;
    let all: Vec<&Account> = match scope.accounts(look) {
        None => look.view.all::<Account>().map(|account| &**account).collect(),
        Some(ids) => {
            let found = ids.into_iter().filter_map(|id| look.view.get::<Account>(id));
            found.map(|account| &**account).collect()
        }
    };
    let matches = all.into_iter().filter(|account| {
        account.project.is_none()
            && filter.id("id", account.id.0)
            && filter.exact("name", &account.name)
            && params
                .int("accounttype")
                .is_none_or(|wanted| wanted == i64::from(account.account_type))
            && filter.word("state", account.state.name())
            && filter.flag("iscleanuprequired", account.leaving)
            && filter.keyword(&[&account.name])
    });
    list::reply(look, params, "account", matches, view::account::render)
}
