// SPDX-License-Identifier: Apache-2.0
//! What a command does and takes, as `listApis` says.

use super::catalog::{Api, Catalog};
use crate::output::{self, Format};

/// Prints a command's description, parameters and answer.
pub fn command(api: &Api, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(api);
    }
    let waits = if api.isasync {
        " (asynchronous: answers with a job, which is waited for)"
    } else {
        ""
    };
    output::line(format!(
        "{}{waits}\n  {}\n",
        output::strong(&api.name),
        clean(&api.description)
    ))?;
    let mut params: Vec<_> = api.params.iter().collect();
    params.sort_by_key(|p| (!p.required, p.name.as_str()));
    if params.is_empty() {
        output::line("It takes no parameters.")?;
    } else {
        let mut table = output::table(&["PARAMETER", "TYPE", "REQUIRED", "WHAT"]);
        for param in params {
            let required = if param.required {
                output::strong("required")
            } else {
                String::new()
            };
            table.add_row([
                param.name.clone(),
                param.kind.clone(),
                required,
                clean(&param.description),
            ]);
        }
        output::show(table)?;
    }
    let mut fields: Vec<&str> = api
        .response
        .iter()
        .map(|f| f.name.as_str())
        .filter(|n| !n.is_empty())
        .collect();
    fields.sort_unstable();
    output::line(format!(
        "\nAnswers with: {}",
        if fields.is_empty() {
            "nothing".to_owned()
        } else {
            fields.join(", ")
        }
    ))
}

/// Prints the commands whose names hold `pattern`, in any case.
pub fn list(catalog: &Catalog, pattern: Option<&str>, format: Format) -> anyhow::Result<()> {
    let pattern = pattern.unwrap_or("").to_lowercase();
    let found: Vec<&Api> = catalog
        .commands
        .iter()
        .filter(|api| api.name.to_lowercase().contains(&pattern))
        .collect();
    if format == Format::Json {
        return output::json(&found);
    }
    let mut table = output::table(&["COMMAND", "JOB", "WHAT"]);
    for api in &found {
        let job = if api.isasync { "job" } else { "" };
        table.add_row([api.name.as_str(), job, &clean(&api.description)]);
    }
    output::show(table)
}

/// Text of the server on one line.
fn clean(text: &str) -> String {
    text.split_whitespace()
        .map(|word| word.replace(char::is_control, ""))
        .collect::<Vec<_>>()
        .join(" ")
}
