// SPDX-License-Identifier: Apache-2.0
//! `outgate top` in a lab: snapshots for scripts, and the screen itself in a terminal.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outgate_testkit::{UdpEcho, UdpStream};
use serde_json::Value;
use support::{Lab, far, text, wait_until};

/// How long a busy machine may take to show something.
const LIMIT: Duration = Duration::from_secs(60);

/// What `outgate top ARGS -o json` prints, line by line.
fn lines(lab: &Lab, args: &[&str]) -> Vec<Value> {
    let mut words = vec!["top", "-o", "json"];
    words.extend(args);
    let output = lab.outgate(&words).output().expect("outgate runs");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{args:?}: {out}{err}");
    out.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn called<'a>(list: &'a Value, key: &str, name: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|object| object[key] == name)
}

#[test]
fn a_snapshot_shows_a_guests_sessions_and_what_it_sends_and_what_was_dropped() {
    let lab = Lab::up();
    let (guest, internet) = (lab.namespace("guest1"), lab.namespace("internet"));
    let echo = UdpEcho::start(&internet, far(7_009)).expect("an echo");
    let stream = UdpStream::start(&guest, echo.address, 200).expect("a stream");
    let network = text(&lab.network(), "name").to_owned();
    let mut seen = Value::Null;
    wait_until(LIMIT, "the stream's rate is shown", || {
        seen = lines(&lab, &[&network, "--once"]).remove(0);
        let guest = called(&seen["network"][0]["virtualmachine"], "name", "guest1");
        let rate = guest.and_then(|guest| guest["receivedpacketspersecond"].as_f64());
        rate.is_some_and(|rate| rate > 20.0)
    });
    let told = &seen["network"][0];
    assert_eq!(told["name"], network.as_str());
    let guest = called(&told["virtualmachine"], "name", "guest1").expect("the guest");
    assert!(
        guest["sessions"].as_u64() >= Some(1) && guest["portsused"].as_u64() >= Some(1),
        "{guest}"
    );
    let source_nat = lab.source_nat();
    let address = called(&told["address"], "ipaddress", text(&source_nat, "ipaddress")).expect("its address");
    assert!(address["sentbytespersecond"].as_f64() > Some(0.0), "{address}");
    assert_eq!(address["portlimit"], 64_512);
    assert_eq!(told["sessiontable"]["limit"].as_u64(), Some(262_144));

    // Nobody asked for these.
    let before = called(&told["drop"], "reason", "unsolicited").expect("the reason")["packets"].as_u64();
    let public = support::ip(&source_nat);
    internet
        .within(|| {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
            for _ in 0..5 {
                socket.send_to(b"x", (public, 4_444)).expect("sending");
            }
        })
        .expect("entering a namespace");
    wait_until(LIMIT, "what was dropped is told", || {
        let both = lines(&lab, &[&network, "--count", "2", "--interval", "0.5"]);
        assert_eq!(both.len(), 2);
        let drops = &both[1]["network"][0]["drop"];
        let now = called(drops, "reason", "unsolicited").expect("the reason")["packets"].as_u64();
        now >= before.map(|before| before + 5)
    });
    stream.stop();

    let unknown = lab
        .outgate(&["top", "nothing", "--once"])
        .output()
        .expect("outgate runs");
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(
        unknown.status.code() == Some(64) && told.contains(&network),
        "{told}"
    );
}

#[test]
fn the_screen_shows_the_network_and_gives_the_terminal_back_on_q() {
    let lab = Lab::up();
    let network = text(&lab.network(), "name").to_owned();
    let here = lab.outgate(&["top"]);
    let program = here.get_program().to_str().expect("its path").to_owned();
    let mut command = Command::new("script");
    let inner = format!("stty rows 24 cols 80; exec {program} top");
    command.args(["-q", "-e", "-c", &inner, "/dev/null"]);
    let variables = here.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(variables).env("TERM", "xterm").env("NO_COLOR", "");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of util-linux");
    let mut keys = child.stdin.take().expect("its keyboard");
    let mut screen = child.stdout.take().expect("its screen");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shown = Arc::clone(&seen);
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok(length @ 1..) = screen.read(&mut buffer) {
            shown
                .lock()
                .expect("the screen")
                .extend_from_slice(&buffer[..length]);
        }
    });
    let holds = |words: &str| {
        let seen = seen.lock().expect("the screen");
        String::from_utf8_lossy(&seen).contains(words)
    };
    wait_until(LIMIT, "the network is on the screen", || holds(&network));
    keys.write_all(b"2").expect("a key");
    wait_until(LIMIT, "its guests are", || holds("GUEST"));
    keys.write_all(b"q").expect("a key");
    let mut status = None;
    wait_until(LIMIT, "it ends", || {
        status = child.try_wait().expect("its state");
        status.is_some()
    });
    assert!(status.expect("its state").success());
    reader.join().expect("the reader");
    assert!(holds("\u{1b}[?1049h"), "it draws on a screen of its own");
    assert!(holds("\u{1b}[?1049l"), "and gives the other back");
}
