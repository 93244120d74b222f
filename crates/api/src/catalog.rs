// SPDX-License-Identifier: Apache-2.0
//! What the command table says, for those who ask: `listApis`, the OpenAPI document, the reference in docs/api.md.

mod openapi;
mod reference;

pub use openapi::openapi;
pub use reference::reference;

use serde_json::{Value, json};

use crate::command::{self, Answers, Command, Mode};
use crate::view::Field;
use crate::view::glossary::describe;
use crate::wire::params::{Kind, Of, Param};

/// The longest value of a parameter whose kind has no bound of its own.
const LENGTH: usize = 255;

/// A command as `listApis` describes it.
pub fn api(command: &Command) -> Value {
    let params: Vec<Value> = command.parameters().map(param).collect();
    let response: Vec<Value> = command.fields().iter().map(field).collect();
    json!({
        "name": command.name,
        "description": command.description,
        "isasync": command.mode != Mode::Sync,
        "related": alike(command),
        "params": params,
        "response": response,
    })
}

fn param(param: &Param) -> Value {
    let mut described = json!({
        "name": param.name,
        "type": param.kind.api_name(),
        "description": param.description,
        "required": param.required,
        "length": length(param.kind),
    });
    if let (Kind::Uuid(of) | Kind::Uuids(of), Some(object)) = (param.kind, described.as_object_mut()) {
        let related = answering_with(of);
        if !related.is_empty() {
            object.insert("related".to_owned(), related.into());
        }
    }
    described
}

fn length(kind: Kind) -> usize {
    match kind {
        Kind::Text(max) | Kind::Secret(max) => max,
        _ => LENGTH,
    }
}

fn field((name, kind): &Field) -> Value {
    json!({"name": name, "type": kind, "description": describe(name).unwrap_or_default()})
}

/// The other commands that answer with the same kind of object, joined by commas.
fn alike(command: &Command) -> String {
    let same = |other: &&Command| {
        other.name != command.name && std::ptr::eq(other.fields().as_ptr(), command.fields().as_ptr())
    };
    if matches!(command.answers, Answers::Success) {
        return String::new();
    }
    let names: Vec<&str> = command::all().filter(same).map(|other| other.name).collect();
    names.join(",")
}

/// The commands that answer with the kind of object that an id is of, joined by commas: what clients complete ids with.
fn answering_with(of: Of) -> String {
    let key = match of {
        Of::Address => "publicipaddress".to_owned(),
        Of::Guest => "virtualmachine".to_owned(),
        Of::Range => "vlaniprange".to_owned(),
        Of::Job => "asyncjobs".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let lists = command::all().filter(|c| matches!(c.answers, Answers::List(listed, _) if listed == key));
    lists.map(|c| c.name).collect::<Vec<_>>().join(",")
}
