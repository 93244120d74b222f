// SPDX-License-Identifier: Apache-2.0
//! `outgate audit [NETWORK|VPC|ROUTER]`: how it deviates from the hardened profile.

use anyhow::Context as _;
use serde_json::Value;

use crate::client::{Client, EVERYTHING, Target, is_called};
use crate::exit;
use crate::near;
use crate::output::{self, Format};

/// List how a network deviates from the hardened profile, with risk, evidence and the command that closes it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Looks at what may leave and what is open from outside (as the router's rules judge it together), limits, records, and at \
the router itself: reverse path filtering, connection tracking helpers, foreign rules, who listens on the public side, what \
sshd takes. For administrators also at the server: TLS, the integration port, the administrator's password, old keys. \
Changes nothing; hardenNetwork closes most of it in one go.

Examples:
  outgate audit                          every network and VPC there is
  outgate audit lab-net                  one, by its name or id
  outgate api hardenNetwork id=lab-net   close what can be closed
  outgate audit lab-net -o json | jq -r '.[].deviation[].command'

Exit codes: 0 nothing deviates, 1 something does, 64 there is no such network, 69 the server does not answer.")]
pub struct Args {
    /// The name or id of a network, VPC or router; without it, every network and VPC
    whom: Option<String>,
    /// Whom to ask
    #[command(flatten)]
    target: Target,
}

/// Asks the server and prints.
pub fn run(args: &Args, format: Format) -> anyhow::Result<()> {
    let client = Client::connect(&args.target)?;
    let audits: Vec<Value> = targets(&client, args.whom.as_deref())?
        .iter()
        .map(|(param, id)| Ok(client.call("auditNetwork", &[(*param, id)])?["audit"].clone()))
        .collect::<anyhow::Result<_>>()?;
    match format {
        Format::Json => output::json(&audits)?,
        Format::Table => audits.iter().try_for_each(print)?,
    }
    if audits.iter().all(|audit| audit["clean"] == true) {
        Ok(())
    } else {
        Err(exit::Code(exit::FAILED).into())
    }
}

/// The parameter and id of each that is to be audited.
fn targets(client: &Client, wanted: Option<&str>) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    let mut names = Vec::new();
    for (command, param) in [
        ("listNetworks", "networkid"),
        ("listVPCs", "vpcid"),
        ("listRouters", "routerid"),
    ] {
        let all = match client.list(command, EVERYTHING) {
            Ok(all) => all,
            // Users may not list routers.
            Err(_) if param == "routerid" => continue,
            Err(error) => return Err(error),
        };
        for object in &all {
            let id = object["id"]
                .as_str()
                .context("the server named something without an id")?;
            // Tiers are audited with their VPC, routers with what they serve.
            let own = param != "routerid" && object["vpcid"].is_null();
            if wanted.map_or(own, |name| is_called(object, name)) {
                found.push((param, id.to_owned()));
            }
            names.extend(object["name"].as_str().map(str::to_owned));
        }
        if wanted.is_some() && !found.is_empty() {
            found.truncate(1);
            return Ok(found);
        }
    }
    match wanted {
        _ if !found.is_empty() => Ok(found),
        Some(name) => {
            let instead = near::instead(name, &names);
            Err(exit::Usage(format!("there is no network, VPC or router {name}{instead}")).into())
        }
        None => {
            Err(exit::Usage("there is no network yet; make one: outgate api createNetwork".to_owned()).into())
        }
    }
}

fn print(audit: &Value) -> anyhow::Result<()> {
    let clean = audit["clean"] == true;
    let router = audit["router"].as_str().unwrap_or("none");
    let word = if clean { "clean" } else { "deviates" };
    output::line(format!("network {}, router {router}", text(&audit["name"])))?;
    let word = format!("{word}{}", counts(audit));
    output::line(output::verdict(&word, clean))?;
    for deviation in audit["deviation"].as_array().into_iter().flatten() {
        let (id, title, risk) = (
            text(&deviation["id"]),
            text(&deviation["title"]),
            text(&deviation["risk"]),
        );
        output::line(format!(
            "\n{} [{id}]",
            output::strong(&format!("{risk}: {title}"))
        ))?;
        for seen in list(&deviation["evidence"]) {
            output::line(format!("  seen:  {seen}"))?;
        }
        output::line(format!("  close: {}", text(&deviation["command"])))?;
    }
    let missing = list(&audit["notavailable"]);
    if !missing.is_empty() {
        output::line(format!("\nnot looked at: {}", missing.join(", ")))?;
    }
    output::line("")
}

/// `: 1 high, 3 medium`; nothing for a clean one.
fn counts(audit: &Value) -> String {
    let deviations = audit["deviation"].as_array().map_or(&[][..], Vec::as_slice);
    let of = |risk: &str| deviations.iter().filter(|d| d["risk"] == risk).count();
    let counted = ["high", "medium", "low"].map(|risk| (of(risk), risk));
    let there = counted.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = there.map(|(count, risk)| format!("{count} {risk}")).collect();
    if words.is_empty() {
        String::new()
    } else {
        format!(": {}", words.join(", "))
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}
