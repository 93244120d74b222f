// SPDX-License-Identifier: Apache-2.0
//! Kernel parameters and counters: many files in one go by `grep -s -H "" FILE...`.

use std::collections::BTreeMap;

/// Files by path, lines joined again.
pub fn files(stdout: &str) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for line in stdout.lines() {
        if let Some((path, content)) = line.split_once(':') {
            let file = files.entry(path.to_owned()).or_default();
            if !file.is_empty() {
                file.push('\n');
            }
            file.push_str(content);
        }
    }
    files
}

/// The path of a kernel parameter.
pub fn sysctl_path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

/// A number of /proc/net/netstat or /proc/net/snmp: `TcpExt`, `IPReversePathFilter`.
pub fn counter(text: &str, group: &str, name: &str) -> Option<u64> {
    let head = format!("{group}:");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(&head));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|n| n == name)?;
    values.split_whitespace().nth(at)?.parse().ok()
}

/// The sum over all processors of a column of /proc/net/stat/nf_conntrack, whose numbers are hexadecimal.
pub fn conntrack_stat(text: &str, column: &str) -> Option<u64> {
    let mut lines = text.lines();
    let at = lines.next()?.split_whitespace().position(|n| n == column)?;
    let mut values = lines.map(|line| u64::from_str_radix(line.split_whitespace().nth(at)?, 16).ok());
    values.try_fold(0u64, |sum, value| Some(sum.saturating_add(value?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_file_come_together() {
        let seen = files("/proc/a:1\n/proc/b:x: y\n/proc/b:x: z\n");
        assert_eq!(seen["/proc/a"], "1");
        assert_eq!(seen["/proc/b"], "x: y\nx: z");
    }

    #[test]
    fn counters_are_found_by_group_and_name() {
        let text = "TcpExt: A IPReversePathFilter\nTcpExt: 1 7\nIpExt: A\nIpExt: 3";
        assert_eq!(counter(text, "TcpExt", "IPReversePathFilter"), Some(7));
        assert_eq!(counter(text, "IpExt", "A"), Some(3));
        assert_eq!(counter(text, "IpExt", "B"), None);
    }

    #[test]
    fn conntrack_columns_are_summed_over_processors() {
        let text = "entries  insert_failed drop\n0000000a  00000001 00000000\n0000000a  0000000f 00000000";
        assert_eq!(conntrack_stat(text, "insert_failed"), Some(16));
        assert_eq!(conntrack_stat(text, "nothing"), None);
    }
}
