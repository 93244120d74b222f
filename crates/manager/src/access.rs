// SPDX-License-Identifier: Apache-2.0
//! Who may see and use what. The only place that decides it: commands ask through `Tx::own` and `Tx::owner`, lists and
//! the check of ids through [`Caller::may`].
//!
//! | caller | sees and uses |
//! |---|---|
//! | root admin | everything |
//! | domain admin | what accounts and projects of its domain and of those below own |
//! | user | what its own account owns, and the projects that its account takes part in |
//!
//! Something that a caller may not see is answered exactly as something that is not there.

use outgate_model::id::{AccountId, DomainId, ProjectId, UserId};
use outgate_model::object::{Account, AccountState, Domain, Project, Role, RoleType, Template, User};

use crate::command::Caller;
use crate::mirror::View;

impl Caller {
    /// The caller that a user is; `None` when the user or its account is disabled, locked or on its way out.
    pub fn of(view: &View<'_>, user: &User) -> Option<Self> {
        let account = view.get::<Account>(user.account)?;
        let may_call = user.state() == AccountState::Enabled
            && account.state == AccountState::Enabled
            && !account.leaving
            && account.project.is_none();
        may_call.then(|| Self {
            user: user.id,
            account: account.id,
            domain: account.domain,
            role: view
                .role_of(account)
                .map_or_else(|| account.role_type(), |role| role.role_type),
        })
    }

    /// Outgate itself, which takes away what an account owned: the only one that may while the account leaves.
    pub(crate) fn system(account: AccountId, domain: DomainId) -> Self {
        Self {
            user: UserId(uuid::Uuid::nil()),
            account,
            domain,
            role: RoleType::Admin,
        }
    }

    /// Whether it is Outgate itself.
    pub(crate) fn is_system(&self) -> bool {
        self.user.0.is_nil()
    }

    /// Whether it is a root admin.
    pub fn admin(&self) -> bool {
        self.role == RoleType::Admin
    }

    /// Whether it may see and use what this account owns.
    pub fn may(&self, view: &View<'_>, account: AccountId) -> bool {
        if self.admin() || account == self.account {
            return true;
        }
        let Some(account) = view.get::<Account>(account) else {
            return false;
        };
        if self.role == RoleType::DomainAdmin && view.is_within(account.domain, self.domain) {
            return true;
        }
        let project = account.project.and_then(|id| view.get::<Project>(id));
        project.is_some_and(|project| project.member(self.account).is_some())
    }

    /// Whether it may see what belongs to no account: the system's own.
    pub fn may_any(&self, view: &View<'_>, account: Option<AccountId>) -> bool {
        match account {
            Some(account) => self.may(view, account),
            None => self.admin(),
        }
    }

    /// Whether it may see this domain: users see their own only.
    pub fn may_domain(&self, view: &View<'_>, domain: DomainId) -> bool {
        match self.role {
            RoleType::Admin => view.get::<Domain>(domain).is_some(),
            RoleType::DomainAdmin => view.is_within(domain, self.domain),
            RoleType::User => domain == self.domain,
        }
    }

    /// Whether it may use this template: a built-in one, a public one, or one of an account that it may see.
    pub fn may_use_template(&self, view: &View<'_>, template: &Template) -> bool {
        let registered = template.registered.as_ref();
        registered.is_none_or(|registered| registered.public || self.may(view, registered.account))
    }

    /// Whether it may see this project.
    pub fn may_project(&self, view: &View<'_>, project: ProjectId) -> bool {
        view.get::<Project>(project)
            .is_some_and(|project| self.may(view, project.account))
    }

    /// Whether it may change this project itself: who takes part, its name, its end.
    pub fn governs_project(&self, view: &View<'_>, project: &Project) -> bool {
        let owner = project.member(self.account).is_some_and(|member| member.admin);
        owner || (self.role != RoleType::User && self.may(view, project.account))
    }

    /// Whether it administers this account: an admin within reach of it. Nobody administers a root admin but one.
    pub fn governs(&self, view: &View<'_>, account: &Account) -> bool {
        match self.role {
            RoleType::Admin => true,
            RoleType::DomainAdmin => {
                account.role_type() != RoleType::Admin && view.is_within(account.domain, self.domain)
            }
            RoleType::User => false,
        }
    }

    /// Whether it may change this user and see its keys: its own, or one whose account it administers.
    pub fn governs_user(&self, view: &View<'_>, user: &User) -> bool {
        let account = view.get::<Account>(user.account);
        self.user == user.id || account.is_some_and(|account| self.governs(view, account))
    }

    /// Whether its role allows a command that callers of type `allowed` may call anyway: the first rule of the role
    /// about it decides, else the type.
    pub fn may_call(&self, view: &View<'_>, command: &str, allowed: impl Fn(RoleType) -> bool) -> bool {
        let account = view.get::<Account>(self.account);
        let role = account.and_then(|account| view.role_of(account));
        let rule = role.and_then(|role: &crate::Stored<Role>| role.decides(command));
        rule.unwrap_or_else(|| allowed(self.role))
    }
}
