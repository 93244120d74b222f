// SPDX-License-Identifier: Apache-2.0
//! What the screen shows and how it changes. Pure: a state and an event make the next state.

use std::collections::BTreeMap;

use super::grid::{self, Grid};
use super::rates::{Rates, rates};
use super::reading::{Reading, Target};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Networks and VPCs, a line each.
    Overview,
    /// Guests.
    Guests,
    /// Public addresses, protocols and destinations.
    Addresses,
    /// What is dropped, by reason.
    Drops,
    /// Sessions of one network.
    Sessions,
}

impl View {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 5] = [
        Self::Overview,
        Self::Guests,
        Self::Addresses,
        Self::Drops,
        Self::Sessions,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Guests => "guests",
            Self::Addresses => "addresses",
            Self::Drops => "drops",
            Self::Sessions => "sessions",
        }
    }
}

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A letter.
    Char(char),
    /// One line up.
    Up,
    /// One line down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// Ctrl and C.
    Interrupt,
}

/// A session as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRow {
    /// Protocol, inside, public side, destination, state.
    pub words: [String; 5],
    /// Age in seconds, bytes in, bytes out.
    pub numbers: [Option<u64>; 3],
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// Routers were read.
    Read {
        /// When, for people: `12:34:56`.
        at: String,
        /// All that there is to watch, read this time or not.
        targets: Vec<Target>,
        /// What was read.
        readings: Vec<Reading>,
    },
    /// The server does not answer.
    Lost {
        /// When, for people.
        at: String,
        /// Why.
        reason: String,
    },
    /// Alerts of the last minutes, the newest first: when and what.
    Alerts(Vec<(String, String)>),
    /// Sessions of one target.
    Sessions {
        /// Its id.
        of: String,
        /// How many there are.
        total: u64,
        /// Some of them.
        rows: Vec<SessionRow>,
    },
    /// The terminal has another size, or wants to be drawn again.
    Redraw,
    /// The program is to end.
    End,
}

/// A network or VPC as it was read last, and how it went since the time before.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The last reading.
    pub now: Reading,
    /// Rates between the last two readings.
    pub rates: Option<Rates>,
}

/// What the screen shows.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// What is looked at.
    pub view: View,
    /// By which column each view is sorted.
    pub sort: [usize; View::ALL.len()],
    /// Only rows with this text.
    pub filter: String,
    /// Whether the filter is being typed.
    pub typing: bool,
    /// The selected row.
    pub selected: usize,
    /// The id of the one network or VPC that is shown.
    pub inside: Option<String>,
    /// Whether help is shown.
    pub help: bool,
    /// What is watched, by target.
    pub watched: BTreeMap<Target, Watched>,
    /// When something was read last.
    pub at: String,
    /// Since when the server does not answer, and why.
    pub lost: Option<(String, String)>,
    /// Alerts of the last minutes.
    pub alerts: Vec<(String, String)>,
    /// Sessions: of whom, how many, some of them.
    pub sessions: Option<(String, u64, Vec<SessionRow>)>,
    /// How often routers are read, for people.
    pub interval: String,
    /// Whether to use colours.
    pub colour: bool,
    /// Whether to end.
    pub over: bool,
}

/// So many rows are a page.
const PAGE: usize = 10;
/// A filter is no longer, in characters.
const FILTER_MAX: usize = 64;

impl State {
    /// Before anything was read.
    pub fn new(interval: String, colour: bool) -> Self {
        Self {
            view: View::Overview,
            // The busiest first; drops by what comes now.
            sort: [1, 6, 5, 3, 6],
            filter: String::new(),
            typing: false,
            selected: 0,
            inside: None,
            help: false,
            watched: BTreeMap::new(),
            at: String::new(),
            lost: None,
            alerts: Vec::new(),
            sessions: None,
            interval,
            colour,
            over: false,
        }
    }

    /// The state after the event.
    #[must_use]
    pub fn after(mut self, event: Event) -> Self {
        match event {
            Event::Key(key) => self.press(key),
            Event::Read {
                at,
                targets,
                readings,
            } => {
                self.at = at;
                self.lost = None;
                self.watched.retain(|target, _| targets.contains(target));
                for reading in readings {
                    self.take_in(reading);
                }
            }
            // The first moment is what people want to know.
            Event::Lost { at, reason } => {
                let since = self.lost.map_or(at, |(since, _)| since);
                self.lost = Some((since, reason));
            }
            Event::Alerts(alerts) => self.alerts = alerts,
            Event::Sessions { of, total, rows } => self.sessions = Some((of, total, rows)),
            Event::Redraw => {}
            Event::End => self.over = true,
        }
        self.selected = self.selected.min(self.grid().rows.len().saturating_sub(1));
        self
    }

    /// The same reading again, by a server that shares it, changes nothing. A router of an older version does not say when
    /// it was read.
    fn take_in(&mut self, now: Reading) {
        let before = self.watched.get(&now.target);
        let is_dated = now.millis > 0 && now.silent.is_none();
        if is_dated && before.is_some_and(|before| before.now.millis == now.millis) {
            return;
        }
        let rates = before.and_then(|before| rates(&before.now, &now));
        self.watched.insert(now.target.clone(), Watched { now, rates });
    }

    /// The rows of the view, filtered and sorted.
    pub fn grid(&self) -> Grid {
        grid::of(self, self.view)
    }

    /// Those that are shown: all, or the one.
    pub fn shown(&self) -> impl Iterator<Item = &Watched> {
        let inside = self.inside.as_ref();
        self.watched
            .values()
            .filter(move |watched| inside.is_none_or(|id| *id == watched.now.target.id))
    }

    /// The one that details are told of: the one inside, or the selected one.
    pub fn chosen(&self) -> Option<&Watched> {
        let selected = || match self.view {
            View::Overview => self.grid().rows.get(self.selected)?.target.clone(),
            _ => None,
        };
        let id = self.inside.clone().or_else(selected);
        let chosen = |id: String| self.watched.values().find(|w| w.now.target.id == id);
        id.and_then(chosen).or_else(|| self.shown().next())
    }

    /// Whose sessions are wanted.
    pub fn wants_sessions(&self) -> Option<Target> {
        let of_sessions = self.view == View::Sessions;
        self.chosen()
            .filter(|_| of_sessions)
            .map(|w| w.now.target.clone())
    }

    fn press(&mut self, key: Key) {
        match (key, self.typing) {
            (Key::Interrupt, _) => self.over = true,
            (key, true) => self.type_filter(key),
            (_, false) if self.help => self.help = false,
            (Key::Char(letter), false) => self.letter(letter),
            (Key::Up, false) => self.selected = self.selected.saturating_sub(1),
            (Key::Down, false) => self.selected += 1,
            (Key::PageUp, false) => self.selected = self.selected.saturating_sub(PAGE),
            (Key::PageDown, false) => self.selected += PAGE,
            (Key::Enter, false) => self.enter(),
            (Key::Escape | Key::Backspace, false) => self.leave(),
        }
    }

    fn letter(&mut self, letter: char) {
        match letter {
            'q' => self.over = true,
            'k' => self.selected = self.selected.saturating_sub(1),
            'j' => self.selected += 1,
            'g' => self.selected = 0,
            'G' => self.selected = usize::MAX,
            '?' | 'h' => self.help = true,
            '/' => self.typing = true,
            's' => self.sort_by_next(),
            '1'..='5' => {
                let place = letter.to_digit(10).unwrap_or(1).saturating_sub(1);
                let view = usize::try_from(place).ok().and_then(|p| View::ALL.get(p));
                self.look_at(view.copied().unwrap_or(View::Overview));
            }
            _ => {}
        }
    }

    /// What was selected stays what details are told of.
    fn look_at(&mut self, view: View) {
        if view == View::Sessions && self.inside.is_none() {
            self.inside = self.chosen().map(|w| w.now.target.id.clone());
        }
        self.view = view;
        self.selected = 0;
    }

    fn sort_by_next(&mut self) {
        let columns = self.grid().titles.len();
        if let Some(sort) = self.sort.get_mut(self.view as usize) {
            *sort = (*sort + 1) % columns.max(1);
        }
        self.selected = 0;
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(letter) if self.filter.chars().count() < FILTER_MAX => self.filter.push(letter),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.typing = false;
                self.filter.clear();
            }
            _ => {}
        }
        self.selected = 0;
    }

    fn enter(&mut self) {
        let row = self
            .grid()
            .rows
            .get(self.selected)
            .and_then(|row| row.target.clone());
        if self.inside.is_none() && row.is_some() {
            self.inside = row;
            self.selected = 0;
        }
    }

    /// Out of the filter, or else of the network.
    fn leave(&mut self) {
        if self.filter.is_empty() {
            self.inside = None;
            if self.view == View::Sessions {
                self.view = View::Overview;
            }
        }
        self.filter.clear();
        self.selected = 0;
    }
}
