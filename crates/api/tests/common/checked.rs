// SPDX-License-Identifier: Apache-2.0
//! Calls whose replies are checked against the facts about CloudStack's fields.

use std::collections::BTreeSet;
use std::sync::Mutex;

use outgate_api::command::{self, Answers, Mode};
use serde_json::{Value, json};

use super::{Served, facts, text};

/// A server, and what was found wrong so far.
pub struct Checked {
    pub served: Served,
    pub reference: Value,
    pub called: Mutex<BTreeSet<String>>,
    faults: Mutex<Vec<String>>,
}

impl Checked {
    /// A server of a fresh world with so many public addresses.
    pub async fn new(addresses: u32) -> Self {
        Self {
            served: Served::new(addresses).await,
            reference: facts::reference(),
            called: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    /// Notes that a command was called, and what was wrong with its answer.
    pub fn note(&self, command: &str, more: impl IntoIterator<Item = String>) {
        self.called.lock().unwrap().insert(command.to_owned());
        self.faults.lock().unwrap().extend(more);
    }

    /// Calls a list command, checks envelope and items, and returns the items.
    pub async fn list(&self, command: &str, params: &[(&str, &str)]) -> Vec<Value> {
        let inner = self.served.ok(command, params).await;
        let object = inner.as_object().unwrap();
        let Some(key) = self.reference[command]["list_key"].as_str() else {
            panic!("{command} is no list")
        };
        if object.is_empty() {
            self.note(command, []);
            return Vec::new();
        }
        let keys: BTreeSet<&str> = object.keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(["count", key]), "{command}");
        let items = inner[key].as_array().unwrap().clone();
        assert_eq!(inner["count"], items.len(), "{command}");
        for item in &items {
            self.note(command, facts::faults(&self.reference, command, item));
        }
        items
    }

    /// The same for a list that holds exactly one.
    pub async fn one(&self, command: &str, params: &[(&str, &str)]) -> Value {
        let items = self.list(command, params).await;
        assert_eq!(items.len(), 1, "{command} {params:?}: {items:?}");
        items.into_iter().next().unwrap()
    }

    /// Calls an async command, checks both replies, and returns the object under its key (or `success`).
    pub async fn job(&self, name: &str, params: &[(&str, &str)]) -> Value {
        let command = command::find(name).unwrap();
        let (first, job) = self.served.job(name, params).await;
        let keys: BTreeSet<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = if command.mode == Mode::AsyncCreate {
            vec!["id", "jobid"]
        } else {
            vec!["jobid"]
        };
        assert_eq!(keys, BTreeSet::from_iter(expected), "{name}: {first}");
        self.note(
            "queryAsyncJobResult",
            facts::faults(&self.reference, "queryAsyncJobResult", &job),
        );
        assert_eq!(
            (&job["jobstatus"], &job["jobresultcode"]),
            (&json!(1), &json!(0)),
            "{name}: {job}"
        );
        assert_eq!(job["jobresulttype"], "object");
        assert_eq!(job["cmd"], name);
        assert_eq!(job["jobid"], first["jobid"]);
        let result = job["jobresult"].as_object().unwrap();
        assert_eq!(result.len(), 1, "{name}: exactly one key: {job}");
        if let Answers::Entity(entity) = command.answers {
            let object = &result[entity.key()];
            self.note(name, facts::faults(&self.reference, name, object));
            if command.mode == Mode::AsyncCreate {
                assert_eq!(object["id"], first["id"], "{name}");
            }
            object.clone()
        } else {
            self.note(name, []);
            assert_eq!(result["success"], true, "{name}: {job}");
            result["success"].clone()
        }
    }

    /// Makes a network of the offering with this name.
    pub async fn network(&self, name: &str, offering: &str) -> Value {
        let offering = self.one("listNetworkOfferings", &[("name", offering)]).await;
        let zone = self.one("listZones", &[]).await;
        let params = [
            ("name", name),
            ("networkofferingid", text(&offering, "id")),
            ("zoneid", text(&zone, "id")),
        ];
        let inner = self.served.ok("createNetwork", &params).await;
        let network = inner["network"].clone();
        self.note(
            "createNetwork",
            facts::faults(&self.reference, "createNetwork", &network),
        );
        network
    }

    /// Deploys a guest.
    pub async fn guest(&self, network: &Value, name: &str) -> Value {
        let zone = text(network, "zoneid");
        let size = self.list("listServiceOfferings", &[("zoneid", zone)]).await;
        let template = self
            .list(
                "listTemplates",
                &[("templatefilter", "executable"), ("zoneid", zone)],
            )
            .await;
        let params = [
            ("zoneid", zone),
            ("serviceofferingid", text(&size[0], "id")),
            ("templateid", text(&template[0], "id")),
            ("networkids", text(network, "id")),
            ("name", name),
        ];
        self.job("deployVirtualMachine", &params).await
    }

    /// Fails when anything was wrong.
    pub fn done(&self) {
        assert_eq!(self.faults.lock().unwrap().clone(), Vec::<String>::new());
    }
}
