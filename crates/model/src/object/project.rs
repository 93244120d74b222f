// SPDX-License-Identifier: Apache-2.0
//! Projects: what several accounts own together.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, DomainId, ProjectId};

/// Whether a project's objects may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProjectState {
    /// They may.
    Active,
    /// They may not, and its guests were stopped.
    Suspended,
}

impl ProjectState {
    /// CloudStack's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Suspended => "Suspended",
        }
    }
}

/// An account that takes part in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectMember {
    /// The account.
    pub account: AccountId,
    /// Whether it may change the project itself (CloudStack: `Admin`, the others are `Regular`).
    pub admin: bool,
}

/// A project. It owns through an account of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name, unique in its domain.
    pub name: String,
    /// What users read.
    pub display_text: String,
    /// Its domain.
    pub domain: DomainId,
    /// The account through which it owns.
    pub account: AccountId,
    /// Who takes part, the first owner first. At least one is an admin.
    pub members: Vec<ProjectMember>,
    /// Whether its objects may be changed.
    pub state: ProjectState,
    /// Whether it is on its way out with all it owns.
    #[serde(default)]
    pub leaving: bool,
    /// When it was made.
    pub created: jiff::Timestamp,
}

impl Project {
    /// Whose it is: the first of its admins. It counts against that account's limit.
    pub fn owner(&self) -> Option<AccountId> {
        let mut admins = self.members.iter().filter(|member| member.admin);
        admins.next().map(|member| member.account)
    }

    /// An account's part in it.
    pub fn member(&self, account: AccountId) -> Option<ProjectMember> {
        self.members
            .iter()
            .copied()
            .find(|member| member.account == account)
    }
}
