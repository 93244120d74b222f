// SPDX-License-Identifier: Apache-2.0
//! Domains, accounts and users.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, DomainId, ProjectId, RoleId, UserId};
use crate::object::RoleType;

/// CloudStack's account type of a project's own account.
const PROJECT_TYPE: u8 = 5;

/// Limits by CloudStack's resource type: the largest number, -1 for no limit. A type that is not listed has the default.
pub type Limits = BTreeMap<u8, i64>;

/// A domain of accounts; `ROOT` is the topmost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its id.
    pub id: DomainId,
    /// Its name: `ROOT`.
    pub name: String,
    /// Its path: `ROOT` or `ROOT/sales`.
    pub path: String,
    /// The domain above, none for `ROOT`.
    pub parent: Option<DomainId>,
    /// The DNS domain of its accounts' networks that name none; `None`: the zone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_domain: Option<String>,
    /// Whether it is on its way out with all that is in it.
    #[serde(default)]
    pub leaving: bool,
    /// Limits of everything that the domain and those below it hold together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: Limits,
    /// When it was made; not known of `ROOT` in old stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<jiff::Timestamp>,
}

/// Whether an account or a user may call the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// It may.
    #[default]
    Enabled,
    /// It may not, and its guests were stopped.
    Disabled,
    /// It may not; its guests run on.
    Locked,
}

impl AccountState {
    /// CloudStack's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Locked => "locked",
        }
    }
}

/// An account: the owner of networks, addresses and guests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its number, used in guests' names: `i-2-15-VM` is of account 2.
    pub number: u64,
    /// Its name, unique in its domain.
    pub name: String,
    /// Its domain.
    pub domain: DomainId,
    /// CloudStack's account type: 0 user, 1 root admin, 2 domain admin, 5 a project's own account.
    pub account_type: u8,
    /// The role that says which commands its users may call; `None`: the built-in one of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleId>,
    /// The project that owns through this account: one that nobody can log in to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// Whether its users may call.
    #[serde(default)]
    pub state: AccountState,
    /// Whether it is on its way out: all it owns goes, then the account itself.
    #[serde(default)]
    pub leaving: bool,
    /// The DNS domain of its networks that name none; `None`: its domain's, else the zone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_domain: Option<String>,
    /// Limits of what it may hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: Limits,
    /// When it was made.
    pub created: jiff::Timestamp,
}

impl Account {
    /// A new, enabled account of the built-in role of this type.
    pub fn new(number: u64, name: &str, domain: DomainId, role: RoleType) -> Self {
        Self {
            id: AccountId::new(),
            number,
            name: name.to_owned(),
            domain,
            account_type: role.account_type(),
            role: None,
            project: None,
            state: AccountState::Enabled,
            leaving: false,
            network_domain: None,
            limits: Limits::new(),
            created: jiff::Timestamp::now(),
        }
    }

    /// The account through which a project owns.
    pub fn of_project(number: u64, name: &str, domain: DomainId, project: ProjectId) -> Self {
        Self {
            account_type: PROJECT_TYPE,
            project: Some(project),
            ..Self::new(number, name, domain, RoleType::User)
        }
    }

    /// What its users may see; which commands they may call is the role's to say.
    pub fn role_type(&self) -> RoleType {
        RoleType::of_account_type(self.account_type)
    }
}

/// A user of an account, with the key pair that signs API calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its account.
    pub account: AccountId,
    /// Its login name, unique in its account's domain.
    pub username: String,
    /// The public half of the key pair; empty for a user without one.
    pub api_key: String,
    /// The secret half, encrypted with the server's key (base64 of nonce and ciphertext). Never logged, never listed.
    pub sealed_secret_key: String,
    /// The argon2id hash of its password in PHC's format; `None`: it cannot log in. Never logged, never listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Its first name.
    #[serde(default)]
    pub firstname: String,
    /// Its last name.
    #[serde(default)]
    pub lastname: String,
    /// Its mail address.
    #[serde(default)]
    pub email: String,
    /// Its time zone, for the console: `Europe/Berlin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Whether it may call the API.
    pub enabled: bool,
    /// Whether it is locked, which keeps an enabled user from calling too.
    #[serde(default)]
    pub locked: bool,
    /// Since when it has its keys; `None`: since it was made, or it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_since: Option<jiff::Timestamp>,
    /// When it was made.
    pub created: jiff::Timestamp,
}

impl User {
    /// A new, enabled user without keys and password.
    pub fn new(account: AccountId, username: &str) -> Self {
        Self {
            id: UserId::new(),
            account,
            username: username.to_owned(),
            api_key: String::new(),
            sealed_secret_key: String::new(),
            password_hash: None,
            firstname: String::new(),
            lastname: String::new(),
            email: String::new(),
            timezone: None,
            enabled: true,
            locked: false,
            keys_since: None,
            created: jiff::Timestamp::now(),
        }
    }

    /// Whether it may call.
    pub fn state(&self) -> AccountState {
        match (self.enabled, self.locked) {
            (false, _) => AccountState::Disabled,
            (true, true) => AccountState::Locked,
            (true, false) => AccountState::Enabled,
        }
    }
}
