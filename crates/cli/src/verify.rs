// SPDX-License-Identifier: Apache-2.0
//! `outgate verify ROUTER`: the seven steps as one report.

use anyhow::Context as _;
use outgate_model::host::Check;

use crate::client::{Client, Target};
use crate::exit;
use crate::output::{self, Format};

/// Show step by step whether a router's source NAT works.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The seven steps: the router's state and address, SSH access, the public interface, the NAT rule, IP forwarding, \
connection tracking, and a ping from a guest to the outside.

Examples:
  outgate verify r-2-VM                     in the default lab
  outgate verify --instance two             the first router of the lab named two
  outgate verify r-2-VM -o json | jq '.[] | select(.pass | not)'
  outgate verify r-2-VM --credentials-file ~/.cloudstack.ini

Exit codes: 0 every step passed, 1 a step failed, 64 there is no such router, 69 the server does not answer.")]
pub struct Args {
    /// The router's name or id; without it, the first one there is
    router: Option<String>,
    /// Whom to ask
    #[command(flatten)]
    target: Target,
}

/// Asks the server and prints the steps.
pub fn run(args: &Args, format: Format) -> anyhow::Result<()> {
    let client = Client::connect(&args.target)?;
    let router = client.router(args.router.as_deref())?;
    let id = router["id"]
        .as_str()
        .context("the server named a router without an id")?;
    let reply = client.call("verifyRouter", &[("id", id)])?;
    let checks: Vec<Check> =
        serde_json::from_value(reply["verification"]["check"].clone()).context("verifyRouter's answer")?;
    match format {
        Format::Json => output::json(&checks)?,
        Format::Table => print(router["name"].as_str().unwrap_or(id), &checks)?,
    }
    if checks.iter().all(|c| c.pass) {
        Ok(())
    } else {
        Err(exit::Code(exit::FAILED).into())
    }
}

fn print(name: &str, checks: &[Check]) -> anyhow::Result<()> {
    let mut table = output::table(&["STEP", "WHAT", "RUN", "SEEN", "RESULT"]);
    for check in checks {
        let result = if check.pass { "pass" } else { "FAIL" };
        table.add_row([
            check.step.to_string(),
            check.title.clone(),
            check.command.clone(),
            check.seen.clone(),
            output::verdict(result, check.pass),
        ]);
    }
    output::show(table)?;
    for check in checks.iter().filter(|c| !c.pass) {
        output::line(format!(
            "\nstep {} failed: {}\n  what to do: {}",
            check.step, check.title, check.remedy
        ))?;
    }
    let passed = checks.iter().filter(|c| c.pass).count();
    output::line(format!("\n{name}: {passed} of {} steps passed", checks.len()))
}
