// SPDX-License-Identifier: Apache-2.0
//! What the benchmark's core has worked for it. Unlike the time that passes, that does not count what others take from
//! the core meanwhile.

use std::time::Duration;

use anyhow::Context;
use nix::time::{ClockId, clock_gettime};

/// The processor time of this process, and of the kernel's thread that takes packets on where there are too many for the
/// senders themselves.
///
/// # Errors
/// When there is no such thread.
pub fn worked() -> anyhow::Result<Duration> {
    let own = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
    Ok(Duration::from(own) + of_packets()?)
}

/// `ksoftirqd/0`: the first of the kernel's threads of core 0.
fn of_packets() -> anyhow::Result<Duration> {
    for pid in 2..64 {
        let Ok(name) = std::fs::read_to_string(format!("/proc/{pid}/comm")) else {
            continue;
        };
        if name.trim_end() == "ksoftirqd/0" {
            let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
            let nanos = text.split_whitespace().next().context("schedstat is empty")?;
            return Ok(Duration::from_nanos(nanos.parse()?));
        }
    }
    anyhow::bail!("core 0 has no ksoftirqd")
}
