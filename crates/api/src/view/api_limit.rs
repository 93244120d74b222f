// SPDX-License-Identifier: Apache-2.0
//! `apilimit`: how many calls an account has made in this interval, and may make.

use outgate_model::object::Account;

use crate::throttle::Standing;
use crate::view::view;

view! {
    /// An account's calls.
    (look, calls: (&Account, Standing)) {
        let (account, standing) = calls;
        let owner = look.owner(account.id);
    }
    "account" string = owner.account;
    "accountid" string = account.id;
    "apiIssued" integer = standing.issued;
    "apiAllowed" integer = standing.allowed;
    "expireAfter" integer = standing.expire_after;
}
