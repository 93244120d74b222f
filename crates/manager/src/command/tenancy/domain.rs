// SPDX-License-Identifier: Apache-2.0
//! Domains: to create, change and delete.

use jiff::Timestamp;
use outgate_model::id::DomainId;
use outgate_model::job::Goal;
use outgate_model::object::{Domain, Limits};

use super::{check_name, naming, network_domain, open_domain, removal};
use crate::CommandError;
use crate::command::request::{CreateDomain, DeleteDomain, Started, UpdateDomain};
use crate::command::tx::Tx;
use crate::mirror::{Stored, View};

/// How deep domains may nest.
const DEPTH_MAX: usize = 16;

/// `createDomain`.
pub(super) fn create(tx: &mut Tx<'_>, request: &CreateDomain) -> Result<DomainId, CommandError> {
    check_name("name", &request.name)?;
    naming(tx);
    let parent = match request.parent {
        Some(parent) => parent,
        None => topmost(tx.view)?,
    };
    let parent = open_domain(tx, "parentdomainid", parent)?;
    unused(tx.view, parent.id, &request.name)?;
    if tx.view.domains_up(parent.id).count() >= DEPTH_MAX {
        let expected = format!("a domain less than {DEPTH_MAX} levels deep");
        return Err(CommandError::invalid("parentdomainid", parent.id, expected));
    }
    let domain = Domain {
        id: DomainId::new(),
        name: request.name.clone(),
        path: format!("{}/{}", parent.path, request.name),
        parent: Some(parent.id),
        network_domain: network_domain(request.network_domain.as_deref().unwrap_or_default())?,
        leaving: false,
        limits: Limits::new(),
        created: Some(Timestamp::now()),
    };
    tx.draft.create(&domain);
    let text = format!("created domain {}", domain.path);
    tx.event::<Domain>("DOMAIN.CREATE", tx.caller.account, domain.id.0, text);
    Ok(domain.id)
}

fn topmost(view: &View<'_>) -> Result<DomainId, CommandError> {
    let root = view.all::<Domain>().find(|domain| domain.parent.is_none());
    let missing = || CommandError::Internal("there is no topmost domain".to_owned());
    root.map(|root| root.id).ok_or_else(missing)
}

fn unused(view: &View<'_>, parent: DomainId, name: &str) -> Result<(), CommandError> {
    let mut siblings = view.domains_of(parent);
    match siblings.find(|sibling| sibling.name.eq_ignore_ascii_case(name)) {
        None => Ok(()),
        Some(sibling) => {
            let expected = format!("a name that no domain beside it has; {} has it", sibling.id);
            Err(CommandError::invalid("name", name, expected))
        }
    }
}

/// `updateDomain`. A new name is in the paths of the domains below, too.
pub(super) fn update(tx: &mut Tx<'_>, request: &UpdateDomain) -> Result<DomainId, CommandError> {
    let domain = open_domain(tx, "id", request.id)?;
    let mut next = Domain::clone(&domain);
    if let Some(name) = request.name.as_ref().filter(|name| **name != domain.name) {
        check_name("name", name)?;
        naming(tx);
        let Some(parent) = domain.parent else {
            return Err(CommandError::invalid(
                "name",
                name,
                "nothing: ROOT keeps its name",
            ));
        };
        if !name.eq_ignore_ascii_case(&domain.name) {
            unused(tx.view, parent, name)?;
        }
        let above = tx.known::<Domain>(parent)?;
        next.name.clone_from(name);
        next.path = format!("{}/{name}", above.path);
        rename_below(tx, &domain, &next.path);
    }
    if let Some(wanted) = &request.network_domain {
        next.network_domain = network_domain(wanted)?;
    }
    let text = format!("updated domain {}", next.path);
    tx.event::<Domain>("DOMAIN.UPDATE", tx.caller.account, domain.id.0, text);
    tx.draft.update(&domain, next);
    Ok(domain.id)
}

/// A domain that is made below meanwhile makes the transaction decide anew: it gives a name, too.
fn rename_below(tx: &mut Tx<'_>, domain: &Domain, path: &str) {
    for id in tx.view.domains_down(domain.id) {
        let Some(below) = tx.view.get::<Domain>(id).filter(|below| below.id != domain.id) else {
            continue;
        };
        let rest = below.path.strip_prefix(&domain.path).unwrap_or_default();
        let next = Domain {
            path: format!("{path}{rest}"),
            ..Domain::clone(below)
        };
        tx.draft.update(below, next);
    }
}

/// `deleteDomain`: with `cleanup`, all that is in it goes first.
pub(super) fn delete(tx: &mut Tx<'_>, request: DeleteDomain) -> Result<Started, CommandError> {
    let found = tx.view.get::<Domain>(request.id).cloned();
    let domain = found.filter(|domain| tx.caller.may_domain(tx.view, domain.id));
    let domain = domain.ok_or_else(|| CommandError::not_found("id", request.id))?;
    if domain.parent.is_none() || tx.caller.domain == domain.id {
        let expected = "neither ROOT nor the caller's own domain";
        return Err(CommandError::invalid("id", domain.id, expected));
    }
    if let Some(within) = content(tx.view, &domain).filter(|_| !request.cleanup) {
        let expected = format!("an empty domain, or cleanup=true: it holds {within}");
        return Err(CommandError::invalid("id", domain.id, expected));
    }
    removal::domain(tx.draft, &domain);
    let text = format!("deleting domain {}", domain.path);
    tx.event::<Domain>("DOMAIN.DELETE", tx.caller.account, domain.id.0, text);
    let goal = Goal::DomainGone { domain: domain.id };
    let job = tx.job::<Domain>("deleteDomain", domain.id.0, goal);
    Ok(Started { job, id: None })
}

fn content(view: &View<'_>, domain: &Stored<Domain>) -> Option<String> {
    let accounts = view.accounts_of_domain(domain.id);
    let accounts = accounts.filter(|account| account.project.is_none()).count();
    let counts = [
        (accounts, "accounts"),
        (view.projects_of_domain(domain.id).count(), "projects"),
        (view.domains_of(domain.id).count(), "domains"),
    ];
    let full = counts.into_iter().filter(|(count, _)| *count > 0);
    let words: Vec<_> = full.map(|(count, of)| format!("{count} {of}")).collect();
    (!words.is_empty()).then(|| words.join(", "))
}
