// SPDX-License-Identifier: Apache-2.0
//! `outgate lab status`: what runs in a lab.

use std::time::Duration;

use serde_json::{Value, json};

use super::record::Record;
use super::state::{self, Instance};
use crate::client::{Client, Credentials, EVERYTHING, Options};
use crate::exit::{Code, FAILED};
use crate::output::{self, Format};

/// How long each answer of the server is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What runs in a lab.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outgate lab status
  outgate lab status --instance two -o json
  outgate lab status --all

Exit codes: 0 the lab is up and its server answers, 1 it is not.")]
pub struct Status {
    /// Name of the lab
    #[arg(
        long,
        default_value = "default",
        env = "OUTGATE_INSTANCE",
        conflicts_with = "all"
    )]
    instance: Instance,
    /// The names of all labs of this user, and whether they are up
    #[arg(long)]
    all: bool,
}

/// Prints it.
pub fn run(args: &Status, format: Format) -> anyhow::Result<()> {
    if args.all {
        every(format)
    } else {
        one(&args.instance, format)
    }
}

fn every(format: Format) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (instance, paths) in state::all()? {
        let record = Record::running(&paths).ok().flatten();
        rows.push(json!({ "instance": instance.as_str(), "endpoint": record.map(|r| r.endpoint()) }));
    }
    if format == Format::Json {
        return output::json(&rows);
    }
    let mut table = output::table(&["LAB", "STATE", "API"]);
    for row in &rows {
        let state = if row["endpoint"].is_null() { "down" } else { "up" };
        table.add_row([word(&row["instance"]), state.to_owned(), word(&row["endpoint"])]);
    }
    output::show(table)
}

fn one(instance: &Instance, format: Format) -> anyhow::Result<()> {
    let paths = instance.paths()?;
    let record = Record::read(&paths)?;
    let Some(record) = record.filter(|r| r.supervisor.alive()) else {
        let there = paths.dir().exists();
        let hint = if there {
            format!(
                "its files are there: `outgate lab up --instance {instance}` brings it back, `outgate lab down --instance \
                 {instance}` removes it"
            )
        } else {
            format!("start it with `outgate lab up --instance {instance}`")
        };
        match format {
            Format::Json => {
                output::json(&json!({ "instance": instance.as_str(), "up": false, "files": there }))?
            }
            Format::Table => output::line(format!("lab {instance} is down; {hint}"))?,
        }
        return Err(Code(FAILED).into());
    };
    let asked = Credentials::read(&paths.credentials())
        .and_then(|credentials| Client::with(credentials, Options::patient_for(PATIENCE)))
        .and_then(|client| look(&client));
    let (things, error) = match asked {
        Ok(things) => (things, None),
        Err(error) => (Things::default(), Some(format!("{error:#}"))),
    };
    print(instance, &record, &things, error.as_deref(), format)?;
    if error.is_none() {
        Ok(())
    } else {
        Err(Code(FAILED).into())
    }
}

/// What the server knows.
#[derive(Debug, Default)]
struct Things {
    networks: Vec<Value>,
    routers: Vec<Value>,
    guests: Vec<Value>,
    addresses: Vec<Value>,
}

/// A key that puts `guest2` before `guest10`: words, and numbers by their value.
fn natural(name: &str) -> Vec<(String, u64)> {
    let digits = |c: char| c.is_ascii_digit();
    let mut rest = name;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find(digits).unwrap_or(rest.len()));
        let end = after.find(|c| !digits(c)).unwrap_or(after.len());
        parts.push((word.to_owned(), after[..end].parse().unwrap_or(0)));
        rest = &after[end..];
    }
    parts
}

fn look(client: &Client) -> anyhow::Result<Things> {
    let list = |command| client.list(command, EVERYTHING);
    let sorted = |command, key: &str| {
        let mut found = list(command)?;
        found.sort_by_cached_key(|object| natural(object[key].as_str().unwrap_or_default()));
        anyhow::Ok(found)
    };
    Ok(Things {
        networks: sorted("listNetworks", "name")?,
        routers: sorted("listRouters", "name")?,
        guests: sorted("listVirtualMachines", "name")?,
        addresses: sorted("listPublicIpAddresses", "ipaddress")?,
    })
}

fn print(
    instance: &Instance,
    record: &Record,
    things: &Things,
    error: Option<&str>,
    format: Format,
) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(&json!({
            "instance": instance.as_str(), "up": true, "endpoint": record.endpoint(), "error": error,
            "supervisor": record.supervisor.pid(), "networks": things.networks, "routers": things.routers,
            "guests": things.guests, "addresses": things.addresses,
        }));
    }
    let mut table = output::table(&["WHAT", "NAME", "STATE", "ADDRESSES", "MORE"]);
    let server = if error.is_none() {
        "answers"
    } else {
        "does not answer"
    };
    table.add_row([
        "server",
        instance.as_str(),
        &output::verdict(server, error.is_none()),
        &record.endpoint(),
        error.unwrap_or(""),
    ]);
    for network in &things.networks {
        table.add_row(row(
            "network",
            network,
            word(&network["cidr"]),
            word(&network["networkofferingname"]),
        ));
    }
    for router in &things.routers {
        let more = format!(
            "control {}, {}, {}",
            word(&router["linklocalip"]),
            of(router, "guestnetworkname"),
            health(router)
        );
        table.add_row(row("router", router, word(&router["publicip"]), more));
    }
    for guest in &things.guests {
        let more = format!("network {}", word(&guest["nic"][0]["networkname"]));
        table.add_row(row("guest", guest, word(&guest["nic"][0]["ipaddress"]), more));
    }
    for address in &things.addresses {
        let use_ = if address["issourcenat"] == true {
            "source NAT"
        } else {
            ""
        };
        let more = of(address, "associatednetworkname");
        table.add_row([
            "address".to_owned(),
            use_.to_owned(),
            word(&address["state"]),
            word(&address["ipaddress"]),
            more,
        ]);
    }
    output::show(table)
}

/// The generation a router has applied, or what is wrong with it.
fn health(router: &Value) -> String {
    let checks = router["healthcheckresults"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let failed = checks.iter().find(|check| check["success"] == false);
    failed
        .or_else(|| checks.first())
        .map_or_else(|| "health unknown".to_owned(), |check| word(&check["details"]))
}

fn row(what: &str, object: &Value, addresses: String, more: String) -> [String; 5] {
    let state = word(&object["state"]);
    let good = ["Running", "Implemented", "Allocated"].contains(&state.as_str());
    [
        what.to_owned(),
        word(&object["name"]),
        output::verdict(&state, good),
        addresses,
        more,
    ]
}

/// `network lab-net` or `VPC shop`: whose a router or an address is.
fn of(object: &Value, network: &str) -> String {
    match object["vpcname"].as_str() {
        Some(vpc) => format!("VPC {vpc}"),
        None => format!("network {}", word(&object[network])),
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

#[cfg(test)]
mod order {
    use super::*;

    #[test]
    fn names_are_in_the_order_that_people_count() {
        let mut names = [
            "guest10",
            "guest2",
            "r-2-VM",
            "guest",
            "203.0.113.10",
            "203.0.113.9",
        ];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(
            names,
            [
                "203.0.113.9",
                "203.0.113.10",
                "guest",
                "guest2",
                "guest10",
                "r-2-VM"
            ]
        );
    }
}
