// SPDX-License-Identifier: Apache-2.0
//! How much an account, a project and a domain may hold. Every transaction is looked at before it is committed, so no
//! command can forget it: what it adds is counted with what is there, and the counters that it writes make two that add
//! for the same owner at once lose the race and count again. Root admins' accounts have no limits, as in CloudStack.

use std::collections::BTreeMap;

use outgate_model::id::{AccountId, DomainId};
use outgate_model::key;
use outgate_model::object::{
    Account, Domain, Guest, Network, Project, PublicIp, RoleType, SettingScope, Vpc,
};

use crate::draft::Draft;
use crate::mirror::{Row, Stored, View};
use crate::settings::{self, Known};

/// CloudStack's resource types, by number and word. Those that are no [`Resource`] are never limited here.
pub const TYPES: [(u8, &str); 12] = [
    (0, "user_vm"),
    (1, "public_ip"),
    (2, "volume"),
    (3, "snapshot"),
    (4, "template"),
    (5, "project"),
    (6, "network"),
    (7, "vpc"),
    (8, "cpu"),
    (9, "memory"),
    (10, "primary_storage"),
    (11, "secondary_storage"),
];

/// No limit.
pub const UNLIMITED: i64 = -1;

/// What is counted and limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Guests.
    Guests,
    /// Public addresses.
    PublicIps,
    /// Projects, by their owner.
    Projects,
    /// Isolated networks and tiers.
    Networks,
    /// VPCs.
    Vpcs,
}

impl Resource {
    /// Each.
    pub const ALL: [Self; 5] = [
        Self::Guests,
        Self::PublicIps,
        Self::Projects,
        Self::Networks,
        Self::Vpcs,
    ];

    /// CloudStack's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Guests => 0,
            Self::PublicIps => 1,
            Self::Projects => 5,
            Self::Networks => 6,
            Self::Vpcs => 7,
        }
    }

    /// CloudStack's word: `public_ip`.
    pub fn word(self) -> &'static str {
        let mut types = TYPES.iter();
        types
            .find(|(number, _)| *number == self.number())
            .map_or("", |(_, word)| *word)
    }

    /// The resource with CloudStack's number; `None` for one that is not limited here.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.number() == number)
    }

    /// The settings that hold the defaults: of an account, of a project, of a domain. A project owns no projects.
    fn defaults(self) -> (&'static Known, Option<&'static Known>, &'static Known) {
        match self {
            Self::Guests => (
                &settings::MAX_ACCOUNT_GUESTS,
                Some(&settings::MAX_PROJECT_GUESTS),
                &settings::MAX_DOMAIN_GUESTS,
            ),
            Self::PublicIps => (
                &settings::MAX_ACCOUNT_PUBLIC_IPS,
                Some(&settings::MAX_PROJECT_PUBLIC_IPS),
                &settings::MAX_DOMAIN_PUBLIC_IPS,
            ),
            Self::Projects => (
                &settings::MAX_ACCOUNT_PROJECTS,
                None,
                &settings::MAX_DOMAIN_PROJECTS,
            ),
            Self::Networks => (
                &settings::MAX_ACCOUNT_NETWORKS,
                Some(&settings::MAX_PROJECT_NETWORKS),
                &settings::MAX_DOMAIN_NETWORKS,
            ),
            Self::Vpcs => (
                &settings::MAX_ACCOUNT_VPCS,
                Some(&settings::MAX_PROJECT_VPCS),
                &settings::MAX_DOMAIN_VPCS,
            ),
        }
    }
}

/// Somebody holds as much as it may. The words are CloudStack's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Maximum number of resources of type '{kind}' for {whose} has been exceeded: it may hold {limit} and holds {held}."
)]
pub struct LimitReached {
    /// CloudStack's word: `public_ip`.
    pub kind: &'static str,
    /// `account name=alice in domain id=0a1b…`. Domains above the account's own are not named: its users may not see
    /// them.
    pub whose: String,
    /// How many it may hold.
    pub limit: i64,
    /// How many it holds.
    pub held: usize,
}

impl View<'_> {
    /// How many of a resource an account or a project may hold; [`UNLIMITED`] for any number.
    pub fn limit_of_account(&self, account: &Account, resource: Resource) -> i64 {
        if account.role_type() == RoleType::Admin {
            return UNLIMITED;
        }
        if let Some(limit) = account.limits.get(&resource.number()) {
            return *limit;
        }
        let (of_account, of_project, _) = resource.defaults();
        let known = match account.project {
            None => Some(of_account),
            Some(_) => of_project,
        };
        let scopes = [SettingScope::Account(account.id)].into_iter();
        let scopes: Vec<_> = scopes.chain(self.scopes_up(account.domain)).collect();
        known.map_or(UNLIMITED, |known| self.setting_in(known, &scopes))
    }

    /// How many of a resource the accounts of a domain and of those below may hold together; the topmost has no limit.
    pub fn limit_of_domain(&self, domain: &Domain, resource: Resource) -> i64 {
        if domain.parent.is_none() {
            return UNLIMITED;
        }
        if let Some(limit) = domain.limits.get(&resource.number()) {
            return *limit;
        }
        let scopes: Vec<_> = self.scopes_up(domain.id).collect();
        self.setting_in(resource.defaults().2, &scopes)
    }

    fn scopes_up(&self, domain: DomainId) -> impl Iterator<Item = SettingScope> {
        self.domains_up(domain)
            .map(|domain| SettingScope::Domain(domain.id))
    }
}

/// What a transaction adds, by owner.
type Growth = BTreeMap<(AccountId, Resource), i64>;

/// Refuses a transaction after which somebody would hold more than it may.
pub(crate) fn check(view: &View<'_>, draft: &mut Draft) -> Result<(), LimitReached> {
    let mut growth = Growth::new();
    grow::<Guest>(view, draft, &mut growth, Resource::Guests, |o| Some(o.account));
    grow::<PublicIp>(view, draft, &mut growth, Resource::PublicIps, |o| Some(o.account));
    grow::<Network>(view, draft, &mut growth, Resource::Networks, |o| Some(o.account));
    grow::<Vpc>(view, draft, &mut growth, Resource::Vpcs, |o| Some(o.account));
    grow::<Project>(view, draft, &mut growth, Resource::Projects, Project::owner);
    for ((account, resource), more) in growth {
        let more = usize::try_from(more).unwrap_or(0);
        // An account that the same transaction makes holds nothing yet, and nobody else can add to it.
        if let Some(account) = view.get::<Account>(account).filter(|_| more > 0) {
            room(view, draft, account, resource, more)?;
        }
    }
    Ok(())
}

fn grow<O: Row>(
    view: &View<'_>,
    draft: &Draft,
    growth: &mut Growth,
    resource: Resource,
    owner: impl Fn(&O) -> Option<AccountId>,
) {
    for (key, staged) in draft.staged_all::<O>() {
        let id = key.rsplit('/').next().and_then(|id| id.parse::<O::Id>().ok());
        let before = id
            .and_then(|id| view.get::<O>(id))
            .and_then(|object| owner(object));
        let after = staged.and_then(|object| owner(&object));
        if before != after {
            let mut add = |account: Option<AccountId>, number: i64| {
                if let Some(account) = account {
                    *growth.entry((account, resource)).or_default() += number;
                }
            };
            add(before, -1);
            add(after, 1);
        }
    }
}

fn room(
    view: &View<'_>,
    draft: &mut Draft,
    account: &Stored<Account>,
    resource: Resource,
    more: usize,
) -> Result<(), LimitReached> {
    if account.role_type() == RoleType::Admin {
        return Ok(());
    }
    draft.read(account);
    let limit = view.limit_of_account(account, resource);
    fits(
        limit,
        view.held(account.id, resource),
        more,
        resource,
        || match account.project.and_then(|id| view.get::<Project>(id)) {
            Some(project) => format!("project name={} in domain id={}", project.name, account.domain),
            None => format!("account name={} in domain id={}", account.name, account.domain),
        },
    )?;
    if limit != UNLIMITED {
        draft.number(&counter_of_account(account.id, resource));
    }
    for domain in view.domains_up(account.domain) {
        draft.read(domain);
        let limit = view.limit_of_domain(domain, resource);
        if limit == UNLIMITED {
            continue;
        }
        fits(
            limit,
            view.held_in_domain(domain.id, resource),
            more,
            resource,
            || {
                if domain.id == account.domain {
                    format!("domain id={}", domain.id)
                } else {
                    format!("a domain above domain id={}", account.domain)
                }
            },
        )?;
        draft.number(&counter_of_domain(domain.id, resource));
    }
    Ok(())
}

fn fits(
    limit: i64,
    held: usize,
    more: usize,
    resource: Resource,
    whose: impl Fn() -> String,
) -> Result<(), LimitReached> {
    let fine = limit == UNLIMITED || usize::try_from(limit).is_ok_and(|limit| held + more <= limit);
    if fine {
        return Ok(());
    }
    Err(LimitReached {
        kind: resource.word(),
        whose: whose(),
        limit,
        held,
    })
}

/// Every transaction that makes an account hold more writes it, so that none counts without the other.
fn counter_of_account(id: AccountId, resource: Resource) -> String {
    format!("held/account/{id}/{}", resource.word())
}

fn counter_of_domain(id: DomainId, resource: Resource) -> String {
    format!("held/domain/{id}/{}", resource.word())
}

/// Removes what an account that goes has left here.
pub(crate) fn forget_account(draft: &mut Draft, id: AccountId) {
    Resource::ALL
        .into_iter()
        .for_each(|resource| draft.delete_raw(key::counter(&counter_of_account(id, resource))));
}

/// Removes what a domain that goes has left here.
pub(crate) fn forget_domain(draft: &mut Draft, id: DomainId) {
    Resource::ALL
        .into_iter()
        .for_each(|resource| draft.delete_raw(key::counter(&counter_of_domain(id, resource))));
}
