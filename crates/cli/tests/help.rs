// SPDX-License-Identifier: Apache-2.0
//! What the program says about itself, and how it refuses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Output};

fn outgate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outgate"))
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_command_teaches_with_examples() {
    let commands: [&[&str]; 19] = [
        &[],
        &["server"],
        &["lab"],
        &["lab", "up"],
        &["lab", "status"],
        &["lab", "down"],
        &["lab", "shell"],
        &["lab", "exec"],
        &["verify"],
        &["audit"],
        &["natlog"],
        &["natlog", "who"],
        &["doctor"],
        &["trace"],
        &["top"],
        &["man"],
        &["api"],
        &["openapi"],
        &["completions"],
    ];
    for command in commands {
        let done = outgate(&[command, &["--help"]].concat());
        let help = text(&done.stdout);
        assert!(done.status.success(), "{command:?}");
        assert!(
            help.contains("Examples:") && help.contains("Usage: outgate"),
            "{command:?}: {help}"
        );
    }
}

#[test]
fn processes_that_only_we_start_are_not_in_the_help() {
    let help = text(&outgate(&["--help"]).stdout) + &text(&outgate(&["lab", "--help"]).stdout);
    for hidden in ["router", "guest ", "init", "internet "] {
        let listed = help.lines().any(|line| line.starts_with(&format!("  {hidden}")));
        assert!(!listed, "{hidden} is listed:\n{help}");
    }
}

#[test]
fn wrong_usage_is_64_and_something_missing_is_69() {
    assert_eq!(outgate(&["nonsense"]).status.code(), Some(64));
    assert_eq!(
        outgate(&["lab", "up", "--instance", "../x"]).status.code(),
        Some(64)
    );
    assert_eq!(outgate(&["server"]).status.code(), Some(64));
    let folder = tempfile::tempdir().unwrap();
    let mut verify = Command::new(env!("CARGO_BIN_EXE_outgate"));
    let done = verify
        .arg("verify")
        .env("OUTGATE_LABS_DIR", folder.path())
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(69), "{}", text(&done.stderr));
}

#[test]
fn a_wrong_server_configuration_is_told_as_a_whole() {
    let done = outgate(&[
        "server",
        "--listen",
        "x",
        "--public-gateway",
        "y",
        "--public-range",
        "z",
    ]);
    let told = text(&done.stderr);
    assert_eq!(done.status.code(), Some(64));
    assert!(
        ["--listen", "--public-gateway", "--public-range"]
            .iter()
            .all(|f| told.contains(f)),
        "{told}"
    );
}

#[test]
fn colour_never_reaches_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let mut status = Command::new(env!("CARGO_BIN_EXE_outgate"));
    let done = status
        .args(["lab", "status", "--all"])
        .env("OUTGATE_LABS_DIR", folder.path())
        .output()
        .unwrap();
    assert!(!done.stdout.contains(&0x1b));
}

#[test]
fn completions_and_manual_pages_come_from_the_same_definition() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            text(&outgate(&["completions", shell]).stdout).contains("outgate"),
            "{shell}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(
        outgate(&["man", folder.path().to_str().unwrap()])
            .status
            .success()
    );
    assert!(folder.path().join("outgate-lab-up.1").exists() && folder.path().join("outgate-api.1").exists());
}
