// SPDX-License-Identifier: Apache-2.0
//! The terminal: keys in, frames out. It is given back as it was, however the program ends.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{SigSet, Signal};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::feed::Feed;
use super::frame;
use super::reading::Target;
use super::state::{Event, Key, State};

/// So many events wait to be shown; whoever makes more waits.
const EVENTS_MAX: usize = 64;

/// Shows the screen until somebody quits.
pub fn run(feed: Feed, interval: Duration, mut state: State) -> anyhow::Result<()> {
    let (events, received) = sync_channel(EVENTS_MAX);
    let (want, wants) = channel();
    // Before any thread is started: all of them inherit it, so that only the one that waits for signals gets them.
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().context("waiting for signals")?;
    let ends = events.clone();
    std::thread::spawn(move || {
        let _told = TellsItsEnd(ends);
        let _ = signals.wait();
    });
    let keys = events.clone();
    std::thread::spawn(move || read_keys(&TellsItsEnd(keys)));
    std::thread::spawn(move || ask(feed, interval, &TellsItsEnd(events), &wants));
    // Restores the terminal before a panic is told.
    let mut terminal = ratatui::try_init().context("this terminal cannot be drawn on; try --once")?;
    let shown = show(&mut terminal, &mut state, &received, &want);
    ratatui::restore();
    shown
}

/// However its thread ends, the screen learns of it.
struct TellsItsEnd(SyncSender<Event>);

impl Drop for TellsItsEnd {
    fn drop(&mut self) {
        // An error means that the screen is gone already.
        let _ = self.0.send(Event::End);
    }
}

fn show(
    terminal: &mut DefaultTerminal,
    state: &mut State,
    received: &Receiver<Event>,
    want: &Sender<Option<Target>>,
) -> anyhow::Result<()> {
    let mut wanted = None;
    while !state.over {
        terminal.draw(|frame| frame::draw(state, frame))?;
        let Ok(event) = received.recv() else { break };
        let mut next = state.clone().after(event);
        // What came meanwhile is drawn at once.
        for event in received.try_iter() {
            next = next.after(event);
        }
        *state = next;
        let wants = state.wants_sessions();
        if wants != wanted {
            wanted.clone_from(&wants);
            // The asking thread has ended only when the screen is about to.
            let _ = want.send(wants);
        }
    }
    Ok(())
}

/// Reads routers each interval, and sessions for as long as they are wanted.
fn ask(mut feed: Feed, interval: Duration, to: &TellsItsEnd, wants: &Receiver<Option<Target>>) {
    let mut wanted: Option<Target> = None;
    loop {
        let mut events = feed.round();
        events.extend(wanted.as_ref().map(|target| feed.sessions(target)));
        for event in events {
            if to.0.send(event).is_err() {
                return;
            }
        }
        // From the end of a round: a server that is slow is asked less often.
        let due = Instant::now() + interval;
        loop {
            match wants.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(target) => wanted = target,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let sessions = wanted.as_ref().map(|target| feed.sessions(target));
            if sessions.is_some_and(|event| to.0.send(event).is_err()) {
                return;
            }
        }
    }
}

fn read_keys(to: &TellsItsEnd) {
    // An error means that the terminal is gone.
    while let Ok(event) = event::read() {
        let event = match event {
            event::Event::Key(key) if key.kind != KeyEventKind::Release => pressed(key).map(Event::Key),
            event::Event::Resize(..) => Some(Event::Redraw),
            _ => None,
        };
        if event.is_some_and(|event| to.0.send(event).is_err()) {
            return;
        }
    }
}

fn pressed(key: KeyEvent) -> Option<Key> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c' | 'd') if control => Key::Interrupt,
        KeyCode::Char(letter) => Key::Char(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}
