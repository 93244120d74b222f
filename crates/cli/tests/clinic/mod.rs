// SPDX-License-Identifier: Apache-2.0
//! The fault clinic's instruments: a fault is done to a lab, `outgate doctor` must name it first and in time, and it is
//! mended, by `--fix` where Outgate can, else by taking it back.

pub mod capacity;
pub mod guest;
pub mod host;
pub mod outside;
pub mod pair;
pub mod router;
pub mod store;
pub mod vpc;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use outgate_testkit::Stopwatch;
use serde_json::Value;

use crate::support::{Lab, text, wait_until};

/// The doctor answers within this.
const LIMIT: Duration = Duration::from_secs(10);
/// How soon everything must work again after a fault was taken back.
const RECOVERY: Duration = Duration::from_secs(60);

/// Something to do: where (`router`, `guest1`, `host`, `gateway`, `internet`, or `api` for a command of the API, `job` for
/// one that is waited for), and what, as words. `event` waits for events (type, how many, a word of theirs); `kill` ends the router or guest with an id; `unassign` takes the source NAT
/// address from the network in the server's store; `rise` has a number on the host
/// grow (see [`Clinic::rise`]) and `fall` takes that back.
pub type Act = (&'static str, &'static str);

/// How a fault is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// By `outgate doctor --fix`.
    Fix,
    /// By the router's engine, once it goes on.
    Engine,
    /// By hand, since it lies where Outgate has no business.
    ByHand,
}

/// A fault.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// What it is, for the table.
    pub name: &'static str,
    /// Whether the router's engine is stopped first, since it would mend it before anybody looks.
    pub frozen: bool,
    /// Arguments of the doctor.
    pub ask: &'static [&'static str],
    /// How it is done.
    pub inject: &'static [Act],
    /// How it is taken back.
    pub undo: &'static [Act],
    /// The cause that must be named first.
    pub cause: &'static str,
    /// Words that its evidence must hold.
    pub says: &'static str,
    /// How it is mended.
    pub cure: Cure,
}

impl Fault {
    /// A fault outside the router.
    pub const fn outside(
        name: &'static str,
        inject: &'static [Act],
        cause: &'static str,
        says: &'static str,
    ) -> Self {
        Self {
            name,
            frozen: false,
            ask: &["lab-net"],
            inject,
            undo: &[],
            cause,
            says,
            cure: Cure::ByHand,
        }
    }

    /// A fault in the router, with its engine stopped.
    pub const fn frozen(
        name: &'static str,
        inject: &'static [Act],
        cause: &'static str,
        says: &'static str,
    ) -> Self {
        Self {
            frozen: true,
            cure: Cure::Engine,
            ..Self::outside(name, inject, cause, says)
        }
    }

    /// The same, taken back by these.
    pub const fn undo(mut self, undo: &'static [Act]) -> Self {
        self.undo = undo;
        self
    }

    /// The same, and `--fix` mends it.
    pub const fn fixed(mut self) -> Self {
        self.cure = Cure::Fix;
        self
    }

    /// The same, with these arguments of the doctor.
    pub const fn ask(mut self, ask: &'static [&'static str]) -> Self {
        self.ask = ask;
        self
    }
}

/// A lab under examination.
pub struct Clinic {
    /// The lab.
    pub lab: Lab,
    rows: Vec<String>,
}

impl Clinic {
    /// A healthy one.
    pub fn open() -> Self {
        Self {
            lab: Lab::up(),
            rows: Vec::new(),
        }
    }

    /// The doctor's answer and how long it took from the command line, on a machine that promises are made for.
    pub fn doctor(&self, args: &[&str]) -> (Value, Duration) {
        let watch = Stopwatch::start();
        let output = self
            .lab
            .outgate(&["doctor", "-o", "json"])
            .args(args)
            .output()
            .expect("outgate runs");
        let took = watch.fair();
        let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
        });
        let healthy = diagnosis["healthy"] == true;
        assert_eq!(output.status.code(), Some(i32::from(!healthy)), "{diagnosis:#}");
        (diagnosis, took)
    }

    /// What the doctor prints for people.
    pub fn printed(&self) -> String {
        let mut doctor = self.lab.outgate(&["doctor", "lab-net"]);
        let output = doctor.output().expect("outgate runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The doctor finds nothing.
    pub fn is_healthy(&self) -> Duration {
        let (diagnosis, took) = self.doctor(&["lab-net"]);
        assert_eq!(diagnosis["healthy"], true, "{diagnosis:#}");
        assert!(took < LIMIT, "{took:?}");
        took
    }

    /// Each fault is named first and in time, and mended. What went wrong is told of all of them at the end.
    pub fn examine(&mut self, faults: &[Fault]) {
        let mut failures = Vec::new();
        for fault in faults {
            if let Err(failure) = self.one(fault) {
                println!("{failure}");
                failures.push(failure);
                // The next fault deserves a sound lab.
                self.thaw();
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    fn one(&mut self, fault: &Fault) -> Result<(), String> {
        if fault.frozen {
            self.freeze();
        }
        self.acts(fault.inject);
        let (diagnosis, took) = self.doctor(fault.ask);
        let judged = self.judge(fault, &diagnosis, took);
        let mended = match fault.cure {
            Cure::Fix if judged.is_ok() => self.fix(fault),
            Cure::Fix | Cure::Engine | Cure::ByHand => self.take_back(fault),
        };
        judged.and(mended)?;
        println!("{}: {} after {took:?}", fault.name, fault.cause);
        self.row(fault, &diagnosis, took);
        Ok(())
    }

    fn row(&mut self, fault: &Fault, diagnosis: &Value, took: Duration) {
        let cure = match fault.cure {
            Cure::Fix => "`--fix`",
            Cure::Engine => "by the engine",
            Cure::ByHand => "by hand",
        };
        let verdict = text(&diagnosis["finding"][0], "title");
        self.rows.push(format!(
            "| {} | `{}` | {verdict} | {cure} | {:.1} s |",
            fault.name,
            fault.cause,
            took.as_secs_f64()
        ));
    }

    fn fix(&self, fault: &Fault) -> Result<(), String> {
        let mut args = fault.ask.to_vec();
        args.push("--fix");
        let (diagnosis, _) = self.doctor(&args);
        if diagnosis["healthy"] == true {
            self.works(fault.name);
            return Ok(());
        }
        Err(format!("{}: --fix did not mend it: {diagnosis:#}", fault.name))
    }

    fn take_back(&self, fault: &Fault) -> Result<(), String> {
        self.acts(fault.undo);
        if fault.frozen {
            self.thaw();
        }
        self.works(fault.name);
        Ok(())
    }

    /// Waits until guests reach the outside.
    fn works(&self, after: &str) {
        let ping = ["ping", "-c", "1", "-W", "1", "198.51.100.53"];
        wait_until(RECOVERY, &format!("everything works after {after:?}"), || {
            ["guest1", "guest2"]
                .iter()
                .all(|guest| self.lab.try_exec(guest, &ping).status.success())
                && self.is_as_planned()
        });
    }

    /// Does things, each of which must succeed.
    pub fn acts(&self, acts: &[Act]) {
        for (place, words) in acts {
            let words = self.words(words);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            match *place {
                "api" => {
                    let params: Vec<(&str, &str)> =
                        words[1..].iter().filter_map(|w| w.split_once('=')).collect();
                    self.lab.call(words[0], &params);
                }
                "job" => {
                    let params: Vec<(&str, &str)> =
                        words[1..].iter().filter_map(|w| w.split_once('=')).collect();
                    self.lab.job(words[0], &params);
                }
                "event" => self.comes(words[0], words[1], words[2]),
                "unassign" => self.unassign_source_nat(),
                "kill" => self.lab.kill(words[0]),
                "rise" => self.rise(words[0], words[1], words[2]),
                "fall" => self.fall(words[0]),
                "router" => {
                    self.lab.exec(text(&self.lab.router(), "name"), &words);
                }
                place => {
                    self.lab.exec(place, &words);
                }
            }
        }
    }

    /// Waits until so many events of this type that hold this word are listed.
    fn comes(&self, kind: &str, count: &str, word: &str) {
        let count: usize = count.parse().expect("a number");
        wait_until(RECOVERY, &format!("{count} {kind} events about {word}"), || {
            let events = self.lab.events();
            let like = |event: &&(String, String)| event.0 == kind && event.1.contains(word);
            events.iter().filter(like).count() >= count
        });
    }

    /// Has a file of the host hold numbers that grow by `step` five times a second, in the words of `format` for two numbers, where `_` is
    /// a blank. It is written in place, so that no reader finds it empty.
    fn rise(&self, path: &str, step: &str, format: &str) {
        const SCRIPT: &str = "p=$1; file=/tmp/rise${p//\\//-}; n=1000; printf \"$3\" $n $n >$file; touch $p 2>/dev/null\n\
            mount --bind $file $p || exit 1\n\
            while sleep 0.2; do n=$((n + $2)); printf \"$3\" $n $n 1<>$file; done >/dev/null 2>&1 </dev/null &\n\
            echo $! >$file.pid";
        let format = format.replace('_', " ");
        self.lab.exec(
            "host",
            &["setsid", "bash", "-c", SCRIPT, "rise", path, step, &format],
        );
    }

    /// Takes [`Clinic::rise`] back.
    fn fall(&self, path: &str) {
        const SCRIPT: &str =
            "p=$1; file=/tmp/rise${p//\\//-}; kill $(cat $file.pid); umount $p; rm $file $file.pid";
        self.lab.exec("host", &["bash", "-c", SCRIPT, "fall", path]);
    }

    /// Words, with what stands in braces filled in. A word in quotes holds spaces.
    fn words(&self, text: &str) -> Vec<String> {
        let text = self.filled(text);
        let parts = text.split('\'').enumerate();
        parts
            .flat_map(|(at, part)| {
                if at % 2 == 1 {
                    vec![part.to_owned()]
                } else {
                    part.split_whitespace().map(str::to_owned).collect()
                }
            })
            .collect()
    }

    /// The text, with what stands in braces filled in.
    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let fill = |text: &mut String, name: &str, value: &dyn Fn() -> String| {
            if text.contains(name) {
                *text = text.replace(name, &value());
            }
        };
        fill(&mut text, "{network}", &|| id(&self.lab.network()));
        fill(&mut text, "{router}", &|| id(&self.lab.router()));
        fill(&mut text, "{guest2}", &|| id(&self.lab.guest("guest2")));
        let offering = |name: &str| id(&self.lab.one("listNetworkOfferings", &[("name", name)]));
        fill(&mut text, "{egress-deny}", &|| {
            offering("DefaultIsolatedNetworkOfferingWithSourceNatService")
        });
        fill(&mut text, "{egress-allow}", &|| {
            offering("IsolatedNetworkEgressAllow")
        });
        fill(&mut text, "{public}", &|| {
            crate::support::ip(&self.lab.source_nat()).to_string()
        });
        let everything = [("listall", "true")];
        fill(&mut text, "{egress-rule}", &|| {
            id(&self.lab.one("listEgressFirewallRules", &everything))
        });
        fill(&mut text, "{firewall-rule}", &|| {
            id(&self.lab.one("listFirewallRules", &everything))
        });
        fill(&mut text, "{public-id}", &|| id(&self.lab.source_nat()));
        fill(&mut text, "{drop-replies}", &|| drops("src host 198.51.100.53"));
        fill(&mut text, "{drop-requests}", &|| drops("dst host 198.51.100.53"));
        fill(&mut text, "{drop-icmp}", &|| drops("icmp"));
        fill(&mut text, "{drop-too-large}", &|| drops("icmp[0] == 3"));
        text
    }

    /// Whether the doctor named it first, with evidence, and in time.
    fn judge(&self, fault: &Fault, diagnosis: &Value, took: Duration) -> Result<(), String> {
        let first = &diagnosis["finding"][0];
        let evidence = first["evidence"].to_string() + &first["place"].to_string();
        let says = self.filled(fault.says);
        let named = first["cause"] == fault.cause && evidence.contains(&says);
        if named && took < LIMIT {
            return Ok(());
        }
        let wanted = (fault.cause, says);
        Err(format!(
            "{}: wanted {wanted:?} within {LIMIT:?}, after {took:?} got {diagnosis:#}",
            fault.name
        ))
    }

    /// Stops the router's engine: nothing is repaired any more. Process 1 is immune.
    fn freeze(&self) {
        self.acts(&[("router", "pkill -STOP -f 'router serve'")]);
    }

    /// Lets the engine go on, and waits until it has repaired everything.
    fn thaw(&self) {
        self.acts(&[("router", "pkill -CONT -f 'router serve'")]);
        wait_until(RECOVERY, "the router has repaired itself", || {
            self.is_as_planned()
        });
    }

    /// Whether the engine finds no difference: asked on its own socket.
    fn is_as_planned(&self) -> bool {
        let router = id(&self.lab.router());
        let ask = format!(
            "echo '\"observe\"' | timeout 5 socat - UNIX-CONNECT:$(echo /run/outgate/*/routers/{router}/control.sock)"
        );
        let output = self.lab.try_exec("host", &["bash", "-c", &ask]);
        let reply: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let status = &reply["status"];
        status["differences"].as_array().is_some_and(Vec::is_empty) && status["error"].is_null()
    }

    /// Keeps the table of this part: written to docs/fault-clinic.md when `UPDATE_CLINIC` is set, else the page must
    /// name the same faults with the same causes.
    pub fn publish(&self, part: &str) {
        publish(part, &self.rows);
    }
}

/// Examines each list of faults in a lab of its own, side by side: a doctor mostly waits. The rows are this part's table.
pub fn examined(part: &str, lists: &[&'static [Fault]]) {
    let rows: Vec<String> = std::thread::scope(|scope| {
        let labs: Vec<_> = lists
            .iter()
            .map(|faults| {
                scope.spawn(|| {
                    let mut clinic = Clinic::open();
                    clinic.examine(faults);
                    clinic.is_healthy();
                    clinic.rows.clone()
                })
            })
            .collect();
        let rows = labs.into_iter().map(|lab| {
            lab.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        rows.flatten().collect()
    });
    publish(part, &rows);
}

fn id(object: &Value) -> String {
    text(object, "id").to_owned()
}

/// Bytecode for tc that drops what matches: tcpdump's own, whose match returns 2, which is TC_ACT_SHOT.
fn drops(filter: &str) -> String {
    let output = Command::new("tcpdump")
        .args(["-y", "EN10MB", "-s", "2", "-ddd", filter])
        .output()
        .expect("tcpdump runs");
    String::from_utf8(output.stdout)
        .expect("numbers")
        .trim()
        .replace('\n', ",")
}

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/fault-clinic.md")
}

/// Names and causes of rows, without verdicts and times.
fn keys(rows: &[&str]) -> Vec<String> {
    let key = |row: &&str| row.split('|').take(3).collect::<Vec<_>>().join("|");
    rows.iter().map(key).collect()
}

fn publish(part: &str, rows: &[String]) {
    let path = page();
    // The tests of one run write side by side.
    let lock = std::fs::File::create(std::env::temp_dir().join("outgate-fault-clinic.lock")).expect("a lock");
    lock.lock().expect("a lock");
    let text = std::fs::read_to_string(&path).expect("docs/fault-clinic.md");
    let (begin, end) = (format!("<!-- {part} -->\n"), format!("<!-- end of {part} -->"));
    let (head, rest) = text.split_once(&begin).expect("the part's mark");
    let (old, tail) = rest.split_once(&end).expect("the part's end");
    let mut table = "| fault | cause | verdict | mended | named within |\n|---|---|---|---|---|\n".to_owned();
    for row in rows {
        let _ = writeln!(table, "{row}");
    }
    if std::env::var_os("UPDATE_CLINIC").is_some() {
        std::fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).expect("docs/fault-clinic.md");
        return;
    }
    let old: Vec<&str> = old.lines().skip(2).collect();
    let new: Vec<&str> = rows.iter().map(String::as_str).collect();
    assert_eq!(
        keys(&old),
        keys(&new),
        "docs/fault-clinic.md is old: UPDATE_CLINIC=1 writes it anew"
    );
}
