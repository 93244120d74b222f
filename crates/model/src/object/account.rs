// SPDX-License-Identifier: Apache-2.0
//! Domains, accounts and users.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, DomainId, UserId};

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
}

/// An account: the owner of networks, addresses and guests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its number, used in guests' names: `i-2-15-VM` is of account 2.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// Its domain.
    pub domain: DomainId,
    /// CloudStack's account type: 0 user, 1 root admin, 2 domain admin.
    pub account_type: u8,
    /// When it was made.
    pub created: jiff::Timestamp,
}

/// A user of an account, with the key pair that signs API calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its account.
    pub account: AccountId,
    /// Its login name.
    pub username: String,
    /// The public half of the key pair.
    pub api_key: String,
    /// The secret half, encrypted with the server's key (base64 of nonce and ciphertext). Never logged, never listed.
    pub sealed_secret_key: String,
    /// Whether it may call the API.
    pub enabled: bool,
    /// When it was made.
    pub created: jiff::Timestamp,
}
