// SPDX-License-Identifier: Apache-2.0
//! Waiting for a condition with a deadline, never for a time.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::bail;

const STEP: Duration = Duration::from_millis(5);

/// Asks `condition` every few milliseconds until it gives a value, and gives that back.
///
/// # Errors
/// After `limit`: what was waited for.
pub async fn poll_until<T, F, C>(limit: Duration, what: &str, mut condition: C) -> anyhow::Result<T>
where
    C: FnMut() -> F,
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition().await {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not so within {limit:?}");
        }
        tokio::time::sleep(STEP).await;
    }
}

/// As [`poll_until`], for conditions that block.
///
/// # Errors
/// After `limit`: what was waited for.
pub fn wait_until<T>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not so within {limit:?}");
        }
        std::thread::sleep(STEP);
    }
}
