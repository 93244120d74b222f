// SPDX-License-Identifier: Apache-2.0
//! How much an account, a project or a domain holds, may hold and may still take: CloudStack's `iptotal`, `iplimit`,
//! `ipavailable` and so on. What Outgate does not limit is `Unlimited`.

use outgate_manager::View;
use outgate_manager::limits::{Resource, UNLIMITED};
use outgate_model::object::{Account, Domain, RoleType};
use serde_json::Value;

use crate::view::Look;
use crate::wire::envelope::Object;

const UNLIMITED_WORD: &str = "Unlimited";

/// What is limited, by CloudStack's prefix.
const LIMITED: [(&str, Resource); 4] = [
    ("vm", Resource::Guests),
    ("ip", Resource::PublicIps),
    ("network", Resource::Networks),
    ("vpc", Resource::Vpcs),
];

/// What there is none of.
const NONE: [&str; 7] = [
    "volume",
    "snapshot",
    "template",
    "cpu",
    "memory",
    "primarystorage",
    "secondarystorage",
];

/// Each resource with how many are held and the limit.
pub type Counts = Vec<(Resource, usize, i64)>;

/// An account's or a project's.
pub fn of_account(view: &View<'_>, account: &Account) -> Counts {
    let each = Resource::ALL.into_iter();
    each.map(|r| (r, view.held(account.id, r), view.limit_of_account(account, r)))
        .collect()
}

/// A domain's, for its admins: users are not told what others hold.
pub fn of_domain(look: &Look<'_>, domain: &Domain) -> Counts {
    let view = look.view;
    if look.caller.role == RoleType::User {
        return Counts::new();
    }
    let each = Resource::ALL.into_iter();
    each.map(|r| {
        (
            r,
            view.held_in_domain(domain.id, r),
            view.limit_of_domain(domain, r),
        )
    })
    .collect()
}

/// The limit and what is left of it, in words.
fn words(held: usize, limit: i64) -> (String, String) {
    if limit == UNLIMITED {
        return (UNLIMITED_WORD.to_owned(), UNLIMITED_WORD.to_owned());
    }
    let free = i64::try_from(held).map_or(0, |held| limit.saturating_sub(held).max(0));
    (limit.to_string(), free.to_string())
}

/// Limit, number and rest of projects, which projects themselves have none of.
pub fn projects(counts: &Counts) -> (Option<String>, Option<usize>, Option<String>) {
    let mut counts = counts.iter();
    match counts.find(|(resource, ..)| *resource == Resource::Projects) {
        Some((_, held, limit)) => {
            let (limit, free) = words(*held, *limit);
            (Some(limit), Some(*held), Some(free))
        }
        None => (None, None, None),
    }
}

/// Puts the fields into an object; none when there are no counts.
pub fn put(object: &mut Object, counts: Counts) {
    if counts.is_empty() {
        return;
    }
    for (resource, held, limit) in counts {
        let Some((prefix, _)) = LIMITED.iter().find(|(_, r)| *r == resource) else {
            continue;
        };
        let (limit, free) = words(held, limit);
        object.insert(format!("{prefix}limit"), limit.into());
        object.insert(format!("{prefix}total"), held.into());
        object.insert(format!("{prefix}available"), free.into());
    }
    for prefix in NONE {
        let total = if prefix == "secondarystorage" {
            Value::from(0.0)
        } else {
            Value::from(0)
        };
        object.insert(format!("{prefix}limit"), UNLIMITED_WORD.into());
        object.insert(format!("{prefix}total"), total);
        object.insert(format!("{prefix}available"), UNLIMITED_WORD.into());
    }
}
