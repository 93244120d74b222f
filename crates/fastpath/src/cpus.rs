// SPDX-License-Identifier: Apache-2.0
//! Which CPUs take packets. A kernel may be ready for many more than there are: a virtual machine that can be given more
//! CPUs while it runs often has room for 64 or 128, and a table divided by those would leave little for each.

use std::fs;

const ONLINE: &str = "/sys/devices/system/cpu/online";

/// One more than the highest number of a CPU that is online, or how many the kernel is ready for if it does not say.
pub fn cpus() -> u32 {
    let possible = || libbpf_rs::num_possible_cpus().map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX));
    let online = fs::read_to_string(ONLINE).ok();
    let highest = online.as_deref().and_then(highest);
    highest.map_or_else(possible, |highest| highest.saturating_add(1))
}

/// Of a list like `0-1,4,6-7`, which is in order.
fn highest(list: &str) -> Option<u32> {
    list.trim().rsplit([',', '-']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_cpu_ends_the_list() {
        let lists = [
            ("0\n", Some(0)),
            ("0-1\n", Some(1)),
            ("0-3,8,10-11", Some(11)),
            ("0-3,8", Some(8)),
        ];
        for (list, expected) in lists.into_iter().chain([("", None), ("none", None)]) {
            assert_eq!(highest(list), expected, "{list}");
        }
        assert!(cpus() >= 1);
    }
}
