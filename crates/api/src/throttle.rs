// SPDX-License-Identifier: Apache-2.0
//! CloudStack's limit on calls: so many by one account in an interval, 429 beyond. Root admins are not limited.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use outgate_model::id::AccountId;

use crate::wire::error::ApiError;

/// Most accounts that are counted at once; beyond, those whose interval has ended are dropped.
const MOST: usize = 10_000;

/// How much an account may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `api.throttling.max`: so many calls ...
    pub max: u32,
    /// `api.throttling.interval`: ... in this time.
    pub interval: Duration,
}

/// Counts calls.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<AccountId, (Instant, u32)>>);

/// How an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Calls that it has made in this interval.
    pub issued: u32,
    /// Calls that it may still make; -1 for any number.
    pub allowed: i64,
    /// Milliseconds until the interval ends.
    pub expire_after: u64,
}

impl Throttle {
    /// How an account stands; `None` for the limit when there is none for it.
    pub fn standing(&self, account: AccountId, limit: Option<Limit>, now: Instant) -> Standing {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = counts.get(&account).copied();
        let passed = |since| now.saturating_duration_since(since);
        let current = |limit: Limit| counted.filter(|(since, _)| passed(*since) < limit.interval);
        match limit.map(|limit| (limit, current(limit))) {
            None => Standing {
                issued: 0,
                allowed: -1,
                expire_after: 0,
            },
            Some((limit, counted)) => {
                let issued = counted.map_or(0, |(_, count)| count);
                let left = counted.map_or(limit.interval, |(since, _)| limit.interval - passed(since));
                Standing {
                    issued,
                    allowed: limit.max.saturating_sub(issued).into(),
                    expire_after: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                }
            }
        }
    }

    /// Forgets the calls of an account, or of all.
    pub fn reset(&self, account: Option<AccountId>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match account {
            Some(account) => drop(counts.remove(&account)),
            None => counts.clear(),
        }
    }

    /// Counts one more call. Errors (429) when there were too many.
    pub fn count(&self, account: AccountId, limit: Limit, now: Instant) -> Result<(), ApiError> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST && !counts.contains_key(&account) {
            counts.retain(|_, (since, _)| now.saturating_duration_since(*since) < limit.interval);
        }
        let (since, count) = counts.entry(account).or_insert((now, 0));
        let passed = now.saturating_duration_since(*since);
        if passed >= limit.interval {
            (*since, *count) = (now, 0);
        }
        if *count >= limit.max {
            return Err(ApiError::throttled(limit.interval.saturating_sub(passed)));
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_gets_its_calls_each_interval_whatever_others_do() {
        let limit = Limit {
            max: 25,
            interval: Duration::from_secs(1),
        };
        let (throttle, now) = (Throttle::default(), Instant::now());
        let (busy, calm) = (AccountId::new(), AccountId::new());
        let passed = |account, at| {
            (0..100)
                .filter(|_| throttle.count(account, limit, at).is_ok())
                .count()
        };
        assert_eq!(passed(busy, now), 25);
        assert_eq!(passed(calm, now), 25);
        let refused = throttle
            .count(busy, limit, now + Duration::from_millis(400))
            .unwrap_err();
        assert_eq!(refused.code, 429);
        assert!(refused.text.contains("retry after 600 ms"), "{}", refused.text);
        assert_eq!(passed(busy, now + limit.interval), 25);
    }
}
