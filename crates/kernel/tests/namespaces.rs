// SPDX-License-Identifier: Apache-2.0
//! Programs in namespaces of their own. Needs to be root (of the machine or of a user namespace), since only root may
//! make namespaces.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

use std::path::Path;
use std::time::{Duration, Instant};

use outgate_kernel::namespace::{self, Enter, Spawned};
use outgate_kernel::process::Process;
use outgate_model::host::{Run, RunOutput};

fn sleeper(folder: &Path) -> Spawned {
    let argv = ["sleep", "1000"].map(str::to_owned);
    namespace::spawn(&argv, &[], &folder.join("log")).unwrap()
}

#[tokio::test]
async fn a_program_that_ends_at_once_leaves_no_zombie() {
    let folder = tempfile::tempdir().unwrap();
    let argv = ["true"].map(str::to_owned);
    for _ in 0..50 {
        if let Ok(spawned) = namespace::spawn(&argv, &[], &folder.path().join("log")) {
            spawned.process.ended().await.unwrap();
        }
    }
    let own = std::process::id().to_string();
    let children = std::process::Command::new("ps")
        .args(["--ppid", &own, "-o", "stat,comm"])
        .output()
        .unwrap();
    let children = String::from_utf8(children.stdout).unwrap();
    assert!(!children.contains("true"), "{children}");
}

async fn run(inside: &Process, argv: &[&str]) -> RunOutput {
    let argv = argv.iter().map(|a| (*a).to_owned()).collect();
    namespace::run(
        inside,
        Enter::All,
        &Run {
            argv,
            timeout_millis: 5_000,
        },
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn a_spawned_program_is_process_1_of_its_own_namespaces() {
    let folder = tempfile::tempdir().unwrap();
    let spawned = sleeper(folder.path());
    let inside = &spawned.process;
    let mounted = run(inside, &["mount", "-t", "proc", "proc", "/proc"]).await;
    assert_eq!(mounted.code, Some(0), "{mounted:?}");
    assert_eq!(run(inside, &["cat", "/proc/1/comm"]).await.stdout, "sleep\n");
    // sid 1 and pgrp 1: a session of its own.
    assert!(
        run(inside, &["cat", "/proc/1/stat"])
            .await
            .stdout
            .starts_with("1 (sleep) S 0 1 1 ")
    );
    assert_eq!(
        run(inside, &["ls", "/proc/sys/net/ipv4/conf"]).await.stdout,
        "all\ndefault\nlo\n"
    );
    for kind in ["pid", "mnt", "uts", "ipc", "net"] {
        let link = format!("/proc/self/ns/{kind}");
        let theirs = run(inside, &["readlink", &link]).await.stdout;
        assert_ne!(
            theirs.trim(),
            std::fs::read_link(link).unwrap().to_str().unwrap(),
            "{kind}"
        );
    }
    assert!(!std::fs::read_to_string("/proc/self/mounts").unwrap().is_empty());
    let process = std::fs::read_to_string("/proc/self/stat").unwrap();
    assert!(!process.is_empty(), "this namespace's /proc is untouched");
    inside.kill().await.unwrap();
}

#[tokio::test]
async fn killing_process_1_ends_every_program_inside() {
    let folder = tempfile::tempdir().unwrap();
    let spawned = sleeper(folder.path());
    let argv = ["sleep", "1000"].map(str::to_owned).to_vec();
    let running = Run {
        argv,
        timeout_millis: 60_000,
    };
    let started = Instant::now();
    let (output, killed) = tokio::join!(
        namespace::run(&spawned.process, Enter::All, &running),
        spawned.process.kill()
    );
    killed.unwrap();
    assert_eq!(output.unwrap().code, None);
    assert!(started.elapsed() < Duration::from_secs(50));
    assert!(Process::open(spawned.process.identity()).unwrap().is_none());
}

#[tokio::test]
async fn the_environment_is_minimal_and_nothing_is_inherited() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let argv = ["sh", "-c", "env; ls /proc/self/fd | wc -l; exec sleep 1000"].map(str::to_owned);
    let spawned = namespace::spawn(&argv, &[("OUTGATE_TEST", "1")], &log).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let printed = loop {
        let printed = std::fs::read_to_string(&log).unwrap();
        if printed
            .lines()
            .last()
            .is_some_and(|line| line.trim().parse::<u32>().is_ok())
        {
            break printed;
        }
        assert!(Instant::now() < deadline, "{printed}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    spawned.process.kill().await.unwrap();
    let mut names: Vec<&str> = printed
        .lines()
        .filter_map(|l| l.split_once('=').map(|(n, _)| n))
        .collect();
    names.sort_unstable();
    // PWD is sh's own.
    assert_eq!(names, ["HOME", "LANG", "OUTGATE_TEST", "PATH", "PWD", "TERM"]);
    // 0, 1, 2 and the folder that ls reads.
    assert_eq!(printed.lines().last().unwrap().trim(), "4");
}

#[tokio::test]
async fn what_a_program_leaves_running_does_not_make_it_late_and_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let spawned = sleeper(folder.path());
    let started = Instant::now();
    let output = run(&spawned.process, &["sh", "-c", "sleep 77 & echo done"]).await;
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "done\n"));
    assert!(started.elapsed() < Duration::from_secs(50));
    let left = run(&spawned.process, &["pgrep", "-fx", "sleep 77"]).await;
    assert_eq!(left.stdout, "");
}

#[tokio::test]
async fn a_program_over_its_time_limit_is_ended_and_its_output_kept() {
    let folder = tempfile::tempdir().unwrap();
    let spawned = sleeper(folder.path());
    let argv = ["sh", "-c", "echo started; sleep 1000"]
        .map(str::to_owned)
        .to_vec();
    let output = namespace::run(
        &spawned.process,
        Enter::All,
        &Run {
            argv,
            timeout_millis: 300,
        },
    )
    .await
    .unwrap();
    assert_eq!((output.code, output.stdout.as_str()), (None, "started\n"));
    spawned.process.kill().await.unwrap();
}

#[tokio::test]
async fn output_beyond_the_bound_is_dropped_without_blocking_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let spawned = sleeper(folder.path());
    let output = run(&spawned.process, &["head", "-c", "3000000", "/dev/zero"]).await;
    assert_eq!((output.code, output.stdout.len()), (Some(0), 1 << 20));
    spawned.process.kill().await.unwrap();
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named_by_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let argv = ["/no/such/program".to_owned()];
    let error = namespace::spawn(&argv, &[], &folder.path().join("log")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "starting /no/such/program failed: No such file or directory (os error 2)"
    );
    assert!(namespace::spawn(&[], &[], &folder.path().join("log")).is_err());
}
