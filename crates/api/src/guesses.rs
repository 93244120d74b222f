// SPDX-License-Identifier: Apache-2.0
//! Against guessing passwords: after some failures each further try for the same name, or from the same address, has
//! to wait longer. Names that nobody has are treated alike, so that waiting tells nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures without a wait, for one name.
const FREE_FOR_NAME: u32 = 3;
/// Failures without a wait, from one address: several people may share it.
const FREE_FOR_ADDRESS: u32 = 20;
/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(32);
/// After how long without a try the failures are forgotten.
const FORGET: Duration = Duration::from_mins(15);
/// Most names and most addresses that are remembered.
const MOST: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// When the next try may begin.
    next: Instant,
    last: Instant,
}

#[derive(Debug)]
struct Book<K> {
    free: u32,
    entries: HashMap<K, Failures>,
}

impl<K: Eq + Hash + Clone> Book<K> {
    fn new(free: u32) -> Self {
        Self {
            free,
            entries: HashMap::new(),
        }
    }

    fn wait(&self, key: &K, now: Instant) -> Duration {
        let entry = self.entries.get(key);
        entry.map_or(Duration::ZERO, |e| e.next.saturating_duration_since(now))
    }

    /// Counts a try as failed before it has begun, so that many at once wait like many in turn.
    fn count(&mut self, key: &K, now: Instant) {
        if self.entries.len() >= MOST && !self.entries.contains_key(key) {
            self.forget(now);
        }
        let fresh = Failures {
            count: 0,
            next: now,
            last: now,
        };
        let free = self.free;
        let entry = self.entries.entry(key.clone()).or_insert(fresh);
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
        if let Some(over) = entry.count.checked_sub(free + 1) {
            let wait = Duration::from_millis(500) * 2_u32.saturating_pow(over.min(10));
            entry.next = now + wait.min(LONGEST);
        }
    }

    /// Drops what is old; when nothing is, the oldest half, so that the book stays bounded whatever happens.
    fn forget(&mut self, now: Instant) {
        self.entries
            .retain(|_, e| now.saturating_duration_since(e.last) < FORGET);
        if self.entries.len() >= MOST {
            let mut times: Vec<Instant> = self.entries.values().map(|e| e.last).collect();
            times.sort_unstable();
            if let Some(middle) = times.get(times.len() / 2).copied() {
                self.entries.retain(|_, e| e.last > middle);
            }
        }
    }
}

/// Failed logins.
#[derive(Debug)]
pub struct Guesses {
    names: Mutex<Book<(String, String)>>,
    addresses: Mutex<Book<IpAddr>>,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            names: Mutex::new(Book::new(FREE_FOR_NAME)),
            addresses: Mutex::new(Book::new(FREE_FOR_ADDRESS)),
        }
    }
}

impl Guesses {
    /// Begins a try to log in as `name`, domain and user name. Errors with the time to wait until the next one.
    pub fn begin(&self, name: &(String, String), from: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let from_wait = from.map_or(Duration::ZERO, |from| addresses.wait(&from, now));
        let wait = names.wait(name, now).max(from_wait);
        if !wait.is_zero() {
            return Err(wait);
        }
        names.count(name, now);
        if let Some(from) = from {
            addresses.count(&from, now);
        }
        Ok(())
    }

    /// The try that [`Guesses::begin`] began was right: nothing is held against its name and address any more.
    pub fn right(&self, name: &(String, String), from: Option<IpAddr>) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.entries.remove(name);
        drop(names);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(from) = from {
            addresses.entries.remove(&from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> (String, String) {
        ("ROOT".to_owned(), text.to_owned())
    }

    #[test]
    fn guesses_for_one_name_get_slower_and_others_do_not_notice() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let mut now = start;
        for _ in 0..40 {
            while let Err(wait) = guesses.begin(&name("admin"), None, now) {
                assert!(wait <= LONGEST);
                now += wait;
            }
        }
        assert!(now - start > Duration::from_mins(10), "{:?}", now - start);
        assert!(guesses.begin(&name("alice"), None, now).is_ok());
        guesses.right(&name("admin"), None);
        assert!(guesses.begin(&name("admin"), None, now).is_ok());
    }

    #[test]
    fn many_tries_at_once_wait_like_many_in_turn() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let begun = (0..100).filter(|_| guesses.begin(&name("admin"), None, now).is_ok());
        assert!(begun.count() <= FREE_FOR_NAME as usize + 1);
    }

    #[test]
    fn an_address_that_tries_many_names_is_slowed_down_too() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let from = Some(IpAddr::from([192, 0, 2, 1]));
        let begun = (0..100).filter(|i| guesses.begin(&name(&i.to_string()), from, now).is_ok());
        assert!(begun.count() <= FREE_FOR_ADDRESS as usize + 1);
        assert!(
            guesses
                .begin(&name("bob"), Some(IpAddr::from([192, 0, 2, 2])), now)
                .is_ok()
        );
    }

    #[test]
    fn no_number_of_names_fills_the_memory() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for i in 0..3 * MOST as u64 {
            let at = now + Duration::from_millis(i);
            guesses.begin(&name(&i.to_string()), None, at).unwrap();
        }
        assert!(guesses.names.lock().unwrap().entries.len() <= MOST);
    }
}
