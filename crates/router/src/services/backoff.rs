// SPDX-License-Identifier: Apache-2.0
//! How soon a program that ended is started again: at once, unless it keeps ending at once.

use std::time::{Duration, Instant};

/// A program that ran this long did not crash at its start.
const HEALTHY: Duration = Duration::from_secs(10);
/// So many starts in a row are tried without waiting.
const FAST: u32 = 3;
/// The longest wait, 2^5 seconds.
const DOUBLINGS_MAX: u32 = 5;

/// What happened to one program so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

/// A start that must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// How long still.
    pub(super) remaining: Duration,
    /// How often the program ended at once before.
    pub(super) failures: u32,
}

impl Backoff {
    /// The program, started at `since`, ended at `now`.
    pub(super) fn ended(&mut self, since: Instant, now: Instant) {
        if now.saturating_duration_since(since) >= HEALTHY {
            *self = Self::default();
        }
        self.failures = self.failures.saturating_add(1);
        self.not_before = self.failures.checked_sub(FAST + 1).map(|n| {
            let seconds = 1_u64 << n.min(DOUBLINGS_MAX);
            now + Duration::from_secs(seconds)
        });
    }

    /// Whether a start at `now` must wait.
    pub(super) fn must_wait(&self, now: Instant) -> Option<Wait> {
        let remaining = self
            .not_before?
            .checked_duration_since(now)
            .filter(|d| !d.is_zero())?;
        Some(Wait {
            remaining,
            failures: self.failures,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_starts_are_fast_and_then_each_waits_twice_as_long() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..3 {
            backoff.ended(now, now);
            assert_eq!(backoff.must_wait(now), None);
        }
        for seconds in [1, 2, 4, 8, 16, 32, 32] {
            backoff.ended(now, now);
            assert_eq!(
                backoff.must_wait(now).unwrap().remaining,
                Duration::from_secs(seconds)
            );
            assert_eq!(backoff.must_wait(now + Duration::from_secs(seconds)), None);
        }
    }

    #[test]
    fn a_program_that_ran_for_long_starts_at_once() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        (0..9).for_each(|_| backoff.ended(now, now));
        backoff.ended(now, now + HEALTHY);
        assert_eq!(backoff.must_wait(now + HEALTHY), None);
    }
}
