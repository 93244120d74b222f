// SPDX-License-Identifier: Apache-2.0
//! Adds up what routers carry, day by day. A router's counters as they were last read are kept in the same transaction
//! as the sum: a crash at any moment adds nothing twice, and what a router counts while no server runs is added later.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use outgate_model::id::AccountId;
use outgate_model::key;
use outgate_model::object::Router;
use outgate_model::stats::RouterStats;
use outgate_model::usage::{Held, InOut, MonthBytes, Reading};
use outgate_store::{Condition, Entry, Outcome, Txn, Write};
use serde::de::DeserializeOwned;

use super::records::{self, Record, UsageType};
use crate::manager::{CommitError, Manager};
use crate::{CommandError, settings};

/// More records than this are refused: the range has to be narrower.
const RECORDS_MAX: usize = 200_000;
/// At most so many days are looked at.
const DAYS_MAX: i32 = 366;

/// Which usage records to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageQuery {
    /// The first day.
    pub first: Date,
    /// The last day.
    pub last: Date,
    /// Only of this type.
    pub kind: Option<UsageType>,
}

/// The day of a moment, in UTC.
pub(super) fn day_of(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// `2026-11`.
fn month_of(day: Date) -> String {
    format!("{:04}-{:02}", day.year(), day.month())
}

fn read<T: DeserializeOwned>(entry: Option<&Entry>) -> Option<T> {
    let entry = entry?;
    serde_json::from_slice(&entry.value)
        .inspect_err(|error| tracing::error!(key = entry.key, %error, "usage cannot be read"))
        .ok()
}

/// The condition that a key is as it was read, or still not there.
fn as_seen(key: &str, entry: Option<&Entry>) -> Condition {
    match entry {
        Some(entry) => Condition::Unchanged(key.to_owned(), entry.modified),
        None => Condition::Absent(key.to_owned()),
    }
}

fn put<T: serde::Serialize>(key: String, value: &T) -> Result<Write, CommitError> {
    let value = serde_json::to_vec(value).map_err(|e| CommitError::Encode(e.to_string()))?;
    Ok(Write::Put {
        key,
        value,
        lease: None,
    })
}

/// What the counters say beyond what was added already. Counters of another life began at zero.
fn beyond(before: Option<&Reading>, now: &Reading) -> BTreeMap<Ipv4Addr, InOut> {
    let same = before.filter(|before| before.epoch == now.epoch);
    let each = now.addresses.iter().filter_map(|(address, count)| {
        let added = same
            .and_then(|same| same.addresses.get(address))
            .copied()
            .unwrap_or_default();
        let new = [
            count[0].saturating_sub(added[0]),
            count[1].saturating_sub(added[1]),
        ];
        (new != [0, 0]).then_some((*address, new))
    });
    each.collect()
}

fn reading(stats: &RouterStats) -> Option<Reading> {
    let count =
        |t: &outgate_model::stats::AddressTraffic| (t.address, [t.traffic.bytes_in, t.traffic.bytes_out]);
    Some(Reading {
        epoch: stats.epoch?,
        addresses: stats.addresses.iter().map(count).collect(),
    })
}

/// Adds what these routers have carried since they were last read.
pub(super) async fn add(manager: &Manager, read: &[super::Read]) -> Result<(), CommitError> {
    let today = day_of(Timestamp::now());
    let mut txn = Txn::default();
    for (router, stats) in read {
        add_one(manager, router, stats, today, &mut txn).await?;
    }
    if txn.writes.is_empty() {
        return Ok(());
    }
    if manager.store().txn(txn).await? == Outcome::Conflict {
        tracing::info!("usage was added by somebody else at the same time; the next reading adds the rest");
    }
    Ok(())
}

async fn add_one(
    manager: &Manager,
    router: &Router,
    stats: &RouterStats,
    today: Date,
    txn: &mut Txn,
) -> Result<(), CommitError> {
    let Some(now) = reading(stats) else { return Ok(()) };
    let reading_key = key::usage_reading(router.id);
    let seen = manager.store().get(&reading_key).await?;
    let before: Option<Reading> = read(seen.as_ref());
    if before.as_ref() == Some(&now) {
        return Ok(());
    }
    let new = beyond(before.as_ref(), &now);
    txn.conditions.push(as_seen(&reading_key, seen.as_ref()));
    txn.writes.push(put(reading_key, &now)?);
    if new.is_empty() {
        return Ok(());
    }
    let month_key = format!("{}{}", key::usage_month(&month_of(today)), router.id);
    let seen = manager.store().get(&month_key).await?;
    let mut month = read(seen.as_ref()).unwrap_or_else(|| MonthBytes {
        router: router.id,
        name: router.name.clone(),
        realm: router.realm,
        zone: router.zone,
        account: router.account,
        days: BTreeMap::new(),
    });
    let day = month.days.entry(today.day().unsigned_abs()).or_default();
    for (address, bytes) in new {
        let sum = day.entry(address).or_default();
        sum[0] = sum[0].saturating_add(bytes[0]);
        sum[1] = sum[1].saturating_add(bytes[1]);
    }
    txn.conditions.push(as_seen(&month_key, seen.as_ref()));
    txn.writes.push(put(month_key, &month)?);
    Ok(())
}

impl Manager {
    /// Reads all counters now, so that usage records hold everything up to this moment.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn generate_usage(&self) -> Result<(), CommandError> {
        super::pass(self).await.map_err(CommandError::from)
    }

    /// The usage records of some days, of accounts that `shows` lets through, by day, type and object.
    ///
    /// # Errors
    /// When the range is too wide, or the store fails.
    pub async fn usage_records(
        &self,
        query: UsageQuery,
        shows: impl Fn(AccountId) -> bool + Send + Sync,
    ) -> Result<Vec<Record>, CommandError> {
        let wide = || {
            CommandError::invalid(
                "enddate",
                query.last,
                format!("a day of at most {DAYS_MAX} days and {RECORDS_MAX} records from startdate on"),
            )
        };
        let days = days(query.first, query.last).ok_or_else(wide)?;
        let (_, entries) = self.store().range(&key::usage_held()).await?;
        let held = entries.iter().filter_map(|entry| read::<Held>(Some(entry)));
        let held: Vec<_> = held.filter(|held| shows(held.account)).collect();
        let mut found = Vec::new();
        let mut month = (String::new(), Vec::new());
        for day in days {
            if month.0 != month_of(day) {
                month = (month_of(day), self.month(day, &shows).await?);
            }
            records::of_day(day, Timestamp::now(), &held, &month.1, query.kind, &mut found);
            if found.len() > RECORDS_MAX {
                return Err(wide());
            }
        }
        Ok(found)
    }

    async fn month(
        &self,
        day: Date,
        shows: impl Fn(AccountId) -> bool + Send,
    ) -> Result<Vec<MonthBytes>, CommandError> {
        let (_, entries) = self.store().range(&key::usage_month(&month_of(day))).await?;
        let months = entries.iter().filter_map(|entry| read::<MonthBytes>(Some(entry)));
        Ok(months.filter(|month| shows(month.account)).collect())
    }

    /// Removes usage of days before this one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn remove_usage_before(&self, day: Date) -> Result<(), CommandError> {
        remove_before(self, day).await.map_err(CommandError::from)
    }
}

/// Every day from the first to the last. `None` when there are too many.
fn days(first: Date, last: Date) -> Option<Vec<Date>> {
    let mut days = Vec::new();
    let mut day = first;
    while day <= last {
        days.push(day);
        if days.len() > usize::try_from(DAYS_MAX).unwrap_or(0) {
            return None;
        }
        day = day.tomorrow().ok()?;
    }
    Some(days)
}

/// Removes what is older than the retention says.
pub(crate) async fn prune(manager: &Manager) -> Result<(), CommitError> {
    let kept = manager.view().setting(&settings::USAGE_KEPT_DAYS);
    let span = jiff::Span::new().days(kept.clamp(1, 3_650));
    match day_of(Timestamp::now()).checked_sub(span) {
        Ok(day) => remove_before(manager, day).await,
        Err(_) => Ok(()),
    }
}

async fn remove_before(manager: &Manager, day: Date) -> Result<(), CommitError> {
    let mut txn = Txn::default();
    let (_, entries) = manager.store().range(&key::usage_held()).await?;
    for entry in &entries {
        let held: Option<Held> = read(Some(entry));
        let ended = held.and_then(|held| held.until);
        if ended.is_some_and(|until| day_of(until) < day) {
            txn.conditions.push(as_seen(&entry.key, Some(entry)));
            txn.writes.push(Write::Delete(entry.key.clone()));
        }
    }
    let (_, entries) = manager.store().range(key::USAGE_BYTES).await?;
    for entry in &entries {
        if let Some(write) = older(entry, day)? {
            txn.conditions.push(as_seen(&entry.key, Some(entry)));
            txn.writes.push(write);
        }
    }
    if txn.writes.is_empty() {
        return Ok(());
    }
    if manager.store().txn(txn).await? == Outcome::Conflict {
        tracing::info!("usage changed while old usage was removed; it is removed later");
    }
    Ok(())
}

/// What becomes of a month's bytes without the days before this one; `None` when it stays as it is.
fn older(entry: &Entry, day: Date) -> Result<Option<Write>, CommitError> {
    let rest = entry.key.strip_prefix(key::USAGE_BYTES).unwrap_or_default();
    let month = rest.split('/').next().unwrap_or_default();
    let this = month_of(day);
    if month > this.as_str() {
        return Ok(None);
    }
    if month < this.as_str() {
        return Ok(Some(Write::Delete(entry.key.clone())));
    }
    let Some(mut bytes) = read::<MonthBytes>(Some(entry)) else {
        return Ok(None);
    };
    let before = bytes.days.len();
    bytes.days.retain(|number, _| *number >= day.day().unsigned_abs());
    if bytes.days.len() == before {
        return Ok(None);
    }
    put(entry.key.clone(), &bytes).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
    const TWO: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);

    fn reading(epoch: u64, counts: &[(Ipv4Addr, InOut)]) -> Reading {
        Reading {
            epoch,
            addresses: counts.iter().copied().collect(),
        }
    }

    #[test]
    fn only_what_is_beyond_the_last_reading_is_new() {
        let before = reading(1, &[(ONE, [10, 20])]);
        let now = reading(1, &[(ONE, [15, 20]), (TWO, [1, 0])]);
        let new = BTreeMap::from([(ONE, [5, 0]), (TWO, [1, 0])]);
        assert_eq!(beyond(Some(&before), &now), new);
        assert_eq!(beyond(Some(&now), &now), BTreeMap::new());
    }

    #[test]
    fn counters_that_began_anew_are_new_as_a_whole() {
        let before = reading(1, &[(ONE, [10, 20])]);
        let now = reading(2, &[(ONE, [11, 3])]);
        assert_eq!(beyond(Some(&before), &now), BTreeMap::from([(ONE, [11, 3])]));
        assert_eq!(beyond(None, &now), BTreeMap::from([(ONE, [11, 3])]));
    }

    #[test]
    fn days_are_counted_with_both_ends_and_not_without_bound() {
        let day = |d| Date::new(2026, 2, d).unwrap();
        assert_eq!(days(day(27), day(28)).unwrap().len(), 2);
        assert_eq!(days(day(2), day(1)).unwrap().len(), 0);
        assert_eq!(days(Date::new(2020, 1, 1).unwrap(), day(1)), None);
    }
}
