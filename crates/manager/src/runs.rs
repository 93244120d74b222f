// SPDX-License-Identifier: Apache-2.0
//! A set of addresses as runs of neighbours, so that a free address is found in time independent of how many are taken.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use outgate_model::Ipv4Range;

/// Addresses, kept as runs: first address to last address of each, never touching one another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRuns {
    runs: BTreeMap<u32, u32>,
}

impl AddressRuns {
    /// Adds `address`. Returns whether it is new.
    pub fn insert(&mut self, address: Ipv4Addr) -> bool {
        if self.contains(address) {
            return false;
        }
        let bits = address.to_bits();
        let before = self
            .runs
            .range(..bits)
            .next_back()
            .map(|(first, last)| (*first, *last));
        let first = match before {
            Some((first, last)) if last.checked_add(1) == Some(bits) => first,
            _ => bits,
        };
        let last = bits
            .checked_add(1)
            .and_then(|next| self.runs.remove(&next))
            .unwrap_or(bits);
        self.runs.insert(first, last);
        true
    }

    /// Removes `address`. Returns whether it was there.
    pub fn remove(&mut self, address: Ipv4Addr) -> bool {
        let bits = address.to_bits();
        let Some((first, last)) = self.run_of(bits) else {
            return false;
        };
        self.runs.remove(&first);
        if first < bits {
            self.runs.insert(first, bits - 1);
        }
        if bits < last {
            self.runs.insert(bits + 1, last);
        }
        true
    }

    /// Whether `address` is in the set.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.run_of(address.to_bits()).is_some()
    }

    /// The first address of `range` that is not in the set, looking from `from` upwards and then from the range's
    /// start. Takes time logarithmic in the number of runs.
    pub fn first_absent(&self, range: Ipv4Range, from: Ipv4Addr) -> Option<Ipv4Addr> {
        let from = if range.contains(from) { from } else { range.first() };
        self.absent_from(from, range.last())
            .or_else(|| self.absent_from(range.first(), range.last()))
    }

    /// How many addresses of `range` are in the set. Takes time by the number of runs in it.
    pub fn count_in(&self, range: Ipv4Range) -> u64 {
        let (start, end) = (range.first().to_bits(), range.last().to_bits());
        let from = self.run_of(start).map_or(start, |(first, _)| first);
        let runs = self.runs.range(from..=end);
        runs.map(|(first, last)| u64::from((*last).min(end) - (*first).max(start)) + 1)
            .sum()
    }

    fn absent_from(&self, from: Ipv4Addr, last: Ipv4Addr) -> Option<Ipv4Addr> {
        let bits = match self.run_of(from.to_bits()) {
            Some((_, end)) => end.checked_add(1)?,
            None => from.to_bits(),
        };
        Some(Ipv4Addr::from_bits(bits)).filter(|address| *address <= last)
    }

    fn run_of(&self, bits: u32) -> Option<(u32, u32)> {
        let (first, last) = self.runs.range(..=bits).next_back()?;
        (bits <= *last).then_some((*first, *last))
    }
}

impl FromIterator<Ipv4Addr> for AddressRuns {
    fn from_iter<I: IntoIterator<Item = Ipv4Addr>>(addresses: I) -> Self {
        let mut set = Self::default();
        for address in addresses {
            set.insert(address);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, last)
    }

    #[test]
    fn neighbours_become_one_run() {
        let set: AddressRuns = [ip(10), ip(12), ip(11)].into_iter().collect();
        assert_eq!(set.runs.len(), 1);
    }

    #[test]
    fn the_ends_of_the_address_space_are_addresses_like_others() {
        let mut set: AddressRuns = [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST].into_iter().collect();
        assert!(set.contains(Ipv4Addr::BROADCAST));
        assert!(set.remove(Ipv4Addr::BROADCAST) && set.remove(Ipv4Addr::UNSPECIFIED));
        assert_eq!(set, AddressRuns::default());
    }

    proptest! {
        #[test]
        fn it_holds_what_a_plain_set_holds(steps in prop::collection::vec((any::<bool>(), 0u8..32), 0..200), from in 0u8..40) {
            let (mut runs, mut plain) = (AddressRuns::default(), BTreeSet::new());
            for (add, n) in steps {
                let same = if add { runs.insert(ip(n)) == plain.insert(n) } else { runs.remove(ip(n)) == plain.remove(&n) };
                prop_assert!(same);
            }
            let range = Ipv4Range::new(ip(4), ip(27)).unwrap();
            let start = if (4..=27).contains(&from) { from } else { 4 };
            let free = (start..=27).chain(4..start).find(|n| !plain.contains(n));
            prop_assert_eq!(runs.first_absent(range, ip(from)), free.map(ip));
            prop_assert!((0..32).all(|n| runs.contains(ip(n)) == plain.contains(&n)));
        }
    }
}
