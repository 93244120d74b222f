// SPDX-License-Identifier: Apache-2.0
//! To put domains, accounts and projects on their way out; `crate::leaving` does the rest.

use outgate_model::object::{Account, Domain, Project};

use crate::draft::Draft;
use crate::mirror::{Stored, View};

/// A domain, with all that is in it.
pub(crate) fn domain(draft: &mut Draft, domain: &Stored<Domain>) {
    let next = Domain {
        leaving: true,
        ..Domain::clone(domain)
    };
    draft.update(domain, next);
}

/// An account, with all it owns.
pub(crate) fn account(draft: &mut Draft, account: &Stored<Account>) {
    let next = Account {
        leaving: true,
        ..Account::clone(account)
    };
    draft.update(account, next);
}

/// A project, with the account through which it owns.
pub(crate) fn project(view: &View<'_>, draft: &mut Draft, project: &Stored<Project>) {
    let next = Project {
        leaving: true,
        ..Project::clone(project)
    };
    draft.update(project, next);
    if let Some(owner) = view
        .get::<Account>(project.account)
        .filter(|owner| !owner.leaving)
    {
        account(draft, owner);
    }
}
