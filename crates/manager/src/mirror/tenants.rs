// SPDX-License-Identifier: Apache-2.0
//! Reading domains, accounts, users and projects.

use outgate_model::id::{AccountId, DomainId, ProjectId};
use outgate_model::object::{Account, Domain, Project, Role, User};

use super::state::Stored;
use super::view::View;
use crate::limits::Resource;

/// Domains form a tree; the limit only guards against a damaged one.
const DEPTH: usize = 64;

impl View<'_> {
    /// A domain and those above it, the nearest first.
    pub fn domains_up(&self, id: DomainId) -> impl Iterator<Item = &Stored<Domain>> {
        let first = self.get::<Domain>(id);
        let above = |domain: &&Stored<Domain>| self.get::<Domain>(domain.parent?);
        std::iter::successors(first, above).take(DEPTH)
    }

    /// Whether a domain is `above` or one below it.
    pub fn is_within(&self, id: DomainId, above: DomainId) -> bool {
        self.domains_up(id).any(|domain| domain.id == above)
    }

    /// The domains right below a domain.
    pub fn domains_of(&self, id: DomainId) -> impl Iterator<Item = &Stored<Domain>> {
        self.each(self.0.indexes.domains_by_parent.get(id))
    }

    /// A domain and every one below it.
    pub fn domains_down(&self, id: DomainId) -> Vec<DomainId> {
        let mut found = vec![id];
        let mut next = 0;
        while let Some(at) = found.get(next).copied() {
            found.extend(self.0.indexes.domains_by_parent.get(at));
            next += 1;
        }
        found
    }

    /// The accounts of a domain, those of its projects too.
    pub fn accounts_of_domain(&self, id: DomainId) -> impl Iterator<Item = &Stored<Account>> {
        self.each(self.0.indexes.accounts_by_domain.get(id))
    }

    /// The account of this name in a domain.
    pub fn account_by_name(&self, domain: DomainId, name: &str) -> Option<&Stored<Account>> {
        let place = (domain, name.to_owned());
        self.get(*self.0.indexes.account_by_name.get(&place)?)
    }

    /// The users of an account.
    pub fn users_of_account(&self, id: AccountId) -> impl Iterator<Item = &Stored<User>> {
        self.each(self.0.indexes.users_by_account.get(id))
    }

    /// The user of this login name, in any case, in a domain.
    pub fn user_by_name(&self, domain: DomainId, username: &str) -> Option<&Stored<User>> {
        let ids = self.0.indexes.users_by_name.get(username.to_lowercase());
        let in_domain = |user: &&Stored<User>| {
            self.get::<Account>(user.account)
                .is_some_and(|account| account.domain == domain)
        };
        self.each(ids).find(in_domain)
    }

    /// The domain of this path, in any case, with or without `ROOT` and slashes around it: `/sales/` and `ROOT/sales`
    /// are the same.
    pub fn domain_by_path(&self, path: &str) -> Option<&Stored<Domain>> {
        let mut names = path.split('/').filter(|name| !name.is_empty()).peekable();
        let mut at = self.all::<Domain>().find(|domain| domain.parent.is_none())?;
        if names
            .peek()
            .is_some_and(|name| name.eq_ignore_ascii_case(&at.name))
        {
            names.next();
        }
        for name in names {
            at = self
                .domains_of(at.id)
                .find(|domain| domain.name.eq_ignore_ascii_case(name))?;
        }
        Some(at)
    }

    /// The role of an account.
    pub fn role_of(&self, account: &Account) -> Option<&Stored<Role>> {
        self.get(account.role.unwrap_or_else(|| account.role_type().builtin()))
    }

    /// The projects of a domain.
    pub fn projects_of_domain(&self, id: DomainId) -> impl Iterator<Item = &Stored<Project>> {
        self.each(self.0.indexes.projects_by_domain.get(id))
    }

    /// The projects that an account takes part in.
    pub fn projects_of_member(&self, id: AccountId) -> impl Iterator<Item = &Stored<Project>> {
        self.each(self.0.indexes.projects_by_member.get(id))
    }

    /// The domains on their way out.
    pub(crate) fn leaving_domains(&self) -> impl Iterator<Item = &Stored<Domain>> {
        self.each(self.0.indexes.leaving_domains.iter().copied())
    }

    /// The accounts on their way out.
    pub(crate) fn leaving_accounts(&self) -> impl Iterator<Item = &Stored<Account>> {
        self.each(self.0.indexes.leaving_accounts.iter().copied())
    }

    /// The projects on their way out.
    pub(crate) fn leaving_projects(&self) -> impl Iterator<Item = &Stored<Project>> {
        self.each(self.0.indexes.leaving_projects.iter().copied())
    }

    /// How many of a resource an account holds, those on their way out too.
    pub fn held(&self, account: AccountId, resource: Resource) -> usize {
        let indexes = &self.0.indexes;
        match resource {
            Resource::Guests => indexes.guests_by_account.count(&account),
            Resource::PublicIps => indexes.ips_by_account.count(&account),
            Resource::Networks => indexes.networks_by_account.count(&account),
            Resource::Vpcs => indexes.vpcs_by_account.count(&account),
            Resource::Projects => self
                .projects_of_member(account)
                .filter(|project| project.owner() == Some(account))
                .count(),
        }
    }

    /// How many of a resource the accounts of a domain and of those below it hold together.
    pub fn held_in_domain(&self, domain: DomainId, resource: Resource) -> usize {
        let domains = self.domains_down(domain);
        let accounts = domains.iter().flat_map(|domain| self.accounts_of_domain(*domain));
        accounts.map(|account| self.held(account.id, resource)).sum()
    }

    /// The project that owns through this account.
    pub fn project_of(&self, account: AccountId) -> Option<&Stored<Project>> {
        let project: ProjectId = self.get::<Account>(account)?.project?;
        self.get(project)
    }
}
