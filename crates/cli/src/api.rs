// SPDX-License-Identifier: Apache-2.0
//! `outgate api`: any command of the CloudStack API on the command line, of our server or of a CloudStack.

mod catalog;
mod columns;
mod complete;
mod help;
mod ini;
mod lookup;
mod profile;
mod profiles;
mod progress;
mod render;
mod request;

use anyhow::Context as _;
use clap::CommandFactory as _;
use serde_json::Value;

use self::catalog::{Api, Catalog};
use self::profile::{Choice, Profile};
use self::request::Request;
use crate::client::Client;
use crate::exit::Usage;
use crate::output::{self, Format, Style};

/// Call any command of the CloudStack API, of this cloud or another.
///
/// Commands and parameters may be written in any case. Where a command wants an id, a name does as well. A value that
/// starts with @ is read from that file (@- from standard input), so that secrets stay off the command line.
/// Asynchronous commands are waited for.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, after_help = EXAMPLES)]
pub struct Args {
    /// The command, or one of: sync, list PATTERN, help COMMAND, profile list, profile show NAME
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
    /// The command's parameters
    #[arg(value_name = "NAME=VALUE")]
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    /// What to show, in this order: name,state,nic.ipaddress
    #[arg(short, long, value_delimiter = ',', value_name = "NAME,...")]
    columns: Option<Vec<String>>,
    /// Do not wait for an asynchronous command's job; print its id
    #[arg(long)]
    no_wait: bool,
    /// Send the command as it is typed, also what the server does not list
    #[arg(long)]
    no_check: bool,
    /// What a command takes; without one, this text
    #[arg(short, long)]
    help: bool,
}

const EXAMPLES: &str = "\
Examples:
  outgate api listNetworks                            in the lab, or where ~/.cloudstack.ini points
  outgate api list acl                                the server's commands that have acl in their names
  outgate api createNetwork --help                    what a command takes
  outgate api createNetwork name=web zoneid=lab networkofferingid=IsolatedNetworkEgressAllow
  outgate api createPortForwardingRule ipaddressid=203.0.113.11 protocol=tcp publicport=80 privateport=8000 \\
      virtualmachineid=guest1
  outgate api createTags resourcetype=Network resourceids=web tags[0].key=env tags[0].value=prod
  outgate api listVirtualMachines --columns name,nic.ipaddress
  outgate api associateIpAddress networkid=web -o id  the new address's id alone, for scripts
  outgate api createAccount username=ann password=@secret.txt ...
  outgate api --profile prod listZones                section [prod] of cs's configuration
  outgate api profile list                            which servers are known
  outgate api sync                                    learn the server's commands again, after an upgrade

Who is asked: --profile (a section of ~/.cloudstack.ini, ./cloudstack.ini or $CLOUDSTACK_CONFIG, or lab:NAME); else \
$CLOUDSTACK_ENDPOINT, $CLOUDSTACK_KEY and $CLOUDSTACK_SECRET; else section [cloudstack] or $CLOUDSTACK_REGION of those \
files; else the lab named default.

Exit codes: 0 done, 1 the server refused or the job failed (its words and code on standard error), 64 wrong usage, \
unknown command or parameter, 69 the server does not answer.";

/// Print what could come next on an `outgate api` command line.
#[derive(Debug, clap::Args)]
pub struct CompleteArgs {
    /// The words behind `outgate api`; the last one is not finished
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Prints candidates, each with its description behind a tab.
pub fn complete(args: &CompleteArgs) -> anyhow::Result<()> {
    for (word, what) in complete::candidates(&args.words) {
        let what: String = what
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        output::line(format!("{word}\t{what}"))?;
    }
    Ok(())
}

/// Does what the words say.
pub fn run(args: &Args, style: Style) -> anyhow::Result<()> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    match (args.command.as_deref(), &words[..]) {
        (None, _) if args.help => own_help(),
        (None, _) => Err(Usage(
            "which command? `outgate api list` shows all, `outgate api --help` says more".into(),
        )
        .into()),
        (Some("help"), []) => own_help(),
        (Some("sync"), []) => sync(args),
        (Some("list"), [] | [_]) => {
            let (profile, client) = connect(args)?;
            help::list(
                &Catalog::of(&profile, &client)?,
                words.first().copied(),
                plain(style)?,
            )
        }
        (Some("profile"), words) => profiles::run(&args.choice, words, plain(style)?),
        (Some("help"), [command]) => describe(args, command, style),
        (Some(command), _) if args.help => describe(args, command, style),
        (Some(word @ ("help" | "sync" | "list")), _) => {
            Err(Usage(format!("too many words after {word}; see `outgate api --help`")).into())
        }
        (Some(command), _) => call(args, command, style),
    }
}

/// Descriptions are tables or JSON.
fn plain(style: Style) -> anyhow::Result<Format> {
    style.format().context("descriptions know only two forms")
}

fn own_help() -> anyhow::Result<()> {
    let mut whole = crate::args::Cli::command();
    whole.build();
    let command = whole.find_subcommand_mut("api").context("no help for api")?;
    Ok(command.print_long_help()?)
}

fn connect(args: &Args) -> anyhow::Result<(Profile, Client)> {
    let profile = Profile::choose(&args.choice)?;
    let client = profile.client()?;
    Ok((profile, client))
}

fn sync(args: &Args) -> anyhow::Result<()> {
    let (profile, client) = connect(args)?;
    let catalog = Catalog::ask(&profile, &client)?;
    let place = profile
        .cache
        .as_ref()
        .map(|path| format!(", kept in {}", path.display()));
    output::line(format!(
        "{} commands of {}{}",
        catalog.commands.len(),
        profile.credentials.endpoint,
        place.unwrap_or_default()
    ))
}

/// What the server can do, asked for anew when it does not know the command and is not fresh.
fn knowing(profile: &Profile, client: &Client, command: &str) -> anyhow::Result<Catalog> {
    let known = Catalog::of(profile, client)?;
    if known.find(command).is_some() || Catalog::is_fresh(profile) {
        return Ok(known);
    }
    Catalog::ask(profile, client)
}

fn describe(args: &Args, command: &str, style: Style) -> anyhow::Result<()> {
    let (profile, client) = connect(args)?;
    let catalog = knowing(&profile, &client, command)?;
    help::command(request::command(&catalog, command)?, plain(style)?)
}

fn call(args: &Args, command: &str, style: Style) -> anyhow::Result<()> {
    let typed = args
        .words
        .iter()
        .map(|w| request::parse(w))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let (profile, client) = connect(args)?;
    let catalog = if args.no_check {
        Catalog::default()
    } else {
        knowing(&profile, &client, command)?
    };
    let mut request = if catalog.is_empty() {
        request::unchecked(command, &typed)?
    } else {
        checked(&client, &catalog, request::command(&catalog, command)?, &typed)?
    };
    for (name, value) in &mut request.params {
        *value = request::value(name, value)?;
    }
    let answer = ask(&client, &request, args.no_wait)?;
    render::print(&answer, style, args.columns.as_deref())?;
    if render::Shown::of(&answer) == render::Shown::Nothing && style == Style::Table {
        progress::note("nothing found");
    }
    Ok(())
}

fn checked(
    client: &Client,
    catalog: &Catalog,
    api: &Api,
    typed: &[(String, String)],
) -> anyhow::Result<Request> {
    let mut request = request::checked(api, typed)?;
    lookup::resolve(client, catalog, api, &mut request)?;
    Ok(request)
}

/// Sends the request and waits for its job, if it has one.
fn ask(client: &Client, request: &Request, no_wait: bool) -> anyhow::Result<Value> {
    let params: Vec<(&str, &str)> = request
        .params
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let reply = client.call(&request.command, &params)?;
    let looks = request.command.eq_ignore_ascii_case("queryAsyncJobResult");
    match reply["jobid"].as_str() {
        Some(job) if !no_wait && !looks => {
            let line = progress::Line::start(&request.command, job);
            client.wait(&request.command, job, |elapsed| line.tell(elapsed))
        }
        _ => Ok(reply),
    }
}
