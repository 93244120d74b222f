// SPDX-License-Identifier: Apache-2.0
//! Tags of owned objects.

use std::collections::BTreeMap;

use outgate_model::id::LoadBalancerRuleId;
use outgate_model::id::{
    AccountId, FirewallRuleId, GuestId, NetworkId, PortForwardingRuleId, ProjectId, PublicIpId, TagSetId,
};
use outgate_model::id::{NetworkAclItemId, NetworkAclListId, PrivateGatewayId, StaticRouteId, VpcId};
use outgate_model::job::Goal;
use outgate_model::key::Object;
use outgate_model::object::LoadBalancerRule;
use outgate_model::object::tag::{TAG_LENGTH, TAGS_PER_OBJECT, kind_of_resource_type};
use outgate_model::object::{FirewallRule, Guest, Network, PortForwardingRule, Project, PublicIp, TagSet};
use outgate_model::object::{NetworkAclItem, NetworkAclList, PrivateGateway, StaticRoute, Vpc};
use uuid::Uuid;

use super::request::{CreateTags, DeleteTags, Started};
use super::tx::Tx;
use super::vpc::{acl, acl_item};
use crate::{CommandError, Manager, command::Caller};

/// Finds the owner of the object of a kind that takes tags: one line for each, as in `TAGGABLE`. Those with `by` are
/// owned through another object, which the function finds.
macro_rules! taggable {
    (@owner $tx:ident, $type:ty, $id:expr) => {
        $tx.own::<$type>("resourceids", $id)?.account
    };
    (@owner $tx:ident, $type:ty, $id:expr, $by:path) => {
        $by($tx, "resourceids", $id)?.1.account
    };
    ($($type:ty, $id:path $(, by $by:path)?;)+) => {
        /// Whose the object is. Refused when it is not there, or not the caller's. The transaction depends on it.
        fn owner_of(tx: &mut Tx<'_>, kind: &str, id: Uuid) -> Result<AccountId, CommandError> {
            match kind {
                $(<$type as Object>::NAME => Ok(taggable!(@owner tx, $type, $id(id) $(, $by)?)),)+
                _ => Err(CommandError::Internal(format!("no tags on {kind}"))),
            }
        }

        #[cfg(test)]
        const KINDS: &[&str] = &[$(<$type as Object>::NAME),+];
    };
}

taggable! {
    Network, NetworkId;
    PublicIp, PublicIpId;
    Guest, GuestId;
    FirewallRule, FirewallRuleId;
    PortForwardingRule, PortForwardingRuleId;
    LoadBalancerRule, LoadBalancerRuleId;
    Vpc, VpcId;
    NetworkAclList, NetworkAclListId, by acl::changeable;
    NetworkAclItem, NetworkAclItemId, by acl_item::owned;
    PrivateGateway, PrivateGatewayId;
    StaticRoute, StaticRouteId;
    Project, ProjectId;
}

impl Manager {
    /// Puts tags on objects.
    ///
    /// # Errors
    /// Why it was refused, or could not be stored. Nothing was written then.
    pub async fn create_tags(&self, caller: &Caller, request: CreateTags) -> Result<Started, CommandError> {
        self.commit(|view, draft| create(&mut Tx::new(view, draft, caller), &request))
            .await
    }

    /// Takes tags off objects.
    ///
    /// # Errors
    /// Why it was refused, or could not be stored. Nothing was written then.
    pub async fn delete_tags(&self, caller: &Caller, request: DeleteTags) -> Result<Started, CommandError> {
        self.commit(|view, draft| delete(&mut Tx::new(view, draft, caller), &request))
            .await
    }
}

fn create(tx: &mut Tx<'_>, request: &CreateTags) -> Result<Started, CommandError> {
    let kind = kind_of(&request.resource_type)?;
    check_words(&request.tags)?;
    for &id in &request.resources {
        let account = owner_of(tx, kind, id)?;
        let old = tx.view.get::<TagSet>(TagSetId(id)).cloned();
        let mut tags = old.as_ref().map(|set| set.tags.clone()).unwrap_or_default();
        for (key, value) in &request.tags {
            if let Some(there) = tags.insert(key.clone(), value.clone()) {
                let expected = format!(
                    "a key that {} {id} has not: it is {there} there",
                    request.resource_type
                );
                return Err(CommandError::invalid("tags", key, expected));
            }
        }
        if tags.len() > TAGS_PER_OBJECT {
            return Err(CommandError::Limit {
                what: format!("{} {id}", request.resource_type),
                limit: TAGS_PER_OBJECT,
                of: "tags",
            });
        }
        let set = TagSet {
            id: TagSetId(id),
            kind: kind.to_owned(),
            account,
            tags,
        };
        match old {
            Some(old) => tx.draft.update(&old, set),
            None => tx.draft.create(&set),
        }
        let text = format!(
            "{} of {} {id} tagged",
            words(&request.tags),
            request.resource_type
        );
        tx.event::<TagSet>("CREATE_TAGS", account, id, text);
    }
    done(tx, "createTags", &request.resources)
}

fn delete(tx: &mut Tx<'_>, request: &DeleteTags) -> Result<Started, CommandError> {
    let kind = kind_of(&request.resource_type)?;
    let mut found = false;
    for &id in &request.resources {
        let account = owner_of(tx, kind, id)?;
        let Some(old) = tx.view.get::<TagSet>(TagSetId(id)).cloned() else {
            continue;
        };
        let goes = |key: &str, value: &str| {
            let mut wanted = request.tags.iter();
            request.tags.is_empty()
                || wanted.any(|(k, v)| k == key && v.as_deref().is_none_or(|v| v == value))
        };
        let (gone, tags): (BTreeMap<_, _>, BTreeMap<_, _>) = old
            .tags
            .clone()
            .into_iter()
            .partition(|(key, value)| goes(key, value));
        if gone.is_empty() {
            continue;
        }
        found = true;
        if tags.is_empty() {
            tx.draft.delete(&old);
        } else {
            tx.draft.update(
                &old,
                TagSet {
                    tags,
                    ..TagSet::clone(&old)
                },
            );
        }
        let text = format!("{} of {} {id} removed", words(&gone), request.resource_type);
        tx.event::<TagSet>("DELETE_TAGS", account, id, text);
    }
    if !found {
        let wanted: Vec<_> = request.tags.iter().map(|(key, _)| key.as_str()).collect();
        return Err(CommandError::invalid(
            "tags",
            wanted.join(","),
            "tags that the resources have",
        ));
    }
    done(tx, "deleteTags", &request.resources)
}

fn done(tx: &mut Tx<'_>, command: &str, resources: &[Uuid]) -> Result<Started, CommandError> {
    let first = resources
        .first()
        .ok_or_else(|| CommandError::missing("resourceids"))?;
    Ok(Started {
        job: tx.job::<TagSet>(command, *first, Goal::Stored),
        id: None,
    })
}

fn kind_of(word: &str) -> Result<&'static str, CommandError> {
    kind_of_resource_type(word)
        .ok_or_else(|| CommandError::invalid("resourcetype", word, "a type of resource that takes tags"))
}

fn check_words(tags: &BTreeMap<String, String>) -> Result<(), CommandError> {
    if tags.is_empty() {
        return Err(CommandError::missing("tags"));
    }
    for (key, value) in tags {
        for (name, text) in [("tags key", key), ("tags value", value)] {
            let fits = text.chars().count() <= TAG_LENGTH && !text.chars().any(char::is_control);
            if !fits || key.is_empty() {
                let expected = format!("1 to {TAG_LENGTH} printable characters");
                return Err(CommandError::invalid(name, text, expected));
            }
        }
    }
    Ok(())
}

fn words(tags: &BTreeMap<String, String>) -> String {
    let words: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use outgate_model::object::tag::TAGGABLE;

    #[test]
    fn every_kind_that_takes_tags_can_be_found() {
        let known: Vec<_> = TAGGABLE.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(known, KINDS);
    }
}
