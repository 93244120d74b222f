// SPDX-License-Identifier: Apache-2.0
//! `resourcelimit` and `resourcecount`: what an account, a project or a domain may hold, and holds.

use outgate_manager::View;
use outgate_manager::limits::{Resource, UNLIMITED};
use outgate_model::id::DomainId;
use outgate_model::object::{Account, Domain};

use crate::view::{Look, Owner, view};

/// Whose limits.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// An account's or a project's.
    Account(&'a Account),
    /// A domain's.
    Domain(&'a Domain),
}

impl Whose<'_> {
    fn owner(self, look: &Look<'_>) -> Owner {
        match self {
            Self::Account(account) => look.owner(account.id),
            Self::Domain(domain) => Owner {
                domain: Some(domain.name.clone()),
                domain_id: Some(domain.id.to_string()),
                domain_path: Some(domain.path.clone()),
                ..Owner::default()
            },
        }
    }

    fn limit(self, view: &View<'_>, number: u8) -> i64 {
        match (self, Resource::of_number(number)) {
            (_, None) => UNLIMITED,
            (Self::Account(account), Some(resource)) => view.limit_of_account(account, resource),
            (Self::Domain(domain), Some(resource)) => view.limit_of_domain(domain, resource),
        }
    }

    fn held(self, view: &View<'_>, number: u8) -> usize {
        let domain = |id: DomainId, resource| view.held_in_domain(id, resource);
        match (self, Resource::of_number(number)) {
            (_, None) => 0,
            (Self::Account(account), Some(resource)) => view.held(account.id, resource),
            (Self::Domain(one), Some(resource)) => domain(one.id, resource),
        }
    }
}

/// One type of somebody.
pub type Line<'a> = (Whose<'a>, (u8, &'static str));

view! {
    /// A limit.
    (look, line: Line<'_>) {
        let (whose, (number, word)) = line;
        let owner = whose.owner(look);
    }
    "resourcetype" string = number.to_string();
    "resourcetypename" string = word;
    "max" integer = whose.limit(look.view, number);
    owned by owner;
}

/// How many somebody holds.
pub mod count {
    use super::Line;
    use crate::view::view;

    view! {
        /// A count.
        (look, line: Line<'_>) {
            let (whose, (number, word)) = line;
            let owner = whose.owner(look);
        }
        "resourcetype" string = number.to_string();
        "resourcetypename" string = word;
        "resourcecount" integer = whose.held(look.view, number);
        owned by owner;
    }
}
