// SPDX-License-Identifier: Apache-2.0
//! Requests about domains, accounts, users, roles, projects and limits.

use std::fmt;

use outgate_model::id::{AccountId, DomainId, ProjectId, RoleId, RolePermissionId, UserId};
use outgate_model::object::{AccountState, RoleType};

/// A password or a secret key. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// `createDomain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateDomain {
    /// `name`, unique in the domain above; without `/`.
    pub name: String,
    /// `parentdomainid`; the topmost when left out.
    pub parent: Option<DomainId>,
    /// `networkdomain`.
    pub network_domain: Option<String>,
}

/// `updateDomain`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateDomain {
    /// `id`.
    pub id: DomainId,
    /// `name`.
    pub name: Option<String>,
    /// `networkdomain`; empty for none.
    pub network_domain: Option<String>,
}

/// `deleteDomain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteDomain {
    /// `id`.
    pub id: DomainId,
    /// `cleanup`: whether what is in it goes too.
    pub cleanup: bool,
}

/// The role of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedRole {
    /// `accounttype`: the built-in role of this type.
    Type(RoleType),
    /// `roleid`.
    Id(RoleId),
}

/// A user to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// `username`, unique in its domain.
    pub username: String,
    /// `password`.
    pub password: Secret,
    /// `firstname`.
    pub firstname: String,
    /// `lastname`.
    pub lastname: String,
    /// `email`.
    pub email: String,
    /// `timezone`.
    pub timezone: Option<String>,
}

/// `createAccount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAccount {
    /// `account`; the user's name when left out.
    pub name: Option<String>,
    /// `domainid`; the caller's when left out.
    pub domain: Option<DomainId>,
    /// `roleid` or `accounttype`.
    pub role: WantedRole,
    /// `networkdomain`.
    pub network_domain: Option<String>,
    /// The account's first user.
    pub user: NewUser,
}

/// `updateAccount`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateAccount {
    /// `id`, or `account` and `domainid`.
    pub id: AccountId,
    /// `newname`.
    pub name: Option<String>,
    /// `roleid`.
    pub role: Option<RoleId>,
    /// `networkdomain`; empty for none.
    pub network_domain: Option<String>,
}

/// `enableAccount`, `disableAccount`, `lockAccount`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetAccountState {
    /// `id`, or `account` and `domainid`.
    pub id: AccountId,
    /// The new state.
    pub state: AccountState,
}

/// `createUser`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateUser {
    /// `account` and `domainid`.
    pub account: AccountId,
    /// The user.
    pub user: NewUser,
}

/// `updateUser`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateUser {
    /// `id`.
    pub id: UserId,
    /// `username`.
    pub username: Option<String>,
    /// `password`.
    pub password: Option<Secret>,
    /// `currentpassword`: needed by who is no admin.
    pub current_password: Option<Secret>,
    /// `firstname`.
    pub firstname: Option<String>,
    /// `lastname`.
    pub lastname: Option<String>,
    /// `email`.
    pub email: Option<String>,
    /// `timezone`.
    pub timezone: Option<String>,
    /// `userapikey` and `usersecretkey`.
    pub keys: Option<(String, Secret)>,
}

/// `enableUser`, `disableUser`, `lockUser`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetUserState {
    /// `id`.
    pub id: UserId,
    /// The new state.
    pub state: AccountState,
}

/// `createRole`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRole {
    /// `name`, unique.
    pub name: String,
    /// `description`.
    pub description: String,
    /// `type`, or that of the role `roleid`, whose rules are copied.
    pub from: WantedRole,
    /// `ispublic`.
    pub public: bool,
}

/// `updateRole`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateRole {
    /// `id`.
    pub id: RoleId,
    /// `name`.
    pub name: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `type`: only while no account has the role.
    pub role_type: Option<RoleType>,
    /// `ispublic`.
    pub public: Option<bool>,
}

/// `createRolePermission`: the new rule is tried last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddRoleRule {
    /// `roleid`.
    pub role: RoleId,
    /// `rule`: a command's name, with `*` for any characters.
    pub rule: String,
    /// `permission`.
    pub allow: bool,
    /// `description`.
    pub description: String,
}

/// `updateRolePermission` with `ruleid` and `permission`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeRoleRule {
    /// `roleid`.
    pub role: RoleId,
    /// `ruleid`.
    pub rule: RolePermissionId,
    /// `permission`.
    pub allow: bool,
}

/// `updateRolePermission` with `ruleorder`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRoleRules {
    /// `roleid`.
    pub role: RoleId,
    /// `ruleorder`: every rule of the role, the first one first.
    pub order: Vec<RolePermissionId>,
}

/// `createProject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateProject {
    /// `name`, unique in its domain.
    pub name: String,
    /// `displaytext`; the name when left out.
    pub display_text: Option<String>,
    /// `account` and `domainid`: the owner; the caller's account when left out.
    pub owner: Option<AccountId>,
}

/// `updateProject`. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateProject {
    /// `id`.
    pub id: ProjectId,
    /// `name`.
    pub name: Option<String>,
    /// `displaytext`.
    pub display_text: Option<String>,
    /// `account`: whose part in it changes, an account of the project's domain.
    pub account: Option<String>,
    /// `swapowner` (true when left out): `account` becomes the owner and the former one a regular member.
    pub swap_owner: bool,
    /// `roletype`, with `swapowner=false`: whether `account` is an admin.
    pub admin: Option<bool>,
}

/// `addAccountToProject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddToProject {
    /// `projectid`.
    pub id: ProjectId,
    /// `account`: an account of the project's domain.
    pub account: String,
    /// `roletype`: whether it is an admin.
    pub admin: bool,
}

/// `deleteAccountFromProject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeFromProject {
    /// `projectid`.
    pub id: ProjectId,
    /// `account`.
    pub account: String,
}

/// `deleteProject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteProject {
    /// `id`.
    pub id: ProjectId,
    /// `cleanup`: whether what it owns goes too.
    pub cleanup: bool,
}

/// Whose a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// An account's, or through its account a project's.
    Account(AccountId),
    /// A domain's, with those below it.
    Domain(DomainId),
}

/// `updateResourceLimit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetLimit {
    /// Whose.
    pub whose: Whose,
    /// `resourcetype`.
    pub resource: u8,
    /// `max`; -1 for any number.
    pub max: i64,
}
