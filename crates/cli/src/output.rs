// SPDX-License-Identifier: Apache-2.0
//! What people and scripts read: tables or JSON, colour only where it helps.

use std::io::{IsTerminal as _, Write as _};

use anstyle::AnsiColor;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

/// What stays whole in a table, the more the better: words up to so many characters, and with `true` titles too.
const WHOLE: [(usize, bool); 4] = [(52, true), (52, false), (36, false), (24, false)];
/// Blanks beside each cell.
const PADDING: usize = 2;
/// In the narrowest terminals at least addresses stay whole.
const LEAST: (usize, bool) = (16, false);

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

/// Prints a table. Words stay whole where the terminal is wide enough for that, and no line ends with blanks.
pub fn show(mut table: Table) -> anyhow::Result<()> {
    if let Some(widths) = widths(&table).or_else(|| widths_of(&table, LEAST)) {
        for (column, width) in table.column_iter_mut().zip(widths) {
            if column.constraint().is_none() {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
            }
        }
    }
    line(table.trim_fmt())
}

/// Whether a table is as narrow as the terminal without breaking words. What is no terminal has room for everything.
pub fn has_room(table: &Table) -> bool {
    table.width().is_none() || widths(table).is_some()
}

/// The least width of each column. `None` when they are wider than the terminal together, and when there is none.
fn widths(table: &Table) -> Option<Vec<u16>> {
    WHOLE.iter().find_map(|whole| widths_of(table, *whole))
}

fn widths_of(table: &Table, (word, titles): (usize, bool)) -> Option<Vec<u16>> {
    let room = usize::from(table.width()?);
    let columns = table.column_iter().enumerate().map(|(at, column)| {
        let fixed = column.constraint().is_some();
        let title = table
            .header()
            .filter(|_| titles || fixed)
            .and_then(|row| row.cell_iter().nth(at));
        let cells = table.row_iter().filter_map(|row| row.cell_iter().nth(at));
        let needs = cells.map(|cell| longest(&cell.content(), fixed, word));
        let title = title.map_or(0, |cell| visible(&cell.content()));
        u16::try_from(needs.max().unwrap_or(0).max(title) + PADDING)
    });
    let widths: Vec<u16> = columns.collect::<Result<_, _>>().ok()?;
    let sum: usize = widths.iter().map(|width| usize::from(*width)).sum();
    (sum <= room).then_some(widths)
}

/// The longest line of a text if it must stay whole, else its longest word up to `most`.
fn longest(text: &str, whole: bool, most: usize) -> usize {
    if whole {
        return text.lines().map(visible).max().unwrap_or(0);
    }
    let words = text.split_whitespace().map(visible);
    words.max().unwrap_or(0).min(most)
}

/// How many characters of a text are seen: colours are not.
fn visible(text: &str) -> usize {
    let (mut count, mut hidden) = (0, false);
    for c in text.chars() {
        match c {
            '\u{1b}' => hidden = true,
            'm' if hidden => hidden = false,
            _ if !hidden => count += 1,
            _ => {}
        }
    }
    count
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

#[cfg(test)]
mod tests {
    use super::*;

    fn narrow(width: u16) -> Table {
        let mut table = table(&["ADDRESS", "ASSOCIATEDNETWORK", "WHAT"]);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(width);
        table.add_row([
            "203.0.113.10",
            "lab-net",
            "\u{1b}[1ma network\u{1b}[0m with a long description",
        ]);
        table
    }

    #[test]
    fn words_stay_whole_and_titles_too_where_there_is_room() {
        assert_eq!(widths(&narrow(60)), Some(vec![14, 19, 13]));
        assert_eq!(widths(&narrow(40)), Some(vec![14, 9, 13]));
        assert_eq!(widths(&narrow(30)), None);
        assert!(has_room(&narrow(40)) && !has_room(&narrow(30)));
    }
}
