// SPDX-License-Identifier: Apache-2.0
//! Tags of users' objects.

use std::collections::BTreeMap;

use outgate_manager::Started;
use outgate_manager::command::request::{CreateTags, DeleteTags};
use outgate_model::id::TagSetId;
use outgate_model::object::TagSet;
use outgate_model::object::tag::resource_type;

use super::filter::Filter;
use super::scope::{self, Scope};
use super::{Answers, Call, Command, Refused, list};
use crate::view::tag::Tag;
use crate::view::{self, Look};
use crate::wire::envelope::Object;
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Of, Param, Params};

/// The commands.
pub const COMMANDS: &[Command] = &[
    Command::start(
        "createTags",
        "Puts tags on objects of one type.",
        &[
            RESOURCES,
            &[Param::required(
                "tags",
                Kind::Maps,
                "the tags: tags[0].key and tags[0].value",
            )],
            &[Param::optional("customer", Kind::Text(255), "no meaning here")],
        ],
        Answers::Success,
        |call| Box::pin(create(call)),
    ),
    Command::start(
        "deleteTags",
        "Takes tags off objects of one type.",
        &[
            RESOURCES,
            &[Param::optional(
                "tags",
                Kind::Maps,
                "the tags: tags[0].key, and tags[0].value where only that one goes; every tag when left out",
            )],
        ],
        Answers::Success,
        |call| Box::pin(delete(call)),
    ),
    Command::read(
        "listTags",
        "Lists tags.",
        &[FILTERS, scope::OWNED, list::PAGED],
        Answers::List("tag", view::tag::FIELDS),
        tags,
    ),
];

const RESOURCES: &[Param] = &[
    Param::required("resourceids", Kind::Uuids(Of::Anything), "the objects"),
    Param::required(
        "resourcetype",
        Kind::Text(64),
        "their type: Network, PublicIpAddress, UserVm, FirewallRule, PortForwardingRule, Vpc, NetworkACL ...",
    ),
];

const FILTERS: &[Param] = &[
    Param::optional("key", Kind::Text(255), "tags with this key"),
    Param::optional("value", Kind::Text(255), "tags with this value"),
    Param::optional("resourceid", Kind::Uuid(Of::Anything), "tags of this object"),
    Param::optional("resourcetype", Kind::Text(64), "tags of objects of this type"),
    Param::optional("customer", Kind::Text(255), "no tag has a customer"),
];

async fn create(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let mut tags = BTreeMap::new();
    for (key, value) in wanted(params)? {
        let value = value.ok_or_else(|| ApiError::missing(params.command(), "tags[].value"))?;
        if tags.insert(key.clone(), value).is_some() {
            let expected = "each key once";
            return Err(ApiError::invalid(params.command(), "tags", &key, expected).into());
        }
    }
    let request = CreateTags {
        resources: params.ids("resourceids").to_vec(),
        resource_type: params.need_text("resourcetype")?.to_owned(),
        tags,
    };
    Ok(call.manager.create_tags(&call.caller, request).await?)
}

async fn delete(call: &Call<'_>) -> Result<Started, Refused> {
    let params = &call.params;
    let request = DeleteTags {
        resources: params.ids("resourceids").to_vec(),
        resource_type: params.need_text("resourcetype")?.to_owned(),
        tags: wanted(params)?,
    };
    Ok(call.manager.delete_tags(&call.caller, request).await?)
}

/// Keys and values of `tags`. Errors (431) when one has no key.
fn wanted(params: &Params) -> Result<Vec<(String, Option<String>)>, ApiError> {
    let maps = params.maps("tags").iter();
    maps.map(|map| {
        let key = map.get("key");
        let key = key.ok_or_else(|| ApiError::missing(params.command(), "tags[].key"))?;
        Ok((key.clone(), map.get("value").cloned()))
    })
    .collect()
}

fn tags(look: &Look<'_>, params: &Params) -> Result<Object, ApiError> {
    let (filter, scope) = (Filter(params), Scope::of(look, params)?);
    let sets = candidates(look, params, scope).filter(|set| {
        scope.shows(look, set.account)
            && filter.id("resourceid", set.id.0)
            && filter.exact("resourcetype", resource_type(&set.kind).unwrap_or_default())
    });
    let matches = sets.flat_map(Tag::each).filter(|tag| {
        params.text("key").is_none_or(|key| key == tag.key)
            && params.text("value").is_none_or(|value| value == tag.value)
            && filter.keyword(&[tag.key, tag.value])
    });
    list::reply(look, params, "tag", matches, view::tag::render)
}

/// The narrowest index that holds every match.
fn candidates<'a>(
    look: &Look<'a>,
    params: &Params,
    scope: Scope,
) -> Box<dyn Iterator<Item = &'a TagSet> + 'a> {
    let view = look.view;
    if let Some(id) = params.id("resourceid") {
        return Box::new(view.get::<TagSet>(TagSetId(id)).into_iter().map(|set| &**set));
    }
    match scope {
        Scope::Account(id) => Box::new(view.tag_sets_of_account(id).map(|set| &**set)),
        _ => Box::new(view.all::<TagSet>().map(|set| &**set)),
    }
}
