// SPDX-License-Identifier: Apache-2.0
//! Kinds that this cloud has none of are listed as nothing, not as an unknown command.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::Served;
use serde_json::json;

#[tokio::test]
async fn kinds_that_are_not_here_are_listed_as_nothing() {
    let served = Served::new(4).await;
    for command in [
        "listVolumes",
        "listIsos",
        "listDiskOfferings",
        "listSSHKeyPairs",
        "listSecurityGroups",
        "listAffinityGroups",
        "listOsTypes",
    ] {
        let reply = served.ok(command, &[("listall", "true"), ("keyword", "x")]).await;
        assert_eq!(reply, json!({}), "{command}");
    }
}

#[tokio::test]
async fn hypervisors_are_those_of_the_hosts() {
    let served = Served::new(4).await;
    let host = served.ok("listHosts", &[]).await["host"][0].clone();
    let reply = served.ok("listHypervisors", &[]).await;
    assert_eq!(
        reply,
        json!({ "count": 1, "hypervisor": [{ "name": host["hypervisor"] }] })
    );
}
