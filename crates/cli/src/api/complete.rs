// SPDX-License-Identifier: Apache-2.0
//! What could come next on the command line, for the shells: `outgate complete-api -- WORDS... CURRENT`.
//! One candidate a line, its description behind a tab. What cannot be found out quickly is left out, without a word.

use std::time::Duration;

use super::catalog::{Api, Catalog, Param};
use super::profile::{Choice, Profile};
use super::{columns, lookup, request};
use crate::client::Client;

/// How long a look-up of names may take before the shell goes on without them.
const QUICK: Duration = Duration::from_millis(700);
/// How many candidates are offered at most.
const MOST: usize = 2000;
/// Our own words beside the server's commands.
pub const OWN: &[(&str, &str)] = &[
    ("help", "what a command takes"),
    ("list", "the server's commands"),
    ("profile", "the servers that are known"),
    ("sync", "learn the server's commands again"),
];

/// What could come next: words and what they mean.
pub type Candidates = Vec<(String, String)>;

/// Candidates for the last of `words`, which stand behind `outgate api`.
pub fn candidates(words: &[String]) -> Candidates {
    let Some((current, before)) = words.split_last() else {
        return Vec::new();
    };
    let (choice, plain) = options(before);
    if let Some(option) = before.last().filter(|word| TAKES_VALUE.contains(&word.as_str())) {
        return values_of_option(option, &choice, current);
    }
    if current.starts_with('-') {
        return starting(
            OPTIONS.iter().map(|(o, d)| ((*o).to_owned(), (*d).to_owned())),
            current,
        );
    }
    server(&choice, &plain, current).unwrap_or_default()
}

const OPTIONS: &[(&str, &str)] = &[
    ("--profile", "the server to ask"),
    ("--instance", "the lab to ask"),
    ("--credentials-file", "INI file with endpoint, key and secret"),
    ("--output", "table, json, text or id"),
    ("--columns", "what a table shows"),
    ("--no-wait", "do not wait for the job"),
    ("--no-check", "send what listApis does not know"),
    ("--help", "what a command takes"),
];
const TAKES_VALUE: &[&str] = &[
    "--profile",
    "-p",
    "--instance",
    "--credentials-file",
    "--output",
    "-o",
    "--columns",
];

/// The profile that the words choose, and the words that are no options.
fn options(words: &[String]) -> (Choice, Vec<&str>) {
    let variable = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
    let mut choice = Choice {
        profile: variable("OUTGATE_PROFILE"),
        instance: variable("OUTGATE_INSTANCE").and_then(|v| v.parse().ok()),
        credentials_file: variable("OUTGATE_CREDENTIALS").map(Into::into),
    };
    let mut plain = Vec::new();
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with('-') => (name, Some(value)),
            _ if TAKES_VALUE.contains(&word) => (word, words.next()),
            _ => (word, None),
        };
        match name {
            "--profile" | "-p" => choice.profile = value.map(str::to_owned),
            "--instance" => choice.instance = value.and_then(|v| v.parse().ok()),
            "--credentials-file" => choice.credentials_file = value.map(Into::into),
            _ if name.starts_with('-') => {}
            _ => plain.push(word),
        }
    }
    (choice, plain)
}

fn values_of_option(option: &str, choice: &Choice, current: &str) -> Candidates {
    match option {
        "--profile" | "-p" => {
            let all = Profile::all(choice).unwrap_or_default();
            starting(all.into_iter().map(|p| (p.name, p.credentials.endpoint)), current)
        }
        "--output" | "-o" => starting(
            ["table", "json", "text", "id"]
                .map(|f| (f.to_owned(), String::new()))
                .into_iter(),
            current,
        ),
        _ => Vec::new(),
    }
}

fn server(choice: &Choice, plain: &[&str], current: &str) -> Option<Candidates> {
    let mut profile = Profile::choose(choice).ok()?;
    profile.options.timeout = QUICK;
    let client = profile.client().ok()?;
    let catalog = Catalog::of(&profile, &client).ok()?;
    let commands = || {
        catalog
            .commands
            .iter()
            .map(|api| (api.name.clone(), api.description.clone()))
    };
    match plain {
        [] => {
            let own = OWN.iter().map(|(w, d)| ((*w).to_owned(), (*d).to_owned()));
            Some(starting(commands().chain(own), current))
        }
        ["help" | "list"] => Some(starting(commands(), current)),
        ["profile"] => Some(starting(
            ["list", "show"]
                .map(|w| (w.to_owned(), String::new()))
                .into_iter(),
            current,
        )),
        [command, given @ ..] => {
            let api = catalog.find(command)?;
            Some(match current.split_once('=') {
                Some((name, part)) => values(&client, &catalog, api, (given, name, part)),
                None => params(api, given, current),
            })
        }
    }
}

/// Parameters that are not given yet; required ones first.
fn params(api: &Api, given: &[&str], current: &str) -> Candidates {
    let taken = |p: &&Param| {
        given.iter().any(|g| {
            g.split('=')
                .next()
                .is_some_and(|n| n.eq_ignore_ascii_case(&p.name))
        })
    };
    let mut left: Vec<&Param> = api.params.iter().filter(|p| !taken(p)).collect();
    left.sort_by_key(|p| (!p.required, p.name.as_str()));
    let word = |p: &Param| {
        let name = if p.kind == "map" {
            format!("{}[0].", p.name)
        } else {
            format!("{}=", p.name)
        };
        let mark = if p.required { " (required)" } else { "" };
        (name, format!("{}{mark}", p.description))
    };
    starting(left.into_iter().map(word), current)
}

/// Values of a parameter: yes and no, or names and ids from the server.
fn values(
    client: &Client,
    catalog: &Catalog,
    api: &Api,
    (given, name, part): (&[&str], &str, &str),
) -> Candidates {
    let Some(param) = api.param(name) else {
        return Vec::new();
    };
    if param.kind == "boolean" {
        let words = ["true", "false"].map(|v| (format!("{name}={v}"), String::new()));
        return starting(words.into_iter(), &format!("{name}={part}"));
    }
    let ids = param.kind == "uuid" || request::outer(name).ends_with("ids");
    let resource_type = given.iter().find_map(|word| {
        word.to_lowercase()
            .strip_prefix("resourcetype=")
            .map(str::to_owned)
    });
    let list = lookup::lister(catalog, &api.name, name, resource_type.as_deref());
    let Some(list) = list.filter(|_| ids) else {
        return Vec::new();
    };
    // Of a list of ids, the last one is typed.
    let (before, last) = part
        .rsplit_once(',')
        .map_or(("", part), |(b, l)| (&part[..=b.len()], l));
    let found = lookup::look(client, list, "", None).unwrap_or_default();
    let mut words = Vec::new();
    for object in &found {
        let text = |field: &str| columns::path_text(object, field);
        let label = ["name", "displayname", "ipaddress"]
            .map(text)
            .into_iter()
            .find(|t| !t.is_empty())
            .unwrap_or_default();
        let (id, state) = (text("id"), text("state"));
        // A name that a shell would take apart is offered as its id.
        let tame = !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        let unique = found
            .iter()
            .filter(|o| crate::client::is_called(o, &label))
            .count()
            == 1;
        let by_id = !last.is_empty() && id.starts_with(last);
        let offered = if tame && unique && !by_id { &label } else { &id };
        words.push((
            format!("{name}={before}{offered}"),
            format!("{label} {state} {id}"),
        ));
    }
    words.sort();
    starting(words.into_iter(), &format!("{name}={part}"))
}

fn starting(words: impl Iterator<Item = (String, String)>, current: &str) -> Candidates {
    let current = current.to_lowercase();
    words
        .filter(|(word, _)| word.to_lowercase().starts_with(&current))
        .take(MOST)
        .collect()
}
