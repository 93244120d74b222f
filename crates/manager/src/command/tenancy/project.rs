// SPDX-License-Identifier: Apache-2.0
//! Projects: to create, change, suspend and delete, and who takes part in them.

use jiff::Timestamp;
use outgate_model::id::ProjectId;
use outgate_model::job::Goal;
use outgate_model::object::{Account, Project, ProjectMember, ProjectState};

use super::account::stop_guests;
use super::{check_name, naming, open_domain, removal};
use crate::CommandError;
use crate::command::checks;
use crate::command::request::{
    AddToProject, CreateProject, DeleteProject, Started, TakeFromProject, UpdateProject,
};
use crate::command::tx::Tx;
use crate::mirror::{Stored, View};

/// Most accounts of a project.
const MEMBERS: usize = 1_000;

/// `createProject`. It owns through an account of its own.
pub(super) fn create(tx: &mut Tx<'_>, request: &CreateProject) -> Result<Started, CommandError> {
    check_name("name", &request.name)?;
    let display_text = request.display_text.as_ref().unwrap_or(&request.name);
    checks::name("displaytext", display_text)?;
    naming(tx);
    let owner = tx.owner(request.owner)?;
    if owner.project.is_some() {
        return Err(CommandError::not_found("account", owner.id));
    }
    let domain = open_domain(tx, "domainid", owner.domain)?;
    unused(tx.view, &owner, &request.name)?;
    let id = ProjectId::new();
    let number = tx.draft.number("account");
    let name = format!("PrjAcct-{}-{number}", request.name);
    let account = Account::of_project(number, &name, domain.id, id);
    let project = Project {
        id,
        name: request.name.clone(),
        display_text: display_text.clone(),
        domain: domain.id,
        account: account.id,
        members: vec![ProjectMember {
            account: owner.id,
            admin: true,
        }],
        state: ProjectState::Active,
        leaving: false,
        created: Timestamp::now(),
    };
    tx.draft.create(&account);
    tx.draft.create(&project);
    let text = format!("created project {} of account {}", project.name, owner.name);
    tx.event::<Project>("PROJECT.CREATE", account.id, id.0, text);
    Ok(done(tx, "createProject", id).made(id.0))
}

fn unused(view: &View<'_>, owner: &Account, name: &str) -> Result<(), CommandError> {
    let mut projects = view.projects_of_domain(owner.domain);
    if projects.any(|project| project.name.eq_ignore_ascii_case(name)) {
        let expected = format!("a name that no project of domain {} has", owner.domain);
        return Err(CommandError::invalid("name", name, expected));
    }
    Ok(())
}

fn done(tx: &mut Tx<'_>, command: &str, id: ProjectId) -> Started {
    let job = tx.job::<Project>(command, id.0, Goal::Stored);
    Started { job, id: None }
}

/// A project that the caller may change. One that it does not see is not there.
fn governed(tx: &mut Tx<'_>, field: &str, id: ProjectId) -> Result<Stored<Project>, CommandError> {
    let found = tx.view.get::<Project>(id).cloned();
    let found = found.filter(|project| !project.leaving && tx.caller.may(tx.view, project.account));
    let project = found.ok_or_else(|| CommandError::not_found(field, id))?;
    if !tx.caller.governs_project(tx.view, &project) {
        return Err(CommandError::permission("Project", id));
    }
    tx.draft.read(&project);
    Ok(project)
}

/// An account of the project's domain. The transaction depends on it.
fn candidate(tx: &mut Tx<'_>, project: &Project, name: &str) -> Result<Stored<Account>, CommandError> {
    let account = tx.view.account_by_name(project.domain, name).cloned();
    let account = account.filter(|account| account.project.is_none() && !account.leaving);
    let expected = || format!("the name of an account of domain {}", project.domain);
    let account = account.ok_or_else(|| CommandError::invalid("account", name, expected()))?;
    tx.draft.read(&account);
    Ok(account)
}

/// `updateProject`.
pub(super) fn update(tx: &mut Tx<'_>, request: &UpdateProject) -> Result<Started, CommandError> {
    let project = governed(tx, "id", request.id)?;
    let mut next = Project::clone(&project);
    if let Some(name) = request.name.as_ref().filter(|name| **name != project.name) {
        check_name("name", name)?;
        naming(tx);
        if !name.eq_ignore_ascii_case(&project.name) {
            let own = tx.known::<Account>(project.account)?;
            unused(tx.view, &own, name)?;
        }
        next.name.clone_from(name);
    }
    if let Some(text) = &request.display_text {
        checks::name("displaytext", text)?;
        next.display_text.clone_from(text);
    }
    if let Some(name) = &request.account {
        let account = candidate(tx, &project, name)?;
        if request.swap_owner {
            next.members.retain(|member| member.account != account.id);
            next.members.iter_mut().for_each(|member| member.admin = false);
            next.members.insert(0, member(&account, true));
        } else {
            let admin = request.admin.unwrap_or(false);
            let place = next
                .members
                .iter_mut()
                .find(|member| member.account == account.id);
            let expected = "an account that takes part in the project; addAccountToProject first";
            place
                .ok_or_else(|| CommandError::invalid("account", name, expected))?
                .admin = admin;
            owned(&next, name)?;
        }
    }
    let text = format!("updated project {}", next.name);
    tx.event::<Project>("PROJECT.UPDATE", project.account, project.id.0, text);
    tx.draft.update(&project, next);
    Ok(done(tx, "updateProject", project.id))
}

fn member(account: &Account, admin: bool) -> ProjectMember {
    ProjectMember {
        account: account.id,
        admin,
    }
}

/// Refuses a project without an admin.
fn owned(project: &Project, name: &str) -> Result<(), CommandError> {
    if project.owner().is_some() {
        return Ok(());
    }
    let expected =
        "an account that is not the project's last admin; give it another owner by updateProject first";
    Err(CommandError::invalid("account", name, expected))
}

/// `suspendProject`: its guests stop, and nothing of it may be changed. `activateProject` ends it.
pub(super) fn set_state(
    tx: &mut Tx<'_>,
    id: ProjectId,
    state: ProjectState,
) -> Result<Started, CommandError> {
    let project = governed(tx, "id", id)?;
    let next = Project {
        state,
        ..Project::clone(&project)
    };
    tx.draft.update(&project, next);
    let (command, kind, goal) = match state {
        ProjectState::Active => ("activateProject", "PROJECT.ACTIVATE", Goal::Stored),
        ProjectState::Suspended => {
            stop_guests(tx, project.account);
            let account = project.account;
            ("suspendProject", "PROJECT.SUSPEND", Goal::GuestsDown { account })
        }
    };
    let text = format!("project {} is {} now", project.name, state.name());
    tx.event::<Project>(kind, project.account, id.0, text);
    let job = tx.job::<Project>(command, id.0, goal);
    Ok(Started { job, id: None })
}

/// `addAccountToProject`.
pub(super) fn add(tx: &mut Tx<'_>, request: &AddToProject) -> Result<Started, CommandError> {
    let project = governed(tx, "projectid", request.id)?;
    let account = candidate(tx, &project, &request.account)?;
    let mut next = Project::clone(&project);
    if project.member(account.id).is_none() {
        if next.members.len() >= MEMBERS {
            return Err(CommandError::Limit {
                what: format!("project {}", project.name),
                limit: MEMBERS,
                of: "accounts",
            });
        }
        next.members.push(member(&account, request.admin));
    }
    let text = format!("account {} takes part in project {}", account.name, project.name);
    tx.event::<Project>("PROJECT.ACCOUNT.ADD", project.account, project.id.0, text);
    tx.draft.update(&project, next);
    let job = tx.job::<Project>("addAccountToProject", project.id.0, Goal::Stored);
    Ok(Started { job, id: None })
}

/// `deleteAccountFromProject`.
pub(super) fn take(tx: &mut Tx<'_>, request: &TakeFromProject) -> Result<Started, CommandError> {
    let project = governed(tx, "projectid", request.id)?;
    let account = candidate(tx, &project, &request.account)?;
    if project.member(account.id).is_none() {
        let expected = "an account that takes part in the project";
        return Err(CommandError::invalid("account", &request.account, expected));
    }
    let mut next = Project::clone(&project);
    next.members.retain(|member| member.account != account.id);
    owned(&next, &request.account)?;
    let text = format!("account {} has left project {}", account.name, project.name);
    tx.event::<Project>("PROJECT.ACCOUNT.REMOVE", project.account, project.id.0, text);
    tx.draft.update(&project, next);
    Ok(done(tx, "deleteAccountFromProject", project.id))
}

/// `deleteProject`: with `cleanup`, all it owns goes first.
pub(super) fn delete(tx: &mut Tx<'_>, request: DeleteProject) -> Result<Started, CommandError> {
    let project = governed(tx, "id", request.id)?;
    // Who makes something for it meanwhile depends on its account.
    let own = tx.known::<Account>(project.account)?;
    if let Some(content) = content(tx.view, &own).filter(|_| !request.cleanup) {
        let expected = format!("a project that owns nothing, or cleanup=true: it owns {content}");
        return Err(CommandError::invalid("id", project.id, expected));
    }
    removal::project(tx.view, tx.draft, &project);
    let text = format!("deleting project {}", project.name);
    tx.event::<Project>("PROJECT.DELETE", tx.caller.account, project.id.0, text);
    let goal = Goal::ProjectGone { project: project.id };
    let job = tx.job::<Project>("deleteProject", project.id.0, goal);
    Ok(Started { job, id: None })
}

fn content(view: &View<'_>, own: &Account) -> Option<String> {
    let kinds = crate::limits::Resource::ALL.into_iter();
    let counts = kinds.map(|kind| (view.held(own.id, kind), kind.word()));
    let full = counts.filter(|(count, _)| *count > 0);
    let words: Vec<_> = full.map(|(count, word)| format!("{count} {word}")).collect();
    (!words.is_empty()).then(|| words.join(", "))
}
