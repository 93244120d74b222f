// SPDX-License-Identifier: Apache-2.0
//! The OpenAPI 3.1 document of the command table.
//!
//! CloudStack has one path for all commands, which OpenAPI cannot tell apart: each command stands under a path of its
//! own, `/client/api/listZones`, which the server serves as well (see `server`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::command::{self, Answers, Command, Mode};
use crate::server::PATH;
use crate::view::Field;
use crate::view::glossary::describe;
use crate::wire::params::{Kind, MAX_LIST, Param};

/// The document.
pub fn openapi() -> Value {
    let mut paths = Map::new();
    let mut schemas = Schemas::default();
    for command in command::all() {
        let operation = operation(command, &mut schemas);
        let method = if reads(command) { "get" } else { "post" };
        paths.insert(format!("{PATH}/{}", command.name), json!({ method: operation }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Outgate",
            "summary": "Source NAT for clouds, by the Apache CloudStack API",
            "description": "Commands may as well be sent to /client/api with the parameter command, as CloudStack's \
                clients do. Signed calls have to be.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"session": [], "sessionkey": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": crate::session::COOKIE},
                "sessionkey": {"type": "apiKey", "in": "query", "name": "sessionkey"},
            },
            "responses": {"error": error()},
        },
    })
}

/// Whether a command is sent by GET: it changes nothing, and nothing of it is secret.
fn reads(command: &Command) -> bool {
    ["list", "get", "query", "find", "verify"]
        .iter()
        .any(|verb| command.name.starts_with(verb))
}

fn operation(command: &Command, schemas: &mut Schemas) -> Value {
    let key = format!("{}response", command.name.to_ascii_lowercase());
    let inner = answer(command, schemas);
    let body = json!({"type": "object", "required": [key.as_str()], "properties": {key.as_str(): inner}});
    let mut operation = json!({
        "operationId": command.name,
        "summary": command.description,
        "responses": {
            "200": {"description": "success", "content": {"application/json": {"schema": body}}},
            "default": {"$ref": "#/components/responses/error"},
        },
    });
    let given: Vec<&Param> = command.parameters().collect();
    if reads(command) {
        let mut params: Vec<Value> = vec![format_parameter()];
        params.extend(given.iter().flat_map(|p| query_parameters(p)));
        operation["parameters"] = params.into();
    } else {
        operation["parameters"] = json!([format_parameter()]);
        operation["requestBody"] = form(&given);
    }
    operation
}

fn format_parameter() -> Value {
    json!({
        "name": "response", "in": "query", "required": true, "description": "the format of the reply",
        "schema": {"type": "string", "enum": ["json"]},
    })
}

fn query_parameters(param: &Param) -> Vec<Value> {
    let one = |name: String, required: bool, schema: Value| {
        json!({
            "name": name, "in": "query", "required": required, "description": param.description, "schema": schema,
        })
    };
    if param.kind == Kind::Maps {
        let text = || json!({"type": "string", "maxLength": 255});
        return ["key", "value"]
            .iter()
            .map(|field| one(format!("{}[0].{field}", param.name), false, text()))
            .collect();
    }
    vec![one(param.name.to_owned(), param.required, schema_of(param.kind))]
}

fn form(params: &[&Param]) -> Value {
    let (mut properties, mut patterns, mut required) = (Map::new(), Map::new(), Vec::new());
    for param in params {
        if param.kind == Kind::Maps {
            let pattern = format!(r"^{}\[[0-9]+\]\.[A-Za-z0-9_.-]+$", param.name);
            let schema = json!({"type": "string", "maxLength": 255, "description": param.description});
            patterns.insert(pattern, schema);
            continue;
        }
        let mut schema = schema_of(param.kind);
        schema["description"] = param.description.into();
        properties.insert(param.name.to_owned(), schema);
        if param.required {
            required.push(param.name);
        }
    }
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !patterns.is_empty() {
        schema["patternProperties"] = patterns.into();
    }
    let is_required = !required.is_empty();
    if is_required {
        schema["required"] = required.into();
    }
    json!({
        "required": is_required,
        "content": {"application/x-www-form-urlencoded": {"schema": schema}},
    })
}

/// What a parameter's text must look like.
fn schema_of(kind: Kind) -> Value {
    match kind {
        Kind::Uuid(_) => json!({"type": "string", "format": "uuid"}),
        Kind::Int(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Port => json!({"type": "integer", "minimum": 1, "maximum": 65_535}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Address => json!({"type": "string", "format": "ipv4"}),
        Kind::OneOf(words) => json!({"type": "string", "enum": words}),
        Kind::Text(max) => json!({"type": "string", "maxLength": max}),
        Kind::Secret(max) => json!({"type": "string", "format": "password", "maxLength": max}),
        Kind::Date => json!({"type": "string", "maxLength": 40}),
        _ => json!({"type": "string", "maxLength": MAX_LIST * 40}),
    }
}

/// What the envelope of a command's reply holds.
fn answer(command: &Command, schemas: &mut Schemas) -> Value {
    let one =
        |key: &str, schema: Value| json!({"type": "object", "required": [key], "properties": {key: schema}});
    match (command.mode, command.answers) {
        (Mode::Async, _) => one("jobid", json!({"type": "string", "format": "uuid"})),
        (Mode::AsyncCreate, _) => json!({
            "type": "object",
            "required": ["jobid", "id"],
            "properties": {
                "jobid": {"type": "string", "format": "uuid"},
                "id": {"type": "string", "format": "uuid"},
            },
        }),
        (Mode::Sync, Answers::List(key, fields)) => json!({
            "type": "object",
            "properties": {
                "count": {"type": "integer", "minimum": 1},
                key: {"type": "array", "items": schemas.reference(key, fields)},
            },
        }),
        (Mode::Sync, Answers::One("", fields)) => schemas.reference(command.name, fields),
        (Mode::Sync, Answers::One(key, fields)) => one(key, schemas.reference(key, fields)),
        (Mode::Sync, Answers::Entity(entity)) => {
            one(entity.key(), schemas.reference(entity.key(), entity.fields()))
        }
        (Mode::Sync, Answers::Success) => one("success", json!({"const": true})),
    }
}

/// The kinds of objects that replies hold, each once.
#[derive(Default)]
struct Schemas(BTreeMap<String, &'static [Field]>);

impl Schemas {
    /// A reference to the schema of these fields. Objects of other fields under the same key get a name of their own.
    fn reference(&mut self, key: &str, fields: &'static [Field]) -> Value {
        let mut name = key.to_owned();
        while self.0.get(&name).is_some_and(|known| *known != fields) {
            name.push('_');
        }
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        self.0.insert(name, fields);
        reference
    }

    fn finish(self) -> Value {
        self.0
            .into_iter()
            .map(|(name, fields)| (name, object(fields)))
            .collect::<Map<_, _>>()
            .into()
    }
}

fn object(fields: &[Field]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|(name, kind)| {
            let mut schema = match *kind {
                "integer" => json!({"type": "integer"}),
                "number" => json!({"type": "number"}),
                "boolean" => json!({"type": "boolean"}),
                "list" => json!({"type": "array"}),
                "map" => json!({"type": "object"}),
                // Null is sent where a client needs the name to be there: a router's vpcid.
                _ if *name == "vpcid" => json!({"type": ["string", "null"]}),
                _ => json!({"type": "string"}),
            };
            schema["description"] = describe(name).unwrap_or_default().into();
            ((*name).to_owned(), schema)
        })
        .collect();
    json!({"type": "object", "properties": properties})
}

fn error() -> Value {
    json!({
        "description": "an error; the HTTP status is its errorcode",
        "content": {"application/json": {"schema": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": {
                "type": "object",
                "required": ["errorcode", "cserrorcode", "errortext"],
                "properties": {
                    "uuidList": {"type": "array"},
                    "errorcode": {"type": "integer"},
                    "cserrorcode": {"type": "integer"},
                    "errortext": {"type": "string"},
                },
            },
        }}},
    })
}
