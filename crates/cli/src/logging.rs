// SPDX-License-Identifier: Apache-2.0
//! Logs on standard error, as text or JSON lines.

use tracing_subscriber::EnvFilter;

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text for each event.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

/// The format that the environment names, for processes that get no flag: the lab's and the routers' own.
pub fn format_of_environment() -> LogFormat {
    let named = std::env::var("OUTGATE_LOG_FORMAT").unwrap_or_default();
    <LogFormat as clap::ValueEnum>::from_str(&named, true).unwrap_or_default()
}

/// What makes the processes of routers and guests log as their server does.
pub fn environment(format: LogFormat) -> Vec<(&'static str, String)> {
    let format = match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let filter = std::env::var("OUTGATE_LOG").ok();
    let filter = filter.map(|filter| ("OUTGATE_LOG", filter));
    [("OUTGATE_LOG_FORMAT", format.to_owned())]
        .into_iter()
        .chain(filter)
        .collect()
}

/// Starts logging. `OUTGATE_LOG` chooses what is logged, in `tracing`'s filter syntax; `info` without it.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("OUTGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // A second start, as in tests, keeps the first.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
