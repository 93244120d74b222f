// SPDX-License-Identifier: Apache-2.0
//! `outgate server`: the management server.

mod config;
mod listener;

pub use config::Args;

use crate::logging;

/// Serves until SIGTERM.
pub fn run(args: Args) -> anyhow::Result<()> {
    let config = args.check()?;
    logging::start(config.log_format);
    let listener = listener::open(config.listen)?;
    anyhow::bail!("the server on {:?} with {config:?}", listener.local_addr())
}
