// SPDX-License-Identifier: Apache-2.0
//! So many records a second, and no more.

/// Counts within each second of the clock.
#[derive(Debug)]
pub struct Limit {
    per_second: u32,
    second: i64,
    left: u32,
}

impl Limit {
    /// Allows so many a second.
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second,
            second: i64::MIN,
            left: 0,
        }
    }

    /// Whether one more may be in this second.
    pub fn allows(&mut self, second: i64) -> bool {
        if second != self.second {
            self.second = second;
            self.left = self.per_second;
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own() {
        let mut limit = Limit::new(2);
        let allowed = [5, 5, 5, 6, 6, 6].map(|second| limit.allows(second));
        assert_eq!(allowed, [true, true, false, true, true, false]);
    }
}
