// SPDX-License-Identifier: Apache-2.0
//! An answer as a table, as keys and values, as lines for grep, as ids, or as JSON.

use anstyle::AnsiColor;
use comfy_table::{Cell, Color, ColumnConstraint};
use serde_json::Value;

use super::columns;
use crate::output::{self, Style};

/// What an answer is.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown<'a> {
    /// A list of objects, with the key that it stood under.
    List(&'a str, &'a [Value]),
    /// One object.
    One(&'a Value),
    /// Nothing was found.
    Nothing,
}

impl<'a> Shown<'a> {
    /// Looks at what an envelope, or a job's result, holds.
    pub fn of(inner: &'a Value) -> Self {
        let Some(object) = inner.as_object() else {
            return Self::One(inner);
        };
        let mut fields = object.iter().filter(|(name, _)| *name != "count");
        match (fields.next(), fields.next()) {
            (None, _) => Self::Nothing,
            (Some((key, Value::Array(items))), None) if items.iter().all(Value::is_object) => {
                Self::List(key, items)
            }
            (Some((_, one @ Value::Object(_))), None) => Self::One(one),
            _ => Self::One(inner),
        }
    }
}

/// Prints an answer. `wanted` are the columns that were asked for.
pub fn print(inner: &Value, style: Style, wanted: Option<&[String]>) -> anyhow::Result<()> {
    let shown = Shown::of(inner);
    match (style, &shown) {
        (Style::Json, _) => output::json(inner),
        (_, Shown::Nothing) => Ok(()),
        (Style::Table, Shown::List(kind, items)) => table(kind, items, wanted),
        (Style::Table, Shown::One(object)) => key_values(object, wanted),
        (Style::Text, Shown::List(_, items)) => {
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    output::line("")?;
                }
                lines(item, wanted)?;
            }
            Ok(())
        }
        (Style::Text, Shown::One(object)) => lines(object, wanted),
        (Style::Id, Shown::List(_, items)) => items.iter().try_for_each(id),
        (Style::Id, Shown::One(object)) => id(object),
    }
}

fn table(kind: &str, items: &[Value], wanted: Option<&[String]>) -> anyhow::Result<()> {
    let names = wanted.map_or_else(|| columns::of(kind, items), <[String]>::to_vec);
    let titles: Vec<String> = names
        .iter()
        .map(|name| output::strong(&name.to_uppercase()))
        .collect();
    let mut table = output::table(&titles.iter().map(String::as_str).collect::<Vec<_>>());
    for item in items {
        table.add_row(
            names
                .iter()
                .map(|name| cell(name, columns::path_text(item, name))),
        );
    }
    if let Some(column) = names
        .iter()
        .position(|n| n == "id" || n == "jobid")
        .and_then(|at| table.column_mut(at))
    {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    if output::has_room(&table) {
        return output::show(table);
    }
    // A terminal too narrow for a table: one below the other, as they are read there anyway.
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            output::line("")?;
        }
        let there = |name: &&String| !columns::path_text(item, name).is_empty();
        let names: Vec<String> = names.iter().filter(there).cloned().collect();
        key_values(item, Some(&names))?;
    }
    Ok(())
}

fn cell(name: &str, text: String) -> Cell {
    let colour = match name {
        "state" | "status" | "level" if output::colour_wanted() => colour_of(&text),
        _ => None,
    };
    let cell = Cell::new(text);
    match colour {
        Some(AnsiColor::Green) => cell.fg(Color::Green),
        Some(AnsiColor::Red) => cell.fg(Color::Red),
        _ => cell,
    }
}

/// Green for what works, red for what does not, nothing for what is neither.
fn colour_of(state: &str) -> Option<AnsiColor> {
    match state {
        "Running" | "Implemented" | "Enabled" | "enabled" | "Active" | "Up" | "Allocated" => {
            Some(AnsiColor::Green)
        }
        "Error" | "ERROR" | "Stopped" | "Down" | "Disabled" | "disabled" | "Alert" | "Failed" => {
            Some(AnsiColor::Red)
        }
        _ => None,
    }
}

/// Lists inside an object that are read as tables, below its other fields.
const TABLES: &[&str] = &["healthchecks"];

/// An object's fields, one on a line, the name first.
fn key_values(object: &Value, wanted: Option<&[String]>) -> anyhow::Result<()> {
    let mut tables = Vec::new();
    let rows = match wanted {
        Some(names) => names
            .iter()
            .map(|n| (n.clone(), columns::path_text(object, n)))
            .collect(),
        None => {
            let fields = object.as_object().into_iter().flatten();
            tables.extend(fields.filter(|(name, _)| TABLES.contains(&name.as_str())));
            top(object)
        }
    };
    let mut table = output::table(&[]);
    for (name, text) in rows {
        let shown = cell(&name, text);
        table.add_row([Cell::new(output::strong(&name)), shown]);
    }
    output::show(table)?;
    for (kind, items) in tables {
        output::line("")?;
        self::table(kind, items.as_array().map_or(&[], Vec::as_slice), None)?;
    }
    Ok(())
}

fn top(object: &Value) -> Vec<(String, String)> {
    let Some(fields) = object.as_object() else {
        return vec![(String::new(), columns::text(object))];
    };
    let mut rows: Vec<(String, String)> = fields
        .iter()
        .filter(|(name, _)| !TABLES.contains(&name.as_str()))
        .flat_map(|(name, value)| summary(name, value))
        .collect();
    rows.sort_by_key(|(name, _)| !matches!(name.as_str(), "id" | "name"));
    rows
}

/// A field as rows: lists of objects that have no name of their own, as NICs, get a row for each of their fields.
fn summary(name: &str, value: &Value) -> Vec<(String, String)> {
    let named = |o: &Value| o.get("name").is_some() || o.get("key").is_some();
    let nested = match value {
        Value::Array(items) => items.iter().any(|item| item.is_object() && !named(item)),
        Value::Object(_) => true,
        _ => false,
    };
    if nested {
        let mut rows = Vec::new();
        flatten(name, value, &mut rows);
        return rows;
    }
    vec![(name.to_owned(), columns::lines(value))]
}

fn lines(object: &Value, wanted: Option<&[String]>) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    match wanted {
        Some(names) => rows.extend(names.iter().map(|n| (n.clone(), columns::path_text(object, n)))),
        None => flatten("", object, &mut rows),
    }
    rows.iter()
        .try_for_each(|(name, text)| output::line(format!("{name} = {text}")))
}

/// Every value with its path: `nic.0.ipaddress`.
fn flatten(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields
                .iter()
                .for_each(|(name, value)| flatten(&below(name), value, rows));
        }
        Value::Array(items) if items.iter().any(|i| i.is_object() || i.is_array()) => {
            items
                .iter()
                .enumerate()
                .for_each(|(number, value)| flatten(&below(&number.to_string()), value, rows));
        }
        plain => rows.push((path.to_owned(), columns::text(plain))),
    }
}

/// The id alone, for `$(...)`.
fn id(object: &Value) -> anyhow::Result<()> {
    match object["id"].as_str().or(object["jobid"].as_str()) {
        Some(id) => output::line(columns::text(&Value::from(id))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_a_list_an_object_or_nothing() {
        let list = json!({"count": 1, "network": [{"id": "1"}]});
        assert!(matches!(Shown::of(&list), Shown::List("network", items) if items.len() == 1));
        assert_eq!(Shown::of(&json!({})), Shown::Nothing);
        assert_eq!(Shown::of(&json!({"count": 3})), Shown::Nothing);
        let one = json!({"network": {"id": "1"}});
        assert_eq!(Shown::of(&one), Shown::One(&one["network"]));
        let job = json!({"jobid": "j", "id": "1"});
        assert_eq!(Shown::of(&job), Shown::One(&job));
    }

    #[test]
    fn every_value_of_an_object_has_a_path() {
        let mut rows = Vec::new();
        flatten(
            "",
            &json!({"a": {"b": 1}, "nic": [{"ip": "x"}], "l": ["p", "q"], "e": []}),
            &mut rows,
        );
        let got: Vec<String> = rows.into_iter().map(|(n, t)| format!("{n}={t}")).collect();
        assert_eq!(got, ["a.b=1", "e=", "l=p,q", "nic.0.ip=x"]);
    }
}
