// SPDX-License-Identifier: Apache-2.0
//! Programs run in a router for diagnosis, as jobs whose result is what they printed: ping, traceroute, arping, and a
//! bundle of what the router holds. Arguments come from a short list; no shell is involved.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use outgate_host::Host;
use outgate_model::host::{Run, RunOutput};
use outgate_model::id::{JobId, RouterId};
use outgate_model::job::{Goal, Job, JobState};
use outgate_model::key;
use outgate_model::object::Router;
use serde_json::{Value, json};

use crate::command::{Caller, Started};
use crate::draft::Instance;
use crate::manager::{CommitError, Manager};
use crate::reconcile::answer;
use crate::{CommandError, Draft};

/// How long one program may take, in milliseconds.
const PROGRAM_MILLIS: u64 = 45_000;
/// How long one that only looks may take.
const LOOK_MILLIS: u64 = 10_000;
/// At most so much of each output is told, in bytes.
const OUTPUT_MAX: usize = 16 * 1024;
/// How many hops a traceroute goes unless it is told otherwise.
const HOPS: u32 = 15;

/// A program for diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Whether an address answers.
    Ping,
    /// Over which hops it is reached.
    Traceroute,
    /// Whether it answers on the segment.
    Arping,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnose {
    /// The router.
    pub router: RouterId,
    /// The program.
    pub tool: Tool,
    /// The address or host name.
    pub address: String,
    /// More options for it.
    pub options: String,
}

/// What an option takes.
#[derive(Clone, Copy)]
enum Takes {
    Nothing,
    Number(u32, u32),
    Word(&'static [&'static str]),
}

impl Tool {
    fn options(self) -> &'static [(&'static str, Takes)] {
        const PING: &[(&str, Takes)] = &[
            ("-c", Takes::Number(1, 20)),
            ("-s", Takes::Number(0, 65_507)),
            ("-t", Takes::Number(1, 255)),
            ("-W", Takes::Number(1, 10)),
            ("-w", Takes::Number(1, 30)),
            ("-M", Takes::Word(&["do", "dont", "want"])),
            ("-n", Takes::Nothing),
            ("-q", Takes::Nothing),
        ];
        const TRACEROUTE: &[(&str, Takes)] = &[
            ("-m", Takes::Number(1, 30)),
            ("-w", Takes::Number(1, 5)),
            ("-n", Takes::Nothing),
        ];
        const ARPING: &[(&str, Takes)] = &[("-c", Takes::Number(1, 20)), ("-w", Takes::Number(1, 30))];
        match self {
            Self::Ping => PING,
            Self::Traceroute => TRACEROUTE,
            Self::Arping => ARPING,
        }
    }
}

/// The options, each checked against the tool's list.
fn options(tool: Tool, text: &str) -> Result<Vec<String>, CommandError> {
    let listed = || {
        tool.options()
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let wrong = |expected: String| CommandError::invalid("params", text, expected);
    let mut words = text.split_whitespace();
    let mut checked = Vec::new();
    while let Some(word) = words.next() {
        let known = tool.options().iter().find(|(name, _)| *name == word);
        let (name, takes) = known.ok_or_else(|| wrong(format!("options out of {}", listed())))?;
        checked.push((*name).to_owned());
        let value = match takes {
            Takes::Nothing => continue,
            Takes::Number(..) | Takes::Word(_) => words.next().unwrap_or_default(),
        };
        let fine = match takes {
            Takes::Nothing => true,
            Takes::Number(least, most) => value.parse().is_ok_and(|n: u32| (*least..=*most).contains(&n)),
            Takes::Word(all) => all.contains(&value),
        };
        if !fine {
            let expected = match takes {
                Takes::Number(least, most) => format!("{name} with a number from {least} to {most}"),
                Takes::Word(all) => format!("{name} with one of {}", all.join(", ")),
                Takes::Nothing => (*name).to_owned(),
            };
            return Err(wrong(expected));
        }
        checked.push(value.to_owned());
    }
    Ok(checked)
}

/// Whether this can be an address or a host name, and no option.
fn is_address(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    (1..=253).contains(&text.len())
        && text.chars().all(allowed)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

impl Manager {
    /// Runs a program in a router, as a job whose result is what it printed.
    ///
    /// # Errors
    /// When the router is not the caller's or does not run, a parameter is not allowed, or too many run already.
    pub async fn run_diagnostics(&self, caller: &Caller, request: Diagnose) -> Result<Started, CommandError> {
        if !is_address(&request.address) {
            return Err(CommandError::invalid(
                "ipaddress",
                &request.address,
                "an IPv4 address or a host name",
            ));
        }
        if request.tool == Tool::Arping && request.address.parse::<Ipv4Addr>().is_err() {
            return Err(CommandError::invalid(
                "ipaddress",
                &request.address,
                "an IPv4 address, to ask by ARP",
            ));
        }
        let options = options(request.tool, &request.options)?;
        let id = request.router;
        self.report(caller, "runDiagnostics", id, async move |router| {
            let output = match request.tool {
                Tool::Ping => {
                    let fixed = ["ping", "-n", "-c", "4", "-W", "2"];
                    router
                        .run(&with(&fixed, &options, &request.address), PROGRAM_MILLIS)
                        .await
                }
                Tool::Arping => router.arping(&options, &request.address).await,
                Tool::Traceroute => router.traceroute(&options, &request.address).await,
            }?;
            Ok(json!({
                "stdout": shortened(&output.stdout),
                "stderr": shortened(&output.stderr),
                "exitcode": output.code.unwrap_or(ENDED).to_string(),
            }))
        })
        .await
    }

    /// Gathers what a router holds, as a job whose result is an address with the text in it. `parts` names some of
    /// [`parts`]; empty for all.
    ///
    /// # Errors
    /// When the router is not the caller's or does not run, a part does not exist, or too many run already.
    pub async fn diagnostics_data(
        &self,
        caller: &Caller,
        id: RouterId,
        wanted: &[String],
    ) -> Result<Started, CommandError> {
        if let Some(unknown) = wanted.iter().find(|name| !parts().any(|part| part == **name)) {
            let expected = format!("out of {}", parts().collect::<Vec<_>>().join(", "));
            return Err(CommandError::invalid("files", unknown, expected));
        }
        let wanted = wanted.to_vec();
        self.report(caller, "getDiagnosticsData", id, async move |router| {
            let mut text = String::new();
            for (name, argv) in PARTS
                .iter()
                .filter(|(n, _)| wanted.is_empty() || wanted.iter().any(|w| w == n))
            {
                let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
                let seen = match router.run(&argv, LOOK_MILLIS).await {
                    Ok(output) => format!("{}{}", shortened(&output.stdout), shortened(&output.stderr)),
                    Err(error) => error,
                };
                let _ = writeln!(text, "== {name}: {}\n{seen}", argv.join(" "));
            }
            let url = format!("data:text/plain;charset=utf-8;base64,{}", STANDARD.encode(&text));
            Ok(json!({ "url": url }))
        })
        .await
    }

    /// Starts a job, does the work beside it, and ends the job with the report.
    async fn report<F>(
        &self,
        caller: &Caller,
        command: &'static str,
        id: RouterId,
        work: impl FnOnce(Inside) -> F + Send + 'static,
    ) -> Result<Started, CommandError>
    where
        F: Future<Output = Result<Value, String>> + Send + 'static,
    {
        let Some((router, host)) = self.running_router(caller, id)? else {
            return Err(CommandError::Unavailable {
                what: format!("router {id} does not run: start it first"),
            });
        };
        let place = Arc::clone(&self.inner.insight.diagnoses).try_acquire_owned();
        let place = place.map_err(|_| CommandError::Unavailable {
            what: "too many diagnoses run at once; try again in a minute".to_owned(),
        })?;
        let job = self
            .commit(|_, draft: &mut Draft| {
                let about = Instance::of::<Router>(id.0);
                let text = format!("{command} on router {}", router.name);
                let level = outgate_model::event::Level::Info;
                draft.event(
                    "ROUTER.DIAGNOSTICS",
                    level,
                    text,
                    Some(router.account),
                    Some(about.clone()),
                );
                Ok::<_, CommitError>(draft.job(command, caller, about, Goal::Reported))
            })
            .await?;
        let manager = self.clone();
        tokio::spawn(async move {
            let manager_inside = manager.clone();
            let report = work(Inside {
                manager: manager_inside,
                host,
                id,
            })
            .await;
            if let Err(error) = end(&manager, job, report).await {
                tracing::error!(%error, %job, "a diagnosis could not be written down; its job ends by its deadline");
            }
            drop(place);
        });
        Ok(Started { job, id: None })
    }
}

/// The exit code of what was ended by its time limit, as timeout(1) has it.
const ENDED: i32 = 124;

/// What a bundle may hold. Nothing of it is secret.
const PARTS: [(&str, &[&str]); 11] = [
    ("addresses", &["ip", "-d", "address", "show"]),
    ("routes", &["ip", "route", "show"]),
    ("neighbours", &["ip", "neighbour", "show"]),
    ("links", &["ip", "-s", "link", "show"]),
    ("rules", &["nft", "-n", "-s", "list", "ruleset"]),
    ("iptables", &["iptables", "-t", "nat", "-S"]),
    ("sessions", &["conntrack", "-C"]),
    ("sessionstatistics", &["conntrack", "-S"]),
    ("sockets", &["ss", "-tulpn"]),
    ("dnsmasq", &["cat", "/run/outgate-vr/dnsmasq.conf"]),
    ("log", &["tail", "-n", "150", "/var/log/cloud.log"]),
];

/// The names of a bundle's parts.
pub fn parts() -> impl Iterator<Item = &'static str> {
    PARTS.iter().map(|(name, _)| *name)
}

fn with(fixed: &[&str], options: &[String], address: &str) -> Vec<String> {
    let fixed = fixed.iter().map(ToString::to_string);
    fixed
        .chain(options.iter().cloned())
        .chain([address.to_owned()])
        .collect()
}

/// The beginning, cut at a character.
fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(OUTPUT_MAX)).unwrap_or(text)
}

/// The inside of a router.
struct Inside {
    manager: Manager,
    host: Arc<dyn Host>,
    id: RouterId,
}

impl Inside {
    async fn run(&self, argv: &[String], timeout_millis: u64) -> Result<RunOutput, String> {
        let run = Run {
            argv: argv.to_vec(),
            timeout_millis,
        };
        let ran = answer(&self.manager, self.host.run_in_router(self.id, &run)).await;
        ran.map_err(|failure| failure.text)
    }

    /// On the interface that leads to the address.
    async fn arping(&self, options: &[String], address: &str) -> Result<RunOutput, String> {
        let route = ["ip", "-o", "route", "get", address].map(str::to_owned);
        let route = self.run(&route, LOOK_MILLIS).await?;
        let words: Vec<&str> = route.stdout.split_whitespace().collect();
        let device = words.windows(2).find(|pair| pair[0] == "dev").map(|pair| pair[1]);
        let device =
            device.ok_or_else(|| format!("no interface leads to {address}: {}", route.stderr.trim()))?;
        let fixed = ["arping", "-c", "4", "-w", "10", "-I", device];
        self.run(&with(&fixed, options, address), PROGRAM_MILLIS).await
    }

    /// By pings that live for one hop more each: no program for it needs to be there.
    async fn traceroute(&self, options: &[String], address: &str) -> Result<RunOutput, String> {
        let number = |name: &str| {
            let at = options.iter().position(|o| o == name)?;
            options.get(at + 1)?.parse::<u32>().ok()
        };
        let (hops, wait) = (
            number("-m").unwrap_or(HOPS),
            number("-w").unwrap_or(1).to_string(),
        );
        let mut output = RunOutput {
            code: Some(1),
            stdout: format!("traceroute to {address}, {hops} hops max\n"),
            stderr: String::new(),
        };
        for hop in 1..=hops {
            let ttl = hop.to_string();
            let argv = with(&["ping", "-n", "-c", "1", "-t", &ttl, "-W", &wait], &[], address);
            let seen = self.run(&argv, LOOK_MILLIS).await?;
            let who = responder(&seen.stdout).unwrap_or("*");
            let _ = writeln!(output.stdout, "{hop:2}  {who}");
            if seen.code == Some(0) {
                output.code = Some(0);
                break;
            }
            if !seen.stderr.is_empty() {
                output.stderr = seen.stderr;
                break;
            }
        }
        Ok(output)
    }
}

/// Who answered a ping, be it that the packet died there.
fn responder(stdout: &str) -> Option<&str> {
    let line = stdout
        .lines()
        .find(|line| line.starts_with("From ") || line.contains(" bytes from "))?;
    let after = line.split_once("rom ")?.1;
    after.split([' ', ':']).next()
}

/// Ends a job with its report.
async fn end(manager: &Manager, id: JobId, report: Result<Value, String>) -> Result<(), CommitError> {
    manager
        .commit(|view, draft| {
            let Some(job) = view.job(id).filter(|job| job.state == JobState::Pending) else {
                return Ok(());
            };
            draft.unchanged(key::job(id), job.modified);
            let (state, report) = match &report {
                Ok(report) => (JobState::Succeeded, Some(report.to_string())),
                Err(text) => {
                    let text = text.clone();
                    (JobState::Failed { code: 530, text }, None)
                }
            };
            let ended = Job {
                state,
                report,
                completed: Some(Timestamp::now()),
                ..Job::clone(job)
            };
            draft.put_raw(key::job(id), &ended);
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_options_with_values_in_range_pass() {
        let fine = options(Tool::Ping, " -c 3  -s 1400 -M do -n").unwrap();
        assert_eq!(fine, ["-c", "3", "-s", "1400", "-M", "do", "-n"]);
        assert_eq!(options(Tool::Arping, "").unwrap(), Vec::<String>::new());
        for (tool, text) in [
            (Tool::Ping, "-c 21"),
            (Tool::Ping, "-c"),
            (Tool::Ping, "-f"),
            (Tool::Ping, "-c 1; reboot"),
            (Tool::Ping, "$(reboot)"),
            (Tool::Ping, "-M no"),
            (Tool::Ping, "-c -1"),
            (Tool::Traceroute, "-c 1"),
            (Tool::Arping, "-I eth0"),
        ] {
            assert!(options(tool, text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_no_option_and_no_shells_word() {
        for text in ["8.8.8.8", "example.org", "a-b.c"] {
            assert!(is_address(text), "{text}");
        }
        for text in ["", "-f", ".a", "a b", "a;b", "$(x)", "a/b", &"a".repeat(254)] {
            assert!(!is_address(text), "{text}");
        }
    }

    #[test]
    fn the_hop_that_answers_is_named() {
        assert_eq!(
            responder("PING x\nFrom 203.0.113.1 icmp_seq=1 Time to live exceeded\n"),
            Some("203.0.113.1")
        );
        assert_eq!(
            responder("64 bytes from 8.8.8.8: icmp_seq=1 ttl=63"),
            Some("8.8.8.8")
        );
        assert_eq!(responder("nothing"), None);
    }

    #[test]
    fn long_output_is_cut_at_a_character() {
        let text = "ä".repeat(OUTPUT_MAX);
        assert!(shortened(&text).len() <= OUTPUT_MAX && shortened("ä") == "ä");
    }
}
