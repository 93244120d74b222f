// SPDX-License-Identifier: Apache-2.0
//! Projects and who takes part in them.

use outgate_manager::Started;
use outgate_manager::command::request::{
    AddToProject, CreateProject, DeleteProject, TakeFromProject, UpdateProject,
};
use outgate_model::id::{DomainId, ProjectId};
use outgate_model::object::{Account, Project, RoleType};

use super::NAME;
use crate::command::filter::Filter;
use crate::command::scope;
use crate::command::{Answers, Call, Command, Entity, Refused, list};
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "createProject",
        "Creates a project. What it owns belongs to no account, and all that take part use it.",
        &[CREATE],
        Answers::Entity(Entity::Project),
        |call| Box::pin(create(call)),
    )
    .creating(),
    Command::start(
        "updateProject",
        "Changes a project, or gives it another owner.",
        &[UPDATE],
        Answers::Entity(Entity::Project),
        |call| Box::pin(update(call)),
    ),
    Command::start(
        "activateProject",
        "Lets a suspended project's objects change again.",
        &[ONE],
        Answers::Entity(Entity::Project),
        |call| Box::pin(activate(call)),
    ),
    Command::start(
        "suspendProject",
        "Stops a project's guests; nothing of it may change then.",
        &[ONE],
        Answers::Entity(Entity::Project),
        |call| Box::pin(suspend(call)),
    ),
    Command::start(
        "deleteProject",
        "Deletes a project, with cleanup=true all it owns too.",
        &[
            ONE,
            &[Param::optional(
                "cleanup",
                Kind::Bool,
                "whether what it owns goes too",
            )],
        ],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
    Command::start(
        "addAccountToProject",
        "Lets an account take part in a project.",
        &[ADD],
        Answers::Success,
        |call| Box::pin(add(call)),
    ),
    Command::start(
        "deleteAccountFromProject",
        "Ends an account's part in a project.",
        &[TAKE],
        Answers::Success,
        |call| Box::pin(take(call)),
    ),
    Command::read(
        "listProjects",
        "Lists projects.",
        &[FILTERS, list::PAGED],
        Answers::List("project", view::project::FIELDS),
        projects,
    ),
    Command::read(
        "listProjectAccounts",
        "Lists the accounts that take part in a project.",
        &[ACCOUNTS, list::PAGED],
        Answers::List("projectaccount", view::project_account::FIELDS),
        accounts,
    ),
];

const ONE: &[Param] = &[Param::required("id", Kind::Uuid(Of::Project), "the project")];
const ROLE: Kind = Kind::OneOf(&["Admin", "Regular"]);

const CREATE: &[Param] = &[
    Param::required("name", NAME, "the name"),
    Param::required("displaytext", NAME, "what users read"),
    Param::optional(
        "account",
        Kind::Text(255),
        "the owner; needs domainid; the caller's account when left out",
    ),
    Param::optional("domainid", Kind::Uuid(Of::Domain), "the owner's domain"),
];

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = CreateProject {
        name: params.need_text("name")?.to_owned(),
        display_text: params.string("displaytext"),
        owner: call.owner()?,
    };
    Ok(call.manager.create_project(&call.caller, request).await?)
}

impl Call<'_> {
    fn project(&self, name: &str) -> Result<ProjectId, ApiError> {
        self.params.need_id(name).map(ProjectId)
    }

    fn admin(&self) -> Option<bool> {
        self.params.word("roletype").map(|word| word == "Admin")
    }
}

const UPDATE: &[Param] = &[
    Param::required("id", Kind::Uuid(Of::Project), "the project"),
    Param::optional("name", NAME, "the new name"),
    Param::optional("displaytext", NAME, "what users read from now on"),
    Param::optional("account", NAME, "the account whose part changes"),
    Param::optional(
        "swapowner",
        Kind::Bool,
        "whether account becomes the owner (true when left out)",
    ),
    Param::optional("roletype", ROLE, "with swapowner=false: the account's part"),
];

async fn update(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = UpdateProject {
        id: call.project("id")?,
        name: params.string("name"),
        display_text: params.string("displaytext"),
        account: params.string("account"),
        swap_owner: params.flag("swapowner").unwrap_or(true),
        admin: call.admin(),
    };
    Ok(call.manager.update_project(&call.caller, request).await?)
}

async fn activate(call: &Call<'_>) -> Result<Started, Refused> {
    let id = call.project("id")?;
    Ok(call.manager.activate_project(&call.caller, id).await?)
}

async fn suspend(call: &Call<'_>) -> Result<Started, Refused> {
    let id = call.project("id")?;
    Ok(call.manager.suspend_project(&call.caller, id).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let request = DeleteProject {
        id: call.project("id")?,
        cleanup: call.params.flag("cleanup").unwrap_or(false),
    };
    Ok(call.manager.delete_project(&call.caller, request).await?)
}

const ADD: &[Param] = &[
    Param::required("projectid", Kind::Uuid(Of::Project), "the project"),
    Param::optional("account", NAME, "the account, of the project's domain"),
    Param::optional("roletype", ROLE, "its part: Admin or Regular (when left out)"),
    Param::optional("email", NAME, "no invitations are sent here: name the account"),
];

async fn add(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    if let Some(email) = params.text("email") {
        let expected = "nothing: no invitations are sent here; name the account, which takes part at once";
        return Err(ApiError::invalid(params.command(), "email", email, expected).into());
    }
    let request = AddToProject {
        id: call.project("projectid")?,
        account: params.need_text("account")?.to_owned(),
        admin: call.admin().unwrap_or(false),
    };
    Ok(call.manager.add_to_project(&call.caller, request).await?)
}

const TAKE: &[Param] = &[
    Param::required("projectid", Kind::Uuid(Of::Project), "the project"),
    Param::required("account", NAME, "the account"),
];

async fn take(call: &Call<'_>) -> Result<Started, Refused> {
    let request = TakeFromProject {
        id: call.project("projectid")?,
        account: call.params.need_text("account")?.to_owned(),
    };
    Ok(call.manager.take_from_project(&call.caller, request).await?)
}

const FILTERS: &[Param] = &[
    Param::optional("id", Kind::Uuid(Of::Project), "the project of this id"),
    Param::optional("name", NAME, "the project of this name"),
    Param::optional("displaytext", NAME, "the project of this display text"),
    Param::optional(
        "state",
        Kind::OneOf(&["Active", "Suspended", "Disabled"]),
        "projects in this state",
    ),
    Param::optional(
        "listall",
        Kind::Bool,
        "for admins: every project within their reach, not only those they take part in",
    ),
    Param::optional(
        "account",
        Kind::Text(255),
        "projects that this account takes part in; needs domainid",
    ),
    Param::optional("domainid", Kind::Uuid(Of::Domain), "projects of this domain"),
    Param::optional(
        "isrecursive",
        Kind::Bool,
        "with domainid: of the domains below it too",
    ),
    Param::optional(
        "tags",
        Kind::Maps,
        "projects with all of these tags: tags[0].key and, if it matters, tags[0].value",
    ),
];

fn projects(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let matches = candidates(look, params)?.into_iter().filter(|project| {
        let state = if project.leaving {
            "Disabled"
        } else {
            project.state.name()
        };
        look.caller.may(look.view, project.account)
            && filter.id("id", project.id.0)
            && filter.exact("name", &project.name)
            && filter.exact("displaytext", &project.display_text)
            && filter.word("state", state)
            && filter.keyword(&[&project.name, &project.display_text])
    });
    list::reply(look, params, "project", matches, view::project::render)
}

/// The projects that the scope may show; those that the caller may not see are among them.
fn candidates<'a>(look: &Look<'a>, params: &Params) -> Result<Vec<&'a Project>, ApiError> {
    let view = look.view;
    if let Some(id) = params.id("id").map(ProjectId) {
        return Ok(view
            .get::<Project>(id)
            .map(|project| &**project)
            .into_iter()
            .collect());
    }
    if let Some(account) = scope::named_account(look, params)? {
        return Ok(view
            .projects_of_member(account)
            .map(|project| &**project)
            .collect());
    }
    let below = |domains: Vec<DomainId>| -> Vec<&'a Project> {
        let of_all = domains.into_iter().flat_map(|id| view.projects_of_domain(id));
        of_all.map(|project| &**project).collect()
    };
    let all = params.flag("listall").unwrap_or(false);
    let recursive = params.flag("isrecursive").unwrap_or(false);
    Ok(match (look.caller.role, params.id("domainid").map(DomainId)) {
        (RoleType::Admin | RoleType::DomainAdmin, Some(domain)) if recursive => {
            below(view.domains_down(domain))
        }
        (RoleType::Admin | RoleType::DomainAdmin, Some(domain)) => below(vec![domain]),
        (RoleType::Admin | RoleType::DomainAdmin, None) if all => {
            below(view.domains_down(look.caller.domain))
        }
        _ => {
            let mine = view.projects_of_member(look.caller.account);
            mine.map(|project| &**project).collect()
        }
    })
}

const ACCOUNTS: &[Param] = &[
    Param::required("projectid", Kind::Uuid(Of::Project), "the project"),
    Param::optional("account", NAME, "the account of this name"),
    Param::optional("role", ROLE, "accounts with this part"),
];

fn accounts(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let filter = Filter(params);
    let id = ProjectId(params.need_id("projectid")?);
    let project = look.view.get::<Project>(id);
    let members = project.into_iter().flat_map(|project| {
        let parts = project.members.iter();
        parts.map(move |member| (&**project, *member))
    });
    let matches = members.filter(|(_, member)| {
        let account = look.view.get::<Account>(member.account);
        let name = account.map_or("", |account| account.name.as_str());
        filter.exact("account", name)
            && filter.word("role", if member.admin { "Admin" } else { "Regular" })
            && filter.keyword(&[name])
    });
    list::reply(
        look,
        params,
        "projectaccount",
        matches,
        view::project_account::render,
    )
}
