// SPDX-License-Identifier: Apache-2.0
//! Replies against the facts about CloudStack's fields in data/cloudstack-fields.json.

use serde_json::Value;

/// Fields that CloudStack's table lacks although its servers send them or clients read them, and Outgate's own.
const EXTRA: &[&str] = &["networkofferingconservemode", "secondaryip", "outgateversion"];

/// Fields that are null instead of absent: libcloud reads a router's `vpcid` unguarded.
const NULL: &[&str] = &["vpcid"];

/// The facts.
pub fn reference() -> Value {
    serde_json::from_str(include_str!("../data/cloudstack-fields.json")).unwrap()
}

/// What is wrong with one object of a command's reply.
pub fn faults(reference: &Value, command: &str, object: &Value) -> Vec<String> {
    let fields = &reference[command]["fields"];
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
