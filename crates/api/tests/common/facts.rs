// SPDX-License-Identifier: Apache-2.0
//! Replies against the facts about CloudStack's fields in data/cloudstack-fields.json.

use outgate_api::command::{self, Answers, Mode};
use outgate_api::view::Field;
use serde_json::Value;

/// Fields that CloudStack's table lacks although its servers send them or clients read them, and Outgate's own.
const EXTRA: &[&str] = &[
    "networkofferingconservemode",
    "secondaryip",
    "outgateversion",
    "startport",
    "endport",
    "sourcenatrole",
    "sourcenataddresses",
    "valuescope",
    "valuescopeid",
    // Of VPCs and their offerings: settings of their routers, as networks and their offerings show them.
    "details",
];

/// Commands of Outgate's own that answer as one of CloudStack's does.
const LIKE: &[(&str, &str)] = &[
    ("addSourceNatAddress", "associateIpAddress"),
    ("removeSourceNatAddress", "associateIpAddress"),
];

/// Fields that are null instead of absent: libcloud reads a router's `vpcid` unguarded.
const NULL: &[&str] = &["vpcid"];

/// The facts.
pub fn reference() -> Value {
    serde_json::from_str(include_str!("../data/cloudstack-fields.json")).unwrap()
}

/// What is wrong with a command's first reply, by what its line of the table declares.
pub fn reply_faults(name: &str, inner: &Value) -> Vec<String> {
    let command = command::find(name).unwrap_or_else(|| panic!("no command {name}"));
    if command.mode != Mode::Sync {
        return job_id_faults(name, inner);
    }
    match command.answers {
        Answers::List(key, fields) => {
            let object = inner.as_object().unwrap();
            let other = object.keys().find(|k| *k != "count" && *k != key);
            let other = other.map(|k| format!("{name}: {k} beside {key}"));
            let items = inner[key].as_array().into_iter().flatten();
            let faults = items.flat_map(|item| declared_faults(name, fields, item));
            other.into_iter().chain(faults).collect()
        }
        Answers::One("", fields) => declared_faults(name, fields, inner),
        Answers::One(key, fields) => declared_faults(name, fields, &inner[key]),
        Answers::Entity(entity) => declared_faults(name, entity.fields(), &inner[entity.key()]),
        Answers::Success if inner["success"] == true => Vec::new(),
        Answers::Success => vec![format!("{name}: {inner} is no success")],
    }
}

fn job_id_faults(name: &str, inner: &Value) -> Vec<String> {
    let fine = inner["jobid"].is_string();
    (!fine)
        .then(|| format!("{name}: {inner} has no jobid"))
        .into_iter()
        .collect()
}

/// What is wrong with the result of a job that succeeded.
pub fn result_faults(name: &str, result: &Value) -> Vec<String> {
    let command = command::find(name).unwrap_or_else(|| panic!("no command {name}"));
    match (command.answers, result.as_object().map(serde_json::Map::len)) {
        (_, len) if len != Some(1) => vec![format!("{name}: {result} has not exactly one key")],
        (Answers::Entity(entity), _) => declared_faults(name, entity.fields(), &result[entity.key()]),
        (Answers::One(key, fields), _) => declared_faults(name, fields, &result[key]),
        _ if result["success"] == true => Vec::new(),
        _ => vec![format!("{name}: {result} is no success")],
    }
}

/// What is wrong with an object by the fields that the table declares.
fn declared_faults(name: &str, fields: &[Field], object: &Value) -> Vec<String> {
    let Some(object) = object.as_object() else {
        return vec![format!("{name}: {object} is no object")];
    };
    let mut faults = Vec::new();
    for (key, value) in object {
        let declared = fields.iter().find(|(field, _)| field == key);
        let fine = match declared.map(|(_, kind)| *kind) {
            _ if value.is_null() => NULL.contains(&key.as_str()),
            None => false,
            Some("string" | "date") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("boolean") => value.is_boolean(),
            Some("list") => value.is_array(),
            Some("map") => value.is_object(),
            Some("number") => value.is_number(),
            Some(other) => panic!("{name}: {key} is of type {other}"),
        };
        if !fine {
            faults.push(format!("{name}: {key} is {value}, declared as {declared:?}"));
        }
    }
    faults
}

/// What is wrong with one object of a command's reply.
pub fn faults(reference: &Value, command: &str, object: &Value) -> Vec<String> {
    let like = LIKE.iter().find(|(own, _)| *own == command);
    let fields = &reference[like.map_or(command, |(_, theirs)| theirs)]["fields"];
    let object = object
        .as_object()
        .unwrap_or_else(|| panic!("{command}: no object: {object}"));
    let mut faults = Vec::new();
    for (name, value) in object {
        match fields[name].as_str() {
            None if EXTRA.contains(&name.as_str()) => {}
            None => faults.push(format!("{command}: CloudStack has no field {name}")),
            Some(kind) if !fits(kind, name, value) => {
                faults.push(format!("{command}: {name} is {value}, not {kind}"));
            }
            Some(_) => {}
        }
        if name.ends_with("id") && *name != "deviceid" {
            faults.extend(wrong_id(command, name, value));
        }
        if ["created", "allocated", "completed"].contains(&name.as_str()) && !is_date(value) {
            faults.push(format!("{command}: {name} is {value}, no date of CloudStack's"));
        }
    }
    faults
}

fn fits(kind: &str, name: &str, value: &Value) -> bool {
    match kind {
        _ if value.is_null() => NULL.contains(&name),
        "string" | "UUID" => value.is_string(),
        "bool" => value.is_boolean(),
        "int" | "int64" => value.is_i64() || value.is_u64(),
        "float64" => value.is_number(),
        _ if kind.starts_with("[]") => value.is_array(),
        _ => value.is_object(),
    }
}

fn wrong_id(command: &str, name: &str, value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let fine = text.is_empty()
        || (uuid::Uuid::parse_str(text).is_ok() && text.len() == 36 && text == text.to_lowercase());
    (!fine).then(|| format!("{command}: {name} is {text}, no UUID in lower case"))
}

/// yyyy-MM-dd'T'HH:mm:ss+0000
fn is_date(value: &Value) -> bool {
    let pattern = "dddd-dd-ddTdd:dd:dd+0000";
    value.as_str().is_some_and(|text| {
        text.len() == pattern.len()
            && text
                .chars()
                .zip(pattern.chars())
                .all(|(c, p)| if p == 'd' { c.is_ascii_digit() } else { c == p })
    })
}
