// SPDX-License-Identifier: Apache-2.0
//! The command table against the facts about CloudStack's API in data/cloudstack-fields.json.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use outgate_api::command::{self, Answers, Mode};
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("data/cloudstack-fields.json")).unwrap()
}

/// Commands that CloudStack does not have.
const OWN: &[&str] = &["verifyRouter"];

#[test]
fn every_command_has_cloudstacks_mode_and_needs_what_it_needs_there() {
    let reference = reference();
    let commands = reference.as_object().unwrap();
    for (name, facts) in commands {
        let command = command::find(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(command.name, name);
        assert_eq!(command.mode != Mode::Sync, facts["mode"] == "async", "{name}");
        let strings = |key: &str| -> BTreeSet<String> {
            facts[key]
                .as_array()
                .unwrap()
                .iter()
                .map(|v| v.as_str().unwrap().to_lowercase())
                .collect()
        };
        let needed: BTreeSet<String> = command
            .parameters()
            .filter(|p| p.required)
            .map(|p| p.name.to_owned())
            .collect();
        assert_eq!(needed, strings("required"), "{name}");
    }
    for command in command::all() {
        assert!(
            commands.contains_key(command.name) || OWN.contains(&command.name),
            "{}",
            command.name
        );
    }
}

#[test]
fn no_parameter_is_one_that_cloudstack_does_not_have() {
    // Older servers and clients have them; CloudStack's own table lists them elsewhere.
    let also = [
        ("deployVirtualMachine", "projectid"),
        ("listTemplates", "name"),
        ("listZones", "tags"),
        ("listNetworks", "supportedservices"),
    ];
    for (name, facts) in reference().as_object().unwrap() {
        let known: BTreeSet<&str> = facts["params"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap())
            .collect();
        for param in command::find(name).unwrap().parameters() {
            // Lists share their groups of parameters: what has no meaning for one is the same for all.
            let shared = [
                "tags",
                "projectid",
                "account",
                "domainid",
                "isrecursive",
                "listall",
                "keyword",
            ];
            let fine = known.contains(param.name) || shared.contains(&param.name);
            assert!(
                fine || also.contains(&(name.as_str(), param.name)),
                "{name} {}",
                param.name
            );
        }
    }
}

#[test]
fn the_fields_that_are_declared_are_cloudstacks_and_of_its_types() {
    for (name, facts) in reference().as_object().unwrap() {
        let fields = match command::find(name).unwrap().answers {
            Answers::List(key, fields) => {
                assert_eq!(facts["list_key"].as_str(), Some(key), "{name}");
                fields
            }
            Answers::One("" | "user", fields) => fields,
            Answers::Entity(entity) => entity.fields(),
            Answers::One(..) | Answers::Success => continue,
        };
        for (field, kind) in fields {
            let there = facts["fields"][field].as_str();
            assert!(
                there.is_some() || EXTRA.contains(field),
                "{name}: CloudStack has no field {field}"
            );
            let Some(there) = there else { continue };
            let same = match *kind {
                "string" | "date" => there == "string" || there == "UUID",
                "integer" => there.starts_with("int"),
                "boolean" => there == "bool",
                "list" => there.starts_with("[]"),
                "map" => there.contains("map") || there.contains("Raw"),
                other => panic!("{other}"),
            };
            assert!(same, "{name}: {field} is {there} there, {kind} here");
        }
    }
}

/// Fields that clients read although CloudStack's own table does not list them.
const EXTRA: &[&str] = &[
    "networkofferingconservemode",
    "secondaryip",
    "created",
    "jobid",
    "networkid",
];
