// SPDX-License-Identifier: Apache-2.0
//! `outgate openapi`: the API as documents, both made from the command table.

use std::io::Write as _;

/// Print the OpenAPI 3.1 document of the API, or its reference in Markdown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A server has the same document at /client/api/openapi.json.

Examples:
  outgate openapi > openapi.json
  outgate openapi --markdown > docs/api.md")]
pub struct Args {
    /// The reference in Markdown instead, as in docs/api.md
    #[arg(long)]
    markdown: bool,
}

/// Prints it.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let text = if args.markdown {
        outgate_api::catalog::reference()
    } else {
        serde_json::to_string_pretty(&outgate_api::catalog::openapi())? + "\n"
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
