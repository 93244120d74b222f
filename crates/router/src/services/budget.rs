// SPDX-License-Identifier: Apache-2.0
//! How much a program may write into the router's log. What dnsmasq and sshd print is up to whoever speaks to them: a
//! guest that keeps asking for leases must not push what an operator looks for out of a log that is bounded.

use std::time::{Duration, Instant};

/// So many lines may come at once.
const BURST: u32 = 200;
/// In the long run, one line comes in this time: 1 MiB lasts for hours.
const PER_LINE: Duration = Duration::from_secs(1);

/// One program's allowance.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    lines: u32,
    /// Until when lines have been earned.
    since: Instant,
    left_out: u64,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            lines: BURST,
            since: now,
            left_out: 0,
        }
    }

    /// Whether a line at `now` may be written; then how many before it were not.
    pub(super) fn take(&mut self, now: Instant) -> Option<u64> {
        let earned = now.saturating_duration_since(self.since).as_secs() / PER_LINE.as_secs();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.since += PER_LINE.saturating_mul(earned);
        self.lines = self.lines.saturating_add(earned).min(BURST);
        match self.lines.checked_sub(1) {
            Some(lines) => {
                self.lines = lines;
                Some(std::mem::take(&mut self.left_out))
            }
            None => {
                self.left_out += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_prints_without_end_gets_a_burst_and_then_a_line_a_second() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let mut written = 0;
        for millis in 0..100_000 {
            written += u32::from(budget.take(start + Duration::from_millis(millis)).is_some());
        }
        assert_eq!(written, BURST + 99);
    }

    #[test]
    fn what_was_left_out_is_counted() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        (0..BURST).for_each(|_| assert_eq!(budget.take(start), Some(0)));
        (0..7).for_each(|_| assert_eq!(budget.take(start), None));
        assert_eq!(budget.take(start + PER_LINE), Some(7));
        assert_eq!(budget.take(start + PER_LINE * 2), Some(0));
    }

    #[test]
    fn silence_earns_no_more_than_a_burst() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let later = start + Duration::from_secs(1_000_000);
        let written = (0..1_000).filter(|_| budget.take(later).is_some()).count();
        assert_eq!(u32::try_from(written).unwrap(), BURST);
    }
}
