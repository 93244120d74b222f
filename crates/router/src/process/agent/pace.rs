// SPDX-License-Identifier: Apache-2.0
//! When to look at the router next: every three seconds, a moment after a notification, and ever more slowly while repairs
//! fail or somebody undoes them.

use std::time::{Duration, Instant};

/// Without any notification: what the kernel tells nobody, a parameter or a file, is repaired within 5 seconds, and a
/// thousand quiet routers cost little.
const REGULAR: Duration = Duration::from_secs(3);
/// After a difference: there may be more.
const SOON: Duration = Duration::from_secs(1);
/// Notifications that belong together arrive within this.
const TOGETHER: Duration = Duration::from_millis(3);
/// The first wait after a repair is twice this; it doubles with each further one in a row.
const FIRST_WAIT: Duration = Duration::from_millis(10);
/// The same after a repair that failed.
const FIRST_FAILED_WAIT: Duration = Duration::from_millis(320);
/// The longest wait after a repair that succeeded.
const REPAIRED_WAIT_MAX: Duration = Duration::from_secs(1);
/// The longest wait after a repair that failed: whatever else is changed meanwhile is repaired within 5 seconds.
const FAILED_WAIT_MAX: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
    not_before: Instant,
    /// Repairs in a row, those that failed among them.
    repairs: u32,
    /// Repairs in a row that failed. Among others that succeed, one that fails is somebody at work, and soon tried again.
    failures: u32,
    regular: bool,
}

impl Pace {
    /// Looks for the first time a moment from `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: now + SOON,
            not_before: now,
            repairs: 0,
            failures: 0,
            regular: true,
        }
    }

    /// How long to wait for the next look.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.max(self.not_before).saturating_duration_since(now)
    }

    /// Something may have changed.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.next = self.next.min(now + TOGETHER);
        self.regular = false;
    }

    /// There is something to do within a second.
    pub(super) fn soon(&mut self, now: Instant) {
        self.next = self.next.min(now + SOON);
    }

    /// There was no difference. Only a look that no notification asked for tells that all is quiet.
    pub(super) fn fine(&mut self, now: Instant) {
        if self.regular {
            self.repairs = 0;
        }
        self.failures = 0;
        self.again(now, REGULAR, Duration::ZERO);
    }

    /// A difference was repaired.
    pub(super) fn repaired(&mut self, now: Instant) {
        self.repairs = self.repairs.saturating_add(1);
        self.failures = 0;
        let wait = doubled(FIRST_WAIT, self.repairs).min(REPAIRED_WAIT_MAX);
        self.again(now, SOON, wait);
    }

    /// A difference could not be repaired.
    pub(super) fn failed(&mut self, now: Instant) {
        self.repairs = self.repairs.saturating_add(1);
        self.failures = self.failures.saturating_add(1);
        let wait = doubled(FIRST_FAILED_WAIT, self.failures).min(FAILED_WAIT_MAX);
        self.again(now, SOON, wait);
    }

    fn again(&mut self, now: Instant, next: Duration, wait: Duration) {
        self.next = now + next;
        self.not_before = now + wait;
        self.regular = true;
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_brings_the_next_look_forward_but_not_into_a_wait() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!(pace.wait(now), SOON);
        pace.hurry(now);
        assert_eq!(pace.wait(now), TOGETHER);
        pace.failed(now);
        pace.hurry(now);
        assert!(pace.wait(now) >= Duration::from_millis(500));
    }

    #[test]
    fn repairs_that_keep_failing_are_tried_ever_more_slowly() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let waits: Vec<Duration> = (0..20)
            .map(|_| {
                pace.failed(now);
                pace.wait(now)
            })
            .collect();
        assert!(waits[0] <= Duration::from_secs(1) && waits[19] == FAILED_WAIT_MAX);
        assert!(waits.windows(2).all(|w| w[0] <= w[1]));
    }

    #[test]
    fn a_repair_that_fails_among_many_that_do_not_is_tried_again_within_a_second() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..20 {
            pace.repaired(now);
        }
        pace.failed(now);
        assert!(pace.wait(now) <= SOON);
    }

    #[test]
    fn somebody_who_undoes_each_repair_slows_them_to_one_a_second() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..20 {
            pace.repaired(now);
            pace.hurry(now);
            assert!(pace.wait(now) <= REPAIRED_WAIT_MAX);
            pace.fine(now);
            pace.hurry(now);
        }
        pace.repaired(now);
        assert_eq!(pace.wait(now), REPAIRED_WAIT_MAX);
        pace.fine(now);
        pace.repaired(now);
        assert!(pace.wait(now) <= SOON);
        pace.fine(now);
        assert_eq!(pace.wait(now), REGULAR, "all is quiet");
        pace.soon(now);
        assert_eq!(pace.wait(now), SOON);
    }
}
