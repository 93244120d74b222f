// SPDX-License-Identifier: Apache-2.0
//! A lab from its first second to its last, with everything that can happen in between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::process::Stdio;

use common::{Lab, eventually, kill, page, runs};

#[test]
fn a_lab_comes_up_proves_its_job_and_goes_without_a_trace() {
    let lab = Lab::new("whole");
    let up = lab.json(&["lab", "up", "-o", "json"]);
    let public = up["built"]["public"].as_str().unwrap();
    assert!(public.starts_with("203.0.113."), "{up}");
    assert_eq!(up["built"]["page"], format!("you came from {public}"));

    let status = lab.json(&["lab", "status", "-o", "json"]);
    assert_eq!(status["routers"][0]["state"], "Running");
    assert_eq!(status["guests"].as_array().unwrap().len(), 2);
    let table = lab.ok(&["lab", "status"]);
    assert!(table.contains("guest2") && table.contains(public), "{table}");

    let again = lab.ok(&["lab", "up"]);
    assert!(
        again.contains("is up") && again.contains("outgate verify"),
        "{again}"
    );

    let processes = lab.processes();
    assert!(processes.len() > 5, "{processes:?}");
    lab.leaves_nothing(&processes);
    assert!(
        lab.ok(&["lab", "down"]).contains("not there"),
        "a second time does no harm"
    );
    assert_eq!(lab.run(&["lab", "status"]).status.code(), Some(1));
}

#[test]
fn a_lab_with_a_fast_path_says_in_verify_that_it_is_on_and_why_it_is_not() {
    let lab = Lab::new("fast");
    let mut up = lab.command(&["lab", "up", "-o", "json"]);
    let up = up.env("OUTGATE_FASTPATH", "auto").output().unwrap();
    assert!(up.status.success(), "{}", lab.log());
    let up: serde_json::Value = serde_json::from_slice(&up.stdout).unwrap();
    let router = up["built"]["router"].as_str().unwrap();
    let seen = || {
        let report = lab.json(&["verify", router, "-o", "json"]);
        let checks = report.as_array().unwrap().iter();
        let mut fast = checks.filter(|check| check["title"] == "Fast path");
        fast.next()
            .map(|check| check["seen"].as_str().unwrap().to_owned())
    };
    // A connection long enough to be established, beside which the programs see ARP at least.
    lab.ok(&["lab", "exec", "guest1", "--", "ping", "-c", "3", "8.8.8.8"]);
    eventually("the fast path is on", || {
        seen().is_some_and(|seen| seen.starts_with("on at tcx: "))
    });

    // The same server, told to use XDP, which no veth bears: the kernel does all of it.
    let other = Lab::new("slow");
    let mut up = other.command(&["lab", "up", "-o", "json"]);
    let up = up
        .env("OUTGATE_FASTPATH", "auto")
        .env("OUTGATE_FASTPATH_HOOK", "xdp")
        .output()
        .unwrap();
    assert!(up.status.success(), "{}", other.log());
    let up: serde_json::Value = serde_json::from_slice(&up.stdout).unwrap();
    let router = up["built"]["router"].as_str().unwrap();
    let table = other.ok(&["verify", router]);
    assert!(
        table.contains("the kernel does all of it: XDP does not fit eth"),
        "{table}"
    );
}

#[test]
fn the_seven_steps_pass_and_a_command_reaches_each_place() {
    let lab = Lab::new("steps");
    let up = lab.json(&["lab", "up", "-o", "json"]);
    let router = up["built"]["router"].as_str().unwrap();
    let report = lab.json(&["verify", router, "-o", "json"]);
    let steps: Vec<u64> = report
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|c| c["step"].as_u64())
        .collect();
    assert!((1..=7).all(|step| steps.contains(&step)), "{report}");
    let table = lab.ok(&["verify", router]);
    assert!(table.contains("ip addr show eth2"), "{table}");

    let in_router = |argv: &[&str]| lab.ok(&[&["lab", "exec", router, "--"], argv].concat());
    assert!(in_router(&["ip", "addr", "show", "eth2"]).contains(up["built"]["public"].as_str().unwrap()));
    assert!(in_router(&["iptables", "-t", "nat", "-S", "POSTROUTING"]).contains("-o eth2"));
    assert_eq!(
        in_router(&["sysctl", "net.ipv4.ip_forward"]).trim(),
        "net.ipv4.ip_forward = 1"
    );
    assert!(
        lab.ok(&[
            "lab", "exec", "guest1", "--", "ping", "-c", "2", "-i", "0.2", "8.8.8.8"
        ])
        .contains(" 0% packet loss")
    );

    let control = up["built"]["control"].as_str().unwrap();
    let target = format!("root@{control}");
    let ssh = [
        "lab",
        "exec",
        "host",
        "--",
        "ssh",
        "-i",
        "/root/.ssh/id_rsa.cloud",
        "-p",
        "3922",
        &target,
        "hostname",
    ];
    assert_eq!(
        lab.ok(&ssh).trim(),
        router,
        "the reference text's command, as it stands there"
    );
    assert_eq!(
        lab.run(&["lab", "exec", "host", "--", "sh", "-c", "exit 7"])
            .status
            .code(),
        Some(7)
    );
    assert_eq!(
        lab.run(&["lab", "exec", "nobody", "--", "true"]).status.code(),
        Some(64)
    );
}

#[test]
fn nothing_in_a_lab_can_change_the_machines_files() {
    let lab = Lab::new("sealed");
    let up = lab.json(&["lab", "up", "-o", "json"]);
    let router = up["built"]["router"].as_str().unwrap();
    let mark = lab.folder().join("mark").display().to_string();
    for place in ["host", "internet", "guest1", router] {
        for path in ["/etc/outgate-mark", "/usr/outgate-mark", "/outgate-mark", &mark] {
            // It may be refused or land in a folder of the lab's own; the machine must not have it.
            let _ = lab.run(&["lab", "exec", place, "--", "sh", "-c", &format!("echo > {path}")]);
            assert!(!Path::new(path).exists(), "{place} wrote {path}");
        }
    }
    lab.leaves_nothing(&lab.processes());
}

#[test]
fn a_killed_supervisor_leaves_no_process_and_the_lab_comes_back_or_goes() {
    let lab = Lab::new("killed");
    let before = lab.json(&["lab", "up", "-o", "json"]);
    let processes = lab.processes();
    kill(lab.supervisor());
    eventually("every process of the lab has ended", || {
        !processes.iter().any(|pid| runs(*pid))
    });
    assert_eq!(lab.run(&["lab", "status"]).status.code(), Some(1));

    let after = lab.json(&["lab", "up", "-o", "json"]);
    assert_eq!(
        after["built"]["public"], before["built"]["public"],
        "the same cloud, from its store"
    );

    let processes = lab.processes();
    kill(lab.supervisor());
    lab.leaves_nothing(&processes);
}

#[test]
fn a_killed_server_comes_back_by_itself_while_guests_talk_on() {
    let lab = Lab::new("server");
    lab.ok(&["lab", "up"]);
    let router = lab.process(&["router", "serve"]).unwrap();
    for _ in 0..3 {
        let server = lab.process(&["server", "--listen"]).unwrap();
        kill(server);
        eventually("a guest still reaches the outside", || page_without_server(&lab));
        eventually("another server answers", || {
            lab.process(&["server", "--listen"])
                .is_some_and(|pid| pid != server)
                && lab.run(&["lab", "status"]).status.success()
        });
    }
    assert!(runs(router), "the router outlives the server");
    assert!(page(&lab).unwrap().starts_with("you came from 203.0.113."));
    lab.leaves_nothing(&lab.processes());
}

/// Enters the guest without asking the server where it is.
fn page_without_server(lab: &Lab) -> bool {
    let Some(guest) = lab.process(&["guest", "serve"]) else {
        return false;
    };
    let target = guest.to_string();
    let user: &[&str] = if nix::unistd::geteuid().is_root() {
        &[]
    } else {
        &["--user", "--preserve-credentials"]
    };
    let mut command = std::process::Command::new("nsenter");
    command.args(["--target", &target, "--net"]).args(user);
    command.args([
        "--",
        "timeout",
        "30",
        "busybox",
        "wget",
        "-q",
        "-O",
        "-",
        "http://198.51.100.10/",
    ]);
    command.stderr(Stdio::null()).output().unwrap().status.success()
}

#[test]
fn labs_started_at_the_same_moment_live_side_by_side() {
    let labs = [Lab::new("left"), Lab::new("right")];
    let ups: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = labs
            .iter()
            .map(|lab| scope.spawn(|| lab.json(&["lab", "up", "-o", "json"])))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_ne!(ups[0]["endpoint"], ups[1]["endpoint"]);
    labs[0].leaves_nothing(&labs[0].processes());
    assert!(page(&labs[1]).is_some(), "the other one lives on");
    labs[1].leaves_nothing(&labs[1].processes());
}

#[test]
fn a_half_made_lab_goes_too() {
    let lab = Lab::new("half");
    let mut up = lab
        .command(&["lab", "up"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the supervisor is there", || {
        lab.dir().join("supervisor.json").exists()
    });
    up.kill().unwrap();
    up.wait().unwrap();
    let processes = lab.processes();
    lab.leaves_nothing(&processes);

    std::fs::create_dir_all(lab.dir()).unwrap();
    std::fs::write(lab.dir().join("supervisor.json"), b"{\"supervisor\":").unwrap();
    lab.ok(&["lab", "down"]);
    assert!(!lab.dir().exists(), "a damaged record is no reason to keep a lab");
}

#[test]
fn a_lab_whose_folder_was_removed_by_hand_goes_too() {
    let lab = Lab::new("folderless");
    lab.ok(&["lab", "up", "--empty"]);
    let processes = lab.processes();
    std::fs::remove_dir_all(lab.dir()).unwrap();
    lab.leaves_nothing(&processes);
}

#[test]
fn a_lab_that_goes_while_it_is_built_ends_both_commands() {
    let lab = Lab::new("racing");
    let mut up = lab
        .command(&["lab", "up"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the supervisor is there", || {
        lab.dir().join("supervisor.json").exists()
    });
    lab.ok(&["lab", "down"]);
    assert!(!up.wait().unwrap().success(), "lab up says that its lab is gone");
    assert!(!lab.dir().exists());
}
