// SPDX-License-Identifier: Apache-2.0
//! A lab for a test: a whole cloud of its own, driven as a user would, and gone when the test ends.
#![allow(dead_code, reason = "each test file uses its own part")]

#[path = "../common/mod.rs"]
mod common;
pub mod vpc;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use outgate_cli::client::{Client, Credentials};
use serde_json::Value;

use outgate_testkit::{Namespace, Stopwatch, TcpProbe};

/// The far side's address in every lab.
pub const INTERNET: &str = "198.51.100.10";

/// How long what will come is waited for, on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long an answer that must not come is waited for.
const SHORT: Duration = Duration::from_secs(2);

/// How soon drift must be repaired.
pub const REPAIR: Duration = Duration::from_secs(5);

/// A lab that ends with the test.
pub struct Lab {
    /// A client with its credentials.
    pub client: Client,
    lab: common::Lab,
}

impl Lab {
    /// Builds a lab: one network, two guests, egress allowed.
    pub fn up() -> Self {
        Self::started_by(&[])
    }

    /// The same, started by `prefix` in front of the program: `env NAME=value`.
    pub fn started_by(prefix: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut lab = common::Lab::new(&format!("t{}-{number}", std::process::id()));
        lab.prefix = prefix.iter().map(|word| (*word).to_owned()).collect();
        lab.ok(&["lab", "up"]);
        let credentials = Credentials::read(&lab.dir().join("cloudstack.ini")).expect("credentials");
        Self {
            client: Client::new(credentials),
            lab,
        }
    }

    /// Where the lab keeps its files.
    pub fn directory(&self) -> std::path::PathBuf {
        self.lab.dir()
    }

    /// `outgate ARGS` for this lab, not yet started.
    pub fn outgate(&self, args: &[&str]) -> Command {
        self.lab.command(args)
    }

    /// Runs a program in a place of the lab (`host`, `internet`, a guest's or router's name) and returns what it did.
    pub fn try_exec(&self, place: &str, argv: &[&str]) -> Output {
        self.outgate(&["lab", "exec", place, "--"])
            .args(argv)
            .output()
            .expect("outgate runs")
    }

    /// Runs a program in a place of the lab; it must succeed. Returns its standard output.
    pub fn exec(&self, place: &str, argv: &[&str]) -> String {
        let output = self.try_exec(place, argv);
        assert!(
            output.status.success(),
            "{place}: {argv:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The network namespace of a place, to send and receive packets in.
    pub fn namespace(&self, place: &str) -> Namespace {
        Namespace::of_link(&self.exec(place, &["readlink", "/proc/self/ns/net"])).expect("its namespace")
    }

    /// Kills the process that is the router or guest with this id.
    pub fn kill(&self, id: &str) {
        common::kill(self.lab.process(&["--id", id]).expect("its process"));
    }

    /// Types a command into a router's shell as the reference text does: ssh to port 3922 from the host.
    pub fn ssh(&self, router: &Value, command: &str) -> Output {
        let target = format!("root@{}", text(router, "linklocalip"));
        let options = [
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "-o",
            "BatchMode=yes",
        ];
        let mut argv = vec!["ssh", "-i", "/root/.ssh/id_rsa.cloud", "-p", "3922"];
        argv.extend(options);
        argv.extend([target.as_str(), command]);
        self.try_exec("host", &argv)
    }

    /// Calls a command that must succeed.
    pub fn call(&self, command: &str, params: &[(&str, &str)]) -> Value {
        self.client
            .call(command, params)
            .unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Calls an asynchronous command whose job must succeed.
    pub fn job(&self, command: &str, params: &[(&str, &str)]) -> Value {
        self.client
            .job(command, params)
            .unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// What a list command finds.
    pub fn list(&self, command: &str, params: &[(&str, &str)]) -> Vec<Value> {
        self.client
            .list(command, params)
            .unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The lab's first network.
    pub fn network(&self) -> Value {
        self.one("listNetworks", &[("listall", "true")])
    }

    /// The router of the first network.
    pub fn router(&self) -> Value {
        self.one("listRouters", &[("listall", "true")])
    }

    /// The guest with this name.
    pub fn guest(&self, name: &str) -> Value {
        self.one("listVirtualMachines", &[("name", name), ("listall", "true")])
    }

    /// The network's source NAT address.
    pub fn source_nat(&self) -> Value {
        self.one(
            "listPublicIpAddresses",
            &[("issourcenat", "true"), ("listall", "true")],
        )
    }

    /// The first object of a list that must not be empty.
    pub fn one(&self, command: &str, params: &[(&str, &str)]) -> Value {
        self.list(command, params)
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("{command} {params:?} finds nothing"))
    }

    /// Acquires another public address for the first network.
    pub fn acquire(&self) -> Value {
        self.job(
            "associateIpAddress",
            &[("networkid", text(&self.network(), "id"))],
        )["ipaddress"]
            .clone()
    }

    /// Every event's type and description, newest first.
    pub fn events(&self) -> Vec<(String, String)> {
        let events = self.list(
            "listEvents",
            &[("listall", "true"), ("pagesize", "500"), ("page", "1")],
        );
        events
            .iter()
            .map(|e| (text(e, "type").to_owned(), text(e, "description").to_owned()))
            .collect()
    }

    /// Waits until an event of this type whose description holds `words` is listed.
    pub fn wait_for_event(&self, kind: &str, words: &str) {
        wait_until(PATIENCE, &format!("a {kind} event that says {words:?}"), || {
            self.events()
                .iter()
                .any(|(k, description)| k == kind && description.contains(words))
        });
    }
}

#[allow(
    clippy::print_stderr,
    reason = "what a failed test leaves behind is told where it failed"
)]
impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Read before `down` removes it.
            eprintln!("--- the end of lab.log\n{}", self.lab.log());
            drop(self.lab.run(&["lab", "down"]));
        } else {
            self.lab.ok(&["lab", "down"]);
        }
    }
}

/// A field that must be text.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text field {field} in {object}"))
}

/// A port of the far side.
pub fn far(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(INTERNET.parse().expect("an address"), port)
}

/// A port of any address of a namespace.
pub fn any(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)
}

/// The `ipaddress` of a public address or a NIC.
pub fn ip(object: &Value) -> Ipv4Addr {
    text(object, "ipaddress").parse().expect("an address")
}

/// A new session to an echo, which must answer once.
pub fn session(from: &Namespace, to: SocketAddrV4) -> anyhow::Result<TcpProbe> {
    let mut probe = TcpProbe::connect(from, to, PATIENCE)?;
    probe.echo(b"hello")?;
    Ok(probe)
}

/// Whether no session to an echo can be had.
pub fn is_closed(from: &Namespace, to: SocketAddrV4) -> bool {
    TcpProbe::connect(from, to, SHORT).map_or(true, |mut probe| probe.is_dead())
}

/// Whether a session still answers.
pub fn lives(session: &mut TcpProbe) -> bool {
    session.echo(b"still there?").is_ok()
}

/// Asks again and again until the answer is yes; fails with `what` after `within`. Returns how long it took.
pub fn wait_until(within: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    let yes = outgate_testkit::wait_until(within, what, || condition().then_some(()));
    yes.unwrap_or_else(|error| panic!("{error}"));
    start.elapsed()
}

/// The same, which is promised to be so within this on a machine that promises are made for; a slower one, or one that does
/// much else, has as much longer as it needs for everything. Returns how long it took there.
pub fn promised(promise: Duration, what: &str, condition: impl FnMut() -> bool) -> Duration {
    let watch = Stopwatch::start();
    wait_until(PATIENCE, what, condition);
    let (elapsed, fair) = (watch.elapsed(), watch.fair());
    assert!(
        fair <= promise,
        "{what}: {fair:?} of {promise:?}, by the clock {elapsed:?}"
    );
    fair
}
