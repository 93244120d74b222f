// SPDX-License-Identifier: Apache-2.0
//! How the API bears networks: requests per second and latencies beside 10, 1,000 and 10,000 networks, of which the
//! caller sees ten. `./x bench api` runs it; prints one JSON line for each figure.
//!
//! Usage: `api_load CREDENTIALS_FILE [SIZE ...]` (of an empty lab)
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a benchmark prints figures"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use outgate_cli::client::{Client, Credentials, Method, Options};
use serde_json::{Value, json};

/// How many networks the caller sees, whatever there is.
const OWN: usize = 10;
/// How long each figure is measured.
const MEASURE: Duration = Duration::from_secs(4);
/// At how many requests at once.
const AT_ONCE: [usize; 2] = [1, 16];
/// Rules that are made at most for one figure: ports of one address.
const MAX_RULES: usize = 2000;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().context("api_load CREDENTIALS_FILE [SIZE ...]")?;
    let sizes: Vec<usize> = args.map(|a| a.parse()).collect::<Result<_, _>>()?;
    let sizes = if sizes.is_empty() {
        vec![10, 1_000, 10_000]
    } else {
        sizes
    };
    let admin = Credentials::read(Path::new(&path))?;
    let world = World::build(&admin)?;
    let mut first: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut there = OWN;
    for size in sizes {
        let seeded = Instant::now();
        world.seed(size.saturating_sub(there))?;
        eprintln!(
            "{size} networks: {} more in {:.1} s",
            size.saturating_sub(there),
            seeded.elapsed().as_secs_f64()
        );
        there = there.max(size);
        for at_once in AT_ONCE {
            for call in Call::ALL {
                let taken = world.measure(call, at_once)?;
                let name = format!("{} {at_once}", call.name());
                let (rate, p99) = (taken.rate, taken.percentile(99));
                let base = *first.entry(name).or_insert((rate, p99));
                let line = json!({
                    "networks": size, "call": call.name(), "at_once": at_once,
                    "per_second": round(rate), "p50_ms": round(taken.percentile(50)), "p99_ms": round(p99),
                    "rate_ratio": round(rate / base.0), "p99_ratio": round(p99 / base.1),
                });
                println!("{line}");
            }
        }
    }
    Ok(())
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// `listNetworks` of a user who sees ten.
    Networks,
    /// `listPublicIpAddresses` of the same.
    Addresses,
    /// `createPortForwardingRule` of the same until its job is done: the rule is in the kernel then.
    Forward,
    /// A page of twenty of all networks, as an admin.
    Page,
}

impl Call {
    const ALL: [Self; 4] = [Self::Networks, Self::Addresses, Self::Forward, Self::Page];

    fn name(self) -> &'static str {
        match self {
            Self::Networks => "listNetworks",
            Self::Addresses => "listPublicIpAddresses",
            Self::Forward => "createPortForwardingRule",
            Self::Page => "listNetworks (admin's page of 20)",
        }
    }
}

/// A cloud with a user who owns ten networks, one of them with a guest and an address, and with others.
struct World {
    admin: Credentials,
    user: Credentials,
    domain: String,
    zone: String,
    offering: String,
    address: String,
    guest: String,
    port: AtomicUsize,
}

/// What was measured.
struct Taken {
    rate: f64,
    millis: Vec<f64>,
}

impl Taken {
    fn percentile(&self, percent: usize) -> f64 {
        let at = (self.millis.len() * percent / 100).min(self.millis.len().saturating_sub(1));
        self.millis.get(at).copied().unwrap_or(f64::NAN)
    }
}

fn client(who: &Credentials) -> anyhow::Result<Client> {
    let options = Options {
        method: Method::Auto,
        poll: Duration::from_millis(1),
        ..Options::default()
    };
    Client::with(who.clone(), options)
}

fn text(value: &Value) -> anyhow::Result<String> {
    Ok(value
        .as_str()
        .with_context(|| format!("no text: {value}"))?
        .to_owned())
}

impl World {
    fn build(admin: &Credentials) -> anyhow::Result<Self> {
        let root = client(admin)?;
        let first = |command: &str, params: &[(&str, &str)]| {
            let found = root.list(command, params)?;
            text(
                &found
                    .first()
                    .with_context(|| format!("{command} finds nothing"))?["id"],
            )
        };
        let zone = first("listZones", &[])?;
        let offering = first("listNetworkOfferings", &[("name", "IsolatedNetworkEgressAllow")])?;
        let size = first("listServiceOfferings", &[])?;
        let template = first("listTemplates", &[("templatefilter", "executable")])?;
        let domain = first("listDomains", &[("listall", "true")])?;
        let user = account(&root, admin, "caller", &domain)?;
        account(&root, admin, "others", &domain)?;
        let caller = client(&user)?;
        for number in 0..OWN {
            network(&caller, &[("name", &format!("own{number}"))], &zone, &offering)?;
        }
        let own = text(&caller.list("listNetworks", &[])?[0]["id"])?;
        let guest = caller.job(
            "deployVirtualMachine",
            &[
                ("zoneid", &zone),
                ("serviceofferingid", &size),
                ("templateid", &template),
                ("networkids", &own),
            ],
        )?;
        let address = caller.job("associateIpAddress", &[("networkid", &own)])?;
        Ok(Self {
            admin: admin.clone(),
            user,
            domain,
            zone,
            offering,
            address: text(&address["ipaddress"]["id"])?,
            guest: text(&guest["virtualmachine"]["id"])?,
            port: AtomicUsize::new(1),
        })
    }

    /// Makes that many networks of somebody else, which wait for their first guest.
    fn seed(&self, count: usize) -> anyhow::Result<()> {
        let left = AtomicUsize::new(count);
        let one = || -> anyhow::Result<()> {
            let root = client(&self.admin)?;
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok()
            {
                let number = self.port.fetch_add(1, Ordering::Relaxed);
                let name = format!("other{number}");
                let owner = [
                    ("name", name.as_str()),
                    ("account", "others"),
                    ("domainid", self.domain.as_str()),
                ];
                network(&root, &owner, &self.zone, &self.offering)?;
            }
            Ok(())
        };
        let done = at_once(16, |_| one());
        self.port.store(1, Ordering::Relaxed);
        done.into_iter().collect()
    }

    fn measure(&self, call: Call, count: usize) -> anyhow::Result<Taken> {
        let start = Instant::now();
        let taken = at_once(count, |_| self.worker(call, start + MEASURE));
        let elapsed = start.elapsed().as_secs_f64();
        let mut millis = Vec::new();
        for one in taken {
            millis.extend(one?);
        }
        millis.sort_by(f64::total_cmp);
        if call == Call::Forward {
            self.clear()?;
        }
        Ok(Taken {
            rate: millis.len() as f64 / elapsed,
            millis,
        })
    }

    fn worker(&self, call: Call, until: Instant) -> anyhow::Result<Vec<f64>> {
        let caller = client(if call == Call::Page {
            &self.admin
        } else {
            &self.user
        })?;
        let mut millis = Vec::new();
        while Instant::now() < until {
            let port = self
                .port
                .fetch_add(usize::from(call == Call::Forward), Ordering::Relaxed);
            if port > MAX_RULES {
                break;
            }
            let start = Instant::now();
            let seen = match call {
                Call::Networks => caller.list("listNetworks", &[("listall", "true")])?.len() == OWN,
                Call::Addresses => {
                    caller
                        .list("listPublicIpAddresses", &[("listall", "true")])?
                        .len()
                        == 2
                }
                Call::Page => {
                    let page = [("listall", "true"), ("page", "1"), ("pagesize", "20")];
                    caller.list("listNetworks", &page)?.len() >= OWN
                }
                Call::Forward => {
                    let port = port.to_string();
                    let rule = [
                        ("ipaddressid", self.address.as_str()),
                        ("protocol", "tcp"),
                        ("publicport", &port),
                        ("privateport", &port),
                        ("virtualmachineid", &self.guest),
                        ("openfirewall", "false"),
                    ];
                    caller.job("createPortForwardingRule", &rule)?["portforwardingrule"]["state"] == "Active"
                }
            };
            anyhow::ensure!(seen, "{}: not what must be seen", call.name());
            millis.push(start.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(millis)
    }

    /// Removes the rules of the last figure.
    fn clear(&self) -> anyhow::Result<()> {
        let caller = client(&self.user)?;
        loop {
            let rules = caller.list("listPortForwardingRules", &[("listall", "true")])?;
            if rules.is_empty() {
                self.port.store(1, Ordering::Relaxed);
                return Ok(());
            }
            let next = AtomicUsize::new(0);
            let done = at_once(8, |_| -> anyhow::Result<()> {
                let caller = client(&self.user)?;
                while let Some(rule) = rules.get(next.fetch_add(1, Ordering::Relaxed)) {
                    caller.job("deletePortForwardingRule", &[("id", &text(&rule["id"])?)])?;
                }
                Ok(())
            });
            done.into_iter().collect::<anyhow::Result<()>>()?;
        }
    }
}

/// Runs `work` in that many threads and gathers what each gave.
fn at_once<T: Send>(
    count: usize,
    work: impl Fn(usize) -> anyhow::Result<T> + Sync,
) -> Vec<anyhow::Result<T>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|n| {
                scope.spawn({
                    let work = &work;
                    move || work(n)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|t| {
                t.join()
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("a worker ended")))
            })
            .collect()
    })
}

fn network(client: &Client, more: &[(&str, &str)], zone: &str, offering: &str) -> anyhow::Result<()> {
    let fixed = [("zoneid", zone), ("networkofferingid", offering)];
    client.call("createNetwork", &[more, &fixed].concat())?;
    Ok(())
}

/// An account with one user, and that user's keys.
fn account(root: &Client, admin: &Credentials, name: &str, domain: &str) -> anyhow::Result<Credentials> {
    let made = root.call(
        "createAccount",
        &[
            ("username", name),
            ("account", name),
            ("domainid", domain),
            ("accounttype", "0"),
            ("email", "a@example.com"),
            ("firstname", "A"),
            ("lastname", "B"),
            ("password", "only for this benchmark"),
        ],
    )?;
    let ident = text(&made["account"]["user"][0]["id"])?;
    let account = text(&made["account"]["id"])?;
    // Rules of one address are made by thousands here; whoever limits accounts lets this one have them.
    let unlimited = ["6", "1", "0"].map(|kind| {
        let params = [
            ("resourcetype", kind),
            ("max", "-1"),
            ("account", name),
            ("domainid", domain),
        ];
        root.call("updateResourceLimit", &params)
    });
    if let Some(Err(error)) = unlimited.into_iter().find(Result::is_err) {
        eprintln!("limits of account {account}: {error:#}");
    }
    let keys = root.call("registerUserKeys", &[("id", &ident)])?;
    Ok(Credentials {
        endpoint: admin.endpoint.clone(),
        key: text(&keys["userkeys"]["apikey"])?,
        secret: text(&keys["userkeys"]["secretkey"])?,
    })
}
