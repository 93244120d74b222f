// SPDX-License-Identifier: Apache-2.0
//! `outgate doctor [NETWORK|VPC|ROUTER|GUEST]`: what is wrong, where, and what to do about it.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::client::{Client, EVERYTHING, Options, Target, is_called};
use crate::exit;
use crate::near::instead;
use crate::output::{self, Format};

/// So many repairs are made in one go, each of the verdict of its time.
const FIXES: usize = 3;
/// How long to wait after a repair before a verdict that is still bad counts.
const SETTLE: Duration = Duration::from_secs(2);
/// How long the server may take to say what there is; one that does not is not there.
const GREETING: Duration = Duration::from_secs(10);
/// How long it may take to examine: some seconds, and it may have to wait for others.
const PATIENCE: Duration = Duration::from_secs(30);

/// Name what is wrong with a network's source NAT, the first broken link first, and mend it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Looks at the router's state and address, its interfaces, routes, kernel parameters and rules, at guests, the public \
segment, connection tracking, ports, names, large packets and the host, and follows packets of a guest through the router \
and back, all within ten seconds. Says one verdict with its evidence and remedy, and what else it found.

Examples:
  outgate doctor                          the first network there is
  outgate doctor lab-net                  a network (or VPC) by its name or id
  outgate doctor guest1                   a guest
  outgate doctor guest1 --to 192.0.2.10:443
  outgate doctor lab-net --fix            and mend what can be mended
  outgate doctor lab-net -o json | jq -r .verdict

Exit codes: 0 healthy, 1 something is wrong, 64 there is no such network or guest, 69 the server does not answer.")]
pub struct Args {
    /// The name or id of a network, VPC, router or guest; without it, the first network there is
    patient: Option<String>,
    /// What packets of a guest are followed to: ADDRESS for a ping, ADDRESS:PORT for TCP
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    to: Option<End>,
    /// The protocol: icmp, tcp, or udp (judged by the rules only)
    #[arg(long, value_parser = ["icmp", "tcp", "udp"])]
    protocol: Option<String>,
    /// Mend what can be mended: restart the network with a fresh router, renew a guest's lease ...
    #[arg(long)]
    fix: bool,
    /// Whom to ask
    #[command(flatten)]
    target: Target,
}

/// An address, with a port or without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: Option<u16>,
}

impl std::str::FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, port) = match text.split_once(':') {
            Some((address, port)) => (address, Some(port.parse().map_err(|_| wrong(text))?)),
            None => (text, None),
        };
        let address = address.parse().map_err(|_| wrong(text))?;
        Ok(Self { address, port })
    }
}

fn wrong(text: &str) -> String {
    format!("{text:?} is neither an IPv4 address nor one with a port, such as 192.0.2.10:443")
}

/// Asks the server, mends if asked to, and prints.
pub fn run(args: &Args, format: Format) -> anyhow::Result<()> {
    let client = |timeout| Client::connect_with(&args.target, Options::patient_for(timeout));
    let mut params = patient(&client(GREETING)?, EVERYBODY, args.patient.as_deref())?;
    let client = client(PATIENCE)?;
    params.extend(flow(args));
    let mut diagnosis = examine(&client, &params)?;
    let mut done = Vec::new();
    while args.fix && done.len() < FIXES {
        let Some(fix) = next_fix(&diagnosis, &done) else {
            break;
        };
        if format == Format::Table {
            output::line(format!("found: {}", text(&diagnosis["verdict"])))?;
            output::line(format!("fixing: {fix}"))?;
        }
        apply(&client, &diagnosis["finding"][0]["fix"])?;
        done.push(fix);
        diagnosis = examine(&client, &params)?;
        // Neighbours may take a moment to learn of a fresh router.
        if diagnosis["healthy"] != true {
            std::thread::sleep(SETTLE);
            diagnosis = examine(&client, &params)?;
        }
    }
    if let Some(object) = diagnosis.as_object_mut().filter(|_| args.fix) {
        object.insert("fixed".to_owned(), done.into());
    }
    match format {
        Format::Json => output::json(&diagnosis)?,
        Format::Table => print(&diagnosis)?,
    }
    if diagnosis["healthy"] == true {
        Ok(())
    } else {
        Err(exit::Code(exit::FAILED).into())
    }
}

fn examine(client: &Client, params: &[(String, String)]) -> anyhow::Result<Value> {
    let params: Vec<(&str, &str)> = params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    Ok(client.call("diagnoseNetwork", &params)?["diagnosis"].clone())
}

fn flow(args: &Args) -> Vec<(String, String)> {
    let mut params = Vec::new();
    let mut put = |key: &str, value: String| params.push((key.to_owned(), value));
    let port = args.to.and_then(|to| to.port);
    if let Some(to) = args.to {
        put("destination", to.address.to_string());
    }
    if let Some(port) = port {
        put("port", port.to_string());
    }
    match &args.protocol {
        Some(protocol) => put("protocol", protocol.clone()),
        None if port.is_some() => put("protocol", "tcp".to_owned()),
        None => {}
    }
    params
}

/// The commands that list what may be examined, the parameter that names it, and its kind in words.
type Kinds = &'static [(&'static str, &'static str, &'static str)];

/// Networks and VPCs.
pub(crate) const NETWORKS: Kinds = &[
    ("listNetworks", "networkid", "network"),
    ("listVPCs", "vpcid", "VPC"),
];
/// Guests.
pub(crate) const GUESTS: Kinds = &[("listVirtualMachines", "virtualmachineid", "guest")];
/// Routers.
pub(crate) const ROUTERS: Kinds = &[("listRouters", "routerid", "router")];
/// All of them.
const EVERYBODY: Kinds = &[NETWORKS[0], NETWORKS[1], GUESTS[0], ROUTERS[0]];

/// The parameter that names whom to examine: the one of that name or id, or the first one without a name.
pub(crate) fn patient(
    client: &Client,
    kinds: Kinds,
    wanted: Option<&str>,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut names = Vec::new();
    for &(command, param, _) in kinds {
        // Users may not list routers, and older servers have no VPCs.
        let found = match client.list(command, EVERYTHING) {
            Ok(found) => found,
            Err(_) if kinds.len() > 1 && (param == "routerid" || param == "vpcid") => continue,
            Err(error) => return Err(error),
        };
        let mut matches = found
            .iter()
            .filter(|object| wanted.is_none_or(|name| is_called(object, name)));
        if let Some(object) = matches.next() {
            let id = object["id"]
                .as_str()
                .context("the server named something without an id")?;
            return Ok(vec![(param.to_owned(), id.to_owned())]);
        }
        names.extend(found.iter().filter_map(|o| o["name"].as_str().map(str::to_owned)));
    }
    let words: Vec<&str> = kinds.iter().map(|(_, _, words)| *words).collect();
    let told = match wanted {
        Some(name) => format!(
            "there is no {} {name}{}",
            words.join(" or "),
            instead(name, &names)
        ),
        None => "there is no network yet; make one: outgate api createNetwork".to_owned(),
    };
    Err(exit::Usage(told).into())
}

/// What would mend the verdict, in words, unless it was tried already.
fn next_fix(diagnosis: &Value, done: &[String]) -> Option<String> {
    let fix = &diagnosis["finding"][0]["fix"];
    let command = fix["command"].as_str()?;
    let words = params_of(fix)
        .into_iter()
        .map(|(key, value)| format!(" {key}={value}"));
    let words: String = std::iter::once(command.to_owned()).chain(words).collect();
    (!done.contains(&words)).then_some(words)
}

fn params_of(fix: &Value) -> Vec<(String, String)> {
    let params = fix["params"].as_object().into_iter().flatten();
    params.map(|(key, value)| (key.clone(), text(value))).collect()
}

fn apply(client: &Client, fix: &Value) -> anyhow::Result<()> {
    let command = fix["command"]
        .as_str()
        .context("the server named a fix without a command")?;
    let params = params_of(fix);
    let params: Vec<(&str, &str)> = params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    if command == "renewVirtualMachineLease" {
        client.call(command, &params)?;
        // The guest's client starts anew and asks; a first look may come before the answer.
        std::thread::sleep(SETTLE);
    } else {
        client.job(command, &params)?;
    }
    Ok(())
}

fn print(diagnosis: &Value) -> anyhow::Result<()> {
    let of = |key: &str| text(&diagnosis[key]);
    let healthy = diagnosis["healthy"] == true;
    let router = diagnosis["router"].as_str().unwrap_or("none");
    let guests = match list(&diagnosis["guest"]) {
        none if none.is_empty() => "no guests".to_owned(),
        names => format!("guests {}", names.join(", ")),
    };
    output::line(format!("network {}, router {router}, {guests}", of("name")))?;
    output::line(output::verdict(
        if healthy { "healthy" } else { "faulty" },
        healthy,
    ))?;
    let findings = diagnosis["finding"].as_array().map_or(&[][..], Vec::as_slice);
    for (at, finding) in findings.iter().enumerate() {
        print_finding(at == 0, finding)?;
    }
    let mut table = output::table(&[]);
    for link in diagnosis["link"].as_array().into_iter().flatten() {
        let state = text(&link["state"]);
        table.add_row([
            format!("  {}", text(&link["what"])),
            output::verdict(&state, state == "ok"),
        ]);
    }
    output::line("\nthe way of the packets:")?;
    output::show(table)?;
    if let Some(flow) = diagnosis["flow"].as_str() {
        output::line(format!("  followed: {flow}"))?;
    }
    for note in list(&diagnosis["note"]) {
        output::line(format!("note: {note}"))?;
    }
    for fix in list(&diagnosis["fixed"]) {
        output::line(format!("fixed by: {fix}"))?;
    }
    let missing = list(&diagnosis["notavailable"]);
    if !missing.is_empty() {
        output::line(format!("not available on this host: {}", missing.join(", ")))?;
    }
    output::line(format!("took {} ms", diagnosis["millis"]))
}

fn print_finding(first: bool, finding: &Value) -> anyhow::Result<()> {
    let title = format!("{} [{}]", text(&finding["title"]), text(&finding["cause"]));
    let title = if first {
        output::strong(&title)
    } else {
        format!("also: {title}")
    };
    output::line(format!("\n{title}"))?;
    output::line(format!("  where:  {}", text(&finding["place"])))?;
    for seen in list(&finding["evidence"]) {
        output::line(format!("  seen:   {seen}"))?;
    }
    output::line(format!("  remedy: {}", text(&finding["remedy"])))?;
    if let Some(command) = finding["fix"]["command"].as_str() {
        output::line(format!("  --fix:  {command}"))?;
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}
