// SPDX-License-Identifier: Apache-2.0
//! `outgate api profile list|show`: which servers are known, and which one is asked. Secrets are never shown.

use serde_json::{Value, json};

use super::profile::{Choice, Profile};
use crate::client::{Method, Trust};
use crate::exit::Usage;
use crate::output::{self, Format};

/// Does what the words say.
pub fn run(choice: &Choice, words: &[&str], format: Format) -> anyhow::Result<()> {
    match words {
        ["list"] => list(choice, format),
        ["show"] => show(&Profile::choose(choice)?, format),
        ["show", name] => {
            let choice = Choice {
                profile: Some((*name).to_owned()),
                ..choice.clone()
            };
            show(&Profile::choose(&choice)?, format)
        }
        _ => Err(Usage("outgate api profile list, or profile show [NAME]".to_owned()).into()),
    }
}

fn list(choice: &Choice, format: Format) -> anyhow::Result<()> {
    let all = Profile::all(choice)?;
    let chosen = Profile::choose(choice).ok().map(|p| p.name);
    if format == Format::Json {
        return output::json(&all.iter().map(described).collect::<Vec<_>>());
    }
    let mut table = output::table(&["", "PROFILE", "ENDPOINT", "FROM"]);
    for profile in &all {
        let mark = if chosen.as_ref() == Some(&profile.name) {
            "*"
        } else {
            ""
        };
        table.add_row([
            mark,
            &profile.name,
            &profile.credentials.endpoint,
            &profile.source,
        ]);
    }
    output::show(table)
}

fn show(profile: &Profile, format: Format) -> anyhow::Result<()> {
    let described = described(profile);
    if format == Format::Json {
        return output::json(&described);
    }
    let mut table = output::table(&[]);
    for (name, value) in described.as_object().into_iter().flatten() {
        table.add_row([name.clone(), super::columns::text(value)]);
    }
    output::show(table)
}

fn described(profile: &Profile) -> Value {
    let options = &profile.options;
    let method = match options.method {
        Method::Auto => "get to look, post to change",
        Method::Get => "get",
        Method::Post => "post",
    };
    let trust = match &options.tls.trust {
        Trust::Machine => "the authorities of this machine".to_owned(),
        Trust::File(path) => path.display().to_string(),
        Trust::Anybody => "nothing: every server is believed".to_owned(),
    };
    json!({
        "profile": profile.name,
        "endpoint": profile.credentials.endpoint,
        "key": profile.credentials.key,
        "from": profile.source,
        "method": method,
        "trusts": trust,
        "timeout": format!("{} s", options.timeout.as_secs_f64()),
        "job_timeout": format!("{} s", options.job_timeout.as_secs_f64()),
        "expiration": format!("{} s", options.expiration.as_secs_f64()),
        "commands": profile.cache.as_ref().map(|path| path.display().to_string()),
    })
}
