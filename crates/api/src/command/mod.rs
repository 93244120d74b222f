// SPDX-License-Identifier: Apache-2.0
//! Every command: its parameters, how it answers, and what it calls. Parsing, checking, `listApis` and the rendering
//! of job results all follow from the one table that [`all`] gives.

mod absent;
mod address;
mod alert;
mod audit;
mod capacity;
mod diagnosis;
mod diagnostics;
mod entity;
mod event;
mod filter;
mod firewall;
mod forwarding;
mod guest;
mod guest_life;
mod infra;
mod insight;
mod ip_forwarding;
mod job;
mod list;
mod load_balancer;
mod meta;
mod network;
mod network_acl;
mod network_acl_list;
mod network_offering;
mod nic;
mod private_gateway;
mod router;
mod scope;
mod service_offering;
mod session;
mod source_nat;
mod static_route;
mod stickiness;
mod supported;
mod tag;
mod template;
mod tenancy;
mod trace;
mod usage;
mod vpc;
mod vpc_offering;

use std::future::Future;
use std::pin::Pin;

pub use entity::Entity;
use outgate_manager::{Caller, CommandError, Manager, Started};
use outgate_model::object::RoleType;

use crate::dispatch::Kept;
use crate::view::{Field, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Param, Params};

/// How a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// At once.
    Sync,
    /// With a job.
    Async,
    /// With a job and the new object's id.
    AsyncCreate,
}

/// Which role types may call a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// Root admins.
    RootAdmins,
    /// Root admins and domain admins.
    Admins,
    /// Everybody.
    Everybody,
}

impl Callers {
    /// Who they are, for the reference.
    pub fn words(self) -> &'static str {
        match self {
            Self::RootAdmins => "root admins",
            Self::Admins => "root admins and domain admins",
            Self::Everybody => "everybody",
        }
    }

    /// Whether callers of this type may call it.
    pub fn include(self, role: RoleType) -> bool {
        match self {
            Self::RootAdmins => role == RoleType::Admin,
            Self::Admins => role != RoleType::User,
            Self::Everybody => true,
        }
    }
}

/// What a command's answer, or its job's result, holds.
#[derive(Debug, Clone, Copy)]
pub enum Answers {
    /// A list under this key of objects with these fields.
    List(&'static str, &'static [Field]),
    /// One object under this key with these fields.
    One(&'static str, &'static [Field]),
    /// One object of the cloud, as it is now.
    Entity(Entity),
    /// `"success": true`.
    Success,
}

/// What a handler is called with.
#[derive(Debug)]
pub struct Call<'a> {
    /// The manager.
    pub manager: &'a Manager,
    /// What is kept between requests.
    pub(crate) kept: &'a Kept,
    /// Who asks.
    pub caller: Caller,
    /// The checked parameters.
    pub params: Params,
}

type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refused>> + Send + 'a>>;

/// What a command calls.
#[derive(Clone, Copy)]
pub enum Handler {
    /// Looks and answers.
    Read(fn(&Look<'_>, &Params) -> Result<Object, ApiError>),
    /// Changes something and answers at once.
    Act(for<'a> fn(&'a Call<'a>) -> Later<'a, Object>),
    /// Starts a job.
    Start(for<'a> fn(&'a Call<'a>) -> Later<'a, Started>),
    /// Starts a session; the one command that nobody signs.
    Login,
    /// Ends the caller's session.
    Logout,
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read(_) => "Read",
            Self::Act(_) => "Act",
            Self::Start(_) => "Start",
            Self::Login => "Login",
            Self::Logout => "Logout",
        })
    }
}

/// Why a handler refused: because of what the request says, or because of what the manager says.
#[derive(Debug)]
pub enum Refused {
    /// The request.
    Api(ApiError),
    /// The manager.
    Command(CommandError),
}

impl From<ApiError> for Refused {
    fn from(e: ApiError) -> Self {
        Self::Api(e)
    }
}

impl From<CommandError> for Refused {
    fn from(e: CommandError) -> Self {
        Self::Command(e)
    }
}

impl Refused {
    /// The error as the client sees it.
    pub fn into_api(self, command: &str) -> ApiError {
        match self {
            Self::Api(e) => e,
            Self::Command(e) => {
                let text = e.text(&command.to_ascii_lowercase());
                ApiError {
                    code: e.code(),
                    cs_code: e.cs_code(),
                    text,
                }
            }
        }
    }
}

/// A command of the API.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Its name: `createNetwork`.
    pub name: &'static str,
    /// What it does, in `listApis`.
    pub description: &'static str,
    /// How it answers.
    pub mode: Mode,
    /// Who may call it, unless a role's rules say otherwise.
    pub callers: Callers,
    /// Its parameters, in groups.
    pub params: &'static [&'static [Param]],
    /// What its answer, or its job's result, holds.
    pub answers: Answers,
    /// What it calls.
    pub handler: Handler,
}

impl Command {
    const fn new(
        name: &'static str,
        description: &'static str,
        params: &'static [&'static [Param]],
        answers: Answers,
        mode: Mode,
        handler: Handler,
    ) -> Self {
        Self {
            name,
            description,
            mode,
            callers: Callers::Everybody,
            params,
            answers,
            handler,
        }
    }

    const fn read(
        name: &'static str,
        description: &'static str,
        params: &'static [&'static [Param]],
        answers: Answers,
        handler: fn(&Look<'_>, &Params) -> Result<Object, ApiError>,
    ) -> Self {
        Self::new(
            name,
            description,
            params,
            answers,
            Mode::Sync,
            Handler::Read(handler),
        )
    }

    const fn act(
        name: &'static str,
        description: &'static str,
        params: &'static [&'static [Param]],
        answers: Answers,
        handler: for<'a> fn(&'a Call<'a>) -> Later<'a, Object>,
    ) -> Self {
        Self::new(
            name,
            description,
            params,
            answers,
            Mode::Sync,
            Handler::Act(handler),
        )
    }

    const fn start(
        name: &'static str,
        description: &'static str,
        params: &'static [&'static [Param]],
        answers: Answers,
        handler: for<'a> fn(&'a Call<'a>) -> Later<'a, Started>,
    ) -> Self {
        Self::new(
            name,
            description,
            params,
            answers,
            Mode::Async,
            Handler::Start(handler),
        )
    }

    /// The same, and its first answer holds the new object's id.
    const fn creating(mut self) -> Self {
        self.mode = Mode::AsyncCreate;
        self
    }

    /// The same, for root admins only.
    const fn for_admins(mut self) -> Self {
        self.callers = Callers::RootAdmins;
        self
    }

    /// The same, for root admins and domain admins only.
    const fn for_domain_admins(mut self) -> Self {
        self.callers = Callers::Admins;
        self
    }

    /// Whether this caller may call it: its role's rules decide, else its type.
    pub fn open_to(&self, look: &Look<'_>) -> bool {
        look.caller
            .may_call(look.view, self.name, |role| self.callers.include(role))
    }

    /// The fields of what it answers with.
    pub fn fields(&self) -> &'static [Field] {
        match self.answers {
            Answers::List(_, fields) | Answers::One(_, fields) => fields,
            Answers::Entity(entity) => entity.fields(),
            Answers::Success => &[("success", "boolean"), ("displaytext", "string")],
        }
    }

    /// Every parameter.
    pub fn parameters(&self) -> impl Iterator<Item = &'static Param> + use<> {
        self.params.iter().flat_map(|group| group.iter())
    }
}

/// Refuses another id than an object's own as its `customid`: everything that refers to it does so by its id.
fn own_id(params: &Params, id: uuid::Uuid) -> Result<(), ApiError> {
    match params.text("customid").filter(|custom| custom.parse() != Ok(id)) {
        Some(custom) => {
            let expected = format!("{id}: an object keeps its id");
            Err(ApiError::invalid(params.command(), "customid", custom, &expected))
        }
        None => Ok(()),
    }
}

/// Every command.
pub fn all() -> impl Iterator<Item = &'static Command> {
    [
        meta::COMMANDS,
        infra::zone::COMMANDS,
        infra::pod::COMMANDS,
        infra::cluster::COMMANDS,
        infra::host::COMMANDS,
        infra::physical_network::COMMANDS,
        infra::traffic_type::COMMANDS,
        infra::provider::COMMANDS,
        infra::range::COMMANDS,
        infra::setting::COMMANDS,
        alert::COMMANDS,
        capacity::COMMANDS,
        service_offering::COMMANDS,
        template::COMMANDS,
        network_offering::COMMANDS,
        supported::COMMANDS,
        network::COMMANDS,
        vpc_offering::COMMANDS,
        vpc::COMMANDS,
        network_acl_list::COMMANDS,
        network_acl::COMMANDS,
        private_gateway::COMMANDS,
        static_route::COMMANDS,
        address::COMMANDS,
        source_nat::COMMANDS,
        firewall::COMMANDS,
        forwarding::COMMANDS,
        ip_forwarding::COMMANDS,
        load_balancer::COMMANDS,
        stickiness::COMMANDS,
        guest::COMMANDS,
        guest_life::COMMANDS,
        nic::COMMANDS,
        router::COMMANDS,
        insight::COMMANDS,
        diagnostics::COMMANDS,
        diagnosis::COMMANDS,
        trace::COMMANDS,
        audit::COMMANDS,
        job::COMMANDS,
        event::COMMANDS,
        usage::COMMANDS,
        tag::COMMANDS,
        tenancy::account::COMMANDS,
        tenancy::domain::COMMANDS,
        tenancy::user::COMMANDS,
        tenancy::role::COMMANDS,
        tenancy::project::COMMANDS,
        tenancy::limit::COMMANDS,
        session::COMMANDS,
        absent::COMMANDS,
    ]
    .into_iter()
    .flatten()
}

/// The command of this name, in any case.
pub fn find(name: &str) -> Option<&'static Command> {
    all().find(|command| command.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_command_and_no_parameter_of_a_command_is_listed_twice() {
        let mut names = BTreeSet::new();
        for command in all() {
            assert!(names.insert(command.name.to_lowercase()), "{}", command.name);
            let mut params = BTreeSet::new();
            for param in command.parameters() {
                assert!(params.insert(param.name), "{} {}", command.name, param.name);
                assert_eq!(param.name, param.name.to_lowercase());
                assert!(!param.description.is_empty(), "{} {}", command.name, param.name);
            }
        }
    }

    #[test]
    fn only_commands_that_start_jobs_are_async() {
        for command in all() {
            let starts = matches!(command.handler, Handler::Start(_));
            assert_eq!(starts, command.mode != Mode::Sync, "{}", command.name);
        }
    }
}
