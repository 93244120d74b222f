// SPDX-License-Identifier: Apache-2.0
//! Tags: free words that users put on their objects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, TagSetId};

/// Most tags of one object.
pub const TAGS_PER_OBJECT: usize = 100;
/// Longest key and longest value of a tag, in characters.
pub const TAG_LENGTH: usize = 255;

/// CloudStack's `resourcetype` of each kind of object that takes tags, by [`crate::key::Object::NAME`].
pub const TAGGABLE: &[(&str, &str)] = &[
    ("Network", "Network"),
    ("IpAddress", "PublicIpAddress"),
    ("VirtualMachine", "UserVm"),
    ("FirewallRule", "FirewallRule"),
    ("PortForwardingRule", "PortForwardingRule"),
    ("LoadBalancerRule", "LoadBalancer"),
    ("Vpc", "Vpc"),
    ("NetworkACLList", "NetworkACLList"),
    ("NetworkACL", "NetworkACL"),
    ("PrivateGateway", "PrivateGateway"),
    ("StaticRoute", "StaticRoute"),
    ("Project", "Project"),
];

/// CloudStack's `resourcetype` of a kind of object; `None` when it takes no tags.
pub fn resource_type(name: &str) -> Option<&'static str> {
    let mut kinds = TAGGABLE.iter();
    kinds.find(|(kind, _)| *kind == name).map(|(_, word)| *word)
}

/// The kind of object, by its name, that CloudStack's `resourcetype` (in any case) means.
pub fn kind_of_resource_type(word: &str) -> Option<&'static str> {
    let mut kinds = TAGGABLE.iter();
    kinds
        .find(|(_, known)| known.eq_ignore_ascii_case(word))
        .map(|(kind, _)| *kind)
}

/// Every tag of one object. It is removed in the same transaction as the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagSet {
    /// The object's own id: no two objects share one, whatever their kinds.
    pub id: TagSetId,
    /// The object's kind, [`crate::key::Object::NAME`].
    pub kind: String,
    /// The object's owner.
    pub account: AccountId,
    /// Values by keys; never empty.
    pub tags: BTreeMap<String, String>,
}
