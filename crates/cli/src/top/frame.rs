// SPDX-License-Identifier: Apache-2.0
//! A state as a frame. Pure: what it draws on is given.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table, TableState, Wrap};

use super::grid::{Grid, Tone, duration, percent};
use super::reading::{FastPath, Reading};
use super::state::{State, View, Watched};

/// Lines of the panel that tells of one network, and how many more it takes to say what to do.
const DETAILS: u16 = 6;
const REMEDY: u16 = 3;
/// Alerts that are shown.
const ALERTS: usize = 3;
/// How wide a bar is, in columns.
const BAR: usize = 10;

const HELP: &[&str] = &[
    "1 to 5         overview, guests, addresses, drops, sessions",
    "up, k          one line up            down, j        one line down",
    "page up, down  ten lines              g, G           first, last line",
    "enter          only this network      esc            back to all",
    "s              sort by the next column",
    "/              filter rows by text; enter keeps it, esc drops it",
    "q, ctrl-c      quit                   ?              this help",
    "",
    "p/s, B/s       packets and bytes a second, IN from outside, OUT to it",
    "TABLE%         sessions of the most that the router can track",
    "PORTS%         ports in use towards the busiest destination, of 64512",
    "REF/s          packets of a guest that its limits refused",
    "FAST%          packets that the fast path carried, of those it saw",
    "ENDS           when the first of both runs out, if use goes on so",
    "",
    "press any key",
];

/// Draws everything.
pub fn draw(state: &State, frame: &mut Frame<'_>) {
    let is_overview = state.view == View::Overview;
    let has_remedy = state
        .chosen()
        .is_some_and(|watched| remedy(&watched.now).is_some());
    let details = match (is_overview, has_remedy) {
        (false, _) => 0,
        (true, false) => DETAILS,
        (true, true) => DETAILS + REMEDY,
    };
    let alerts = if is_overview { ALERTS } else { 0 };
    let alerts = u16::try_from(alerts.min(state.alerts.len().max(1))).unwrap_or(1);
    let alerts = if is_overview { alerts + 1 } else { 0 };
    let [head, tabs, rows, about, warned, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(details),
        Constraint::Length(alerts),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(headline(state), head);
    frame.render_widget(tab_line(state), tabs);
    draw_rows(state, frame, rows);
    if is_overview {
        draw_details(state, frame, about);
        draw_alerts(state, frame, warned);
    }
    frame.render_widget(footer(state), foot);
    if state.help {
        draw_help(frame);
    }
}

fn tone(state: &State, tone: Tone) -> Style {
    match (tone, state.colour) {
        (Tone::Plain, _) => Style::new(),
        (Tone::Warning, true) => Style::new().fg(Color::Yellow),
        (Tone::Bad, true) => Style::new().fg(Color::Red),
        (_, false) => Style::new().add_modifier(Modifier::BOLD),
    }
}

fn accent(state: &State) -> Style {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    if state.colour { bold.fg(Color::Cyan) } else { bold }
}

fn headline(state: &State) -> Line<'static> {
    let name = Span::styled("outgate top", accent(state));
    if let Some((since, reason)) = &state.lost {
        let told = format!("  no answer since {since}, trying again: {reason}");
        return Line::from(vec![name, Span::styled(told, tone(state, Tone::Bad))]);
    }
    let count = state.watched.len();
    let shown = match state.shown().next().filter(|_| state.inside.is_some()) {
        Some(one) => one.now.target.name.clone(),
        None => format!("{count} network{}", if count == 1 { "" } else { "s" }),
    };
    let at = if state.at.is_empty() {
        "reading ...".to_owned()
    } else {
        format!("{} UTC", state.at)
    };
    let told = format!("  {shown}  {at}  every {}", state.interval);
    Line::from(vec![name, Span::raw(told)])
}

fn tab_line(state: &State) -> Line<'static> {
    let mut spans = Vec::new();
    for (place, view) in View::ALL.into_iter().enumerate() {
        let text = format!(" {} {} ", place + 1, view.name());
        let style = if view == state.view {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        spans.push(Span::styled(text, style));
    }
    if let (View::Sessions, Some((_, total, rows))) = (state.view, &state.sessions) {
        spans.push(Span::raw(format!(" {} of {total} sessions", rows.len())));
    }
    Line::from(spans)
}

fn draw_rows(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let Grid { titles, rows } = state.grid();
    let sorted = state.sort.get(state.view as usize).copied().unwrap_or(0);
    let heads = titles.iter().enumerate().map(|(column, (title, _))| {
        let style = if column == sorted {
            accent(state).add_modifier(Modifier::UNDERLINED)
        } else {
            accent(state)
        };
        Cell::from(Span::styled(*title, style))
    });
    let lines = rows.iter().map(|row| {
        let cells = row.cells.iter().map(|cell| cell.text.clone());
        Row::new(cells).style(tone(state, row.tone))
    });
    let widths = titles.iter().map(|(_, width)| match width {
        0 => Constraint::Min(8),
        width => Constraint::Length(*width),
    });
    let table = Table::new(lines, widths)
        .header(Row::new(heads))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut at = TableState::new().with_selected((!rows.is_empty()).then_some(state.selected));
    frame.render_stateful_widget(table, area, &mut at);
    if rows.is_empty() {
        let told = Paragraph::new(nothing(state));
        let below = Rect {
            y: area.y.saturating_add(1),
            height: area.height.saturating_sub(1).min(1),
            ..area
        };
        frame.render_widget(told, below);
    }
}

/// Why there is no row.
fn nothing(state: &State) -> String {
    let of_sessions = state.view == View::Sessions;
    let read = state.sessions.as_ref().map(|(of, _, _)| of) == state.inside.as_ref();
    if !state.filter.is_empty() {
        format!("nothing with {:?} in it", state.filter)
    } else if state.at.is_empty() || (of_sessions && !read) {
        "reading ...".to_owned()
    } else {
        "nothing yet".to_owned()
    }
}

/// How many percent so many places of a bar are.
fn percent_of_bar(places: usize) -> f64 {
    percent(u64::try_from(places).unwrap_or(u64::MAX), BAR as u64)
}

/// `[#####.....]`.
fn bar(percent: f64) -> String {
    let full = (0..BAR).filter(|place| {
        let limit = percent_of_bar(*place);
        percent > limit
    });
    let full = full.count();
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

fn lasts(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |s| format!(", full in {}", duration(s)))
}

fn draw_details(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let Some(watched) = state.chosen() else {
        return;
    };
    let title = format!(" {} ", watched.now.target.name);
    let lines = match &watched.now.silent {
        Some(reason) => vec![Line::styled(reason.clone(), tone(state, Tone::Bad))],
        None => details(state, watched),
    };
    let block = Block::new()
        .borders(ratatui::widgets::Borders::TOP)
        .title(Span::styled(title, accent(state)));
    let [told, advice] = Layout::vertical([Constraint::Length(DETAILS), Constraint::Min(0)]).areas(area);
    frame.render_widget(Paragraph::new(lines).block(block), told);
    if let Some(remedy) = remedy(&watched.now) {
        let text = Line::styled(remedy.to_owned(), tone(state, Tone::Warning));
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), advice);
    }
}

fn details(state: &State, watched: &Watched) -> Vec<Line<'static>> {
    let now = &watched.now;
    let table = percent(now.table.used, now.table.limit);
    vec![
        ports(state, now),
        Line::from(format!(
            "table      {} {} of {} sessions{}",
            bar(table),
            now.table.used,
            now.table.limit,
            lasts(now.table.lasts)
        )),
        Line::from(format!("fast path  {}", fast_path(watched))),
        Line::from(format!("guests     {}", heaviest(now))),
        Line::from(format!("drops      {}", dropped(watched))),
    ]
}

/// What to do about the ports; what is the matter the first line says already.
fn remedy(now: &Reading) -> Option<&str> {
    let told = now.fullest()?.remedy.as_deref()?;
    Some(told.split_once(". ").map_or(told, |(_, what)| what))
}

fn ports(state: &State, now: &Reading) -> Line<'static> {
    let Some(address) = now.fullest() else {
        return Line::from("ports      no public address");
    };
    let busiest = address.protocols.iter();
    let busiest = busiest.filter_map(|p| p.destinations.first().map(|(to, n)| (n, &p.name, to)));
    let to = busiest
        .max()
        .map_or_else(String::new, |(_, protocol, to)| format!(" to {protocol} {to}"));
    let used = percent(address.used, address.limit);
    let text = format!(
        "ports      {} {} of {}{}: {}{to}",
        bar(used),
        address.used,
        address.limit,
        lasts(address.lasts),
        address.address,
    );
    let near = if address.remedy.is_some() {
        Tone::Warning
    } else {
        Tone::Plain
    };
    Line::styled(text, tone(state, near))
}

fn fast_path(watched: &Watched) -> String {
    let share = watched.rates.as_ref().and_then(|rates| rates.fast_share);
    match &watched.now.fastpath {
        None => "off".to_owned(),
        Some(FastPath { mode, .. }) if mode == "off" => "off".to_owned(),
        Some(fast) if fast.running => share.map_or_else(
            || "runs, no packet right now".to_owned(),
            |share| format!("{} {:.0} % of the packets", bar(100.0 * share), 100.0 * share),
        ),
        Some(fast) => {
            let reason = fast.reason.as_deref().unwrap_or("it does not say why");
            format!("does not run: {reason}")
        }
    }
}

/// The three guests with the most sessions.
fn heaviest(now: &Reading) -> String {
    let mut guests: Vec<_> = now.guests.values().collect();
    guests.sort_by(|a, b| b.sessions.cmp(&a.sessions).then(a.name.cmp(&b.name)));
    let told = guests.iter().take(3);
    let told: Vec<_> = told.map(|g| format!("{} {}", g.name, g.sessions)).collect();
    if told.is_empty() {
        "none with a session".to_owned()
    } else {
        format!("{} (sessions)", told.join(", "))
    }
}

fn dropped(watched: &Watched) -> String {
    let Some(rates) = &watched.rates else {
        return "-".to_owned();
    };
    let now = rates
        .drops
        .iter()
        .filter_map(|(reason, rate)| Some((reason, (*rate)?)));
    let told: Vec<_> = now
        .filter(|(_, rate)| *rate > 0.0)
        .map(|(reason, rate)| format!("{reason} {}/s", super::grid::short(rate)))
        .collect();
    if told.is_empty() {
        "none".to_owned()
    } else {
        told.join(", ")
    }
}

fn draw_alerts(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let block = Block::new()
        .borders(ratatui::widgets::Borders::TOP)
        .title(Span::styled(" alerts of the last minutes ", accent(state)));
    let lines: Vec<Line<'_>> = if state.alerts.is_empty() {
        vec![Line::from("none")]
    } else {
        let shown = state.alerts.iter().take(ALERTS);
        shown
            .map(|(at, what)| Line::styled(format!("{at} {what}"), tone(state, Tone::Warning)))
            .collect()
    };
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn footer(state: &State) -> Line<'static> {
    let (title, _) = state
        .grid()
        .titles
        .get(state.sort.get(state.view as usize).copied().unwrap_or(0))
        .copied()
        .unwrap_or(("", 0));
    let filter = match (state.typing, state.filter.as_str()) {
        (true, text) => return Line::from(format!("/{text}_   enter keeps it, esc drops it")),
        (false, "") => "/ filter".to_owned(),
        (false, text) => format!("/ filter: {text}"),
    };
    let move_on = if state.inside.is_some() {
        "esc all networks"
    } else {
        "enter one network"
    };
    Line::from(format!("q quit  s sort: {title}  {filter}  {move_on}  ? help"))
}

fn draw_help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let wide = 76.min(area.width);
    let high = u16::try_from(HELP.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let area = Rect {
        x: (area.width - wide) / 2,
        y: (area.height - high) / 2,
        width: wide,
        height: high,
    };
    let lines: Vec<Line<'_>> = HELP.iter().map(|line| Line::from(*line)).collect();
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" keys ")),
        area,
    );
}
