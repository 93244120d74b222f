// SPDX-License-Identifier: Apache-2.0
//! What people and scripts read: tables or JSON, colour only where it helps.

use std::io::{IsTerminal as _, Write as _};

use anstyle::AnsiColor;
use comfy_table::{ContentArrangement, Table, presets};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for people.
    Table,
    /// One JSON document for scripts.
    Json,
}

/// How `-o` asks for results; `text` and `id` are for `outgate api` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Style {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON document for scripts.
    Json,
    /// A line for each value, for grep (outgate api).
    Text,
    /// Only ids, one on a line (outgate api).
    Id,
}

impl Style {
    /// The format of a command that knows tables and JSON. Errors (usage) for the others.
    pub fn format(self) -> anyhow::Result<Format> {
        match self {
            Self::Table => Ok(Format::Table),
            Self::Json => Ok(Format::Json),
            Self::Text | Self::Id => {
                let told = "-o text and -o id are for `outgate api`; here there are table and json";
                Err(crate::exit::Usage(told.to_owned()).into())
            }
        }
    }
}

/// Prints one line on standard output.
pub fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// Prints a value as indented JSON.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// A table with these column titles, if any, without lines, as wide as the terminal at most.
pub fn table(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    if !titles.is_empty() {
        table.set_header(titles);
    }
    table
}

/// The text in green (good) or red (bad), when standard output is a terminal and `NO_COLOR` is unset.
pub fn verdict(text: &str, good: bool) -> String {
    if !colour_wanted() {
        return text.to_owned();
    }
    let colour = if good { AnsiColor::Green } else { AnsiColor::Red };
    let style = anstyle::Style::new().fg_color(Some(colour.into())).bold();
    format!("{style}{text}{style:#}")
}

/// The text in bold, under the same conditions as [`verdict`].
pub fn strong(text: &str) -> String {
    if colour_wanted() {
        let style = anstyle::Style::new().bold();
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

/// Whether standard output is a terminal and `NO_COLOR` is unset.
pub fn colour_wanted() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
