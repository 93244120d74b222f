// SPDX-License-Identifier: Apache-2.0
//! The chain POSTROUTING of `iptables -t nat`, which the reference text's step 4 lists.

use crate::KernelError;
use crate::program::run;

/// The rules of `iptables -t nat`'s POSTROUTING as `iptables -S` prints them (`-A POSTROUTING -o eth2 ...`), in order.
///
/// # Errors
/// When iptables cannot be run or refuses.
pub fn postrouting() -> Result<Vec<String>, KernelError> {
    let listed = match run(&["iptables", "-w", "-t", "nat", "-S", "POSTROUTING"], "") {
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

/// Makes POSTROUTING hold exactly these rules, in one transaction. Other chains of the table stay as they are.
///
/// # Errors
/// iptables-restore's own words.
pub fn set_postrouting(rules: &[String]) -> Result<(), KernelError> {
    let mut script = "*nat\n:POSTROUTING ACCEPT [0:0]\n-F POSTROUTING\n".to_owned();
    for rule in rules {
        if rule.contains('\n') || !rule.starts_with("-A POSTROUTING ") {
            let reason = format!("{rule:?} is no rule of POSTROUTING");
            return Err(KernelError::Refused {
                program: "iptables-restore".to_owned(),
                reason,
            });
        }
        script.push_str(rule);
        script.push('\n');
    }
    script.push_str("COMMIT\n");
    run(&["iptables-restore", "-w", "--noflush"], &script).map(drop)
}
