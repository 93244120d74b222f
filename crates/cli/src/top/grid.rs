// SPDX-License-Identifier: Apache-2.0
//! The rows of each view: the same for the screen and for `--once`. Pure.

use std::cmp::Ordering;

use super::rates::Rate;
use super::state::{State, View, Watched};

/// How a row is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// It comes to an end.
    Warning,
    /// Something is lost.
    Bad,
}

/// What a row is sorted by in a column.
#[derive(Debug, Clone, PartialEq)]
enum Order {
    Word(String),
    /// The largest first; what is not known last.
    Number(Option<f64>),
}

/// A column of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// What stands there.
    pub text: String,
    order: Order,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its columns.
    pub cells: Vec<Cell>,
    /// How it is meant.
    pub tone: Tone,
    /// The id of the network or VPC that it is about.
    pub target: Option<String>,
}

/// A column's title and how wide it is: 0 for what is left.
pub type Title = (&'static str, u16);

/// A view's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Its columns.
    pub titles: &'static [Title],
    /// Its rows, filtered and sorted.
    pub rows: Vec<Row>,
}

const OVERVIEW: &[Title] = &[
    ("NETWORK", 0),
    ("SESSIONS", 8),
    ("TABLE%", 6),
    ("PORTS%", 6),
    ("IN p/s", 6),
    ("OUT p/s", 7),
    ("IN B/s", 6),
    ("OUT B/s", 7),
    ("DROP/s", 6),
    ("FAST%", 5),
    ("ENDS", 5),
];
const GUESTS: &[Title] = &[
    ("GUEST", 0),
    ("ADDRESS", 15),
    ("SESSIONS", 8),
    ("PORTS", 6),
    ("IN p/s", 6),
    ("OUT p/s", 7),
    ("IN B/s", 6),
    ("OUT B/s", 7),
    ("REF/s", 6),
];
const ADDRESSES: &[Title] = &[
    ("ADDRESS", 15),
    ("PROTO", 5),
    ("DESTINATION", 0),
    ("SESSIONS", 8),
    ("PORTS", 6),
    ("%", 3),
    ("IN p/s", 6),
    ("OUT p/s", 7),
    ("IN B/s", 6),
    ("OUT B/s", 7),
];
const DROPS: &[Title] = &[
    ("NETWORK", 16),
    ("REASON", 12),
    ("PACKETS", 12),
    ("DROP/s", 6),
    ("WHAT", 0),
];
const SESSIONS: &[Title] = &[
    ("PROTO", 5),
    ("INSIDE", 17),
    ("PUBLIC", 0),
    ("DESTINATION", 0),
    ("STATE", 11),
    ("AGE", 5),
    ("IN", 5),
    ("OUT", 5),
];

/// A share from which on a row is a warning, in percent.
const WARNING: f64 = 80.0;

/// Three digits and what they are thousands of: `999`, `1.25k`, `34.5M`.
pub fn short(number: f64) -> String {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    let mut rest = number;
    let mut units = UNITS.into_iter().peekable();
    // What would be rounded to 1000 is one of the next unit.
    while rest >= 999.5 && units.len() > 1 {
        rest /= 1_000.0;
        units.next();
    }
    let unit = units.next().unwrap_or_default();
    if rest >= 99.95 || (unit.is_empty() && (rest.fract() == 0.0 || rest >= 9.95)) {
        format!("{rest:.0}{unit}")
    } else if rest >= 9.995 || unit.is_empty() {
        format!("{rest:.1}{unit}")
    } else {
        format!("{rest:.2}{unit}")
    }
}

/// The largest unit and no other: `45s`, `12m`, `7h`, `3d`.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `part` of `whole`, in percent.
pub fn percent(part: u64, whole: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a share is no exact number")]
    let share = part as f64 / whole.max(1) as f64;
    100.0 * share
}

fn word(text: impl Into<String>) -> Cell {
    let text = text.into();
    let order = Order::Word(text.clone());
    Cell { text, order }
}

fn shown_as(number: Option<f64>, text: impl Fn(f64) -> String) -> Cell {
    Cell {
        text: number.map_or_else(|| "-".to_owned(), text),
        order: Order::Number(number),
    }
}

fn number(number: Option<f64>) -> Cell {
    shown_as(number, short)
}

fn exact(count: u64) -> Cell {
    #[allow(clippy::cast_precision_loss, reason = "only the order of rows")]
    shown_as(Some(count as f64), |_| count.to_string())
}

fn share(percent: Option<f64>) -> Cell {
    shown_as(percent, |p| format!("{p:.0}"))
}

fn rate(rate: Option<Rate>) -> [Cell; 4] {
    let rate = rate.unwrap_or_default();
    [rate.packets_in, rate.packets_out, rate.bytes_in, rate.bytes_out].map(number)
}

/// The rows of a view, filtered and sorted.
pub fn of(state: &State, view: View) -> Grid {
    let (titles, mut rows): (&[Title], Vec<Row>) = match view {
        View::Overview => (OVERVIEW, state.shown().map(overview).collect()),
        View::Guests => (GUESTS, state.shown().flat_map(guests).collect()),
        View::Addresses => (ADDRESSES, state.shown().flat_map(addresses).collect()),
        View::Drops => (DROPS, state.shown().flat_map(drops).collect()),
        View::Sessions => (SESSIONS, sessions(state)),
    };
    let wanted = state.filter.to_lowercase();
    rows.retain(|row| {
        row.cells
            .iter()
            .any(|cell| cell.text.to_lowercase().contains(&wanted))
    });
    let column = state.sort.get(view as usize).copied().unwrap_or(0);
    // Stable: what is equal keeps the order of names.
    rows.sort_by(|a, b| compare(a.cells.get(column), b.cells.get(column)));
    Grid { titles, rows }
}

fn compare(a: Option<&Cell>, b: Option<&Cell>) -> Ordering {
    match (a.map(|cell| &cell.order), b.map(|cell| &cell.order)) {
        (Some(Order::Word(a)), Some(Order::Word(b))) => a.cmp(b),
        (Some(Order::Number(a)), Some(Order::Number(b))) => {
            let value = |n: &Option<f64>| n.unwrap_or(-1.0);
            value(b).total_cmp(&value(a))
        }
        _ => Ordering::Equal,
    }
}

fn overview(watched: &Watched) -> Row {
    let now = &watched.now;
    let ports = now.fullest().map(|a| percent(a.used, a.limit));
    let table = (now.table.limit > 0).then(|| percent(now.table.used, now.table.limit));
    let total = watched.rates.as_ref().map(super::rates::Rates::total);
    let dropped = watched.rates.as_ref().and_then(super::rates::Rates::dropped);
    let fast = watched.rates.as_ref().and_then(|rates| rates.fast_share);
    let ends = now.first_to_end().map(|(lasts, _)| lasts);
    #[allow(
        clippy::cast_precision_loss,
        reason = "only the order of rows: the nearest end first"
    )]
    let nearness = ends.map(|lasts| 1.0 / (1.0 + lasts as f64));
    let near = [ports, table].into_iter().flatten().any(|p| p >= WARNING);
    let mut cells = vec![
        word(&now.target.name),
        exact(now.sessions()),
        share(table),
        share(ports),
    ];
    cells.extend(rate(total));
    cells.push(number(dropped));
    cells.push(share(fast.map(|share| 100.0 * share)));
    cells.push(Cell {
        text: ends.map_or_else(|| "-".to_owned(), duration),
        order: Order::Number(nearness),
    });
    Row {
        cells,
        tone: match (&now.silent, near) {
            (Some(_), _) => Tone::Bad,
            (None, true) => Tone::Warning,
            (None, false) => Tone::Plain,
        },
        target: Some(now.target.id.clone()),
    }
}

fn row(watched: &Watched, cells: Vec<Cell>, tone: Tone) -> Row {
    Row {
        cells,
        tone,
        target: Some(watched.now.target.id.clone()),
    }
}

fn guests(watched: &Watched) -> impl Iterator<Item = Row> {
    let rates = watched.rates.as_ref();
    watched.now.guests.values().map(move |guest| {
        let of = rates.and_then(|rates| rates.guests.get(&guest.address)).copied();
        let mut cells = vec![
            word(&guest.name),
            word(&guest.address),
            exact(guest.sessions),
            exact(guest.ports),
        ];
        cells.extend(rate(of));
        let refused = rates
            .and_then(|rates| rates.refused.get(&guest.address))
            .copied()
            .flatten();
        cells.push(number(refused));
        let limited = refused.is_some_and(|rate| rate > 0.0);
        row(watched, cells, if limited { Tone::Warning } else { Tone::Plain })
    })
}

fn addresses(watched: &Watched) -> Vec<Row> {
    let mut rows = Vec::new();
    for address in &watched.now.addresses {
        let line = |proto: &str, to: &str, sessions: Option<u64>, ports: u64, of: Option<Rate>| {
            let used = percent(ports, address.limit);
            let mut cells = vec![
                word(&address.address),
                word(proto),
                word(to),
                sessions.map_or_else(|| number(None), exact),
                exact(ports),
                share(Some(used)),
            ];
            cells.extend(rate(of));
            let tone = if used >= WARNING {
                Tone::Warning
            } else {
                Tone::Plain
            };
            row(watched, cells, tone)
        };
        let rates = watched.rates.as_ref();
        let of = rates
            .and_then(|rates| rates.addresses.get(&address.address))
            .copied();
        rows.push(line("all", "", Some(address.sessions), address.used, of));
        for protocol in &address.protocols {
            let name = protocol.name.as_str();
            rows.push(line(name, "any", Some(protocol.sessions), protocol.ports, None));
            let each = protocol.destinations.iter();
            rows.extend(each.map(|(to, ports)| line(name, to, None, *ports, None)));
        }
    }
    rows
}

/// What a reason means.
fn meaning(reason: &str) -> &'static str {
    match reason {
        "spoofed" => "impossible source",
        "invalid" => "belongs to no session, can begin none",
        "unsolicited" => "nothing lets it in",
        "egress" => "egress policy or rule",
        "acl" => "network ACL",
        "noway" => "no way between these sides",
        "router" => "for the router itself, no answer there",
        "limit" => "beyond a guest's or a sender's limit",
        "table full" => "no room for another session",
        "table insert" => "its ports were taken",
        "table early" => "unanswered, made room for others",
        _ => "",
    }
}

fn drops(watched: &Watched) -> impl Iterator<Item = Row> {
    let rates = watched.rates.as_ref();
    watched.now.drops.iter().map(move |(reason, packets)| {
        let now = rates.and_then(|rates| rates.drops.get(reason)).copied().flatten();
        let cells = vec![
            word(&watched.now.target.name),
            word(reason),
            exact(*packets),
            number(now),
            word(meaning(reason)),
        ];
        let tone = match now {
            Some(rate) if rate > 0.0 && reason.starts_with("table") => Tone::Bad,
            Some(rate) if rate > 0.0 => Tone::Warning,
            _ => Tone::Plain,
        };
        row(watched, cells, tone)
    })
}

fn sessions(state: &State) -> Vec<Row> {
    let chosen = state.inside.as_ref();
    let (of, _, rows) = match &state.sessions {
        Some(known) if Some(&known.0) == chosen => known,
        _ => return Vec::new(),
    };
    let row = |row: &super::state::SessionRow| {
        #[allow(clippy::cast_precision_loss, reason = "shown in three digits")]
        let wide = |n: Option<u64>| n.map(|n| n as f64);
        let [age, came, went] = row.numbers;
        let mut cells: Vec<Cell> = row.words.iter().map(word).collect();
        cells.push(Cell {
            text: age.map_or_else(|| "-".to_owned(), duration),
            order: Order::Number(wide(age)),
        });
        cells.extend([number(wide(came)), number(wide(went))]);
        Row {
            cells,
            tone: Tone::Plain,
            target: Some(of.clone()),
        }
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_into_five_columns() {
        let pairs = [
            (0.0, "0"),
            (0.5, "0.5"),
            (9.0, "9"),
            (42.4, "42"),
            (999.4, "999"),
            (999.6, "1.00k"),
            (1_250.0, "1.25k"),
            (34_500_000.0, "34.5M"),
            (999_600_000.0, "1.00G"),
            (5e15, "5000T"),
        ];
        for (number, text) in pairs {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn durations_are_told_in_their_largest_unit() {
        let told = [59, 60, 7_199, 86_400].map(duration);
        assert_eq!(told, ["59s", "1m", "1h", "1d"]);
    }
}
