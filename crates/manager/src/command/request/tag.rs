// SPDX-License-Identifier: Apache-2.0
//! Tags.

use std::collections::BTreeMap;

use uuid::Uuid;

/// `createTags`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTags {
    /// `resourceids`: all of one type.
    pub resources: Vec<Uuid>,
    /// `resourcetype`, CloudStack's word in any case: `UserVm`.
    pub resource_type: String,
    /// `tags`: values by keys.
    pub tags: BTreeMap<String, String>,
}

/// `deleteTags`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteTags {
    /// `resourceids`: all of one type.
    pub resources: Vec<Uuid>,
    /// `resourcetype`, CloudStack's word in any case.
    pub resource_type: String,
    /// `tags`: keys, and values where only a tag of this value goes. Empty: every tag goes.
    pub tags: Vec<(String, Option<String>)>,
}
