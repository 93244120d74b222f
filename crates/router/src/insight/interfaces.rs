// SPDX-License-Identifier: Apache-2.0
//! What the router's interfaces dropped, as /proc/net/dev counts it for the reader's namespace.

use outgate_model::stats::InterfaceDrops;

use crate::RouterError;

const PATH: &str = "/proc/thread-self/net/dev";

/// By interface, without `lo`.
pub(super) fn drops() -> Result<Vec<InterfaceDrops>, RouterError> {
    let text = std::fs::read_to_string(PATH)
        .map_err(|e| RouterError::failed("reading the interfaces' counters", format!("{PATH}: {e}")))?;
    Ok(text
        .lines()
        .filter_map(read)
        .filter(|d| d.interface != "lo")
        .collect())
}

/// `eth0: ` and then bytes, packets, errors, drops and four more of what was received, and the same of what was sent.
fn read(line: &str) -> Option<InterfaceDrops> {
    let (name, counters) = line.split_once(':')?;
    let mut counters = counters.split_ascii_whitespace();
    Some(InterfaceDrops {
        interface: name.trim().to_owned(),
        received: counters.nth(3)?.parse().ok()?,
        sent: counters.nth(7)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_the_fourth_number_of_each_half() {
        let line = "  eth2: 1500 12 1 7 0 0 0 0   900 9 2 4 0 0 0 0";
        let expected = InterfaceDrops {
            interface: "eth2".to_owned(),
            received: 7,
            sent: 4,
        };
        assert_eq!(read(line), Some(expected));
        assert_eq!(read(" face |bytes    packets errs drop"), None);
    }
}
