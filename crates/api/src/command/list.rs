// SPDX-License-Identifier: Apache-2.0
//! Lists: count every match, render only the page asked for.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::view::Look;
use crate::wire::envelope::{self, Object};
use crate::wire::error::ApiError;
use crate::wire::params::{Kind, Param, Params};

/// Parameters that every list takes.
pub const PAGED: &[Param] = &[
    Param::optional("keyword", Kind::Text(255), "a part of the name"),
    Param::optional(
        "page",
        Kind::Int(i64::MIN, i64::MAX),
        "the page, from 1; needs pagesize",
    ),
    Param::optional(
        "pagesize",
        Kind::Int(i64::MIN, i64::MAX),
        "how many a page holds, at most 500; -1 for everything, without page",
    ),
];

/// The list reply for `matches`, under `key`. With `tags`, those objects only that have them all.
pub fn reply<T>(
    look: &Look<'_>,
    params: &Params,
    key: &str,
    matches: impl Iterator<Item = T>,
    render: impl Fn(&Look<'_>, T) -> Object,
) -> Result<Object, ApiError> {
    let page = params.page()?;
    if params.flag("retrieveonlyresourcecount") == Some(true) && params.maps("tags").is_empty() {
        let count = matches.count();
        return Ok(envelope::list(key, count, Vec::new()));
    }
    let end = page.skip.saturating_add(page.take);
    let mut total = 0;
    let mut items = Vec::new();
    let wanted = params.maps("tags");
    if !wanted.is_empty() {
        for item in matches
            .map(|item| render(look, item))
            .filter(|object| tagged(object, wanted))
        {
            if (page.skip..end).contains(&total) {
                items.push(Value::Object(item));
            }
            total += 1;
        }
        return Ok(envelope::list(key, total, items));
    }
    for item in matches {
        if (page.skip..end).contains(&total) {
            items.push(Value::Object(render(look, item)));
        }
        total += 1;
    }
    Ok(envelope::list(key, total, items))
}

/// Whether a rendered object has every one of these tags; one without a value matches whatever the tag's is.
fn tagged(object: &Object, wanted: &[BTreeMap<String, String>]) -> bool {
    let tags = object.get("tags").and_then(Value::as_array);
    let has = |wanted: &BTreeMap<String, String>| {
        let same = |tag: &Value, field: &str| {
            let there = tag.get(field).and_then(Value::as_str);
            wanted.get(field).is_none_or(|value| there == Some(value))
        };
        tags.is_some_and(|tags| tags.iter().any(|tag| same(tag, "key") && same(tag, "value")))
    };
    wanted.iter().all(has)
}
