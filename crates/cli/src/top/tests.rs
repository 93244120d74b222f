// SPDX-License-Identifier: Apache-2.0
//! The screen as a whole: what keys do, and frames as files of `tests/golden/top`. `UPDATE_GOLDEN=1` writes these and the
//! picture in docs/top.md anew.

use std::path::{Path, PathBuf};

use outgate_manager::insight::ports_remedy;
use outgate_model::stats::{AddressUse, DestinationUse, ProtocolUse};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::frame;
use super::reading::{Reading, Target};
use super::state::{Event, Key, SessionRow, State, View};

fn target(name: &str) -> Target {
    Target {
        name: name.to_owned(),
        param: "networkid",
        id: format!("id of {name}"),
    }
}

/// What the server says of so many ports in use.
fn remedy(ports: u32) -> String {
    let server = DestinationUse {
        address: [198, 51, 100, 1].into(),
        port: 443,
        ports,
    };
    let tcp = ProtocolUse {
        protocol: 6,
        sessions: ports,
        ports,
        busiest: vec![server],
    };
    let used = AddressUse {
        address: [203, 0, 113, 10].into(),
        sessions: ports,
        protocols: vec![tcp],
        guests: Vec::new(),
    };
    ports_remedy(&used, 1).expect("something is in use")
}

/// What a server answers for a network whose counters stand at `round`.
fn usage(round: u64, ports: u32, dropped: u64) -> Value {
    let guest = |name: &str, address: &str, sessions: u32, bytes: u64| {
        json!({
            "name": name, "ipaddress": address, "sessions": sessions, "portsused": sessions,
            "receivedbytes": bytes * round, "sentbytes": 100 * round,
            "receivedpackets": bytes / 1_000 * round, "sentpackets": round,
        })
    };
    json!({
        "ipaddress": "203.0.113.10", "routerid": "r", "sessions": ports + 20, "portlimit": 64_512,
        "portsused": ports, "exhaustedin": 7_300, "readat": 1_000 * round, "epoch": 1,
        "remedy": (ports > 50_000).then(|| remedy(ports)),
        "receivedbytes": 12_500_000 * round, "sentbytes": 1_250_000 * round,
        "receivedpackets": 10_000 * round, "sentpackets": 4_200 * round,
        "protocol": [
            {"protocol": "tcp", "sessions": ports, "portsused": ports, "destination": [
                {"ipaddress": "198.51.100.1", "port": 443, "portsused": ports},
                {"ipaddress": "198.51.100.2", "port": 80, "portsused": 12},
            ]},
            {"protocol": "udp", "sessions": 20, "portsused": 18, "destination": [
                {"ipaddress": "198.51.100.53", "port": 53, "portsused": 18},
            ]},
        ],
        "virtualmachine": [
            guest("web1", "10.1.1.11", ports - 40, 9_000_000),
            guest("web2", "10.1.1.12", 40, 3_000_000),
            guest("db1", "10.1.1.13", 20, 0),
        ],
        "refused": [
            {"reason": "router.guest.sessions.rate", "ipaddress": "10.1.1.11", "id": "w", "name": "web1", "packets": dropped * round},
            {"reason": "router.public.ping.rate", "ipaddress": "203.0.113.10", "packets": 9 * round},
        ],
        "drop": [
            {"reason": "unsolicited", "packets": dropped * round, "bytes": 0},
            {"reason": "egress", "packets": 5, "bytes": 300},
            {"reason": "spoofed", "packets": 0, "bytes": 0},
        ],
        "sessiontable": {"used": ports + 25, "limit": 262_144, "dropped": 0, "insertfailed": 0, "earlydropped": 0},
        "fastpath": {"mode": "auto", "running": true, "hits": 13_000 * round, "misses": 1_200 * round},
    })
}

fn read(round: u64) -> Event {
    let targets = ["lab-net", "shop", "vpc1"].map(target);
    let [lab, shop, vpc] = &targets;
    Event::Read {
        at: format!("12:34:{:02}", 55 + round),
        targets: targets.to_vec(),
        readings: vec![
            Reading::of(lab, &[usage(round, 12_345, 37)]),
            Reading::of(shop, &[usage(round, 59_000, 0)]),
            Reading::silent(vpc, "router r-9-VM does not answer"),
        ],
    }
}

fn state() -> State {
    let state = State::new("1 s".to_owned(), true);
    let alert = format!("router r-4-VM: {}", remedy(59_000));
    state
        .after(read(1))
        .after(read(2))
        .after(Event::Alerts(vec![("12:33:10".to_owned(), alert)]))
}

fn press(state: State, keys: &str) -> State {
    let key = |letter| match letter {
        '\n' => Key::Enter,
        '\u{1b}' => Key::Escape,
        letter => Key::Char(letter),
    };
    keys.chars()
        .fold(state, |state, letter| state.after(Event::Key(key(letter))))
}

fn drawn(state: &State, wide: u16, high: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(wide, high)).expect("a terminal in memory");
    terminal.draw(|frame| frame::draw(state, frame)).expect("a frame");
    let buffer = terminal.backend().buffer();
    let line = |y| {
        let cells = (0..wide).filter_map(|x| buffer.cell((x, y)));
        let text: String = cells.map(|cell| cell.symbol()).collect();
        text.trim_end().to_owned() + "\n"
    };
    (0..high).map(line).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn same_as_file(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        std::fs::write(path, text).expect("writing");
    }
    let file = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        file == text,
        "{} differs (UPDATE_GOLDEN=1 writes it anew):\n{text}",
        path.display()
    );
}

fn golden(name: &str, state: &State, wide: u16, high: u16) {
    let path = root().join(format!("crates/cli/tests/golden/top/{name}.txt"));
    same_as_file(&path, &drawn(state, wide, high));
}

#[test]
fn each_view_looks_as_its_golden_frame() {
    let state = state();
    golden("overview", &state, 80, 24);
    golden("overview_wide", &state, 132, 30);
    golden("overview_inside", &press(state.clone(), "j\n"), 80, 24);
    golden("guests", &press(state.clone(), "2"), 80, 24);
    golden("addresses", &press(state.clone(), "3"), 100, 24);
    golden("drops", &press(state.clone(), "4"), 80, 24);
    golden("help", &press(state, "?"), 80, 24);
    golden("empty", &State::new("1 s".to_owned(), false), 80, 24);
}

#[test]
fn sessions_are_those_of_the_one_that_was_selected() {
    let state = press(state(), "5");
    let wanted = state.wants_sessions().expect("whose sessions");
    assert_eq!((wanted.name.as_str(), state.view), ("shop", View::Sessions));
    let row = SessionRow {
        words: [
            "tcp",
            "10.1.1.11:40000",
            "203.0.113.10:40000",
            "198.51.100.1:443",
            "ESTABLISHED",
        ]
        .map(str::to_owned),
        numbers: [Some(75), Some(1_234_567), Some(4_200)],
    };
    let of = |id: &str| Event::Sessions {
        of: id.to_owned(),
        total: 59_020,
        rows: vec![row.clone()],
    };
    let others = state.clone().after(of("another"));
    assert!(others.grid().rows.is_empty(), "sessions of another are not shown");
    golden("sessions", &state.after(of(&wanted.id)), 100, 24);
}

#[test]
fn the_picture_in_the_docs_is_the_overview() {
    let path = root().join("docs/top.md");
    let text = std::fs::read_to_string(&path).expect("docs/top.md");
    let (head, rest) = text.split_once("```text\n").expect("a picture");
    let (_, tail) = rest.split_once("```\n").expect("its end");
    let picture = drawn(&state(), 92, 22);
    same_as_file(&path, &format!("{head}```text\n{picture}```\n{tail}"));
}

#[test]
fn no_terminal_is_too_small_to_draw_on() {
    for (wide, high) in [(1, 1), (10, 3), (40, 10), (79, 23)] {
        for keys in ["", "2", "3", "4", "5", "?", "/x"] {
            drawn(&press(state(), keys), wide, high);
        }
    }
}

#[test]
fn without_colours_nothing_is_coloured_and_trouble_is_bold() {
    let mut state = state();
    state.colour = false;
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal in memory");
    terminal
        .draw(|frame| frame::draw(&state, frame))
        .expect("a frame");
    let plain = ratatui::style::Color::Reset;
    let cells = &terminal.backend().buffer().content;
    assert!(cells.iter().all(|cell| cell.fg == plain && cell.bg == plain));
    let bold = |cell: &ratatui::buffer::Cell| cell.modifier.contains(ratatui::style::Modifier::BOLD);
    assert!(cells.iter().any(bold));
}

#[test]
fn a_lost_connection_is_told_with_its_first_moment_and_goes_when_the_server_is_back() {
    let lost = |at: &str| Event::Lost {
        at: at.to_owned(),
        reason: "connection refused".to_owned(),
    };
    let state = state().after(lost("12:35:00")).after(lost("12:35:01"));
    let told = drawn(&state, 80, 24);
    assert!(
        told.contains("no answer since 12:35:00") && told.contains("connection refused"),
        "{told}"
    );
    assert!(told.contains("lab-net"), "what was known is still shown");
    assert!(!drawn(&state.after(read(3)), 80, 24).contains("no answer"));
}

#[test]
fn keys_sort_filter_go_in_and_out_and_quit() {
    let name = |state: &State| {
        let grid = state.grid();
        grid.rows
            .iter()
            .map(|row| row.cells[0].text.clone())
            .collect::<Vec<_>>()
    };
    let state = state();
    assert_eq!(
        name(&state),
        ["shop", "lab-net", "vpc1"],
        "the most sessions first"
    );
    let mut by_name = state.clone();
    for _ in 0..by_name.grid().titles.len() - 1 {
        by_name = press(by_name, "s");
    }
    assert_eq!(name(&by_name), ["lab-net", "shop", "vpc1"]);
    let filtered = press(state.clone(), "/LAB\n");
    assert_eq!(
        (name(&filtered), filtered.typing),
        (vec!["lab-net".to_owned()], false)
    );
    assert!(
        !press(filtered.clone(), "/q").over,
        "q is a letter while one types"
    );
    assert_eq!(name(&press(filtered, "\u{1b}")).len(), 3);
    let inside = press(state.clone(), "jjjjk\n");
    assert_eq!(inside.inside.as_deref(), Some("id of lab-net"));
    assert_eq!(name(&press(inside.clone(), "2")), ["web1", "web2", "db1"]);
    assert_eq!(press(inside, "\u{1b}").inside, None);
    assert!(press(state.clone(), "q").over);
    assert!(state.after(Event::Key(Key::Interrupt)).over);
}

#[test]
fn a_router_that_does_not_say_when_it_was_read_is_shown_without_rates() {
    let read = |sessions: u64| Event::Read {
        at: String::new(),
        targets: vec![target("old")],
        readings: vec![Reading::of(&target("old"), &[json!({"sessions": sessions})])],
    };
    let state = State::new(String::new(), true).after(read(3)).after(read(4));
    let old = &state.watched[&target("old")];
    assert_eq!((old.now.sessions(), &old.rates), (4, &None));
}

#[test]
fn a_reading_that_the_server_shared_again_keeps_the_rates() {
    let once = state();
    let again = once.clone().after(read(2));
    assert_eq!(once.watched, again.watched);
    let lab = &again.watched[&target("lab-net")];
    let rates = lab.rates.as_ref().expect("rates");
    assert_eq!(rates.total().bytes_in, Some(12_500_000.0));
    assert_eq!(rates.guests["10.1.1.12"].bytes_in, Some(3_000_000.0));
    assert_eq!(
        (rates.drops["unsolicited"], rates.drops["egress"]),
        (Some(37.0), Some(0.0))
    );
    let restarted = Reading {
        epoch: Some(2),
        millis: 9_000,
        ..lab.now.clone()
    };
    let event = Event::Read {
        at: String::new(),
        targets: vec![target("lab-net")],
        readings: vec![restarted],
    };
    let after = again.after(event);
    assert_eq!(
        (after.watched.len(), &after.watched[&target("lab-net")].rates),
        (1, &None)
    );
}
