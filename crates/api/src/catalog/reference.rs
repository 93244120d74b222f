// SPDX-License-Identifier: Apache-2.0
//! The reference of every command, docs/api.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::length;
use crate::command::{self, Answers, Command, Mode};
use crate::view::Field;
use crate::view::glossary::describe;
use crate::wire::params::{Kind, Param};

const HEAD: &str = "\
# API reference

Made from the command table by `./x apidocs`; do not edit it. How calls are sent, signed and answered is in
[wire-format.md](wire-format.md). Lists take `page` and `pagesize` and answer `{}` when nothing matches.

";

/// The reference as Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    let mut objects: BTreeMap<&str, &'static [Field]> = BTreeMap::new();
    let mut commands: Vec<&Command> = command::all().collect();
    commands.sort_by_key(|command| command.name.to_ascii_lowercase());
    for command in &commands {
        one(&mut text, command);
        if let Some((key, fields)) = answered(command) {
            objects.insert(key, fields);
        }
    }
    text.push_str("## Objects\n");
    for (key, fields) in objects {
        let _ = write!(text, "\n### {key}\n\n| field | type | meaning |\n|---|---|---|\n");
        for (name, kind) in fields {
            let _ = writeln!(
                text,
                "| `{name}` | {kind} | {} |",
                describe(name).unwrap_or_default()
            );
        }
    }
    text
}

/// The key and the fields of a command's object.
fn answered(command: &Command) -> Option<(&'static str, &'static [Field])> {
    match command.answers {
        Answers::List(key, fields) => Some((key, fields)),
        Answers::One("", fields) => Some((command.name, fields)),
        Answers::One(key, fields) => Some((key, fields)),
        Answers::Entity(entity) => Some((entity.key(), entity.fields())),
        Answers::Success => None,
    }
}

fn one(text: &mut String, command: &Command) {
    let mode = match command.mode {
        Mode::Sync => "answers at once",
        Mode::Async => "a job",
        Mode::AsyncCreate => "a job, and the new object's id at once",
    };
    let made = match (command.answers, answered(command)) {
        (Answers::List(..), Some((key, _))) => format!("a list of [{key}](#{key})"),
        (_, Some((key, _))) => format!("[{key}](#{})", key.to_ascii_lowercase()),
        (_, None) => "`success`".to_owned(),
    };
    let _ = write!(
        text,
        "## {}\n\n{} For {}; {mode}; gives {made}.\n\n",
        command.name,
        command.description,
        command.callers.words(),
    );
    let mut params: Vec<&Param> = command.parameters().collect();
    if params.is_empty() {
        return;
    }
    // Stable: within each half they stay as the table has them.
    params.sort_by_key(|param| !param.required);
    text.push_str("| parameter | type | meaning |\n|---|---|---|\n");
    for param in params {
        let bold = if param.required { "**" } else { "" };
        let _ = writeln!(
            text,
            "| {bold}`{}`{bold} | {} | {} |",
            param.name,
            kind(param.kind),
            param.description.replace('|', "\\|")
        );
    }
    text.push('\n');
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::OneOf(words) => words.join(", "),
        Kind::Int(i64::MIN, i64::MAX) => "integer".to_owned(),
        Kind::Int(min, max) => format!("integer {min} to {max}"),
        Kind::Port => "port".to_owned(),
        Kind::Address => "IPv4 address".to_owned(),
        Kind::Cidrs => "CIDRs".to_owned(),
        Kind::Uuids(_) => "uuids".to_owned(),
        Kind::Text(_) => format!("text of at most {}", length(kind)),
        Kind::Secret(max) => format!("secret of at most {max} bytes"),
        other => other.api_name().to_owned(),
    }
}
