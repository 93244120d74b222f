// SPDX-License-Identifier: Apache-2.0
//! Tags: put on, listed, filtered by, taken off, and gone with what they were on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;

use common::{Served, text};
use outgate_manager::command::request::{CreateTags, DeleteTags};
use outgate_model::object::TagSet;
use serde_json::Value;

async fn tag(served: &Served, kind: &str, ids: &str, tags: &[(&str, &str)]) {
    served.job("createTags", &params(kind, ids, tags).pairs()).await;
}

/// Parameters of createTags and deleteTags.
struct Tagging(Vec<(String, String)>);

impl Tagging {
    fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()
    }
}

fn params(kind: &str, ids: &str, tags: &[(&str, &str)]) -> Tagging {
    let mut all = vec![
        ("resourceids".to_owned(), ids.to_owned()),
        ("resourcetype".to_owned(), kind.to_owned()),
    ];
    for (i, (key, value)) in tags.iter().enumerate() {
        all.push((format!("tags[{i}].key"), (*key).to_owned()));
        if !value.is_empty() {
            all.push((format!("tags[{i}].value"), (*value).to_owned()));
        }
    }
    Tagging(all)
}

fn pairs_of(tags: &Value) -> BTreeMap<&str, &str> {
    tags.as_array()
        .unwrap()
        .iter()
        .map(|t| (text(t, "key"), text(t, "value")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_put_on_shown_filtered_by_and_taken_off() {
    let served = Served::new(8).await;
    let a = served.world.network("alpha").await.to_string();
    let b = served.world.network("beta").await.to_string();
    let both = format!("{a},{b}");
    tag(&served, "network", &both, &[("env", "prod")]).await;
    tag(&served, "NETWORK", &a, &[("Owner", "Zoë & co")]).await;
    let shown = served.ok("listNetworks", &[("id", &a)]).await;
    let tags = &shown["network"][0]["tags"];
    assert_eq!(
        pairs_of(tags),
        BTreeMap::from([("env", "prod"), ("Owner", "Zoë & co")])
    );
    assert_eq!(tags[0]["resourcetype"], "Network");
    assert_eq!(
        (text(&tags[0], "resourceid"), text(&tags[0], "account")),
        (&*a, "admin")
    );
    for (filter, count) in [
        (vec![("tags[0].key", "env")], 2),
        (vec![("tags[0].key", "env"), ("tags[0].value", "prod")], 2),
        (vec![("tags[0].key", "env"), ("tags[0].value", "test")], 0),
        (vec![("tags[0].key", "env"), ("tags[1].key", "Owner")], 1),
        (vec![("tags[0].key", "ENV")], 0),
    ] {
        let found = served.ok("listNetworks", &filter).await;
        assert_eq!(found["count"].as_u64().unwrap_or(0), count, "{filter:?}");
    }
    for (filter, count) in [
        (vec![], 3),
        (vec![("resourceid", &*a)], 2),
        (vec![("resourcetype", "Network"), ("key", "env")], 2),
        (vec![("resourcetype", "UserVm")], 0),
        (vec![("value", "prod")], 2),
        (vec![("listall", "true"), ("keyword", "own")], 1),
    ] {
        let found = served.ok("listTags", &filter).await;
        assert_eq!(found["count"].as_u64().unwrap_or(0), count, "{filter:?}");
    }
    let wrong = params("Network", &a, &[("env", "test")]);
    assert_eq!(served.call("deleteTags", &wrong.pairs()).await.status, 431);
    served
        .job("deleteTags", &params("Network", &both, &[("env", "")]).pairs())
        .await;
    assert_eq!(served.ok("listTags", &[]).await["count"], 1);
    served
        .job("deleteTags", &params("Network", &a, &[]).pairs())
        .await;
    assert!(served.ok("listTags", &[]).await.as_object().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tags_are_refused() {
    let served = Served::new(8).await;
    let id = served.world.network("alpha").await.to_string();
    tag(&served, "Network", &id, &[("env", "prod")]).await;
    let nothing = uuid::Uuid::new_v4().to_string();
    let many: Vec<(String, &str)> = (0..100).map(|i| (format!("k{i}"), "v")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    let long = "x".repeat(256);
    for (wrong, code, name) in [
        (params("Network", &id, &[("env", "test")]), 431, "tags"),
        (params("Network", &id, &[]), 431, "tags"),
        (params("Network", &id, &[("lonely", "")]), 431, "tags[].value"),
        (params("Network", &id, &[("a", "1"), ("a", "2")]), 431, "tags"),
        (params("Network", &id, &[(&long, "1")]), 431, "tags key"),
        (params("Network", &id, &many[..60]), 200, ""),
        (params("Network", &id, &many[60..]), 535, "100 tags"),
        (params("UserVm", &id, &[("a", "1")]), 431, "resourceids"),
        (params("Zone", &id, &[("a", "1")]), 431, "resourcetype"),
        (params("Network", &nothing, &[("a", "1")]), 431, "resourceids"),
        (params("Network", "x", &[("a", "1")]), 431, "resourceids"),
    ] {
        let answer = served.call("createTags", &wrong.pairs()).await;
        let said = answer.inner()["errortext"].as_str().unwrap_or_default();
        assert!(
            answer.status == code && said.contains(name),
            "{:?}: {}",
            wrong.0,
            answer.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_go_with_their_object_and_nobody_tags_what_is_not_theirs() {
    let served = Served::new(8).await;
    let alice = served.world.tenant("alice").await;
    let network = served.world.network("alpha").await;
    let id = network.to_string();
    let create = CreateTags {
        resources: vec![network.0],
        resource_type: "Network".to_owned(),
        tags: BTreeMap::from([("a".to_owned(), "1".to_owned())]),
    };
    let delete = DeleteTags {
        resources: vec![network.0],
        resource_type: "Network".to_owned(),
        tags: Vec::new(),
    };
    let manager = &served.world.manager;
    assert_eq!(manager.create_tags(&alice, create).await.unwrap_err().code(), 431);
    tag(&served, "Network", &id, &[("env", "prod")]).await;
    assert_eq!(manager.delete_tags(&alice, delete).await.unwrap_err().code(), 431);
    served.job("deleteNetwork", &[("id", &id)]).await;
    assert_eq!(manager.view().all::<TagSet>().len(), 0);
}
