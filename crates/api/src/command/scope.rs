// SPDX-License-Identifier: Apache-2.0
//! Whose objects a list shows, and for whom a command makes one.

use outgate_model::id::{AccountId, DomainId, NetworkId};
use outgate_model::object::{Account, Domain, Network};

use crate::view::Look;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// Parameters that every list of owned objects takes.
pub const OWNED: &[Param] = &[
    Param::optional(
        "listall",
        Kind::Bool,
        "for admins: objects of every account, not only the caller's own",
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
        "objects of this project; there are none, -1 for any",
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
];

/// Whose objects a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    Everything,
    /// One account's.
    Account(AccountId),
    /// Those of a domain's accounts, or of the domains below it too.
    Domain(DomainId, bool),
    /// Nobody's.
    Nothing,
}

impl Scope {
    /// The scope that the caller and the parameters give. Errors (431, 531) when an account does not exist or is
    /// not the caller's to see.
    pub fn of(look: &Look<'_>, params: &Params) -> Result<Self, ApiError> {
        let project = params.text("projectid").is_some_and(|id| id != "-1");
        if project {
            return Ok(Self::Nothing);
        }
        if let Some(account) = named_account(look, params)? {
            return Ok(Self::Account(account));
        }
        if let Some(domain) = params.id("domainid").map(DomainId) {
            if !look.caller.admin {
                permitted(
                    look,
                    domain == look.caller.domain,
                    "domainid",
                    &domain.to_string(),
                )?;
                return Ok(Self::Account(look.caller.account));
            }
            return Ok(Self::Domain(domain, params.flag("isrecursive").unwrap_or(false)));
        }
        let all = params.flag("listall").unwrap_or(false) || params.id("id").is_some();
        Ok(if look.caller.admin && all {
            Self::Everything
        } else {
            Self::Account(look.caller.account)
        })
    }

    /// The networks that hold everything the scope shows, and maybe more: the narrowest index there is.
    pub fn networks<'a>(&self, look: &Look<'a>) -> Box<dyn Iterator<Item = NetworkId> + 'a> {
        match self {
            Self::Account(id) => Box::new(look.view.networks_of_account(*id).map(|n| n.id)),
            Self::Nothing => Box::new(std::iter::empty()),
            Self::Everything | Self::Domain(..) => Box::new(look.view.all::<Network>().map(|n| n.id)),
        }
    }

    /// Whether the scope shows an account's objects.
    pub fn shows(&self, look: &Look<'_>, account: AccountId) -> bool {
        match self {
            Self::Everything => true,
            Self::Account(id) => *id == account,
            Self::Domain(domain, below) => look
                .view
                .get::<Account>(account)
                .is_some_and(|a| a.domain == *domain || (*below && is_below(look, a.domain, *domain))),
            Self::Nothing => false,
        }
    }
}

/// The account that `account` and `domainid` name, for commands that make something. Errors (431, 531) when it does
/// not exist or is not the caller's to use.
pub fn owner(look: &Look<'_>, params: &Params) -> Result<Option<AccountId>, ApiError> {
    named_account(look, params)
}

fn named_account(look: &Look<'_>, params: &Params) -> Result<Option<AccountId>, ApiError> {
    let Some(name) = params.text("account") else {
        return Ok(None);
    };
    let Some(domain) = params.id("domainid").map(DomainId) else {
        return Err(ApiError::missing(params.command(), "domainid"));
    };
    let account = look
        .view
        .all::<Account>()
        .find(|a| a.domain == domain && a.name == name);
    let Some(account) = account else {
        let expected = format!("the name of an account of domain {domain}");
        return Err(ApiError::invalid(params.command(), "account", name, &expected));
    };
    permitted(look, account.id == look.caller.account, "account", name)?;
    Ok(Some(account.id))
}

fn permitted(look: &Look<'_>, own: bool, parameter: &str, value: &str) -> Result<(), ApiError> {
    if look.caller.admin || own {
        return Ok(());
    }
    Err(ApiError::new(
        531,
        format!("the caller has no permission for {parameter} {value}"),
    ))
}

fn is_below(look: &Look<'_>, domain: DomainId, above: DomainId) -> bool {
    let mut at = look.view.get::<Domain>(domain).and_then(|d| d.parent);
    // Domains form a tree; the limit only guards against a damaged one.
    for _ in 0..64 {
        match at {
            Some(id) if id == above => return true,
            Some(id) => at = look.view.get::<Domain>(id).and_then(|d| d.parent),
            None => return false,
        }
    }
    false
}
