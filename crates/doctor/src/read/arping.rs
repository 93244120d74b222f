// SPDX-License-Identifier: Apache-2.0
//! `arping` (iputils): who answers for an address.

use outgate_model::MacAddr;

/// The Ethernet addresses that answered, each once. `None` when it sent nothing.
pub fn answers(stdout: &str) -> Option<Vec<MacAddr>> {
    if !stdout.contains("Sent ") {
        return None;
    }
    let replies = stdout.lines().filter(|line| line.contains("reply from"));
    let macs = replies.filter_map(|line| {
        line.split_once('[')?
            .1
            .split_once(']')?
            .0
            .to_ascii_lowercase()
            .parse()
            .ok()
    });
    let mut macs: Vec<MacAddr> = macs.collect();
    macs.sort();
    macs.dedup();
    Some(macs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answerer_is_named_once() {
        let text = "ARPING 203.0.113.1 from 203.0.113.10 eth2\nUnicast reply from 203.0.113.1 [5A:E2:C9:2B:25:15]  0.543ms\nUnicast reply from 203.0.113.1 [5A:E2:C9:2B:25:15]  0.552ms\nSent 2 probes (1 broadcast(s))\nReceived 2 response(s)\n";
        assert_eq!(answers(text).unwrap().len(), 1);
        assert_eq!(
            answers("Sent 2 probes (2 broadcast(s))\nReceived 0 response(s)\n"),
            Some(vec![])
        );
        assert_eq!(answers("arping: Device eth2 not available.\n"), None);
    }
}
