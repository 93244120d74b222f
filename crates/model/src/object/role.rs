// SPDX-License-Identifier: Apache-2.0
//! Roles: which commands an account's users may call.

use serde::{Deserialize, Serialize};

use crate::id::{RoleId, RolePermissionId};

/// How far a caller sees, and which commands it may call unless its role's rules say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RoleType {
    /// A root admin: everything.
    Admin,
    /// A domain admin: the accounts of its domain and of those below.
    DomainAdmin,
    /// A user: its own account and the projects that it is a member of.
    User,
}

impl RoleType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Admin, Self::DomainAdmin, Self::User];

    /// CloudStack's name: `DomainAdmin`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::DomainAdmin => "DomainAdmin",
            Self::User => "User",
        }
    }

    /// The name of the built-in role of this type.
    pub fn builtin_name(self) -> &'static str {
        match self {
            Self::Admin => "Root Admin",
            Self::DomainAdmin => "Domain Admin",
            Self::User => "User",
        }
    }

    /// The id of the built-in role of this type: the same in each cloud.
    pub fn builtin(self) -> RoleId {
        let last = match self {
            Self::Admin => 1,
            Self::DomainAdmin => 4,
            Self::User => 8,
        };
        RoleId(uuid::Uuid::from_u128(
            0x0a17_6a7e_0001_4000_8000_0000_0000_0000 + last,
        ))
    }

    /// CloudStack's account type of accounts with such a role.
    pub fn account_type(self) -> u8 {
        match self {
            Self::User => 0,
            Self::Admin => 1,
            Self::DomainAdmin => 2,
        }
    }

    /// The role type of an account type; the least for one that is not known.
    pub fn of_account_type(account_type: u8) -> Self {
        match account_type {
            1 => Self::Admin,
            2 => Self::DomainAdmin,
            _ => Self::User,
        }
    }
}

/// One rule of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolePermission {
    /// Its id.
    pub id: RolePermissionId,
    /// The command it is about, with `*` for any characters: `list*`.
    pub rule: String,
    /// Whether it allows or denies.
    pub allow: bool,
    /// What users read.
    #[serde(default)]
    pub description: String,
}

impl RolePermission {
    /// Whether the rule is about this command, in any case.
    pub fn matches(&self, command: &str) -> bool {
        let (rule, command) = (self.rule.to_ascii_lowercase(), command.to_ascii_lowercase());
        let mut parts = rule.split('*');
        let Some(mut rest) = command.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let parts: Vec<&str> = parts.collect();
        let Some((last, inner)) = parts.split_last() else {
            return rest.is_empty();
        };
        for part in inner {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// A role. Its rules are tried in order and the first that matches decides; when none does, what the type may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its name, unique.
    pub name: String,
    /// What users read.
    #[serde(default)]
    pub description: String,
    /// How far its accounts see.
    pub role_type: RoleType,
    /// Whether it is a built-in one, which never changes.
    #[serde(default)]
    pub default: bool,
    /// Whether domain admins may see and give it.
    #[serde(default = "yes")]
    pub public: bool,
    /// Its rules, the first one first.
    #[serde(default)]
    pub permissions: Vec<RolePermission>,
    /// When it was made.
    pub created: jiff::Timestamp,
}

fn yes() -> bool {
    true
}

impl Role {
    /// The built-in role of this type.
    pub fn built_in(role_type: RoleType) -> Self {
        Self {
            id: role_type.builtin(),
            name: role_type.builtin_name().to_owned(),
            description: format!("The built-in role of type {}", role_type.name()),
            role_type,
            default: true,
            public: true,
            permissions: Vec::new(),
            created: jiff::Timestamp::now(),
        }
    }

    /// What the rules say about a command; `None` when none is about it.
    pub fn decides(&self, command: &str) -> Option<bool> {
        let rule = self.permissions.iter().find(|rule| rule.matches(command))?;
        Some(rule.allow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(rule: &str, allow: bool) -> RolePermission {
        RolePermission {
            id: RolePermissionId::new(),
            rule: rule.to_owned(),
            allow,
            description: String::new(),
        }
    }

    #[test]
    fn a_rule_matches_with_stars_in_any_case_and_whole_names_only() {
        for (pattern, command, matches) in [
            ("listNetworks", "listNetworks", true),
            ("listNetworks", "listnetworks", true),
            ("listNetwork", "listNetworks", false),
            ("list*", "listNetworks", true),
            ("*", "createVPC", true),
            ("*VPC", "createVPC", true),
            ("*VPC", "createVPCOffering", false),
            ("*VPC*", "createVPCOffering", true),
            ("c*e*g", "createVPCOffering", true),
            ("list*s*s", "lists", false),
            ("", "listZones", false),
        ] {
            assert_eq!(
                rule(pattern, true).matches(command),
                matches,
                "{pattern} {command}"
            );
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let mut role = Role::built_in(RoleType::User);
        assert_eq!(role.decides("listZones"), None);
        role.permissions = vec![rule("listZones", true), rule("list*", false)];
        assert_eq!(role.decides("listZones"), Some(true));
        assert_eq!(role.decides("listHosts"), Some(false));
        assert_eq!(role.decides("createVPC"), None);
    }
}
