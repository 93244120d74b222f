// SPDX-License-Identifier: Apache-2.0
//! Whose objects a list shows, and for whom a command makes one.

use outgate_manager::{Row, Stored};
use outgate_model::id::{AccountId, DomainId, NetworkId, ProjectId};
use outgate_model::object::{Account, Project, RoleType};

use crate::view::Look;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// Parameters that every list of owned objects takes.
pub const OWNED: &[Param] = &[
    Param::optional(
        "listall",
        Kind::Bool,
        "for admins: objects of every account within their reach, not only their own",
    ),
    Param::optional(
        "account",
        Kind::Text(100),
        "objects of this account; needs domainid",
    ),
    Param::optional("domainid", Kind::Uuid(Of::Domain), "objects of this domain"),
    Param::optional(
        "isrecursive",
        Kind::Bool,
        "with domainid: of the domains below it too",
    ),
    Param::optional(
        "projectid",
        Kind::Text(36),
        "objects of this project; -1 for those of all the caller's projects too",
    ),
    Param::optional(
        "tags",
        Kind::Maps,
        "objects with all of these tags: tags[0].key and, if it matters, tags[0].value",
    ),
];

/// Parameters that every command takes that makes something for somebody.
pub const FOR_ACCOUNT: &[Param] = &[
    Param::optional("account", Kind::Text(100), "for this account; needs domainid"),
    Param::optional("domainid", Kind::Uuid(Of::Domain), "the account's domain"),
    Param::optional("projectid", Kind::Text(36), "for this project"),
];

/// `projectid` of "the projects too" in lists, and of "no project" elsewhere.
const ANY_PROJECT: &str = "-1";

/// Whose objects a list shows. What projects own is shown only when the request asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every account's.
    Everything,
    /// All that the caller may see, the projects' too.
    Visible,
    /// The caller's own and those of the projects that it takes part in.
    Mine,
    /// One account's, or one project's.
    Account(AccountId),
    /// Those of a domain's accounts, or of the domains below it too.
    Domain(DomainId, bool),
    /// Nobody's.
    Nothing,
}

impl Scope {
    /// The scope that the caller and the parameters give. Errors (431) when an account or a project does not exist or
    /// is not the caller's to see, which is answered alike.
    pub fn of(look: &Look<'_>, params: &Params) -> Result<Self, ApiError> {
        let all = params.flag("listall").unwrap_or(false);
        match params.text("projectid") {
            Some(ANY_PROJECT) if all => return Ok(Self::Visible),
            Some(ANY_PROJECT) => return Ok(Self::Mine),
            Some(id) => return project(look, params, id).map(Self::Account),
            None => {}
        }
        if let Some(account) = named_account(look, params)? {
            return Ok(Self::Account(account));
        }
        // Whether the caller may see the object of this id has been checked.
        if params.id("id").is_some() {
            return Ok(Self::Visible);
        }
        let domain = params.id("domainid").map(DomainId);
        Ok(match (look.caller.role, domain) {
            (RoleType::User, _) => Self::Account(look.caller.account),
            (_, Some(domain)) => Self::Domain(domain, params.flag("isrecursive").unwrap_or(false)),
            (RoleType::Admin, None) if all => Self::Everything,
            (RoleType::DomainAdmin, None) if all => Self::Domain(look.caller.domain, true),
            _ => Self::Account(look.caller.account),
        })
    }

    /// The accounts that own everything the scope shows, those of projects too; `None` for all there are.
    pub fn accounts(&self, look: &Look<'_>) -> Option<Vec<AccountId>> {
        let (view, caller) = (look.view, look.caller);
        let member_of = || {
            view.projects_of_member(caller.account)
                .map(|project| project.account)
        };
        let within = |domains: Vec<DomainId>, of: fn(&Account) -> bool| {
            let accounts = domains
                .into_iter()
                .flat_map(|domain| view.accounts_of_domain(domain));
            accounts
                .filter(move |account| of(account))
                .map(|account| account.id)
                .collect::<Vec<_>>()
        };
        let mut found = match (self, caller.role) {
            (Self::Everything, _) | (Self::Visible, RoleType::Admin) => return None,
            (Self::Nothing, _) => return Some(Vec::new()),
            (Self::Account(id), _) => return Some(vec![*id]),
            (Self::Domain(domain, true), _) => {
                return Some(within(view.domains_down(*domain), |a| a.project.is_none()));
            }
            (Self::Domain(domain, false), _) => return Some(within(vec![*domain], |a| a.project.is_none())),
            (Self::Visible, RoleType::DomainAdmin) => within(view.domains_down(caller.domain), |_| true),
            (Self::Visible, RoleType::User) | (Self::Mine, _) => vec![caller.account],
        };
        for account in member_of() {
            if !found.contains(&account) {
                found.push(account);
            }
        }
        Some(found)
    }

    /// Everything of a kind that the scope shows, and maybe more: `all` when the scope has no bounds, else what
    /// `of_account` gives for each account. Takes time by what the scope shows, not by what there is.
    pub fn pick<'a, O: Row, I, J>(
        &self,
        look: &Look<'a>,
        of_account: impl Fn(AccountId) -> I + 'a,
        all: impl FnOnce() -> J,
    ) -> Box<dyn Iterator<Item = &'a O> + 'a>
    where
        I: Iterator<Item = &'a Stored<O>> + 'a,
        J: Iterator<Item = &'a Stored<O>> + 'a,
    {
        match self.accounts(look) {
            None => Box::new(all().map(|object| &**object)),
            Some(accounts) => Box::new(accounts.into_iter().flat_map(of_account).map(|object| &**object)),
        }
    }

    /// The networks that hold everything the scope shows, and maybe more: the narrowest index there is.
    pub fn networks<'a>(&self, look: &Look<'a>) -> Box<dyn Iterator<Item = NetworkId> + 'a> {
        let view = look.view;
        let networks = self.pick(look, |id| view.networks_of_account(id), || view.all());
        Box::new(networks.map(|network: &outgate_model::object::Network| network.id))
    }

    /// Whether the scope shows an account's objects.
    pub fn shows(&self, look: &Look<'_>, account: AccountId) -> bool {
        let view = look.view;
        let owner = || view.get::<Account>(account);
        match self {
            Self::Everything => owner().is_some_and(|a| a.project.is_none()),
            Self::Visible => look.caller.may(view, account),
            Self::Mine => {
                let member = |id| view.get::<Project>(id)?.member(look.caller.account);
                account == look.caller.account || owner().and_then(|a| a.project).and_then(member).is_some()
            }
            Self::Account(id) => *id == account,
            Self::Domain(domain, below) => owner().is_some_and(|a| {
                a.project.is_none() && (a.domain == *domain || (*below && view.is_within(a.domain, *domain)))
            }),
            Self::Nothing => false,
        }
    }
}

/// The account that `account` and `domainid`, or `projectid`, name for commands that make something. Errors (431) when
/// it does not exist or is not the caller's to use, which is answered alike.
pub fn owner(look: &Look<'_>, params: &Params) -> Result<Option<AccountId>, ApiError> {
    match params.text("projectid") {
        None | Some(ANY_PROJECT) => named_account(look, params),
        Some(id) => project(look, params, id).map(Some),
    }
}

/// The account of the project that `projectid` names.
fn project(look: &Look<'_>, params: &Params, id: &str) -> Result<AccountId, ApiError> {
    let project = id
        .parse()
        .ok()
        .and_then(|id: ProjectId| look.view.get::<Project>(id));
    project
        .filter(|project| look.caller.may(look.view, project.account))
        .map(|project| project.account)
        .ok_or_else(|| ApiError::no_such(params.command(), "projectid", id))
}

/// The account that `account` and `domainid` name; `None` when there is no `account`.
pub fn named_account(look: &Look<'_>, params: &Params) -> Result<Option<AccountId>, ApiError> {
    let Some(name) = params.text("account") else {
        return Ok(None);
    };
    let Some(domain) = params.id("domainid").map(DomainId) else {
        return Err(ApiError::missing(params.command(), "domainid"));
    };
    account_in(look, params, domain, name).map(Some)
}

/// The account of this name in a domain. Errors (431) when it does not exist or is not the caller's to see, which is
/// answered alike.
pub fn account_in(
    look: &Look<'_>,
    params: &Params,
    domain: DomainId,
    name: &str,
) -> Result<AccountId, ApiError> {
    let account = look.view.account_by_name(domain, name);
    let account = account.filter(|a| a.project.is_none() && look.caller.may(look.view, a.id));
    account.map(|account| account.id).ok_or_else(|| {
        let expected = format!("the name of an account of domain {domain}");
        ApiError::invalid(params.command(), "account", name, &expected)
    })
}
