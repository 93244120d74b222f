// SPDX-License-Identifier: Apache-2.0
//! `tag`, in lists of its own and in the objects that have tags.

use outgate_model::object::TagSet;
use outgate_model::object::tag::resource_type;

use crate::view::view;

/// One tag of a set.
#[derive(Debug, Clone, Copy)]
pub struct Tag<'a> {
    /// The set.
    pub set: &'a TagSet,
    /// Its key.
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
}

impl<'a> Tag<'a> {
    /// Every tag of a set, by key.
    pub fn each(set: &'a TagSet) -> impl Iterator<Item = Self> {
        let tags = set.tags.iter();
        tags.map(move |(key, value)| Self { set, key, value })
    }
}

view! {
    /// A tag.
    (look, tag: Tag<'_>) {
        let owner = look.owner(tag.set.account);
    }
    "key" string = tag.key;
    "value" string = tag.value;
    "resourcetype" string = resource_type(&tag.set.kind);
    "resourceid" string = tag.set.id;
    "account" string = owner.account;
    "domain" string = owner.domain;
    "domainid" string = owner.domain_id;
    "domainpath" string = owner.domain_path;
}
