// SPDX-License-Identifier: Apache-2.0
//! The table `iptables -t nat`, which the reference text's step 4 lists.

use crate::KernelError;
use crate::program::run;

/// The rules of every chain of `iptables -t nat` as `iptables -S` prints them (`-A POSTROUTING -o eth2 ...`), in order.
///
/// # Errors
/// When iptables cannot be run or refuses.
pub fn nat_rules() -> Result<Vec<String>, KernelError> {
    let listed = match run(&["iptables", "-w", "-t", "nat", "-S"], "") {
        Ok(listed) => listed,
        // Something that iptables does not understand was put into the table. It is replaced as a whole.
        Err(KernelError::Refused { reason, .. }) if reason.contains("incompatible") => String::new(),
        Err(error) => return Err(error),
    };
    Ok(listed
        .lines()
        .filter(|line| line.starts_with("-A "))
        .map(|line| line.trim_end().to_owned())
        .collect())
}

/// Loads what `iptables-save` would print: each table in it is replaced as a whole, in one transaction.
///
/// # Errors
/// iptables-restore's own words.
pub fn restore(tables: &str) -> Result<(), KernelError> {
    run(&["iptables-restore", "-w"], tables).map(drop)
}
