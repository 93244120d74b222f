// SPDX-License-Identifier: Apache-2.0
//! Drives the lab's own API: a network, two guests, and a page fetched from the internet by one of them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::enter::Place;
use super::launch;
use super::network::WEB;
use super::record::Record;
use super::state::Paths;
use crate::client::{Client, Credentials, is_called};
use crate::output::{self, Format};

/// The lab's first network.
const NETWORK: &str = "lab-net";
/// Its guests; the first one fetches the page.
const GUESTS: [&str; 2] = ["guest1", "guest2"];
/// The offering whose guests may leave unless a rule denies it.
const OFFERING: &str = "IsolatedNetworkEgressAllow";
/// How long the server may take to answer.
const SERVER: Duration = Duration::from_secs(20);
/// How long a guest may take to reach the outside.
const PAGE: Duration = Duration::from_secs(30);

/// What was built, and what was seen.
#[derive(Debug, serde::Serialize)]
pub struct Built {
    /// The router's name.
    pub router: Option<String>,
    /// The router's control address.
    pub control: Option<String>,
    /// The network's source NAT address.
    pub public: Option<String>,
    /// What the page on the internet said to the first guest.
    pub page: Option<String>,
    /// From `createNetwork` to the page, in milliseconds; `None` when the network was there before.
    pub millis: Option<u128>,
}

/// One line that says what is going on; plain lines when nobody watches a terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar, Format);

impl Progress {
    /// A progress line on standard error.
    pub fn new(format: Format) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar, format)
    }

    fn step(&self, text: &str) -> anyhow::Result<()> {
        self.0.set_message(text.to_owned());
        if self.0.is_hidden() && self.1 == Format::Table {
            output::line(format!("- {text}"))
        } else {
            Ok(())
        }
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Builds what is missing and fetches the page. `empty`: only waits for the server.
pub fn build(record: &Record, paths: &Paths, empty: bool, progress: &Progress) -> anyhow::Result<Built> {
    progress.step("waiting for the management server")?;
    let client = server(record, paths)?;
    if empty {
        return Ok(Built {
            router: None,
            control: None,
            public: None,
            page: None,
            millis: None,
        });
    }
    let started = Instant::now();
    let (network, is_new) = network(&client, progress)?;
    for name in GUESTS {
        guest(&client, &network, name, progress)?;
    }
    let guest = find(&client, "listVirtualMachines", GUESTS[0])?.context("guest1 is gone")?;
    progress.step("fetching a page from the internet in guest1")?;
    let page = page(text(&guest, "id")?)?;
    let millis = is_new.then(|| started.elapsed().as_millis());
    let router = client
        .list("listRouters", &[("networkid", &network), ("listall", "true")])?
        .into_iter()
        .next();
    let field = |name: &str| router.as_ref().and_then(|r| r[name].as_str()).map(str::to_owned);
    let addresses = client.list(
        "listPublicIpAddresses",
        &[("associatednetworkid", &network), ("issourcenat", "true")],
    )?;
    let public = addresses
        .iter()
        .find_map(|a| a["ipaddress"].as_str())
        .map(str::to_owned);
    Ok(Built {
        router: field("name"),
        control: field("linklocalip"),
        public,
        page: Some(page),
        millis,
    })
}

/// Waits for the server, and gives up at once when the lab has ended.
fn server(record: &Record, paths: &Paths) -> anyhow::Result<Client> {
    let deadline = Instant::now() + SERVER;
    loop {
        let asked = credentials(&paths.credentials(), record).and_then(|c| {
            let client = Client::new(c);
            client.call("listZones", &[]).map(|_| client)
        });
        match asked {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() >= deadline || !record.supervisor.alive() => {
                return Err(error.context(format!("the end of the lab's log:\n{}", launch::tail(paths))));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The credentials, once they are of this start: the port may be another than last time.
fn credentials(path: &Path, record: &Record) -> anyhow::Result<Credentials> {
    let credentials = Credentials::read(path)?;
    if credentials.endpoint == record.endpoint() {
        Ok(credentials)
    } else {
        bail!("the server has not started")
    }
}

fn network(client: &Client, progress: &Progress) -> anyhow::Result<(String, bool)> {
    if let Some(network) = find(client, "listNetworks", NETWORK)? {
        return Ok((text(&network, "id")?.to_owned(), false));
    }
    progress.step("creating network lab-net")?;
    let zone = first(client, "listZones", &[])?;
    let offering = first(client, "listNetworkOfferings", &[("name", OFFERING)])?;
    let reply = client.call(
        "createNetwork",
        &[
            ("zoneid", &zone),
            ("networkofferingid", &offering),
            ("name", NETWORK),
            ("displaytext", "the lab's network"),
        ],
    )?;
    Ok((text(&reply["network"], "id")?.to_owned(), true))
}

fn guest(client: &Client, network: &str, name: &str, progress: &Progress) -> anyhow::Result<()> {
    if find(client, "listVirtualMachines", name)?.is_some() {
        return Ok(());
    }
    progress.step(&format!("deploying {name}"))?;
    let zone = first(client, "listZones", &[])?;
    let offering = first(client, "listServiceOfferings", &[])?;
    let template = first(client, "listTemplates", &[("templatefilter", "executable")])?;
    let params = [
        ("zoneid", zone.as_str()),
        ("serviceofferingid", &offering),
        ("templateid", &template),
        ("networkids", network),
        ("name", name),
        ("displayname", name),
    ];
    client.job("deployVirtualMachine", &params).map(drop)
}

/// Fetches the page from inside a guest; a guest that is still booting gets some time.
fn page(id: &str) -> anyhow::Result<String> {
    let deadline = Instant::now() + PAGE;
    let url = format!("http://{WEB}/");
    let argv = ["timeout", "3", "busybox", "wget", "-q", "-O", "-", &url].map(str::to_owned);
    loop {
        let said = match Place::guest(id) {
            Ok(place) => {
                let done = place.command(&argv)?.output().context("starting nsenter")?;
                if done.status.success() {
                    return Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned());
                }
                String::from_utf8_lossy(&done.stderr).trim().to_owned()
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            bail!("guest1 cannot fetch {url} after {} s: {said}", PAGE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn find(client: &Client, list: &str, name: &str) -> anyhow::Result<Option<Value>> {
    Ok(client
        .list(list, &[("listall", "true")])?
        .into_iter()
        .find(|o| is_called(o, name)))
}

fn first(client: &Client, list: &str, params: &[(&str, &str)]) -> anyhow::Result<String> {
    let found = client.list(list, params)?;
    Ok(text(
        found.first().with_context(|| format!("{list} found nothing"))?,
        "id",
    )?
    .to_owned())
}

fn text<'a>(object: &'a Value, field: &str) -> anyhow::Result<&'a str> {
    object[field]
        .as_str()
        .with_context(|| format!("the server's answer has no {field}"))
}
